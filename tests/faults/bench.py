"""The servers that all cases share, and the look afterwards: is every row there once, as it was, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import psycopg
import pyarrow as pa

from de_classes.contracts import Batch, Mode, Stream
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.proxy import Cut, CuttingProxy
from de_classes.testing.s3 import S3Server
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.jobs import COMPACT, STREAM, Job, store
from tests.faults.nursery import Ended, Nursery
from tests.faults.routes import Route
from tests.faults.rows import COLUMNS, DDL, SCHEMA, Row, added, as_csv, remaining, rows

ROWS = 120
PAGE = 20


@dataclass(eq=False)
class Bench:
    """Servers, sources in both states, and the process that forks runs."""

    postgres: EmbeddedPostgres
    s3: S3Server
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="de-classes-bench-")))
    opened: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        # Workers first: what they fork should hold as little as can be.
        self.nursery = self.opened.enter_context(Nursery())
        self.opened.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.api = self.opened.enter_context(LoopbackServer(_answered))
        self.database = f"bench_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.postgres.url, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{self.database}" TEMPLATE template0 STRATEGY file_copy'.encode())
        self.opened.callback(self._dropped)
        self.connection = self.opened.enter_context(psycopg.connect(self.url, autocommit=True))
        self.connection.execute("SET timezone TO 'UTC'")
        self._source_table("source_1", rows(ROWS))
        self._source_table("source_2", rows(ROWS, 2))
        self._source_table("source_2_deleted", remaining(ROWS))
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    @property
    def url(self) -> str:
        """The database of sources and targets."""
        return self.postgres.url_of(self.database)

    def _dropped(self) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{self.database}" WITH (FORCE)'.encode())

    def _source_table(self, name: str, some: list[Row]) -> None:
        # Half of a page of the table is left empty, so that few rows make several splits.
        self.connection.execute(f"CREATE TABLE {name} {DDL} WITH (fillfactor = 30)".encode())
        with self.connection.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
            for row in some:
                copy.write_row(row)

    def source(self, kind: str, state: int) -> tuple[str, str]:
        """Where a source of that kind is, and which of its tables."""
        if kind == "api":
            return f"{self.api.url}/{state}", ""
        if kind == "wide":
            return self.url, self.wide(state)
        if kind == "pg":
            return self.url, f"public.source_{state}"
        if kind == "files":
            return f"files:{self._files(state)}", ""
        return self._dataset(kind, state), ""

    @cache  # noqa: B019 -- one bench a session
    def wide(self, state: int) -> str:
        """A table of so many times 12 MB; its rows are not so long that they would be kept elsewhere."""
        self.connection.execute(
            f"CREATE TABLE wide_{state} {DDL}; INSERT INTO wide_{state}"
            " SELECT id, 1, string_agg(md5(id || ' ' || n), ''), 0, now()"
            f" FROM generate_series(1, {6500 * state}) id, generate_series(1, 59) n GROUP BY id".encode()
        )
        return f"public.wide_{state}"

    @cached_property
    def disk(self) -> SmallDisk | None:
        """A disk that can be full, with a tablespace `small` of the server on it; None where none can be had."""
        disk = self.opened.enter_context(small_disk())
        if disk is not None:
            (disk.folder / "server").mkdir()
            owner = self.postgres.cluster.stat()
            os.chown(disk.folder / "server", owner.st_uid, owner.st_gid)
            self.connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder / 'server'}'".encode())
            self.opened.callback(self._emptied)
        return disk

    def _cleared(self) -> None:
        for schema in ("small", "small_state"):
            self.connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        if self.disk is not None:
            shutil.rmtree(self.disk.folder / "lake", ignore_errors=True)
        # Until then the files of dropped tables are kept.
        self.connection.execute("CHECKPOINT")

    def _emptied(self) -> None:
        self._cleared()
        self.connection.execute("DROP TABLESPACE small")

    @contextmanager
    def through(self, place: str, cut: Cut) -> Iterator[tuple[str, CuttingProxy]]:
        """Another way to a database or a bucket, on which connections break."""
        socket_folder = self.postgres.url.rpartition("host=")[2]
        server = place.rpartition("//")[2] if place.startswith("s3:") else f"{unquote(socket_folder)}/.s.PGSQL.5432"
        with CuttingProxy(server) as proxy:
            proxy.cut(cut)
            bucket = place.partition("@")[0]
            yield (
                (
                    f"{bucket}@http://{proxy.address}"
                    if place.startswith("s3:")
                    else f"postgresql://postgres@{proxy.address}/{self.database}"
                ),
                proxy,
            )

    @cache  # noqa: B019 -- one bench a session
    def _dataset(self, kind: str, state: int) -> str:
        """A dataset of three commits, and in the later state of one more."""
        if kind == "s3":
            place = f"s3:source-{state}-{uuid.uuid4().hex}@{self.s3.endpoint}"
            self.s3.create_bucket(place[3:].partition("@")[0])
            local = LocalStore(self._dataset("local", state))
            for info in local.list():
                store(place).put(info.key, local.get(info.key))
            return place
        place = str(self.folder / f"source-{state}")
        if state > 1:
            shutil.copytree(self._dataset(kind, 1), place)
            _append(place, added(ROWS))
            return place
        third = ROWS // 3
        for n in range(3):
            _append(place, rows(ROWS)[n * third : (n + 1) * third])
        return place

    @cache  # noqa: B019 -- one bench a session
    def _files(self, state: int) -> str:
        """Three files that others wrote; in the later state one of them is another, and there is one more."""
        folder = self.folder / f"files-{state}"
        if state > 1:
            # The very same files are unchanged: a copy would have another etag.
            shutil.copytree(self._files(1), folder, copy_function=os.link)
            (folder / "orders-0.csv").unlink()
        folder.mkdir(exist_ok=True)
        for n in (0, 1, 2) if state == 1 else (0, 3):
            some = [row for row in rows(ROWS, state) if (row[0] % 3 if row[0] < ROWS else 3) == n]
            (folder / f"orders-{n}.csv").write_bytes(as_csv(some))
        return str(folder)

    def site(self, route: Route, *, wide: bool = False) -> Site:
        """A target that nobody has used."""
        return replace(self._site(route), wide=wide)

    def small_site(self, route: Route) -> Site | None:
        """A target on the disk that can be full; None where none can be had."""
        if self.disk is None:
            return None
        self._cleared()
        if route.target == "pg":
            return Site(self, route, f"{self.url}&options=-c%20default_tablespace%3Dsmall", "small", wide=True)
        return Site(self, route, str(self.disk.folder / "lake"), "", wide=True)

    def _site(self, route: Route) -> Site:
        name = f"t{uuid.uuid4().hex[:12]}"
        if route.target == "pg":
            return Site(self, route, self.url, name)
        if route.target == "s3":
            self.s3.create_bucket(name)
            return Site(self, route, f"s3:{name}@{self.s3.endpoint}", name)
        if route.mode == COMPACT:
            shutil.copytree(self._dataset("local", 1), self.folder / name)
        return Site(self, route, str(self.folder / name), name)


@dataclass(frozen=True)
class Site:
    """One target of one route."""

    bench: Bench
    route: Route
    target: str
    name: str
    wide: bool = False
    """Whether the source is one of 12 MB, and then 24 MB."""

    def job(self, state: int, fault: str = "", log: str = "") -> Job:
        """A run that takes a state of the source there."""
        route = self.route
        if route.mode == COMPACT:
            return Job("", self.target, COMPACT, fault=fault, log=log)
        source, origin = self.bench.source("wide" if self.wide else route.source, state)
        origin += "_deleted" if route.deletes and state > 1 else ""
        split_bytes = 1 << 30 if self.wide else 8192
        chosen = (origin, self.name, split_bytes, route.deletes, route.csv)
        return Job(source, self.target, str(route.mode), *chosen, fault, log)

    def run(self, state: int, fault: str = "", **changes: Any) -> Ended:
        """Run it, over another way where `changes` say so."""
        return self.bench.nursery.run(replace(self.job(state, fault), **changes))

    def expected(self, state: int) -> list[Row]:
        """What the target holds once that state was taken there; before any, nothing."""
        if self.route.mode == COMPACT:
            return rows(ROWS)  # always, whatever happens to it
        if not state:
            return []
        if self.route.walks:  # an API gives what is new, and has no changed rows here
            more = rows(ROWS + (ROWS // 2 if state > 1 else 0))
            return [_told(row) for row in more]
        if self.wide:
            origin = self.bench.wide(state)
            return self.bench.connection.execute(f"SELECT * FROM {origin} ORDER BY id".encode()).fetchall()
        return remaining(ROWS) if self.route.deletes and state > 1 else rows(ROWS, state)

    def rows(self) -> list[Row]:
        """What it holds."""
        if self.route.target == "pg":
            connection = self.bench.connection
            if connection.execute("SELECT to_regclass(%s)", (f"{self.name}.{STREAM}",)).fetchone() == (None,):
                return []
            current = "WHERE valid_to IS NULL" if self.route.mode == Mode.HISTORY else ""
            query = f"SELECT {', '.join(COLUMNS)} FROM {self.name}.{STREAM} {current}"
            found = connection.execute(query.encode()).fetchall()
        else:
            dataset = Dataset(store(self.target), STREAM)
            if dataset.log.newest() is None:
                return []
            lists = [row for batch in dataset.batches() for row in batch.select(COLUMNS).to_pylist()]
            found = [tuple(row.values()) for row in lists]
        return sorted(found, key=lambda row: row[0])

    def leftovers(self) -> list[str]:
        """What a finished load must not leave."""
        if self.route.target == "pg":
            return self._tables()
        dataset, expected = Dataset(store(self.target), STREAM), set[str]()
        if self.route.mode == COMPACT:
            dataset.vacuum(0)
        newest = dataset.log.newest()
        assert newest is not None
        expected |= {f"{STREAM}/_commits/{number:020}.json" for number in range(1, newest.number + 1)}
        expected |= {f"{STREAM}/{held.file.key}" for held in dataset.state(newest).files}
        return sorted(self._objects() ^ expected)

    def age(self) -> None:
        """Let an hour have gone by for what a killed probe left; on S3 nobody can, so there it is not looked at."""
        if self.route.target == "local":
            for file in Path(self.target).rglob("_probe/*"):
                os.utime(file, (0, 0))

    def _tables(self) -> list[str]:
        state = f"{self.name}_state"
        found = self.bench.connection.execute(
            "SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname IN (%s, %s) AND relkind <> 'i' AND relname NOT IN ('positions', 'staged', 'loaded', %s)",
            (self.name, state, STREAM),
        ).fetchall()
        found += self.bench.connection.execute(f"SELECT 'ledger: ' || table_name FROM {state}.staged".encode())
        return [name for (name,) in found]

    def closed(self) -> list[Row]:
        """Of a history, the versions that were the current ones once."""
        query = f"SELECT {', '.join(COLUMNS)} FROM {self.name}.{STREAM} WHERE valid_to IS NOT NULL ORDER BY id"
        return self.bench.connection.execute(query.encode()).fetchall()

    def _objects(self) -> set[str]:
        if self.route.target == "s3":
            return {info.key for info in store(self.target).list() if not info.key.startswith("_probe/")}
        # Not by the store, which does not list what is unfinished.
        return {str(file.relative_to(self.target)) for file in Path(self.target).rglob("*") if file.is_file()}


def _told(row: Row) -> Row:
    """A row as JSON tells it."""
    number, amount, note, ratio, at = row
    return number, str(amount), note, ratio, at.isoformat()


def _answered(asked: Asked) -> Reply:
    state = int(asked.path.split("/")[1])
    all_rows = [_told(row) for row in rows(ROWS + (ROWS // 2 if state > 1 else 0))]
    since = int(asked.query.get("since", "-1"))
    new = [dict(zip(COLUMNS, row, strict=True)) for row in all_rows if row[0] > since]
    first = int(asked.query.get("cursor", "0"))
    following = first + PAGE if first + PAGE < len(new) else None
    return json_reply({"items": new[first : first + PAGE], "next": following})


def _append(folder: str, some: list[Row]) -> None:
    columns = [pa.array(column, kind) for column, kind in zip(zip(*some, strict=True), SCHEMA.types, strict=True)]
    records = pa.record_batch(columns, schema=SCHEMA)
    destination = DatasetDestination(LocalStore(folder))
    with destination.begin("seed", Stream(STREAM, ("id",)), Mode.APPEND) as load:
        load.commit([load.write(uuid.uuid4().hex, iter([Batch(records)]))], {"to": some[-1][0]})
