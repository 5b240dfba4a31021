"""Reading what has changed since the last run, by the versions of the rows: what commits late is not missed.

Incremental reading by a column skips rows for ever: a transaction takes its number or its time, another one that began
later commits first and is read, and then the first one commits below the watermark. Here the watermark is no value of
a column but the server's own: `pg_snapshot_xmin`, the oldest transaction that was still open when the snapshot was
taken. Whatever that snapshot did not see, and every row that is written later, was written by a transaction of that
number or above, and a row tells its writer's number as `xmin`. Subtransactions have higher numbers than what they
belong to, and prepared transactions stay open, so both are covered.

The price: the server reads the whole table to find the new versions (no index knows them), though only these travel;
and versions that were seen while an older transaction was open come again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

    from de_classes.contracts import Position

    from .described import Described, Snapshot

__all__ = ["AROUND", "Changes", "Mark", "News", "RowVersions", "any_row", "identity", "with_joined"]

_VERSIONED = {"r", "p", "m"}
"""pg_class.relkind of what has rows of its own or of its partitions: views and foreign tables tell no `xmin`."""

AROUND = 2**31
"""Transactions are counted to 2 ** 32, and the server tells which of two came first up to half of that."""
_FAR = 2**30
_LOST_WITHIN_SECONDS = 60
"""`wal_writer_delay` is 10 s at most, and what was committed is on disk after three of them."""

_SERVER = """
SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), current_database(), current_user,
           CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::text
                ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END),
       -- Statistics begin anew after a crash, which everybody may see.
       concat_ws(' ', pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_bgwriter)),
       extract(epoch FROM clock_timestamp())::bigint
"""


# A line of pg_inherits is written by the transaction that makes a table a partition or a child, at any depth.
_JOINED = """
WITH RECURSIVE below (oid, joined) AS (
    SELECT inhrelid, {new} FROM pg_inherits WHERE inhparent = {table}
    UNION SELECT inhrelid, joined OR {new} FROM below JOIN pg_inherits ON inhparent = below.oid
)
SELECT array_agg(DISTINCT below.oid)::text FROM below JOIN pg_class c ON c.oid = below.oid
WHERE joined AND c.relkind IN ('r', 'f')
"""
_VIEWS = """
WITH RECURSIVE behind (oid) AS (
    SELECT %s::oid UNION SELECT d.refobjid FROM behind JOIN pg_rewrite r ON r.ev_class = behind.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
)
SELECT string_agg(pg_get_viewdef(c.oid), ' ' ORDER BY c.oid) FROM behind JOIN pg_class c ON c.oid = behind.oid
WHERE c.relkind = 'v'
"""


@dataclass(frozen=True, slots=True)
class News:
    """What is to be read since a position."""

    where: str | None
    """A condition; an empty one for every row, None where there is nothing new."""
    position: Position
    """What the stream has reached with it."""


class Changes(Protocol):
    """A way to find what has changed in a table. Picklable, and nothing but a decision: somebody else reads."""

    def look(self, connection: psycopg.Connection[Any]) -> Any:
        """What must be known before the snapshot is taken; `since` is given it."""
        ...

    def since(
        self,
        connection: psycopg.Connection[Any],
        described: Described,
        snapshot: Snapshot,
        since: Position | None,
        looked: Any,
    ) -> News:
        """What a snapshot has that the position had not.

        Raises:
            ConfigurationError: this cannot be found out safely of such a table, or the position is of another kind.

        """
        ...


@dataclass(frozen=True, slots=True)
class RowVersions:
    """Every row that was inserted or updated since, whatever its columns say, also of transactions that commit late.

    Of a table that became a partition or a child since, all rows come, however old.
    Nulls, ties, values in the future and clocks that go back do not matter, as no column is looked at. Rows may come
    again, so load them with the mode `merge`. Rows that were deleted are not told, nor those that a row security policy
    has begun to show. All rows come again when the table's columns have changed, when the server was restored or
    another one has taken its place, and when 2 ** 31 transactions have passed since.

    The position is a `Mark`, kept as JSON.
    """

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Nothing: the snapshot tells all."""

    def since(
        self,
        connection: psycopg.Connection[Any],
        described: Described,
        snapshot: Snapshot,
        since: Position | None,
        looked: Any = None,  # noqa: ARG002 -- for those that look before
    ) -> News:
        """Compare the position with the snapshot, and look whether there is anything new.

        Raises:
            ConfigurationError: its rows have no versions, as those of views and queries.

        """
        if described.table is None or described.table.kind not in _VERSIONED:
            raise ConfigurationError(
                described.subject,
                "its rows have no versions: it is a query, a view or a foreign table",
                "Read the tables behind it, or read it whole.",
            )
        away = [str(leaf.name) for leaf in described.leaves if leaf.kind == "f"]
        if away:
            raise ConfigurationError(
                described.subject,
                f"rows of {', '.join(away)} have no versions: it is a foreign table",
                "Read the other partitions or children as tables of their own, or read it whole.",
            )
        before = None if since is None else Mark.read(described.subject, since)
        mark = _present(connection, described, snapshot).after(before)
        number = None if before is None else before.number_on(mark)
        if before is None or number is None or mark.xmin - number >= AROUND:
            return News("", mark.position)
        where = with_joined(connection, described, number, _written_since(number))
        if any_row(connection, described, where):
            return News(where, mark.position)
        # A mark that moves though nothing is new is committed for nothing: it only does where it would grow too old.
        return News(None, mark.position if mark.xmin - number > _FAR else before.settled(mark).position)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the transactions of a server have been read.

    A crash may take back what was committed with `synchronous_commit = off`, and the server then gives the numbers of
    those transactions again. That takes a second at most, so a mark also has an older number, `safe`: below it all was
    on disk for a minute. Where the server has been started since, it is that one that counts.
    """

    xmin: int
    """All transactions below had ended."""
    safe: int
    """The same, so long ago that no crash takes any of them back; 0 where there is no such number yet."""
    at: int
    """When the mark was taken, in seconds since 1970, by the server's clock."""
    start: str
    """When the server was started, or started again by itself after a crash; a digest."""
    of: str
    """What is counted and read: a server with its history, a table, its columns; a digest."""

    @classmethod
    def read(cls, subject: str, position: Position) -> Mark:
        """Take a position for a mark.

        Raises:
            ConfigurationError: it is none.

        """
        try:
            return msgspec.convert(position, cls)
        except msgspec.ValidationError as error:
            raise ConfigurationError(
                subject,
                f"its position {dict(position)} is none of RowVersions",
                "It was read in another way before: give the pipeline another name, or load it with mode replace once.",
            ) from error

    @property
    def position(self) -> Position:
        """The mark as a position."""
        return {"xmin": self.xmin, "safe": self.safe, "at": self.at, "start": self.start, "of": self.of}

    def number_on(self, present: Mark) -> int | None:
        """From which number on there may be something new; None where every row may be."""
        if self.of != present.of:
            return None
        return self.xmin if self.start == present.start else self.safe or None

    def settled(self, present: Mark) -> Mark:
        """The same, once it has been true for long enough."""
        lasts = self.start == present.start and present.at - self.at >= _LOST_WITHIN_SECONDS
        return replace(self, safe=self.xmin) if lasts else self

    def after(self, before: Mark | None) -> Mark:
        """This mark, with the number that is safe as the one before it tells."""
        if before is None or before.of != self.of:
            return self
        # A standby that lags behind the one that was asked before has a lower number, and knows no more.
        return replace(self, xmin=max(self.xmin, before.xmin), safe=before.settled(self).safe)


def _present(connection: psycopg.Connection[Any], described: Described, snapshot: Snapshot) -> Mark:
    """What a snapshot has read of a table."""
    server, start, at = connection.execute(_SERVER).fetchone() or ("", "", 0)
    read = f"{server} {_origin(connection, described)} {described.columns!r}"
    return Mark(snapshot.xmin, 0, int(at), _digest(start), _digest(read))


def _origin(connection: psycopg.Connection[Any], described: Described) -> str:
    """What a stream is made of: a table by its number, a query by its text, a view with the views behind it."""
    table = described.table
    if table is None:
        return described.origin
    if table.kind != "v":
        return str(table.oid)
    (views,) = connection.execute(_VIEWS, (table.oid,)).fetchone() or ("",)
    return f"{table.oid} {views}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity(connection: psycopg.Connection[Any], described: Described, snapshot: Snapshot) -> str:
    """A digest of what is read: a server with its history, a table or what a query says, its columns."""
    return _present(connection, described, snapshot).of


def _written_since(number: int) -> str:
    """The condition of a row that a transaction of this number or above wrote.

    What seems to come from the future is frozen since so long that its number has come again.
    """
    return f"age(xmin) BETWEEN 0 AND age('{number % 2**32}'::xid)"


def with_joined(connection: psycopg.Connection[Any], described: Described, number: int, where: str) -> str:
    """A condition, widened to all rows of partitions and children that became such since a transaction.

    Their rows may have been written long before.
    """
    table = described.table
    if table is None or not table.has_children:
        return where
    statement = _JOINED.format(new=_written_since(number).replace("xmin", "pg_inherits.xmin"), table=table.oid)
    (joined,) = connection.execute(statement.encode()).fetchone() or (None,)
    return f"({where} OR tableoid = ANY('{joined}'::oid[]))" if joined else where


def any_row(connection: psycopg.Connection[Any], described: Described, where: str) -> bool:
    """Whether a condition finds anything."""
    row = connection.execute(f"SELECT EXISTS (SELECT FROM {described.origin} WHERE {where})".encode()).fetchone()
    return bool(row and row[0])


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.versions")
