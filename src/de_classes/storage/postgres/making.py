"""Types that belong to the destination's schema: enums, composites and domains, made where they are missing.

What is there already is used as it is, with its constraints and defaults, if it has the same values. A domain that is
made has none: they are SQL, and metadata of a file is not run. Types of extensions are not made; the extension must be
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_classes.errors import SchemaMismatch

from .catalogue import type_in_catalogue
from .identifiers import TableName, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from .types import PgType

__all__ = ["made_ddl"]


def made_ddl(connection: psycopg.Connection[Any], schema: str, types: Iterable[PgType]) -> list[str]:
    """The statements that make what is missing for these types, in order.

    Raises:
        SchemaMismatch: there is a type of that name with other values.

    """
    made = dict.fromkeys(one for type_ in types for one in type_.made)
    return [statement for type_ in made for statement in _one(connection, schema, type_)]


def _one(connection: psycopg.Connection[Any], schema: str, type_: PgType) -> list[str]:
    name = TableName(schema, type_.domain or type_.enum or type_.composite)
    there = type_in_catalogue(connection, name)
    if there is None:
        return [_ddl(type_, name, schema)]
    if there.base == type_.base == "enum" and not set(type_.labels) <= set(there.labels):
        raise SchemaMismatch(
            f"type {name}",
            f"it is there with the labels {list(there.labels)}, not {list(type_.labels)}",
            "Add the labels with ALTER TYPE ... ADD VALUE, or cast the column to text in the source's query.",
        )
    if not _is_alike(there, type_):
        raise SchemaMismatch(
            f"type {name}",
            f"it is there as {there}, and {type_} comes",
            "Alter or rename it, or cast the column to text in the source's query.",
        )
    return []


def _ddl(type_: PgType, name: TableName, schema: str) -> str:
    if type_.domain:
        return f"CREATE DOMAIN {name.sql} AS {type_.plain.ddl(schema)}"
    if type_.base == "enum":
        labels = ", ".join("'" + label.replace("'", "''") + "'" for label in type_.labels)
        return f"CREATE TYPE {name.sql} AS ENUM ({labels})"
    attributes = ", ".join(f"{quoted(attribute)} {inner.ddl(schema)}" for attribute, inner in type_.attributes)
    return f"CREATE TYPE {name.sql} AS ({attributes})"


def _is_alike(there: PgType, type_: PgType) -> bool:
    """Whether both have the same values; of an enum, labels more do no harm."""
    if bool(there.domain) != bool(type_.domain) or there.array != type_.array:
        return False
    if there.base == "enum":
        return type_.base == "enum" and there.enum == type_.enum
    return there.plain == type_.plain
