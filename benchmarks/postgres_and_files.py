#!/usr/bin/env python3
"""How long tables take between PostgreSQL and Parquet files, against what the server and the wire alone take.

usage: benchmarks/postgres_and_files.py [--runs 3] [--table lineitem] [--rows 6000000] [CONTENDER ...]

The tables are those of `_tables.py`: `lineitem` (16 columns as TPC-H has them) and `messy` (uuid, jsonb, text[],
timestamptz, free numeric of up to 50 digits, text with line breaks, nulls). Each contender runs in a process of its
own, and they take turns:

    copy-out    COPY (FORMAT binary) TO STDOUT over one connection, thrown away: the unit of what reads
    to-parquet  PostgresSource to a dataset in a local folder
    copy-in     COPY (FORMAT binary) FROM STDIN of a prepared file into a new table: the unit of what loads
    to-table    that dataset into a new table
    merge-sql   COPY into a temporary table, and INSERT ... ON CONFLICT DO UPDATE, by hand: the unit of merging
    merge       a dataset of 1/6 of the rows, half of them new, merged by the primary key

Printed are medians, how they relate to their units, and the most memory that the process held. PostgreSQL is an
embedded one, in its own processes, without fsync, on the same processors.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from _tables import KEYS, TABLES, make

from de_classes.pipelines import ObjectStoreToPostgres, PostgresToObjectStore, Route
from de_classes.storage.objects import LocalStore
from de_classes.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off"}


@dataclass(frozen=True)
class Task:
    """What is moved, and between which places."""

    postgres: str
    folder: str
    table: str

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
    "copy-in": (copy_in, "copy-in"),
    "to-table": (to_table, "copy-in"),
    "merge-sql": (merge_sql, "merge-sql"),
    "merge": (merge, "merge-sql"),
}


def prepared(task: Task, rows: int) -> None:
    """Make the table, and what is loaded and merged: the same rows as COPY BINARY and as a dataset."""
    keys = ", ".join(KEYS[task.table])
    with psycopg.connect(task.postgres) as connection:
        make(connection, task.table, rows)
        connection.execute(f"CREATE TABLE {task.changed} (LIKE {task.table}, PRIMARY KEY ({keys}))".encode())
        half = rows // 12
        connection.execute(f"INSERT INTO {task.changed} SELECT * FROM {task.table} LIMIT {half}".encode())
        shifted = {"lineitem": "l_orderkey = l_orderkey + 1000000000", "messy": "id = md5(id::text)::uuid"}[task.table]
        connection.execute(f"CREATE TEMPORARY TABLE more AS TABLE {task.changed}".encode())
        connection.execute(f"UPDATE more SET {shifted}".encode())
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
    """Run one contender here, and print seconds and peak memory in bytes."""
    began = time.perf_counter()
    CONTENDERS[name][0](task)
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit]))


def measured(name: str, task: Task) -> list[float]:
    """What one contender says in a process of its own."""
    cleared(task, name)
    command = [sys.executable, str(Path(__file__).resolve()), "--alone", task.postgres, task.folder, task.table, name]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- our own command
    if answer.returncode:
        raise SystemExit(f"{name} failed:\n{answer.stderr}")
    result: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", choices=[[], *CONTENDERS], default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table", choices=[*TABLES], default="lineitem")
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        run_alone(asked.contenders[0], Task(*asked.alone))
        return
    names = asked.contenders or [*CONTENDERS]
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(settings=_SETTINGS) as postgres:
        task = Task(postgres.url, folder, asked.table)
        prepared(task, asked.rows)
        rounds = [{name: measured(name, task) for name in names} for _ in range(asked.runs)]
    print(f"{asked.table}, {asked.rows:,} rows, {asked.runs} runs")
    print(f"{'':12} {'seconds':>8} {'x unit':>7} {'peak MiB':>9}")
    for name in names:
        seconds, peak = (statistics.median(one[name][n] for one in rounds) for n in range(2))
        unit = CONTENDERS[name][1]
        base = statistics.median(one[unit][0] for one in rounds) if unit in names else float("nan")
        print(f"{name:12} {seconds:>8.2f} {seconds / base:>7.2f} {peak / 2**20:>9.0f}")


if __name__ == "__main__":
    main()
