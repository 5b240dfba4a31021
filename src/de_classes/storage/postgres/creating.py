"""Tables that are missing: the statements that make them, and who may run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._waiting import wait_for_turn
from .identifiers import quoted
from .making import made_ddl

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from .identifiers import TableName
    from .types import Column

__all__ = ["only_one", "schema_ddl", "table_ddl"]


def only_one(connection: psycopg.Connection[Any], name: TableName) -> None:
    """Wait until no other load is about to make this table; none is until this transaction ends.

    CREATE TABLE IF NOT EXISTS is not enough: of two at once, PostgreSQL lets one fail. The schema, which tables share,
    is therefore made here as well.
    """
    for statement in schema_ddl(connection, name.schema):
        wait_for_turn(connection, f"makes {name.schema}")
        connection.execute(statement.encode())
    wait_for_turn(connection, f"makes {name.sql}")


def schema_ddl(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """The statement that makes a schema, if it is missing."""
    there = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).rowcount
    return [] if there else [f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"]


def table_ddl(
    connection: psycopg.Connection[Any], name: TableName, columns: Sequence[Column], primary_key: Sequence[str]
) -> list[str]:
    """The statements that make a table and the types it needs; the primary key is declared."""
    parts = [
        f"{quoted(column.name)} {column.type.ddl(name.schema)}{'' if column.nullable else ' NOT NULL'}"
        for column in columns
    ]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, primary_key))})")
    types = made_ddl(connection, name.schema, (column.type for column in columns))
    return [*types, f"CREATE TABLE {name.sql} ({', '.join(parts)})"]
