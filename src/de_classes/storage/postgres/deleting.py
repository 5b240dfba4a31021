"""Rows that are gone at the source: found by the keys that are alive, and deleted or marked by the commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch
from de_classes.utils.deletes import refuse_too_many
from de_classes.utils.faults import reach

from .catalogue import column_list, table_in_catalogue
from .growing import converted
from .history import MOMENT, VALID_TO
from .identifiers import TableName, quoted
from .placing import place
from .referring import refuse_to_take_along
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Receipt

    from .catalogue import Table
    from .encode import CopyEncoder
    from .placing import Placing

__all__ = ["AliveKeys", "Closing", "Deletes", "Deleting", "End", "Marking", "marking_ddl"]


class AliveKeys(Spool):
    """The keys of existing rows that a split tells, on their way into a staging table.

    Args:
        target: the table whose rows have such keys.
        encoder: how COPY is written.

    """

    def __init__(self, target: TableName, encoder: CopyEncoder) -> None:
        super().__init__()
        self.rows: int | None = None
        self._subject = f"the keys of {target}"
        self._encoder = encoder
        self._placing: Placing | None = None

    def add(self, keys: pa.RecordBatch) -> None:
        """Take some more, perhaps none.

        Raises:
            ValueNotHeld: a key that PostgreSQL cannot hold, or null.

        """
        if self._placing is None:
            self.rows, self._placing = 0, place(self._subject, keys.schema, None, keys.schema.names)
        placing, first = self._placing, self.rows or 0
        if keys.num_rows:
            checked = placing.checked(keys, first)
            self.write(self._encoder.encode(checked, lambda column: placing.refuse(first, column)))
        self.rows = first + keys.num_rows

    def stage(self, connection: psycopg.Connection[Any], name: TableName) -> None:
        """Make a staging table of them; they are there."""
        columns = self._placing.columns if self._placing else ()
        types = ", ".join(f"{quoted(column.name)} {column.type.staged.ddl('')}" for column in columns)
        connection.execute(f"CREATE UNLOGGED TABLE {name.sql} ({types})".encode())
        self.copy(connection, f"COPY {name.sql} ({column_list(columns)}) FROM STDIN WITH ({self._encoder.options})")


class End(Protocol):
    """What becomes of a row whose key is not alive."""

    @property
    def open(self) -> str:
        """The rows of `row_` of which nothing has become yet: an SQL condition."""
        ...

    def ensure(self, connection: psycopg.Connection[Any], target: TableName, table: Table) -> None:
        """See that the table has what this needs."""
        ...

    def check(self, connection: psycopg.Connection[Any], target: TableName, table: Table, gone: str) -> None:
        """See that nothing else is changed when the rows of `row_` that meet a condition are ended."""
        ...

    def statement(self, target: TableName, keys: str, same: str) -> str:
        """The statement that ends the rows of `row_` whose key is one of `keys`."""
        ...

    def revival(self, target: TableName, alive: str, same: str) -> str | None:
        """The statement that takes back the end of rows whose key is alive again; None where there is nothing to."""
        ...


@dataclass(frozen=True, slots=True)
class Deleting:
    """The row is deleted."""

    open: str = "true"

    def ensure(self, connection: psycopg.Connection[Any], target: TableName, table: Table) -> None:
        """It needs nothing."""

    def check(self, connection: psycopg.Connection[Any], target: TableName, table: Table, gone: str) -> None:
        """Foreign keys may take other rows along."""
        refuse_to_take_along(connection, target, table, gone)

    def statement(self, target: TableName, keys: str, same: str) -> str:
        """Delete them."""
        return f"DELETE FROM {target.sql} AS row_ USING {keys} WHERE {same}"

    def revival(self, target: TableName, alive: str, same: str) -> str | None:  # noqa: ARG002 -- it is not there
        """What is gone comes as a new row."""
        return None


def marking_ddl(target: TableName, table: Table | None, name: str) -> list[str]:
    """The statement that adds the column that marks deleted rows, if it is missing.

    Raises:
        SchemaMismatch: there is another column of its name.

    """
    found = [column.type.base for column in table.columns if column.name == name] if table is not None else []
    if not found:
        return [f"ALTER TABLE {target.sql} ADD COLUMN {quoted(name)} timestamptz"]
    if found != ["timestamptz"]:
        raise SchemaMismatch(
            f"table {target}",
            f"its column {name!r}, which is to mark deleted rows, is {found[0]}, not timestamptz",
            "Name another one: mark_deleted=...",
        )
    return []


@dataclass(frozen=True, slots=True)
class Marking:
    """A column of the row is set to the moment of the commit, and to NULL when the key is there again."""

    column: str

    @property
    def open(self) -> str:
        """Those without the mark."""
        return f"row_.{quoted(self.column)} IS NULL"

    def ensure(self, connection: psycopg.Connection[Any], target: TableName, table: Table) -> None:
        """Add the column, if it is missing.

        Raises:
            SchemaMismatch: there is another column of its name.

        """
        for statement in marking_ddl(target, table, self.column):
            connection.execute(statement.encode())

    def check(self, connection: psycopg.Connection[Any], target: TableName, table: Table, gone: str) -> None:
        """The rows stay."""

    def statement(self, target: TableName, keys: str, same: str) -> str:
        """Mark them."""
        return f"UPDATE {target.sql} AS row_ SET {quoted(self.column)} = now() FROM {keys} WHERE {same}"

    def revival(self, target: TableName, alive: str, same: str) -> str | None:
        """Take the mark away."""
        mark = quoted(self.column)
        return (
            f"UPDATE {target.sql} AS row_ SET {mark} = NULL WHERE row_.{mark} IS NOT NULL"
            f" AND EXISTS (SELECT FROM ({alive}) AS key_ WHERE {same})"
        )


@dataclass(frozen=True, slots=True)
class Closing:
    """The current version of the row is closed; when the key is there again, a new version comes."""

    open: str = f"row_.{VALID_TO} IS NULL"

    def ensure(self, connection: psycopg.Connection[Any], target: TableName, table: Table) -> None:
        """It needs nothing that a history has not."""

    def check(self, connection: psycopg.Connection[Any], target: TableName, table: Table, gone: str) -> None:
        """The rows stay."""

    def statement(self, target: TableName, keys: str, same: str) -> str:
        """Close them."""
        return f"UPDATE {target.sql} AS row_ SET {VALID_TO} = {MOMENT} FROM {keys} WHERE {self.open} AND {same}"

    def revival(self, target: TableName, alive: str, same: str) -> str | None:  # noqa: ARG002 -- nothing is taken back
        """What was closed stays closed."""
        return None


@dataclass(frozen=True, slots=True)
class Deletes:
    """Ends the rows of a table whose keys are not alive."""

    target: TableName
    state_schema: str
    primary_key: Sequence[str]
    max_share: float
    end: End

    def apply(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> int | None:
        """End the rows without a living key, and take back the end of those that have one again.

        Gives how many were ended; None where nobody tells which keys are alive.

        Rows with a null in their key, which no load has put there, stay.

        Raises:
            TooManyDeletes: they are more than the share of the table that may go.
            CountMismatch: the keys are not all there, or rows that are to go stay.
            ConfigurationError: rows of other tables would be deleted or changed with them.

        """
        table = table_in_catalogue(connection, self.target)
        telling = [receipt for receipt in receipts if receipt.alive is not None]
        if table is None or not telling:
            return None
        self.end.ensure(connection, self.target, table)
        alive = " UNION ALL ".join(self._keys(connection, receipt, table) for receipt in telling)
        same = " AND ".join(f"row_.{quoted(key)} = key_.{quoted(key)}" for key in self.primary_key)
        whole = " AND ".join(f"row_.{quoted(key)} IS NOT NULL" for key in self.primary_key)
        keys = ", ".join(f"row_.{quoted(key)}" for key in self.primary_key)
        gone = connection.execute(
            f"CREATE TEMPORARY TABLE gone AS SELECT {keys} FROM {self.target.sql} AS row_"
            f" WHERE {self.end.open} AND {whole} AND NOT EXISTS"
            f" (SELECT FROM ({alive}) AS key_ WHERE {same})".encode()
        ).rowcount
        if gone:
            self._refuse_too_many(connection, gone)
            of_gone = f"EXISTS (SELECT FROM pg_temp.gone AS key_ WHERE {same})"
            self.end.check(connection, self.target, table, of_gone)
            self._end(connection, gone, same)
            reach("postgres.commit.after_deleting")
        revival = self.end.revival(self.target, alive, same)
        if revival is not None:
            connection.execute(revival.encode())
        connection.execute("DROP TABLE pg_temp.gone")
        return gone

    def _keys(self, connection: psycopg.Connection[Any], receipt: Receipt, table: Table) -> str:
        """A query for the keys that a piece tells, in the types of the table."""
        name = TableName(self.state_schema, str(receipt.details.get("alive")))
        staged = table_in_catalogue(connection, name)
        count = None if staged is None else connection.execute(f"SELECT count(*) FROM {name.sql}".encode()).fetchone()
        if staged is None or count != (receipt.alive,):
            raise CountMismatch(
                f"table {self.target}",
                f"split {receipt.split_id!r} promised {receipt.alive} keys of existing rows, which are not there",
                "Run it again.",
            )
        types, chosen = {column.name: column.type for column in table.columns}, []
        for column in staged.columns:
            wanted = types.get(column.name)
            sql = wanted and converted(column.name, column.type, wanted, column.type, self.target.schema)
            if sql is None:
                raise ConfigurationError(
                    f"table {self.target}",
                    f"its key {column.name!r} is {wanted or 'not there'}, and {column.type} at the source",
                    "Give both one type; deletes are found by it.",
                )
            chosen.append(f"{sql} AS {quoted(column.name)}")
        return f"SELECT {', '.join(chosen)} FROM {name.sql}"

    def _refuse_too_many(self, connection: psycopg.Connection[Any], gone: int) -> None:
        counted = f"SELECT count(*) FROM {self.target.sql} AS row_ WHERE {self.end.open}"
        (rows,) = connection.execute(counted.encode()).fetchone() or (0,)
        refuse_too_many(f"table {self.target}", gone, rows, self.max_share)

    def _end(self, connection: psycopg.Connection[Any], gone: int, same: str) -> None:
        statement = self.end.statement(self.target, "pg_temp.gone AS key_", same)
        changed = connection.execute(statement.encode()).rowcount
        if changed != gone:
            raise CountMismatch(
                f"table {self.target}",
                f"{gone} rows are gone at the source, and {changed} of them could be deleted",
                "Look for a trigger, a rule or a row security policy that keeps rows from being deleted.",
            )
