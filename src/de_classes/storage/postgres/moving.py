"""What a commit does: staged rows become rows of the target, in one transaction that somebody else begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch

from .catalogue import column_list, table_in_catalogue
from .identifiers import TableName, quoted
from .placing import place
from .types import columns_of_schema, holds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Receipt

    from .catalogue import Table
    from .types import Column, PgType

__all__ = ["Move", "check_merge_key", "create_table"]


def create_table(
    connection: psycopg.Connection[Any], name: TableName, schema: pa.Schema, primary_key: Sequence[str]
) -> None:
    """Create a table for a schema, with its schema and the enums it needs; the primary key is declared."""
    columns = place(str(name), schema, None, primary_key).columns
    found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (name.schema,)).rowcount
    if not found:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.schema)}".encode())
    for type_ in {column.type.element for column in columns if column.type.base == "enum"}:
        _create_enum(connection, name.schema, type_)
    parts = [_definition(column, name.schema) for column in columns]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, primary_key))})")
    connection.execute(f"CREATE TABLE {name.sql} ({', '.join(parts)})".encode())


def _definition(column: Column, schema: str) -> str:
    return f"{quoted(column.name)} {column.type.ddl(schema)}{'' if column.nullable else ' NOT NULL'}"


def _create_enum(connection: psycopg.Connection[Any], schema: str, type_: PgType) -> None:
    """Create an enum; one of that name that is there must have its labels."""
    row = connection.execute(
        "SELECT ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)"
        " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = %s AND t.typname = %s",
        (schema, type_.enum),
    ).fetchone()
    if row is None:
        labels = ", ".join("'" + label.replace("'", "''") + "'" for label in type_.labels)
        connection.execute(f"CREATE TYPE {type_.ddl(schema)} AS ENUM ({labels})".encode())
    elif not set(type_.labels) <= set(row[0]):
        raise SchemaMismatch(
            f"type {TableName(schema, type_.enum)}",
            f"it is there with the labels {row[0]}, not {list(type_.labels)}",
            "Add the labels with ALTER TYPE ... ADD VALUE, or cast the column to text in the source's query.",
        )


def check_merge_key(connection: psycopg.Connection[Any], name: TableName, table: Table, key: Sequence[str]) -> None:
    """See that exactly these columns are unique in the table, so that ON CONFLICT can find rows by them.

    Raises:
        ConfigurationError: they are not.

    """
    indexes = connection.execute(
        "SELECT ARRAY(SELECT a.attname FROM unnest(i.indkey[:i.indnkeyatts - 1]) k JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = k)::text[] FROM pg_index i"
        " WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate"
        " AND i.indpred IS NULL AND i.indexprs IS NULL",
        (table.oid,),
    )
    if not any(set(columns) == set(key) for (columns,) in indexes):
        raise ConfigurationError(
            f"table {name}",
            f"it has no primary key or unique index on ({', '.join(key)}), so nothing can be merged into it",
            f"ALTER TABLE {name.sql} ADD PRIMARY KEY ({', '.join(map(quoted, key))})",
        )


@dataclass(frozen=True, slots=True)
class Move:
    """Moves staging tables into a target."""

    target: TableName
    state_schema: str
    mode: Mode
    primary_key: tuple[str, ...]

    def empty(self, connection: psycopg.Connection[Any], table: Table, *, truncate: bool) -> None:
        """Make the old rows go; only DELETE hides them from transactions that began before the commit no earlier.

        Partitions are the table's own rows; tables that inherit from it have theirs, which stay.
        """
        verb = "TRUNCATE" if truncate else "DELETE FROM"
        rows = self.target.sql if table.kind == "p" else f"ONLY {self.target.sql}"
        # What another pipeline replaces at this moment is not seen and would stay, so the second waits for the first.
        connection.execute(f"LOCK TABLE {rows} IN SHARE ROW EXCLUSIVE MODE".encode())
        connection.execute(f"{verb} {rows}".encode())
        if connection.execute(f"SELECT 1 FROM {rows} LIMIT 1".encode()).fetchone():
            raise CountMismatch(
                f"table {self.target}",
                "rows stayed where all were to be replaced",
                "Look for a trigger, a rule or a row security policy that keeps rows from being deleted.",
            )

    def run(self, connection: psycopg.Connection[Any], receipt: Receipt, table: Table) -> None:
        """Move the rows of one receipt.

        Raises:
            CountMismatch: the staging table, or what was moved of it, has not the rows that the receipt says.
            SchemaMismatch: the target was altered since the split was written.

        """
        staging = TableName(self.state_schema, str(receipt.details["table"]))
        staged = table_in_catalogue(connection, staging)
        if staged is None:
            raise CountMismatch(
                f"table {self.target}", f"split {receipt.split_id!r} is staged no more", "Run it again."
            )
        chosen = self._chosen(staged, table, receipt)
        columns = column_list(staged.columns)
        insert = f"INSERT INTO {self.target.sql} AS target ({columns}) OVERRIDING SYSTEM VALUE"
        if self.mode is Mode.MERGE:
            (rows,) = connection.execute(f"SELECT count(*) FROM {staging.sql}".encode()).fetchone() or (0,)
            self._count(receipt, rows)
            keys = ", ".join(map(quoted, self.primary_key))
            # A staging table is written once, by one COPY, so its ctids are in the order of the rows.
            last = f"SELECT DISTINCT ON ({keys}) * FROM {staging.sql} ORDER BY {keys}, ctid DESC"
            connection.execute(f"{insert} SELECT {chosen} FROM ({last}) AS last {self._on_conflict(staged)}".encode())
            self._refuse_missing(connection, receipt, staging)
        else:
            moved = connection.execute(f"{insert} SELECT {chosen} FROM {staging.sql}".encode()).rowcount
            self._count(receipt, moved)

    def _refuse_missing(self, connection: psycopg.Connection[Any], receipt: Receipt, staging: TableName) -> None:
        """See that every key that was merged is there: ON CONFLICT does not count the rows that were equal already."""
        same = " AND ".join(f"target.{quoted(key)} = staged.{quoted(key)}" for key in self.primary_key)
        target = f"SELECT FROM {self.target.sql} AS target WHERE {same}"
        missing = f"SELECT count(*) FROM {staging.sql} AS staged WHERE NOT EXISTS ({target})"
        (rows,) = connection.execute(missing.encode()).fetchone() or (0,)
        if rows:
            raise CountMismatch(
                f"table {self.target}",
                f"{rows} rows of split {receipt.split_id!r} are not there after they were merged",
                "Look for a trigger, a rule or a row security policy that keeps rows out.",
            )

    def _count(self, receipt: Receipt, rows: int) -> None:
        if rows != receipt.rows:
            raise CountMismatch(
                f"table {self.target}",
                f"split {receipt.split_id!r} promised {receipt.rows} rows and {rows} would become visible",
                "Run it again; a trigger or a rule on the table may drop rows.",
                promised=receipt.rows,
                found=rows,
            )

    def _on_conflict(self, staged: Table) -> str:
        """Update what differs, byte by byte: a row that is the same already is not written again."""
        others = [quoted(column.name) for column in staged.columns if column.name not in self.primary_key]
        keys = ", ".join(map(quoted, self.primary_key))
        if not others:
            return f"ON CONFLICT ({keys}) DO NOTHING"
        change = ", ".join(f"{name} = excluded.{name}" for name in others)
        old, new = (", ".join(f"{row}.{name}" for name in others) for row in ("target", "excluded"))
        return f"ON CONFLICT ({keys}) DO UPDATE SET {change} WHERE ROW({old})::record *<> ROW({new})::record"

    def _chosen(self, staged: Table, table: Table, receipt: Receipt) -> str:
        """The columns to select, in the target's types: those of a first load may be narrower, and enums are text."""
        types = {column.name: column.type for column in table.columns}
        told = (
            {column.name: column.type for column in columns_of_schema(str(self.target), receipt.schema)}
            if (receipt.schema is not None)
            else {}
        )
        chosen, wrong = [], []
        for column in staged.columns:
            wanted = types.get(column.name)
            if wanted == column.type:
                chosen.append(quoted(column.name))
            elif wanted is not None and (
                (wanted.base == "enum" and told.get(column.name) is not None) or holds(wanted, column.type)
            ):
                chosen.append(f"{quoted(column.name)}::{wanted.ddl(self.target.schema)}")
            else:
                wrong.append(f"{column.name} was written as {column.type} and is now {wanted or 'gone'}")
        if wrong:
            raise SchemaMismatch(
                f"table {self.target}", f"it was altered during the load: {'; '.join(wrong)}", "Run it again."
            )
        return ", ".join(chosen)
