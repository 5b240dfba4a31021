"""Indexes and constraints that a target is to have: made after its rows, in the commit that first finds them missing.

They are known by what they are, not by their names: an index on the same columns that somebody made is as good. Only
those that have a condition, which the server rewrites, are known by their name; it has a hash of the condition as it
was declared. What is declared no more stays until somebody drops it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from de_classes.errors import ConfigurationError, PostgresError
from de_classes.utils.faults import reach

from .catalogue import oid_in_catalogue
from .creating import only_one
from .identifiers import TableName, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Check", "Declaration", "ForeignKey", "Index", "declare", "missing_ddl", "take_turns"]

_HASH_DIGITS = 8

_IS_INDEX = """
SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = %(table)s AND i.indisvalid AND i.indexprs IS NULL AND m.amname = %(method)s
    AND i.indisunique >= %(unique)s AND CASE WHEN %(name)s = '' THEN i.indpred IS NULL ELSE c.relname = %(name)s END
    AND ARRAY(SELECT a.attname FROM unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY AS k (number, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place)::text[]
        = %(columns)s
"""
_IS_FOREIGN_KEY = """
SELECT FROM pg_constraint WHERE conrelid = %(table)s AND contype = 'f' AND confrelid = to_regclass(%(other)s)
    AND ARRAY(SELECT a.attname FROM unnest(conkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.number ORDER BY k.place)::text[]
        = %(columns)s
"""
_IS_CHECK = "SELECT FROM pg_constraint WHERE conrelid = %(table)s AND contype = 'c' AND conname = %(name)s"


class Declaration(Protocol):
    """Something that a table is to have."""

    def is_there(self, connection: psycopg.Connection[Any], target: TableName, oid: int) -> bool:
        """Whether the table has it, or what is as good."""
        ...

    def ddl(self, target: TableName) -> str:
        """The statement that makes it."""
        ...


@dataclass(frozen=True, slots=True)
class Index:
    """An index on columns, perhaps only of the rows that meet a condition in SQL."""

    columns: Sequence[str]
    where: str = ""
    method: str = "btree"
    unique: bool = False

    def is_there(self, connection: psycopg.Connection[Any], target: TableName, oid: int) -> bool:
        """By its columns; with a condition, by its name as well."""
        asked = {"table": oid, "method": self.method, "unique": self.unique, "columns": _names(self.columns)}
        name = self._name(target) if self.where else ""
        return connection.execute(_IS_INDEX, {**asked, "name": name}).rowcount > 0

    def ddl(self, target: TableName) -> str:
        """CREATE INDEX."""
        kind = f"CREATE {'UNIQUE ' * self.unique}INDEX {quoted(self._name(target))}"
        where = f" WHERE {self.where}" if self.where else ""
        return f"{kind} ON {target.sql} USING {quoted(self.method)} ({_list(self.columns)}){where}"

    def _name(self, target: TableName) -> str:
        return _named(target, self.columns, "key" if self.unique else "idx", self.where)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that refer to the primary key of another table, or to other columns of it that are unique."""

    columns: Sequence[str]
    table: str
    """`customers`, of the same schema, or `schema.table`."""
    refers_to: Sequence[str] = ()

    def is_there(self, connection: psycopg.Connection[Any], target: TableName, oid: int) -> bool:
        """By its columns and the table they refer to."""
        asked = {"table": oid, "other": self._other(target).sql, "columns": _names(self.columns)}
        return connection.execute(_IS_FOREIGN_KEY, asked).rowcount > 0

    def ddl(self, target: TableName) -> str:
        """ADD FOREIGN KEY; the rows that are there are checked."""
        name = quoted(_named(target, self.columns, "fkey"))
        there = f" ({_list(self.refers_to)})" if self.refers_to else ""
        key = f"FOREIGN KEY ({_list(self.columns)}) REFERENCES {self._other(target).sql}{there}"
        return f"ALTER TABLE {target.sql} ADD CONSTRAINT {name} {key}"

    def _other(self, target: TableName) -> TableName:
        return TableName.parse(self.table, target.schema)


@dataclass(frozen=True, slots=True)
class Check:
    """A condition in SQL that every row meets, or that is unknown for it."""

    condition: str

    def is_there(self, connection: psycopg.Connection[Any], target: TableName, oid: int) -> bool:
        """By its name."""
        return connection.execute(_IS_CHECK, {"table": oid, "name": self._name(target)}).rowcount > 0

    def ddl(self, target: TableName) -> str:
        """ADD CHECK; the rows that are there are checked."""
        return f"ALTER TABLE {target.sql} ADD CONSTRAINT {quoted(self._name(target))} CHECK ({self.condition})"

    def _name(self, target: TableName) -> str:
        return _named(target, (), "check", self.condition)


def missing_ddl(
    connection: psycopg.Connection[Any], target: TableName, oid: int | None, declared: Sequence[Declaration]
) -> list[str]:
    """The statements that make what a table, which may be missing itself, has not yet."""
    return [one.ddl(target) for one in declared if oid is None or not one.is_there(connection, target, oid)]


def declare(connection: psycopg.Connection[Any], target: TableName, oid: int, declared: Sequence[Declaration]) -> None:
    """Make what is missing.

    Raises:
        PostgresError: rows of the table, those of the load among them, are not as declared.
        ConfigurationError: what is declared cannot be made: a column is missing, a name is taken.

    """
    for statement in missing_ddl(connection, target, oid, declared):
        try:
            connection.execute(statement.encode())
            reach("postgres.commit.after_declaring")
        except psycopg.IntegrityError as error:
            raise PostgresError(
                f"table {target}",
                f"its rows are not as declared, {_told(error)} ({statement})",
                "Nothing was changed. Put the rows right, or declare something else.",
                sqlstate=error.sqlstate,
            ) from error
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(
                f"table {target}",
                f"what is declared cannot be made: {_told(error)} ({statement})",
                "Nothing was changed. Load tables that others refer to first; rename or drop what has the name.",
            ) from error


def take_turns(connection: psycopg.Connection[Any], target: TableName, declared: Sequence[Declaration]) -> None:
    """Wait, before any row is written, until no other load makes what is declared of the table.

    Two that have written rows, and then want the table for an index, would wait for each other for ever. Whoever makes
    the table itself has waited already.
    """
    oid = oid_in_catalogue(connection, target) if declared else None
    if oid is not None and missing_ddl(connection, target, oid, declared):
        only_one(connection, target)


def _told(error: psycopg.Error) -> str:
    said = (error.diag.message_primary or str(error), error.diag.message_detail)
    return ": ".join(text for text in said if text)


def _names(columns: Sequence[str]) -> list[str]:
    if isinstance(columns, str):
        raise ConfigurationError(f"columns {columns!r}", "it is one text, not a list", f"Write [{columns!r}].")
    return [shortened(column) for column in columns]


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(quoted, _names(columns)))


def _named(target: TableName, columns: Sequence[str], kind: str, condition: str = "") -> str:
    told = [hashlib.sha256(condition.encode()).hexdigest()[:_HASH_DIGITS]] if condition else []
    return shortened("_".join([target.table, *_names(columns), kind, *told]))


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.declaring")
