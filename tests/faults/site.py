"""A target, the runs into it, and the look at what is there afterwards."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode
from de_classes.storage.objects import Dataset
from tests.faults.jobs import COMPACT, STREAM, Job, store
from tests.faults.rows import COLUMNS, MORE, ROWS, Row, is_fit, partly_replaced, remaining, rows, told

if TYPE_CHECKING:
    from tests.faults.bench import Bench
    from tests.faults.nursery import Ended
    from tests.faults.routes import Route

TEMPORARY = "temporary"
"""The folder for temporary files of the runs."""
SECONDS = 10
_UNFINISHED = b"""
SELECT 'session: ' || application_name || ', ' || coalesce(state, '') || ', ' || query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
UNION ALL SELECT 'prepared: ' || gid FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL SELECT 'slot: ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'temporary: ' || relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'
"""


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
        if not route.source:
            return Job("", self.target, route.mode, fault=fault, log=log)
        source, origin = self.bench.source("wide" if self.wide else route.source, state)
        if route.changes:
            origin = self.bench.changing(self.name, state)
        elif state > 1:
            origin += "_deleted" if route.deletes else "_some" if route.partitions else ""
        return Job(
            source,
            self.target,
            str(route.mode),
            origin,
            self.name,
            1 << 30 if self.wide else 8192,
            deletes=route.deletes,
            csv=route.csv,
            changes=route.changes,
            partitions=route.partitions,
            unfit=route.unfit,
            verified=route.verified,
            fault=fault,
            log=log,
        )

    def run(self, state: int, fault: str = "", **changes: Any) -> Ended:
        """Run it, over another way where `changes` say so."""
        return self.bench.nursery.run(replace(self.job(state, fault), **changes))

    def expected(self, state: int) -> list[Row]:
        """What the target holds once that state was taken there; before any, nothing."""
        if not self.route.source:
            return rows(ROWS)  # always, whatever happens to it
        if not state:
            return []
        if self.route.grows:
            more = [row for row in rows(MORE if state > 1 else ROWS) if is_fit(row, self.route.unfit)]
            return list(map(told, more)) if self.route.source == "api" else more
        if self.wide:
            origin = self.bench.wide(state)
            return self.bench.connection.execute(f"SELECT * FROM {origin} ORDER BY id".encode()).fetchall()
        if state > 1 and self.route.partitions:
            return partly_replaced(ROWS)
        there = remaining(ROWS) if self.route.deletes and state > 1 else rows(ROWS, state)
        return [row for row in there if is_fit(row, self.route.unfit)]

    def set_aside(self, state: int) -> list[int]:
        """The ids of rows that are in quarantine where they should not be, or are not where they should."""
        if not self.route.unfit:
            return []
        query = f"SELECT record::json ->> 'id' FROM {self.name}.{STREAM}_quarantine"
        found = sorted(int(number) for (number,) in self.bench.connection.execute(query.encode()))
        wanted = [row[0] for row in rows(MORE if state > 1 else ROWS) if not is_fit(row, self.route.unfit)]
        return [] if found == wanted else sorted(found + wanted)

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
        left = self._unfinished() + [f"temporary: {path.name}" for path in (self.bench.folder / TEMPORARY).iterdir()]
        if self.route.target == "pg":
            return left + self._tables()
        dataset, expected = Dataset(store(self.target), STREAM), set[str]()
        if self.route.mode == COMPACT:
            dataset.vacuum(0)
        newest = dataset.log.newest()
        assert newest is not None
        expected |= {f"{STREAM}/_commits/{number:020}.json" for number in range(1, newest.number + 1)}
        expected |= {f"{STREAM}/{held.file.key}" for held in dataset.state(newest).files}
        return left + sorted(key for key in self._objects() ^ expected if "/checkpoints/" not in key)

    def uploads(self) -> list[str]:
        """What was begun to be sent in parts, and is neither there nor given up."""
        return [*self.bench.s3.unfinished_uploads(self.name)] if self.route.target == "s3" else []

    def _unfinished(self) -> list[str]:
        """What the server keeps of runs that are over; it takes a moment to see that a client is gone."""
        deadline = time.monotonic() + SECONDS
        while (found := self.bench.connection.execute(_UNFINISHED).fetchall()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [name for (name,) in found]

    def age(self) -> None:
        """Let an hour have gone by for what a killed probe left; on S3 nobody can, so there it is not looked at."""
        if self.route.target == "local":
            for file in Path(self.target).rglob("_probe/**/*"):
                os.utime(file, (0, 0))

    def _tables(self) -> list[str]:
        state = f"{self.name}_state"
        found = self.bench.connection.execute(
            "SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname IN (%s, %s) AND relkind <> 'i' AND relname <> ALL(%s)",
            (
                self.name,
                state,
                ["positions", "staged", "loaded", STREAM, *[f"{STREAM}_quarantine"] * bool(self.route.unfit)],
            ),
        ).fetchall()
        found += self.bench.connection.execute(f"SELECT 'ledger: ' || table_name FROM {state}.staged".encode())
        declared = "SELECT FROM pg_indexes WHERE schemaname = %s AND indexdef LIKE '%% (at)'"
        found += [] if self.bench.connection.execute(declared, (self.name,)).rowcount == 1 else [("index: missing",)]
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
