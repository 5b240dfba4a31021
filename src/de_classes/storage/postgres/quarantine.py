"""Records that do not fit: spelled while a split is written, and moved beside its table by the commit."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import CountMismatch, SchemaMismatch
from de_classes.utils.quarantine import REJECTED

from .arrow_values import pc
from .catalogue import column_list, table_in_catalogue
from .creating import only_one
from .identifiers import TableName, quoted
from .spool import Spool
from .types import columns_of_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from de_classes.contracts import Receipt
    from de_classes.errors import ValueNotHeld

    from .arrow_values import Array
    from .encode import CopyEncoder

__all__ = ["Quarantine", "Rejects"]

_COLUMNS = columns_of_schema("quarantine", REJECTED)
_TYPES = ", ".join(f"{quoted(c.name)} {c.type.ddl('')}{'' if c.nullable else ' NOT NULL'}" for c in _COLUMNS)
_NAMES = column_list(_COLUMNS)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class Rejects(Spool):
    """The rejected records of a split on their way, spelled for COPY, until the split's rows are copied."""

    def __init__(self, encoder: CopyEncoder, *, all_characters: bool) -> None:
        super().__init__()
        self.rows = 0
        self._encoder = encoder
        self._all_characters = all_characters

    def add(self, records: pa.RecordBatch) -> None:
        r"""Take records as REJECTED has them.

        What PostgreSQL cannot hold in a text is escaped where people see it: the character NUL as `\u0000`, bytes that
        are no UTF-8 as `\xff`, and in a database of another encoding what is outside of ASCII as JSON has it: `\u017c`.
        """
        arrays = [self._storable(records.column(field.name)) for field in REJECTED]
        self.write(self._encoder.encode(pa.RecordBatch.from_arrays(arrays, REJECTED.names), _refuse))
        self.rows += records.num_rows

    def stage(self, connection: psycopg.Connection[Any], name: TableName) -> None:
        """Make a staging table of them."""
        connection.execute(f"CREATE UNLOGGED TABLE {name.sql} ({_TYPES})".encode())
        self.copy(connection, f"COPY {name.sql} ({_NAMES}) FROM STDIN WITH ({self._encoder.options})")

    def _storable(self, array: Array) -> Array:
        if not pa.types.is_string(array.type):
            return array
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            spelled = (None if text is None else _readable(text) for text in array.cast(pa.binary()).to_pylist())
            array = pa.array(spelled, pa.string())
        if not self._all_characters:
            ascii_only = (None if text is None else _in_ascii(text) for text in array.to_pylist())
            array = pa.array(ascii_only, pa.string())
        return pc.replace_substring(array, "\0", "\\u0000")


def _readable(text: bytes) -> str:
    return text.decode(errors="backslashreplace")


def _in_ascii(text: str) -> str:
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _refuse(column: str) -> Any:
    """Nothing of a rejected record is refused once more."""

    def error(at: int, what: str) -> ValueNotHeld:
        raise AssertionError((column, at, what))

    return error


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The table beside a stream's own in which its rejected records are kept, those of all pipelines.

    `pipeline` and `at`, the moment of the commit, stand before the columns of REJECTED. Columns that somebody added
    are left alone.
    """

    name: TableName
    state_schema: str
    pipeline: str

    def empty(self, connection: psycopg.Connection[Any]) -> None:
        """Drop what the pipeline had put there, as its rows are replaced; another table of that name is left alone."""
        if self._missing(connection) == []:
            connection.execute(f"DELETE FROM {self.name.sql} WHERE pipeline = %s".encode(), (self.pipeline,))

    def forget(self, connection: psycopg.Connection[Any], places: Sequence[str]) -> None:
        """Drop the records that the pipeline had put there of these places, of any of their lines."""
        if places and self._missing(connection) == []:
            connection.execute(
                f"DELETE FROM {self.name.sql} WHERE pipeline = %s"
                " AND regexp_replace(place, ', line [0-9]+$', '') = ANY(%s)".encode(),
                (self.pipeline, list(places)),
            )

    def take(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> None:
        """Move what the pieces have rejected; the table is made when the first records come.

        Raises:
            CountMismatch: a piece has not the rejected records of its receipt.
            SchemaMismatch: there is a table of this name that is no quarantine.

        """
        coming = [receipt for receipt in receipts if receipt.rejected]
        if coming:
            self._ensure(connection)
        for receipt in coming:
            staging = TableName(self.state_schema, str(receipt.details.get("rejected")))
            if table_in_catalogue(connection, staging) is None:
                fact = f"the rejected records of split {receipt.split_id!r} are staged no more"
                raise CountMismatch(f"table {self.name}", fact, "Run it again.")
            moved = connection.execute(
                f"INSERT INTO {self.name.sql} (pipeline, {_NAMES}) SELECT %s, {_NAMES} FROM {staging.sql}".encode(),
                (self.pipeline,),
            ).rowcount
            if moved != receipt.rejected:
                raise CountMismatch(
                    f"table {self.name}",
                    f"split {receipt.split_id!r} promised {receipt.rejected} rejected records and {moved} would come",
                    "Run it again; a trigger or a rule on the table may drop rows.",
                    promised=receipt.rejected,
                    found=moved,
                )

    def _missing(self, connection: psycopg.Connection[Any]) -> list[str] | None:
        """Which of the columns the table lacks; None if there is no table."""
        table = table_in_catalogue(connection, self.name)
        if table is None:
            return None
        names = {column.name for column in table.columns}
        return [name for name in ("pipeline", "at", *REJECTED.names) if name not in names]

    def _ensure(self, connection: psycopg.Connection[Any]) -> None:
        """See that there is the table, or make it once no other pipeline is about to."""
        missing = self._missing(connection)
        if missing is None:
            only_one(connection, self.name)
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self.name.sql}"
                f" (pipeline text NOT NULL, at timestamptz NOT NULL DEFAULT now(), {_TYPES})".encode()
            )
            missing = self._missing(connection)
        if missing:
            raise SchemaMismatch(
                f"table {self.name}",
                f"rejected records go there, and it lacks the columns {', '.join(missing)}",
                "Rename that table, or the stream.",
            )
