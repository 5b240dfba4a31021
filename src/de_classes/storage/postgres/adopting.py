"""A staging table becomes the target, where there is none yet: its rows need not be written a second time.

They were committed as they were staged. A transaction whose snapshot is older than the commit, and which finds the
table at all, sees them; rows of a table that was there before are never seen too early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import CountMismatch
from de_classes.utils.faults import reach

from ._waiting import STAGING_LOCK_SECONDS, not_for_long
from .catalogue import table_in_catalogue
from .identifiers import TableName, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sharing import StagedTable
    from .state import State
    from .types import Column

__all__ = ["NO_NULLS", "adopt", "adoptable"]

NO_NULLS = "de_classes_no_nulls"
"""A constraint of staging tables: there are no nulls where the target takes none, and nobody need look for them."""

_TOLD_APART = """
SELECT EXISTS (
    SELECT FROM pg_default_acl WHERE defaclobjtype = 'r' AND defaclrole = current_user::regrole
        AND defaclnamespace IN (0, coalesce(to_regnamespace(quote_ident(%(schema)s)), 0))
    UNION ALL SELECT FROM pg_event_trigger WHERE evtenabled <> 'D'
    UNION ALL SELECT FROM pg_publication)
"""
"""Default privileges, event triggers and publications: what sees where a table was made, and what was written there."""


def adoptable(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether a table that is made elsewhere and then moved into the schema is like one that was made in it."""
    row = connection.execute(_TOLD_APART, {"schema": schema}).fetchone()
    return row is not None and not row[0]


def adopt(  # noqa: PLR0913 -- what becomes what
    connection: psycopg.Connection[Any],
    target: TableName,
    columns: Sequence[Column],
    primary_key: Sequence[str],
    tables: Sequence[StagedTable],
    state: State,
    mode: Mode,
) -> StagedTable | None:
    """Make one staging table the target, which must be missing; None where none can be, and then nothing has happened.

    That is the largest one, if it has all of the columns; or, to merge, the first if no key is in it twice.

    Raises:
        CountMismatch: it has not the rows of its receipts.

    """
    if not adoptable(connection, target.schema):
        return None
    largest = sorted(tables, key=lambda staged: -staged.rows)
    for staged in tables[:1] if mode is Mode.MERGE else largest[:1]:
        if _is_like(connection, staged.name, columns) and _became(
            connection, staged, target, columns, primary_key, state
        ):
            _count(connection, target, staged)
            reach("postgres.commit.after_adopting")
            return staged
    return None


def _is_like(connection: psycopg.Connection[Any], staging: TableName, columns: Sequence[Column]) -> bool:
    """Whether a staging table is logged, as what stays must be, and has the columns in their order."""
    staged = table_in_catalogue(connection, staging)
    if staged is None or [(c.name, c.type) for c in staged.columns] != [(c.name, c.type) for c in columns]:
        return False
    row = connection.execute("SELECT relpersistence = 'p' FROM pg_class WHERE oid = %s", (staged.oid,)).fetchone()
    return row is not None and bool(row[0])


def _became(  # noqa: PLR0913 -- what becomes what
    connection: psycopg.Connection[Any],
    staged: StagedTable,
    target: TableName,
    columns: Sequence[Column],
    primary_key: Sequence[str],
    state: State,
) -> bool:
    """Move the table, and give it what a new one would have; False where rows are in the way of that, or writers."""
    parts = [f"ALTER COLUMN {quoted(column.name)} SET NOT NULL" for column in columns if not column.nullable]
    if primary_key:
        parts.append(f"ADD PRIMARY KEY ({', '.join(map(quoted, primary_key))})")
    try:
        with connection.transaction() as savepoint:
            with not_for_long(connection, STAGING_LOCK_SECONDS):
                connection.execute(f"LOCK TABLE {staged.name.sql} IN ACCESS EXCLUSIVE MODE".encode())
            if state.pieces_in(connection, staged.name.table) != len(staged.pieces):
                raise psycopg.Rollback(savepoint)
            moved = TableName(target.schema, staged.name.table)
            connection.execute(f"ALTER TABLE {staged.name.sql} SET SCHEMA {quoted(target.schema)}".encode())
            connection.execute(f"ALTER TABLE {moved.sql} RENAME TO {quoted(target.table)}".encode())
            if parts:
                connection.execute(f"ALTER TABLE {target.sql} {', '.join(parts)}".encode())
            connection.execute(f"ALTER TABLE {target.sql} DROP CONSTRAINT IF EXISTS {NO_NULLS}".encode())
            return True
    except (psycopg.IntegrityError, psycopg.errors.LockNotAvailable):
        # A merge takes the last row of each key; whatever else is wrong, moving the rows says which it is. Who holds
        # the table is a worker that was given up, or the run that this one goes on for.
        pass
    return False


def _count(connection: psycopg.Connection[Any], target: TableName, staged: StagedTable) -> None:
    (rows,) = connection.execute(f"SELECT count(*) FROM {target.sql}".encode()).fetchone() or (0,)
    if rows != staged.rows:
        raise CountMismatch(
            f"table {target}",
            f"{staged.told} promised {staged.rows} rows and {rows} would become visible",
            "Run it again.",
            promised=staged.rows,
            found=rows,
        )
