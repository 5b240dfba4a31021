"""A stream of PostgreSQL as the server knows it, and the moment at which it is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from .catalogue import Table
    from .types import Column

__all__ = ["Described", "Snapshot"]

_WITH_RANGE_SCANS = 140_000
"""server_version_num of the first server that reads a range of ctids without reading the rest of the table."""

_STORED = {"r", "m"}
"""pg_class.relkind of what has pages of its own: tables and materialised views."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a stream is: its columns, and how to select from it."""

    name: str
    subject: str
    origin: str
    columns: tuple[Column, ...]
    table: Table | None = None
    """None for a query."""
    server_version: int = 0

    @property
    def stream(self) -> Stream:
        """The stream as the contracts have it."""
        schema = pa.schema([column.field for column in self.columns])
        return Stream(self.name, self.table.primary_key if self.table else (), schema)

    @property
    def has_pages(self) -> bool:
        """Whether its rows lie in pages that it shares with no other table, and are not computed."""
        return self.table is not None and self.table.kind in _STORED and not self.table.has_children

    def ranges(self, split_bytes: int) -> Sequence[str]:
        """Conditions that cut the rows into pieces of about so many bytes, in order; an empty one for all.

        The first range begins nowhere and the last one ends nowhere, so a wrong size costs time and not rows.
        """
        table = self.table
        if table is None or not self.has_pages or self.server_version < _WITH_RANGE_SCANS:
            return [""]
        pieces = max(1, min(table.blocks, -(-table.bytes // split_bytes)))
        starts = [table.blocks * n // pieces for n in range(1, pieces)]
        return [
            " AND ".join([f"ctid >= '({low},0)'"] * (low is not None) + [f"ctid < '({high},0)'"] * (high is not None))
            for low, high in zip([None, *starts], [*starts, None], strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transaction sees: by what others may see it too, and by what it can be told from others."""

    exported: str
    """For SET TRANSACTION SNAPSHOT, as long as its transaction is open."""
    content: str
    """The transactions that it sees, in this database and this run of the server: equal ones see equal rows."""
    clock: str

    @classmethod
    def export(cls, connection: psycopg.Connection[Any]) -> Snapshot:
        """Export the snapshot of the transaction that is open on a connection."""
        row = connection.execute(
            "SELECT pg_export_snapshot(), pg_current_snapshot()::text, now()::text,"
            " concat_ws(' ', current_database(), current_user, pg_postmaster_start_time(),"
            # A crash may take back what was committed asynchronously, and give its number to another transaction; then
            # the server goes on, with a new checkpointer.
            " (SELECT max(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'),"
            # A standby does not say which transactions run, so two of its snapshots cannot be told from each other.
            " CASE WHEN pg_is_in_recovery() THEN gen_random_uuid() END)"
        ).fetchone()
        exported, seen, clock, server = row or ("", "", "", "")
        return cls(exported, f"{seen}@{_digest(server)}", clock)

    @property
    def xmin(self) -> int:
        """The oldest transaction that was still open: whatever is not seen has this number or a higher one."""
        return int(self.content.partition(":")[0])

    def names(self, described: Described) -> str:
        """Name what a stream holds here.

        What is computed may depend on the clock, and what a row security policy shows on settings of the session, so
        these are new each time.
        """
        plain = described.has_pages and described.table is not None and not described.table.row_security
        clock = "" if plain else self.clock
        return f"{self.content}/{_digest(described.origin + repr(described.columns) + clock)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
