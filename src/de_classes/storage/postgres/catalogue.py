"""What the server's catalogue says about tables and queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .identifiers import quoted
from .types import Column, type_from_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from .identifiers import TableName
    from .types import PgType

__all__ = ["Table", "column_list", "columns_of", "table_in_catalogue"]

_TYPES = """
SELECT coalesce(e.typname, t.typname), a.modifier,
       coalesce(e.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace, e.oid IS NOT NULL,
       ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = coalesce(e.oid, t.oid) ORDER BY enumsortorder)::text[],
       format_type(t.oid, a.modifier)
FROM unnest(%s::oid[], %s::int[]) WITH ORDINALITY AS a (oid, modifier, place)
JOIN pg_type t ON t.oid = a.oid
LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
ORDER BY a.place
"""

_TABLE = """
SELECT c.oid, c.relkind::text, c.relrowsecurity,
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid),
       EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
       ARRAY(SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (number, place), pg_attribute a
             WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.number
             ORDER BY k.place)::text[],
       ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attnotnull)::text[],
       ARRAY(SELECT attname FROM pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND (atthasdef OR attidentity <> '' OR attgenerated <> ''))::text[]
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or foreign table as it is now."""

    oid: int
    kind: str
    """pg_class.relkind."""
    blocks: int
    bytes: int
    """Blocks and out-of-line values (TOAST) together."""
    has_children: bool
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    with_defaults: frozenset[str]
    """Columns that fill themselves when an INSERT leaves them out."""
    row_security: bool = False
    """Whether policies decide which rows a user sees."""


def table_in_catalogue(connection: psycopg.Connection[Any], name: TableName) -> Table | None:
    """Look a table up; None when there is none of that name."""
    row = connection.execute(_TABLE, (name.schema, name.table)).fetchone()
    if row is None:
        return None
    oid, kind, row_security, blocks, size, has_children, key, required, defaults = row
    columns = [
        replace(column, nullable=column.name not in required)
        for column in columns_of(connection, f"SELECT * FROM {name.sql}")
    ]
    return Table(oid, kind, blocks, size, has_children, tuple(key), tuple(columns), frozenset(defaults), row_security)


def columns_of(connection: psycopg.Connection[Any], query: str) -> list[Column]:
    """The columns that a query gives, found without reading a row."""
    # Not as a prepared statement: those may not give other columns when a table has grown.
    cursor = connection.execute(f"SELECT * FROM ({query}\n) AS described LIMIT 0".encode(), prepare=False)
    result = cursor.pgresult
    if result is None or cursor.description is None:
        return []
    names = [column.name for column in cursor.description]
    types = connection.execute(
        _TYPES, ([result.ftype(n) for n in range(len(names))], [result.fmod(n) for n in range(len(names))])
    ).fetchall()
    return [Column(name, _type(row)) for name, row in zip(names, types, strict=True)]


def _type(row: Sequence[Any]) -> PgType:
    name, modifier, builtin, array, labels, formatted = row
    return type_from_catalogue(name, modifier, builtin=builtin, array=array, labels=labels, formatted=formatted)


def column_list(columns: Sequence[Column]) -> str:
    """The columns' names for SQL."""
    return ", ".join(quoted(column.name) for column in columns)
