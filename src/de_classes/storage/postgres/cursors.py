"""What has changed in a table, found by a column that tells when, without missing what is committed late.

A column such as `updated_at` is filled when a row is written, and the row is seen when its transaction commits, perhaps
much later. Whoever asks for what is above the highest value he has seen therefore misses, for ever, what an older
transaction commits afterwards. Here the next run asks from a moment on before which nobody was writing any more: when
the oldest transaction began that was open when this run looked, and it looks before its snapshot is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from de_classes.errors import ConfigurationError

from .identifiers import quoted
from .versions import AROUND, News, any_row, identity, with_joined

if TYPE_CHECKING:
    from datetime import datetime

    from de_classes.contracts import Position

    from .described import Described, Snapshot

__all__ = ["CursorColumn"]

_UNREPORTED_SECONDS = 60
"""A session takes the time of its transaction and then tells it to others; it may be held up in between. As much is
allowed for a clock that is put back."""

_LONGEST_LAG = timedelta(days=36_525)
"""A century; with more, the bound may be before the first moment that Python knows."""
_MOMENTS = {"timestamptz", "timestamp", "date"}

# Sessions that write no rows of their own are left out; who may not see others' sessions sees no xact_start. The moment
# is the statement's, which is before the sessions are looked through.
_LOOK = """
SELECT pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       coalesce(bool_or(state = 'disabled'), false),
       coalesce(bool_or(xact_start IS NULL AND state NOT IN ('idle', 'starting')), false),
       least(statement_timestamp(), min(xact_start)) - %s,
       CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() ELSE statement_timestamp() END
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type NOT IN ('autovacuum worker', 'walsender')
"""
_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())"


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of the transactions that are open."""

    standby: bool
    sees: bool
    """Whether the user may see when the transactions of others began."""
    silent: bool
    """Whether a session does not tell."""
    held: bool
    """Whether there is a transaction of which nobody knows when it began."""
    moment: datetime
    """Before which none of those that tell began."""
    present: datetime | None
    """What a standby has replayed, which is null before anything was; elsewhere, now."""


@dataclass(frozen=True, slots=True)
class CursorColumn:
    """Rows whose column tells that they were written since; for large tables with an index on it.

    The column is a timestamp that the server fills in the transaction which writes the row: by `now()` or
    `clock_timestamp()`, as a default or in a trigger. `lag` is for columns that applications fill by their own clocks,
    for standbys, and where nobody may see when the transactions of others began (a user without `pg_read_all_stats`, a
    session with `track_activities` off): then nothing is looked at, and it is your word that no row becomes visible
    later than that after the moment that it tells. The least lag is safe, the larger one only costs time: what lies
    within it is read again by every run.

    Rows come again (those of the last minute at least, and while a transaction is open, all since it began), so load
    them with the mode `merge`. Ties at the bound come again. A row without a value may have changed any time, and comes
    in every run; a value in the future comes until it is past. Rows that were deleted are not told. While a prepared
    transaction waits, or one that does not tell when it began, the bound stays. All rows come again when the table's
    columns have changed, when the server was restored or another one has taken its place.

    A number from a sequence cannot be had safely: it is drawn before the commit, and nothing tells who holds which.
    `RowVersions` finds such changes, and those of any table, without a column.

    Of a table that became a partition or a child since, all rows come, and all of a query or view that says something
    else now. What lies on another server needs a `lag`. Nobody sees that a query or view reads such tables, that it
    reads partitions which are attached with old rows, or that a view which a query names was replaced.

    The position is `{"from": T, "of": digest, "xmin": number}`; T is null where the next run must read everything.
    """

    column: str
    lag: timedelta | None = None
    zone: str = "UTC"
    """Of what stands in a timestamp without zone, or a date. Other than for UTC, two hours more are read again, since
    clocks may be changed there."""

    def __post_init__(self) -> None:
        if self.lag is not None and (
            not isinstance(self.lag, timedelta) or not timedelta(0) <= self.lag <= _LONGEST_LAG
        ):
            raise ConfigurationError(
                repr(self), "lag is no time span of 0 to 36525 days", "Write lag=timedelta(minutes=5)."
            )

    def look(self, connection: psycopg.Connection[Any]) -> _Look:
        """See, before the snapshot, since when transactions are open: one that ends in between is in the snapshot.

        Prepared transactions are asked for last: one that is prepared in between is seen as open or as prepared.
        """
        allowed = timedelta(seconds=_UNREPORTED_SECONDS)
        standby, sees, silent, untold, moment, present = connection.execute(_LOOK, (allowed,)).fetchall()[0]
        (prepared,) = connection.execute(_PREPARED).fetchall()[0]
        return _Look(standby, sees, silent, untold or prepared, moment, present)

    def since(
        self,
        connection: psycopg.Connection[Any],
        described: Described,
        snapshot: Snapshot,
        since: Position | None,
        looked: _Look,
    ) -> News:
        """What was written from the bound of the last run on, and the bound for the next."""
        kind = self._kind(described)
        before = None if since is None else _read(described.subject, since)
        of = identity(connection, described, snapshot)
        if before is not None and (before.of != of or snapshot.xmin - before.xmin >= AROUND):
            before = None
        bound = self._bound(connection, described, looked)
        self._check_zone(connection, described.subject)
        held = before.bound if before is not None else None
        position = _Place(held if bound is None else bound, of, snapshot.xmin).position
        if before is None or before.bound is None:
            return News("", position)
        where = f"({quoted(self.column)} >= {self._literal(before.bound, kind)} OR {quoted(self.column)} IS NULL)"
        where = with_joined(connection, described, before.xmin, where)
        return News(where, position) if any_row(connection, described, where) else News(None, before.position)

    def _kind(self, described: Described) -> str:
        kinds = {column.name: column.type.base for column in described.columns}
        kind = kinds.get(self.column)
        if kind is None:
            fact, remedy = f"it has no column {self.column!r}", f"Choose from {', '.join(kinds)}."
        elif kind not in _MOMENTS:
            fact = f"{self.column!r} is {kind}, by which nobody can tell what is committed late"
            remedy = "Use RowVersions(), or a column of timestamps that the server fills."
        else:
            return kind
        raise ConfigurationError(described.subject, fact, remedy)

    def _check_zone(self, connection: psycopg.Connection[Any], subject: str) -> None:
        try:
            connection.execute("SELECT now() AT TIME ZONE %s::text", (self.zone,))
        except psycopg.errors.InvalidParameterValue as error:
            raise ConfigurationError(
                f"{subject}, CursorColumn({self.column!r})",
                f"the server knows no time zone {self.zone!r}",
                "Name it as pg_timezone_names does: zone='Europe/Berlin'.",
            ) from error

    def _bound(self, connection: psycopg.Connection[Any], described: Described, looked: _Look) -> str | None:
        """Before which moment nothing is written any more; None where nobody can say at present."""
        if self.lag is not None:
            return None if looked.present is None else _text(connection, looked.present - self.lag)
        if looked.standby or not looked.sees or looked.silent or _elsewhere(described):
            raise self._blind(described, looked)
        return None if looked.held else _text(connection, looked.moment)

    def _blind(self, described: Described, looked: _Look) -> ConfigurationError:
        if _elsewhere(described):
            fact, remedy = "the server that a foreign table is of does not tell", ""
        elif looked.standby:
            fact, remedy = "a standby does not know", ""
        elif not looked.sees:
            fact, remedy = "the user may not see", " Or GRANT pg_read_all_stats to the user, or use RowVersions()."
        else:
            fact, remedy = "a session with track_activities off does not tell", " Or turn it on, or use RowVersions()."
        return ConfigurationError(
            f"{described.subject}, CursorColumn({self.column!r})",
            f"{fact} which transactions are open, so what is committed late could be missed",
            f"Say how late that can be: lag=timedelta(...).{remedy}",
        )

    def _literal(self, moment: str, kind: str) -> str:
        zoned = f"'{moment}'::timestamptz"
        if kind == "timestamptz":
            return zoned
        earlier = "" if self.zone == "UTC" else " - interval '2 hours'"
        zone = self.zone.replace("'", "''")
        return (
            f"({zoned}{earlier}) AT TIME ZONE '{zone}'"
            if kind == "timestamp"
            else (f"(({zoned}{earlier}) AT TIME ZONE '{zone}')::date")
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A position, taken apart."""

    bound: str | None
    of: str
    xmin: int = 0
    """All transactions below had ended: what tells which partitions and children were there."""

    @property
    def position(self) -> Position:
        return {"from": self.bound, "of": self.of, "xmin": self.xmin}


def _elsewhere(described: Described) -> bool:
    """Whether rows are written on another server."""
    kinds = [leaf.kind for leaf in described.leaves] + ([described.table.kind] if described.table else [])
    return "f" in kinds


def _read(subject: str, position: Position) -> _Place:
    try:
        return msgspec.convert(
            {"bound": position["from"], "of": position["of"], "xmin": position.get("xmin", 0)}, _Place
        )
    except (msgspec.ValidationError, KeyError) as error:
        raise ConfigurationError(
            subject,
            f"its position {dict(position)} is none of CursorColumn",
            "It was read in another way before: give the pipeline another name, or load it with mode replace once.",
        ) from error


def _text(connection: psycopg.Connection[Any], moment: Any) -> str:
    """The moment as the server writes it, to its microsecond."""
    row = connection.execute("SELECT %s::timestamptz::text", (moment,)).fetchone()
    return str(row[0]) if row else ""


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.cursors")
