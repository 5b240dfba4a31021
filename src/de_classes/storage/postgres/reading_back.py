"""Reading back what a load has staged: the values that the server has, under the types that were given.

Some columns cannot be compared: the server spells their values its own way (json, intervals, addresses), or they come
in another kind than they went. Those are left out, and the run's report says which columns were compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import CountMismatch
from de_classes.utils.checksum import TableChecksum
from de_classes.utils.decimals import decimals_of_texts

from .catalogue import table_in_catalogue
from .read import AdbcReader
from .selection import Selection
from .sharing import conditions
from .types import arrow_type, plain_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import Receipt
    from de_classes.utils.checksum import Checksum

    from .client import PostgresClient
    from .identifiers import TableName
    from .types import Column, PgType

__all__ = ["StagedRows", "is_checkable"]

_TEXTS = {"text", "varchar", "enum"}
_KINDS: tuple[tuple[Any, str], ...] = (
    (pa.types.is_integer, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_floating, "float"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_string, "text"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (lambda kind: isinstance(kind, pa.UuidType), "uuid"),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None, "instant"),
    (pa.types.is_timestamp, "wall clock"),
)


def is_checkable(given: pa.DataType, type_: PgType) -> bool:
    """Whether values of the Arrow type come back from a column of the type as what they were."""
    given = plain_type(given)
    if pa.types.is_null(given):
        return True
    kind = _kind(given)
    if kind is None:
        return False
    if _is_free_number(type_):
        return kind == "number"
    if kind.endswith("uuid"):  # read as its text, which is what is summed up of a uuid
        return type_.element.base == "uuid" and type_.array == kind.startswith("list")
    if kind in {"text", "list of text"} and type_.element.base not in _TEXTS:
        return False
    return kind == _kind(arrow_type(type_))


def _kind(type_: Any) -> str | None:
    """What counts when values of a plain type are compared; widths, precisions and units do not."""
    if pa.types.is_list(type_):
        inner = _kind(type_.value_type)
        return None if inner is None or inner.startswith("list") else f"list of {inner}"
    return next((kind for is_such, kind in _KINDS if is_such(type_)), None)


def _is_free_number(type_: PgType) -> bool:
    return type_.plain.base == "numeric" and not type_.plain.arguments and not type_.array


@dataclass(frozen=True, slots=True)
class StagedRows:
    """A piece in its staging table, the columns of which are those of its schema, in its order."""

    client: PostgresClient
    name: TableName
    piece: Receipt
    schema: pa.Schema

    def checksum(self, columns: Sequence[str]) -> str:
        """That of the values in some of the columns.

        Raises:
            CountMismatch: there is no such table.

        """
        wanted = set(columns)
        with self.client.connect() as connection:
            table = table_in_catalogue(connection, self.name)
        if table is None:
            fact = f"what was staged of split {self.piece.split_id!r} is not there any more"
            raise CountMismatch(f"table {self.name}", fact, "Run it again.", promised=self.piece.rows, found=0)
        pairs = [pair for pair in zip(self.schema, table.columns, strict=True) if pair[0].name in wanted]
        for condition in conditions(self.piece):
            summed = self._summed(pairs, condition)
            if summed.rows == self.piece.rows:
                break
        return str(summed)

    def _summed(self, pairs: Sequence[tuple[pa.Field[Any], Column]], condition: str) -> Checksum:
        selection = Selection(str(self.name), tuple(column for _, column in pairs), self.name.sql, condition)
        summed = TableChecksum([field.name for field, _ in pairs])
        for batch in AdbcReader().read(self.client, selection):
            arrays = [
                decimals_of_texts(array, field.type) if _is_free_number(column.type) else array
                for array, (field, column) in zip(batch.records.columns, pairs, strict=True)
            ]
            summed.update(pa.RecordBatch.from_arrays(arrays, [field.name for field, _ in pairs]))
        return summed.value
