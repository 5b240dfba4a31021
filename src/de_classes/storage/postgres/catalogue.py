"""What the server's catalogue says about tables and queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .identifiers import quoted
from .types import Column, Entry, Use, type_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import psycopg

    from .identifiers import TableName
    from .types import PgType

__all__ = [
    "Table",
    "checks_of",
    "column_list",
    "columns_of",
    "has_all_characters",
    "oid_in_catalogue",
    "table_in_catalogue",
    "type_in_catalogue",
]

_USES = """
SELECT u.oid, u.modifier, format_type(u.oid, u.modifier)
FROM unnest({oids}::oid[], {modifiers}::int[]) WITH ORDINALITY AS u (oid, modifier, place) ORDER BY u.place
"""

_ENTRIES = """
WITH RECURSIVE needed (oid) AS (
    SELECT unnest(%s::oid[])
    UNION
    SELECT inner_type.oid FROM needed JOIN pg_type t ON t.oid = needed.oid, LATERAL (
        SELECT t.typbasetype UNION ALL SELECT t.typelem
        UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
    ) AS inner_type (oid) WHERE inner_type.oid <> 0
)
SELECT t.oid, t.typname, n.nspname, t.typtype::text, coalesce(e.oid, 0),
       CASE WHEN t.typbasetype <> 0
            THEN ARRAY[t.typbasetype::text, t.typtypmod::text, format_type(t.typbasetype, t.typtypmod)] END,
       ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)::text[],
       ARRAY(SELECT ARRAY[attname::text, atttypid::text, atttypmod::text, format_type(atttypid, atttypmod)]
             FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
FROM needed JOIN pg_type t ON t.oid = needed.oid JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
"""

_FOUND = """
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_OID = f"SELECT c.oid {_FOUND}".encode()
_TABLE = f"""
SELECT c.oid, c.relkind::text, c.relrowsecurity,
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid),
       EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
       ARRAY(SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (number, place), pg_attribute a
             WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.number
             ORDER BY k.place)::text[],
       ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attnotnull)::text[],
       ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attgenerated <> '')::text[],
       ARRAY(SELECT attname FROM pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND (atthasdef OR attidentity <> '' OR attgenerated <> ''))::text[]
{_FOUND}
"""


_CHECKS = """
SELECT conname, pg_get_constraintdef(oid),
       ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey))::text[]
FROM pg_constraint WHERE conrelid = %s AND contype = 'c' AND 0 < ALL(conkey)
    AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = conrelid AND NOT tgisinternal AND tgtype & 3 = 3)
ORDER BY conname
"""
"""None where a trigger (bits: 1 for each row, 2 before) may change rows before they are checked."""


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
    computed: frozenset[str] = frozenset()
    """Columns that are generated of others, and take no value."""
    row_security: bool = False
    """Whether policies decide which rows a user sees."""


def table_in_catalogue(connection: psycopg.Connection[Any], name: TableName) -> Table | None:
    """Look a table up; None when there is none of that name."""
    row = connection.execute(_TABLE, (name.schema, name.table)).fetchone()
    if row is None:
        return None
    oid, kind, row_security, blocks, size, has_children, key, required, computed, defaults = row
    columns = [
        replace(column, nullable=column.name not in required)
        for column in columns_of(connection, f"SELECT * FROM {name.sql}")
    ]
    own = frozenset(defaults), frozenset(computed)
    return Table(oid, kind, blocks, size, has_children, tuple(key), tuple(columns), *own, row_security)


def checks_of(connection: psycopg.Connection[Any], table: Table, columns: Collection[str]) -> list[str]:
    """The check constraints that these columns alone decide, as DDL; those of generated columns are none."""
    rows = connection.execute(_CHECKS, (table.oid,)).fetchall()
    return [f"CONSTRAINT {quoted(name)} {check}" for name, check, needed in rows if set(needed) <= set(columns)]


def oid_in_catalogue(connection: psycopg.Connection[Any], name: TableName) -> int | None:
    """The table's number; None when there is none of that name. Unlike a look at its columns, this locks nothing.

    Of two that have looked at the columns of a table, and want it for themselves, each waits for the other for ever.
    """
    row = connection.execute(_OID, (name.schema, name.table)).fetchone()
    return None if row is None else int(row[0])


def columns_of(connection: psycopg.Connection[Any], query: str) -> list[Column]:
    """The columns that a query gives, found without reading a row."""
    # Not as a prepared statement: those may not give other columns when a table has grown.
    cursor = connection.execute(f"SELECT * FROM ({query}\n) AS described LIMIT 0".encode(), prepare=False)
    result = cursor.pgresult
    if result is None or cursor.description is None:
        return []
    names = [column.name for column in cursor.description]
    modifiers = [result.fmod(n) for n in range(len(names))]
    types = _types(connection, _declared(query, len(names)), modifiers)
    return [Column(name, type_) for name, type_ in zip(names, types, strict=True)]


def _declared(query: str, count: int) -> str:
    """SQL for the types' oids, domains among them: what describes a result tells only what lies below those.

    A join that finds nothing plans the query, and reads nothing of it.
    """
    names = [f"c{n}" for n in range(count)]
    oids = ", ".join(f"pg_typeof({name})::oid" for name in names)
    origin = f"(SELECT) AS one LEFT JOIN ({query}\n) AS described ({', '.join(names)}) ON false"
    return f"(SELECT ARRAY[{oids}] FROM {origin})"


def _types(connection: psycopg.Connection[Any], oids: str, modifiers: Sequence[int]) -> list[PgType]:
    """The types with these oids (SQL for an array); a domain brings a modifier of its own."""
    sql = _USES.format(oids=oids, modifiers=f"'{{{','.join(map(str, modifiers))}}}'")
    uses = [Use(*row) for row in connection.execute(sql.encode(), prepare=False)]
    rows = connection.execute(_ENTRIES, ([use.oid for use in uses],)).fetchall()
    entries = {oid: _entry(row) for oid, *row in rows}
    return [type_of(use, entries) for use in uses]


def type_in_catalogue(connection: psycopg.Connection[Any], name: TableName) -> PgType | None:
    """Look a type up; None when there is none of that name in the schema."""
    row = connection.execute(
        "SELECT t.oid FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
        " WHERE n.nspname = %s AND t.typname = %s",
        (name.schema, name.table),
    ).fetchone()
    return None if row is None else _types(connection, f"ARRAY[{row[0]}]", [-1])[0]


def has_all_characters(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has every character of Unicode; one in LATIN1 has 256."""
    return connection.info.parameter_status("server_encoding") in {"UTF8", "SQL_ASCII"}


def _entry(row: Sequence[Any]) -> Entry:
    name, schema, kind, element, over, labels, attributes = row
    inner = tuple((name, Use(int(oid), int(modifier), formatted)) for name, oid, modifier, formatted in attributes)
    below = Use(int(over[0]), int(over[1]), over[2]) if over else None
    return Entry(name, schema, kind, element, below, labels, inner)


def column_list(columns: Sequence[Column]) -> str:
    """The columns' names for SQL."""
    return ", ".join(quoted(column.name) for column in columns)
