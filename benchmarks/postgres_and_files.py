#!/usr/bin/env python3
"""How long tables take between PostgreSQL and Parquet files, against what the server and the wire alone take.

usage: benchmarks/postgres_and_files.py [--runs 3] [--table NAME] [--rows N] [--peers PYTHON] [CONTENDER ...]

The tables are those of `_tables.py`: `lineitem` (16 columns as TPC-H has them, 6 million rows), `messy` (uuid, jsonb,
text[], timestamptz, free numeric of up to 50 digits, text with line breaks, nulls; 1 million) and `large` (40 rows of
10 MB). Without --table, all of them, and the smallest job. Each contender runs in a process of its own, and they take
turns:

    copy-out    COPY (FORMAT binary) TO STDOUT over one connection, thrown away: the unit of what reads
    to-parquet  PostgresSource to a dataset in a local folder
    copy-in     COPY (FORMAT binary) FROM STDIN of a prepared file into a new table: the unit of what loads
    to-table    that dataset into a new table
    to-parquet-verified, to-table-verified: likewise, with verify="values"
    merge-sql   COPY into a temporary table, and INSERT ... ON CONFLICT DO UPDATE, by hand: the unit of merging
    merge       a dataset of 1/6 of the rows, half of them new, merged by the primary key

--peers names the Python of an environment that has some of duckdb, connectorx, dlt and adbc-driver-postgresql: those
that are there run as well (see `peers/tables.py`). One that fails is told, and the others go on.

Printed are medians, how they relate to their units, processor time of client and server together, and the most memory
that the process held. PostgreSQL is an embedded one, in its own processes, without fsync, on the same processors.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from _measuring import Taken, telling
from _tables import KEYS, ROWS, SHIFTS, TABLES, make

from de_classes.pipelines import ObjectStoreToPostgres, PostgresToObjectStore, Route
from de_classes.storage.objects import LocalStore
from de_classes.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 20
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off"}


@dataclass(frozen=True)
class Task:
    """What is moved, and between which places."""

    postgres: str
    folder: str
    table: str
    server: int
    """The server's first process."""

    @property
    def binary(self) -> Path:
        """The table as COPY BINARY gave it."""
        return Path(self.folder) / f"{self.table}.copy"

    @property
    def changed(self) -> str:
        """A table of rows to be merged."""
        return f"{self.table}_changed"


def copy_out(task: Task) -> None:
    """Read and throw away."""
    with (
        psycopg.connect(task.postgres) as connection,
        connection.cursor().copy(f"COPY {task.table} TO STDOUT (FORMAT binary)".encode()) as copy,
    ):
        for _ in copy:
            pass


def to_parquet(task: Task) -> None:
    """Read into files, of a folder that nobody has used."""
    store = LocalStore(tempfile.mkdtemp(dir=task.folder))
    PostgresToObjectStore(task.postgres, store, tables=[task.table]).run()


def to_parquet_verified(task: Task) -> None:
    """The same, and read the values back."""
    store = LocalStore(tempfile.mkdtemp(dir=task.folder))
    PostgresToObjectStore(task.postgres, store, tables=[task.table], verify="values").run()


def copy_in(task: Task) -> None:
    """Load a prepared file."""
    with psycopg.connect(task.postgres) as connection:
        connection.execute(f"CREATE TABLE loaded (LIKE {task.table})".encode())
        with (
            connection.cursor().copy(b"COPY loaded FROM STDIN (FORMAT binary)") as copy,
            task.binary.open("rb") as file,
        ):
            while chunk := file.read(_CHUNK):
                copy.write(chunk)


def to_table(task: Task) -> None:
    """Load the files into a table that is made of them."""
    store = LocalStore(f"{task.folder}/prepared")
    ObjectStoreToPostgres(store, task.postgres, routes=[task.table], schema="loads", mode="append").run()


def to_table_verified(task: Task) -> None:
    """The same, and read the values back."""
    store = LocalStore(f"{task.folder}/prepared")
    ObjectStoreToPostgres(
        store, task.postgres, routes=[task.table], schema="loads", mode="append", verify="values"
    ).run()


def merge_sql(task: Task) -> None:
    """Merge as one would by hand."""
    keys = KEYS[task.table]
    with psycopg.connect(task.postgres) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", (task.table,)
            )
        ]
        change = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        connection.execute(f"CREATE TEMPORARY TABLE coming (LIKE {task.table})".encode())
        with (
            connection.cursor().copy(b"COPY coming FROM STDIN (FORMAT binary)") as copy,
            task.binary.with_suffix(".changed").open("rb") as file,
        ):
            while chunk := file.read(_CHUNK):
                copy.write(chunk)
        connection.execute(
            f"INSERT INTO merged SELECT * FROM coming ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {change}".encode()
        )


def merge(task: Task) -> None:
    """Merge the same rows from files."""
    store = LocalStore(f"{task.folder}/prepared")
    ObjectStoreToPostgres(store, task.postgres, routes=[Route(task.changed, into="merged")], mode="merge").run()


CONTENDERS: dict[str, tuple[Callable[[Task], None], str]] = {
    "copy-out": (copy_out, "copy-out"),
    "to-parquet": (to_parquet, "copy-out"),
    "to-parquet-verified": (to_parquet_verified, "copy-out"),
    "copy-in": (copy_in, "copy-in"),
    "to-table": (to_table, "copy-in"),
    "to-table-verified": (to_table_verified, "copy-in"),
    "merge-sql": (merge_sql, "merge-sql"),
    "merge": (merge, "merge-sql"),
}
PEERS = {
    "duckdb-out": "copy-out",
    "adbc-out": "copy-out",
    "connectorx-out": "copy-out",
    "dlt-out": "copy-out",
    "duckdb-in": "copy-in",
    "adbc-in": "copy-in",
}
UNITS = {name: unit for name, (_, unit) in CONTENDERS.items()} | PEERS
_PROGRAM = """
import sys
from de_classes.pipelines import ObjectStoreToPostgres, PostgresToObjectStore
from de_classes.storage.objects import LocalStore
store = LocalStore(sys.argv[2])
"""
SMALLEST = {
    "to files": f'{_PROGRAM}PostgresToObjectStore(sys.argv[1], store, tables=["one"]).run()',
    "to a table": f'{_PROGRAM}ObjectStoreToPostgres(store, sys.argv[1], schema="loads", mode="append").run()',
}
_MISSING = 3


def prepared(task: Task, rows: int) -> None:
    """Make the table, and what is loaded and merged: the same rows as COPY BINARY and as a dataset."""
    keys = ", ".join(KEYS[task.table])
    with psycopg.connect(task.postgres) as connection:
        make(connection, task.table, rows)
        connection.execute(f"CREATE TABLE {task.changed} (LIKE {task.table}, PRIMARY KEY ({keys}))".encode())
        half = rows // 12
        connection.execute(f"INSERT INTO {task.changed} SELECT * FROM {task.table} LIMIT {half}".encode())
        connection.execute(f"CREATE TEMPORARY TABLE more AS TABLE {task.changed}".encode())
        connection.execute(f"UPDATE more SET {SHIFTS[task.table]}".encode())
        connection.execute(f"INSERT INTO {task.changed} TABLE more".encode())
    for table, file in ((task.table, task.binary), (task.changed, task.binary.with_suffix(".changed"))):
        with (
            psycopg.connect(task.postgres) as connection,
            file.open("wb") as sink,
            connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy,
        ):
            sink.writelines(copy)
    store = LocalStore(f"{task.folder}/prepared")
    PostgresToObjectStore(task.postgres, store, tables=[task.table, task.changed]).run()


def cleared(task: Task, name: str) -> None:
    """Take away what a run before has left, and give a merge its target."""
    with psycopg.connect(task.postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS de_classes, loads CASCADE")
        connection.execute("DROP TABLE IF EXISTS loaded, merged")
        if name.startswith("merge"):
            connection.execute(f"CREATE TABLE merged AS TABLE {task.table}".encode())
            connection.execute(f"ALTER TABLE merged ADD PRIMARY KEY ({', '.join(KEYS[task.table])})".encode())
        connection.execute("CHECKPOINT")


def run_alone(name: str, task: Task) -> None:
    """Run one contender here, and print what it took."""
    with telling(time.perf_counter(), task.server):
        CONTENDERS[name][0](task)


def measured(name: str, task: Task, peers: str) -> Taken | None:
    """What one contender says in a process of its own; None when it could not."""
    cleared(task, name)
    place = [task.postgres, task.folder, task.table, str(task.server)]
    if name in PEERS:
        command = [peers, str(Path(__file__).resolve().parent / "peers" / "tables.py"), name, *place]
    else:
        command = [sys.executable, str(Path(__file__).resolve()), "--alone", *place, name]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- our own command
    if not answer.returncode:
        return Taken(*json.loads(answer.stdout.splitlines()[-1]))
    if name not in PEERS:
        raise SystemExit(f"{name} failed:\n{answer.stderr}")
    if answer.returncode != _MISSING:
        said = [line for line in answer.stderr.splitlines() if "rror" in line] or ["nothing said"]
        print(f"{name} cannot: {said[-1][:200]}", file=sys.stderr)
    return None


def compare(task: Task, rows: int, runs: int, names: list[str], peers: str) -> None:
    """Run the contenders in turns on one table, and print their medians."""
    prepared(task, rows)
    rounds = [{name: measured(name, task, peers) for name in names} for _ in range(runs)]
    print(f"\n{task.table}, {rows:,} rows, {runs} runs")
    print(f"{'':19} {'seconds':>8} {'x unit':>7} {'processors':>10} {'x unit':>7} {'peak MiB':>9}")
    for name in names:
        told = [taken for one in rounds if (taken := one[name])]
        units = [taken for one in rounds if (taken := one.get(UNITS[name]))]
        if told:
            own, unit = (Taken(*map(statistics.median, zip(*some, strict=True))) for some in (told, units or told))
            print(
                f"{name:19} {own.seconds:>8.2f} {own.seconds / unit.seconds:>7.2f}"
                f" {own.processors:>10.2f} {own.processors / unit.processors:>7.2f} {own.peak / 2**20:>9.0f}",
                flush=True,
            )


def smallest(postgres: str, runs: int) -> None:
    """One row to files, and one to a table: programs, from the start of Python to its end."""
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE one AS SELECT 1 AS id, 'x' AS name")
    seconds: dict[str, list[float]] = {name: [] for name in SMALLEST}
    for _ in range(runs):
        with psycopg.connect(postgres, autocommit=True) as connection, tempfile.TemporaryDirectory() as folder:
            connection.execute("DROP SCHEMA IF EXISTS de_classes, loads CASCADE")
            for name, program in SMALLEST.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, "-c", program, postgres, folder], check=True)  # noqa: S603 -- our own
                seconds[name].append(time.perf_counter() - began)
    told = ", ".join(f"{name} {statistics.median(some):.2f}" for name, some in seconds.items())
    print(f"\none row, in seconds with the start of Python: {told}")


@contextmanager
def server(*, over_tcp: bool) -> Iterator[tuple[str, int]]:
    """A PostgreSQL, and its first process; over TCP where others come, whose clients know no sockets in folders."""
    settings = dict(_SETTINGS)
    if over_tcp:
        with socket.create_server(("127.0.0.1", 0)) as free:
            settings |= {"listen_addresses": "127.0.0.1", "port": str(free.getsockname()[1])}
    with EmbeddedPostgres(settings=settings) as postgres:
        url = f"postgresql://postgres:any@127.0.0.1:{settings['port']}/postgres" if over_tcp else postgres.url
        yield url, int((postgres.cluster / "postmaster.pid").read_text().split()[0])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", choices=[[], *UNITS], default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table", choices=[*TABLES])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--peers", default="", help="the Python of an environment that has other tools")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")  # as our programs have it, see utils/memory.py
    if asked.alone:
        *place, first = asked.alone
        run_alone(asked.contenders[0], Task(*place, int(first)))
        return
    names = asked.contenders or [*CONTENDERS, *(PEERS if asked.peers else ())]
    with tempfile.TemporaryDirectory() as folder, server(over_tcp=bool(asked.peers)) as (url, first):
        for table in [asked.table] if asked.table else TABLES:
            compare(Task(url, folder, table, first), asked.rows or ROWS[table], asked.runs, names, asked.peers)
        if not asked.table:
            smallest(url, asked.runs)


if __name__ == "__main__":
    main()
