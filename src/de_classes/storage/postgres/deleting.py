"""Rows that are gone at the source: found by the keys that are alive, and deleted or marked by the commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch
from de_classes.utils.deletes import refuse_too_many

from .catalogue import column_list, table_in_catalogue
from .growing import converted
from .identifiers import TableName, quoted
from .placing import place
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Receipt

    from .catalogue import Table
    from .encode import CopyEncoder
    from .placing import Placing

__all__ = ["AliveKeys", "Deletes"]


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
        self.copy(connection, f"COPY {name.sql} ({column_list(columns)}) FROM STDIN WITH {self._encoder.options}")


@dataclass(frozen=True, slots=True)
class Deletes:
    """What becomes of rows of a table whose keys are not alive."""

    target: TableName
    state_schema: str
    primary_key: Sequence[str]
    max_share: float
    mark: str | None
    """A column that takes the moment of the commit in place of the row's being deleted, and NULL when it is back."""

    def apply(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> None:
        """Delete or mark the rows without a living key, and take back the marks of those that have one again.

        Rows with a null in their key, which no load has put there, stay.

        Raises:
            TooManyDeletes: they are more than the share of the table that may go.
            CountMismatch: the keys are not all there, or rows that are to go stay.

        """
        table = table_in_catalogue(connection, self.target)
        telling = [receipt for receipt in receipts if receipt.alive is not None]
        if table is None or not telling:
            return
        self._ensure_mark(connection, table)
        alive = " UNION ALL ".join(self._keys(connection, receipt, table) for receipt in telling)
        same = " AND ".join(f"row_.{quoted(key)} = key_.{quoted(key)}" for key in self.primary_key)
        whole = " AND ".join(f"row_.{quoted(key)} IS NOT NULL" for key in self.primary_key)
        unmarked = "true" if self.mark is None else f"row_.{quoted(self.mark)} IS NULL"
        keys = ", ".join(f"row_.{quoted(key)}" for key in self.primary_key)
        connection.execute(
            f"CREATE TEMPORARY TABLE gone ON COMMIT DROP AS SELECT {keys} FROM {self.target.sql} AS row_"
            f" WHERE {unmarked} AND {whole} AND NOT EXISTS (SELECT FROM ({alive}) AS key_ WHERE {same})".encode()
        )
        (gone,) = connection.execute("SELECT count(*) FROM pg_temp.gone").fetchone() or (0,)
        if gone:
            self._refuse_too_many(connection, gone, unmarked)
            self._let_go(connection, gone, same)
        if self.mark is not None:
            mark = quoted(self.mark)
            connection.execute(
                f"UPDATE {self.target.sql} AS row_ SET {mark} = NULL WHERE row_.{mark} IS NOT NULL"
                f" AND EXISTS (SELECT FROM ({alive}) AS key_ WHERE {same})".encode()
            )
        connection.execute("DROP TABLE pg_temp.gone")

    def _ensure_mark(self, connection: psycopg.Connection[Any], table: Table) -> None:
        """See that there is the column for the mark, if one is wanted.

        Raises:
            SchemaMismatch: there is another column of its name.

        """
        if self.mark is None:
            return
        found = [column.type.base for column in table.columns if column.name == self.mark]
        if not found:
            connection.execute(f"ALTER TABLE {self.target.sql} ADD COLUMN {quoted(self.mark)} timestamptz".encode())
        elif found != ["timestamptz"]:
            raise SchemaMismatch(
                f"table {self.target}",
                f"its column {self.mark!r}, which is to mark deleted rows, is {found[0]}, not timestamptz",
                "Name another one: mark_deleted=...",
            )

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

    def _refuse_too_many(self, connection: psycopg.Connection[Any], gone: int, unmarked: str) -> None:
        counted = f"SELECT count(*) FROM {self.target.sql} AS row_ WHERE {unmarked}"
        (rows,) = connection.execute(counted.encode()).fetchone() or (0,)
        refuse_too_many(f"table {self.target}", gone, rows, self.max_share)

    def _let_go(self, connection: psycopg.Connection[Any], gone: int, same: str) -> None:
        if self.mark is None:
            statement = f"DELETE FROM {self.target.sql} AS row_ USING pg_temp.gone AS key_ WHERE {same}"
        else:
            statement = (
                f"UPDATE {self.target.sql} AS row_ SET {quoted(self.mark)} = now()"
                f" FROM pg_temp.gone AS key_ WHERE {same}"
            )
        changed = connection.execute(statement.encode()).rowcount
        if changed != gone:
            raise CountMismatch(
                f"table {self.target}",
                f"{gone} rows are gone at the source, and {changed} of them could be deleted",
                "Look for a trigger, a rule or a row security policy that keeps rows from being deleted.",
            )
