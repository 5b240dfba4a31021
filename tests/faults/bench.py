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
from typing import Self
from urllib.parse import unquote

import psycopg
import pyarrow as pa

from de_classes.contracts import Batch, Mode, Stream
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.storage.objects._checkpoints import EVERY
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.proxy import Cut, CuttingProxy
from de_classes.testing.s3 import S3Server
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.jobs import COMPACT, STREAM, store
from tests.faults.nursery import Nursery
from tests.faults.routes import Route
from tests.faults.rows import (
    COLUMNS,
    DDL,
    MORE,
    NARROW,
    ROWS,
    SCHEMA,
    Row,
    added,
    as_csv,
    remaining,
    rows,
    told,
    with_some_notes,
)
from tests.faults.site import TEMPORARY, Site

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
        self.nursery = self.opened.enter_context(Nursery(self.folder / TEMPORARY))
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
        self._source_table("source_2_some", with_some_notes(ROWS))
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
        if kind in {"pg", "changing"}:
            return self.url, f"public.source_{state}"
        if "files" in kind:
            return f"files:{self._files(state, changed=kind == 'files')}", ""
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

    @cache  # noqa: B019 -- one bench a session
    def changing(self, name: str, state: int) -> str:
        """A table of its own for a target, which is in the first state an hour ago, and then changes to the second."""
        table = f"public.changing_{name}"
        if state > 1:
            self.changing(name, 1)
            others = "SELECT *, now() FROM source_2 s WHERE NOT EXISTS (SELECT FROM source_1 o WHERE o = s)"
            change = ", ".join(f"{column} = excluded.{column}" for column in [*COLUMNS, "changed"])
            self.connection.execute(f"INSERT INTO {table} {others} ON CONFLICT (id) DO UPDATE SET {change}".encode())
            return table
        self.connection.execute(
            f"CREATE TABLE {table} (LIKE source_1 INCLUDING ALL, changed timestamptz) WITH (fillfactor = 30);"
            f"INSERT INTO {table} SELECT *, now() - interval '1 hour' FROM source_1".encode()
        )
        return table

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
    def _files(self, state: int, *, changed: bool) -> str:
        """Three files that others wrote; in the later state there is one more, and one of them may be another."""
        folder = self.folder / f"files-{state}-{changed}"
        if state > 1:
            # The very same files are unchanged: a copy would have another etag.
            shutil.copytree(self._files(1, changed=changed), folder, copy_function=os.link)
        folder.mkdir(exist_ok=True)
        for n in (0, 1, 2) if state == 1 else (0, 3) if changed else (3,):
            some = [row for row in rows(ROWS, state) if (row[0] % 3 if row[0] < ROWS else 3) == n]
            (folder / f"orders-{n}.csv").unlink(missing_ok=True)
            (folder / f"orders-{n}.csv").write_bytes(as_csv(some))
        return str(folder)

    @cache  # noqa: B019 -- one bench a session
    def _compacted(self) -> str:
        """A dataset whose files all stand for others, which are still there."""
        place = shutil.copytree(self._dataset("local", 1), self.folder / "compacted")
        Dataset(LocalStore(place), STREAM).compact()
        return str(place)

    @cache  # noqa: B019 -- one bench a session
    def _old(self) -> str:
        """A dataset of so many commits, without any row, that the third one from here brings a checkpoint."""
        destination = DatasetDestination(LocalStore(self.folder / "old"))
        for number in range(1, EVERY - 2):
            with destination.begin("another", Stream(STREAM, ("id",)), Mode.APPEND) as load:
                load.commit([], {"to": number})
        return str(self.folder / "old")

    def site(self, route: Route, *, wide: bool = False, old: bool = False) -> Site:
        """A target that nobody has used; or if it is `old`, with many commits of somebody else."""
        site = replace(self._site(route), wide=wide)
        if old:
            shutil.copytree(self._old(), site.target)
        return site

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
        if route.unfit:
            self.connection.execute(
                f"CREATE SCHEMA {name}; CREATE TABLE {name}.{STREAM} {NARROW[route.unfit]}".encode()
            )
        if route.target == "pg":
            return Site(self, route, self.url, name)
        if route.target == "s3":
            self.s3.create_bucket(name)
            return Site(self, route, f"s3:{name}@{self.s3.endpoint}", name)
        if not route.source:
            there = self._dataset("local", 1) if route.mode == COMPACT else self._compacted()
            shutil.copytree(there, self.folder / name)
        return Site(self, route, str(self.folder / name), name)


def _answered(asked: Asked) -> Reply:
    state = int(asked.path.split("/")[1])
    all_rows = [told(row) for row in rows(MORE if state > 1 else ROWS)]
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
