"""A stream of PostgreSQL as the server knows it, and the moment at which it is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Stream

if TYPE_CHECKING:
    import psycopg

    from .catalogue import Table
    from .pieces import Leaf
    from .types import Column

__all__ = ["Described", "Snapshot"]

_WITH_RANGE_SCANS = 140_000
"""server_version_num of the first server that reads a range of ctids without reading the rest of the table."""


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
    leaves: tuple[Leaf, ...] = ()
    """Where its rows lie: itself, or its partitions and children; none for what is computed."""

    @property
    def stream(self) -> Stream:
        """The stream as the contracts have it."""
        schema = pa.schema([column.field for column in self.columns])
        return Stream(self.name, self.table.primary_key if self.table else (), schema)

    @property
    def has_pages(self) -> bool:
        """Whether its rows lie in pages of its own, or of its leaves, which show to the user what it shows."""
        plain = self.table is not None and not self.table.row_security and self.server_version >= _WITH_RANGE_SCANS
        return plain and bool(self.leaves) and all(leaf.plain for leaf in self.leaves)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transaction sees: by what others may see it too, and by what it can be told from others."""

    exported: str
    """For SET TRANSACTION SNAPSHOT, as long as its transaction is open."""
    content: str
    """The transactions that it sees, in this database and this run of the server: equal ones see equal rows."""
    clock: str
    leaves: frozenset[int] = frozenset()
    """The oids of the leaves of the table that was asked about."""

    @classmethod
    def export(cls, connection: psycopg.Connection[Any], table: int = 0) -> Snapshot:
        """Export the snapshot of a statement on a connection, and look by it where the rows of a table lie."""
        row = connection.execute(
            "SELECT pg_export_snapshot(), pg_current_snapshot()::text, now()::text,"
            " concat_ws(' ', current_database(), current_user, pg_postmaster_start_time(),"
            # A crash may take back what was committed asynchronously, and give its number to another transaction; then
            # the server goes on, with a new checkpointer.
            " (SELECT max(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'),"
            # A standby does not say which transactions run, so two of its snapshots cannot be told from each other.
            " CASE WHEN pg_is_in_recovery() THEN gen_random_uuid() END),"
            " ARRAY(WITH RECURSIVE below (oid) AS (SELECT %s::oid UNION"
            " SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid)"
            " SELECT c.oid FROM below JOIN pg_class c ON c.oid = below.oid WHERE c.relkind IN ('r', 'm', 'f'))",
            (table,),
        ).fetchone()
        exported, seen, clock, server, leaves = row or ("", "", "", "", [])
        return cls(exported, f"{seen}@{_digest(server)}", clock, frozenset(leaves))

    @property
    def xmin(self) -> int:
        """The oldest transaction that was still open: whatever is not seen has this number or a higher one."""
        return int(self.content.partition(":")[0])

    def names(self, described: Described) -> str:
        """Name what a stream holds here.

        What is computed may depend on the clock, and what a row security policy shows on settings of the session, so
        these are new each time.
        """
        stored = described.has_pages and all(leaf.kind != "f" for leaf in described.leaves)
        clock = "" if stored else self.clock
        return f"{self.content}/{_digest(described.origin + repr(described.columns) + clock)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
