"""A target table is made or grows, in a commit's transaction: what is decided is decided under a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import SchemaMismatch

from ._waiting import not_for_long
from .catalogue import oid_in_catalogue, table_in_catalogue
from .creating import only_one, table_ddl
from .growing import altering, changes, together
from .making import made_ddl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .catalogue import Table
    from .growing import Change
    from .identifiers import TableName
    from .sharing import StagedTable
    from .types import Column

__all__ = ["create", "grow", "growing_ddl", "lock", "needed", "refuse_dependants", "refuse_obstacles"]

_IN_THE_WAY = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.ObjectInUse,
)
"""What the server raises where something depends on a column: views, policies, generated columns, defaults."""


_DEPENDANTS = """
SELECT a.attname, pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %s AND a.attname = ANY(%s)
    AND (d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass)
         OR d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT oid FROM pg_trigger WHERE NOT tgisinternal)
         OR d.classid = 'pg_class'::regclass AND d.objid = d.refobjid)
ORDER BY 1, 2
"""
"""Views, rules, policies, functions, triggers and generated columns, which keep a column's type from being changed."""


def create(
    connection: psycopg.Connection[Any],
    name: TableName,
    pieces: Sequence[Sequence[Column]],
    primary_key: Sequence[str],
    adopted: Callable[[Sequence[Column]], StagedTable | None],
) -> StagedTable | None:
    """Create a table for all pieces, with its schema and the enums it needs, unless another load was first.

    `adopted` may make a staging table with all of the columns the table, and gives it back then.
    """
    only_one(connection, name)
    if oid_in_catalogue(connection, name) is not None:
        return None
    columns = together(str(name), pieces)
    staged = adopted(columns)
    if staged is None:
        for statement in table_ddl(connection, name, columns, primary_key):
            connection.execute(statement.encode())
    return staged


def lock(
    connection: psycopg.Connection[Any], target: TableName, pieces: Sequence[Sequence[Column]], mode: Mode
) -> tuple[Table, Sequence[Change]]:
    """Lock a table until the transaction ends, for as much as its growth needs; as it is then, and how it is to grow.

    Where it need not grow, nobody waits who would not anyway; but nobody may alter it.
    """
    rows = "SHARE ROW EXCLUSIVE" if mode is Mode.REPLACE else "ROW EXCLUSIVE"
    with connection.transaction() as savepoint:
        table = _locked(connection, target, rows)
        made = needed(connection, target, table, pieces)
        if made:
            # Two that hold a lock and ask for a stronger one would wait for each other for ever: it is given back.
            raise psycopg.Rollback(savepoint)
    if made:
        with not_for_long(connection):
            table = _locked(connection, target, "ACCESS EXCLUSIVE")
        made = needed(connection, target, table, pieces)
    return table, made


def needed(
    connection: psycopg.Connection[Any], target: TableName, table: Table, pieces: Sequence[Sequence[Column]]
) -> Sequence[Change]:
    """The changes that a table needs: those that are optional, where the column is NULL in all rows that are there.

    A table without rows is as somebody made it: its text is meant.
    """
    rows = f"SELECT 1 FROM {target.sql} LIMIT 1"
    return [
        change
        for change in changes(str(target), pieces, table)
        if not change.optional
        or (not _has_obstacle(connection, change, target, table) and connection.execute(rows.encode()).fetchone())
    ]


def _locked(connection: psycopg.Connection[Any], target: TableName, mode: str) -> Table:
    connection.execute(f"LOCK TABLE {target.sql} IN {mode} MODE".encode())
    table = table_in_catalogue(connection, target)
    if table is None:
        raise SchemaMismatch(f"table {target}", "it was dropped while it was being loaded", "Run it again.")
    return table


def grow(connection: psycopg.Connection[Any], target: TableName, table: Table, made: Sequence[Change]) -> Table:
    """Let a table that is locked grow; gives it as it is then.

    Raises:
        SchemaMismatch: values, or what depends on a column, are in the way.

    """
    if not made:
        return table
    refuse_obstacles(connection, str(target), target, table, made)
    try:
        for statement in growing_ddl(connection, target, made):
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        raise
    except _IN_THE_WAY as error:
        said = [error.diag.message_primary or str(error), error.diag.message_detail]
        raise _depended_on(target, made, ": ".join(text for text in said if text)) from error
    return table_in_catalogue(connection, target) or table


def growing_ddl(connection: psycopg.Connection[Any], target: TableName, made: Sequence[Change]) -> list[str]:
    """The statements that make these changes, and the types they need."""
    types = made_ddl(connection, target.schema, (change.becomes for change in made))
    return [*types, altering(target, made)] if made else []


def refuse_obstacles(
    connection: psycopg.Connection[Any], subject: str, name: TableName, table: Table, made: Sequence[Change]
) -> None:
    """See that no value of a table would be lost by these changes; errors are about `subject`.

    Raises:
        SchemaMismatch: some would; all such columns are named.

    """
    wrong = [change.refusal for change in made if _has_obstacle(connection, change, name, table)]
    if wrong:
        raise SchemaMismatch(
            f"table {subject}",
            f"its columns cannot grow: {'; '.join(wrong)}",
            "Cast the columns that come in a transform, or load with mode replace.",
            differences=wrong,
        )


def refuse_dependants(
    connection: psycopg.Connection[Any], target: TableName, table: Table, made: Sequence[Change]
) -> None:
    """See that nothing depends on a column whose type is to be changed; the server has the last word on it.

    Raises:
        SchemaMismatch: something does; it is named.

    """
    altered = {change.column: change for change in made if change.was is not None}
    found = connection.execute(_DEPENDANTS, (table.oid, list(altered))).fetchall() if altered else []
    if found:
        told = "; ".join(f"{name} is used by {what}" for name, what in dict.fromkeys(found))
        raise _depended_on(target, [altered[name] for name in dict.fromkeys(name for name, _ in found)], told)


def _has_obstacle(connection: psycopg.Connection[Any], change: Change, name: TableName, table: Table) -> bool:
    query = change.obstacle(name)
    if not query:
        return False
    if table.row_security:  # a value that a policy hides would be lost as well: the server then says that it hides some
        connection.execute("SET LOCAL row_security TO off")
    found = connection.execute(query.encode()).fetchone()
    if table.row_security:
        connection.execute("SET LOCAL row_security TO DEFAULT")
    return found is not None


def _depended_on(target: TableName, made: Sequence[Change], why: str) -> SchemaMismatch:
    wrong = list(_told(made))
    return SchemaMismatch(
        f"table {target}",
        f"{' and '.join(wrong)}, which the server refuses: {why}",
        "Drop what depends on the column (a view, for instance), load, and create it again; or cast the column that"
        " comes in a transform.",
        differences=wrong,
    )


def _told(made: Sequence[Change]) -> Iterator[str]:
    for change in made:
        yield f"{change.column} is to become {change.becomes}" if change.was else f"{change.column} is to be added"
