"""Tables that are missing: the statements that make them, and who may run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_classes.errors import SchemaMismatch

from .identifiers import TableName, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from .types import Column, PgType

__all__ = ["enum_ddl", "only_one", "schema_ddl", "table_ddl"]


def only_one(connection: psycopg.Connection[Any], name: TableName) -> None:
    """Wait until no other load is about to make this table; none is until this transaction ends.

    CREATE TABLE IF NOT EXISTS is not enough: of two at once, PostgreSQL lets one fail. The schema, which tables share,
    is therefore made here as well.
    """
    for statement in schema_ddl(connection, name.schema):
        _lock(connection, name.schema)
        connection.execute(statement.encode())
    _lock(connection, name.sql)


def _lock(connection: psycopg.Connection[Any], what: str) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"de_classes makes {what}",))


def schema_ddl(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """The statement that makes a schema, if it is missing."""
    there = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).rowcount
    return [] if there else [f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"]


def table_ddl(
    connection: psycopg.Connection[Any], name: TableName, columns: Sequence[Column], primary_key: Sequence[str]
) -> list[str]:
    """The statements that make a table and the enums it needs; the primary key is declared."""
    parts = [
        f"{quoted(column.name)} {column.type.ddl(name.schema)}{'' if column.nullable else ' NOT NULL'}"
        for column in columns
    ]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, primary_key))})")
    enums = enum_ddl(connection, name.schema, (column.type for column in columns))
    return [*enums, f"CREATE TABLE {name.sql} ({', '.join(parts)})"]


def enum_ddl(connection: psycopg.Connection[Any], schema: str, types: Iterable[PgType]) -> list[str]:
    """The statements that make the enums among these types that are missing.

    Raises:
        SchemaMismatch: there is one of that name that lacks labels.

    """
    enums = dict.fromkeys(type_.element for type_ in types if type_.base == "enum")
    return [statement for type_ in enums for statement in _one_enum(connection, schema, type_)]


def _one_enum(connection: psycopg.Connection[Any], schema: str, type_: PgType) -> list[str]:
    row = connection.execute(
        "SELECT ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)"
        " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = %s AND t.typname = %s",
        (schema, type_.enum),
    ).fetchone()
    if row is None:
        labels = ", ".join("'" + label.replace("'", "''") + "'" for label in type_.labels)
        return [f"CREATE TYPE {type_.ddl(schema)} AS ENUM ({labels})"]
    if not set(type_.labels) <= set(row[0]):
        raise SchemaMismatch(
            f"type {TableName(schema, type_.enum)}",
            f"it is there with the labels {row[0]}, not {list(type_.labels)}",
            "Add the labels with ALTER TYPE ... ADD VALUE, or cast the column to text in the source's query.",
        )
    return []
