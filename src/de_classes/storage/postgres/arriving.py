"""What both readers do with a batch of decoded columns: give it the type table's types, set values aside, or refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pyarrow as pa

from de_classes.contracts import Batch
from de_classes.errors import ValueNotHeld
from de_classes.utils.picking import rows_where
from de_classes.utils.quarantine import REJECTED

from .types import NO_LIST, told_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arrow_values import Array
    from .client import PostgresClient
    from .selection import Selection
    from .types import Column

__all__ = ["Arriving"]


@dataclass(frozen=True, slots=True)
class Arriving:
    """The batches of one reading."""

    client: PostgresClient
    selection: Selection

    def batch(self, columns: Sequence[Array], hidden: Sequence[Array], first_row: int) -> Batch:
        """The batch that begins with this row, of its decoded columns.

        Raises:
            ValueNotHeld: the policy is to fail, and the server told of an array that no list holds.

        """
        selection = self.selection
        fields = selection.schema
        arrays = [
            wire.arrived(array, field.type) for wire, array, field in zip(selection.wires, columns, fields, strict=True)
        ]
        records = pa.RecordBatch.from_arrays(arrays, schema=fields)
        if len(hidden) < 2:  # noqa: PLR2004 -- nothing is set aside
            return Batch(records)
        record, numbers = hidden
        if record.null_count == len(record):
            return Batch(records)
        stays = np.ones(len(record), np.bool_)
        rejected = []
        for at in record.is_valid().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
            wrong = self._named(numbers[at].as_py())
            # Without its key, a row is none.
            stays[at] = selection.unheld == "null" and not any(column.name in selection.key for column in wrong)
            rejected.append(self._rejected(record[at].as_py(), wrong, first_row + at, stays=bool(stays[at])))
        return Batch(
            rows_where(records, pa.array(stays)), rejected=pa.RecordBatch.from_pylist(rejected, schema=REJECTED)
        )

    def refuse_arrays(self, numbers: Array, first_row: int) -> None:
        """Raise ValueNotHeld for the first array that is no list."""
        found = numbers.to_numpy(zero_copy_only=False)
        if found.any():
            at = int(found.nonzero()[0][0])
            raise self.refused(self.selection.watched[int(found[at]) - 1], first_row + at, NO_LIST)

    def refused(self, column: Column, row: int, what: str) -> ValueNotHeld:
        """Make the error for a value that Arrow cannot hold, with what identifies its row where that can be found."""
        key = self._key_of(column)
        named = f" ({', '.join(f'{name}={value}' for name, value in key.items())})" if key else ""
        subject = self.selection.subject
        return ValueNotHeld(
            subject,
            f"column {column.name!r} has {what} in row {row}{named}, which Arrow cannot hold",
            'Read with unheld="text", "null" or "quarantine", or by a query that leaves such rows out.',
            table=subject,
            column=column.name,
            row=row,
            key=key,
        )

    def _key_of(self, column: Column) -> dict[str, str]:
        """Look the row up, under the same snapshot; empty where it has neither key nor place."""
        try:
            with self.client.open() as connection:
                connection.autocommit = True
                for statement in self.selection.begin:
                    connection.execute(statement.encode())
                found = connection.execute(self.selection.finding(column).encode()).fetchone()
        except psycopg.Error:
            return {}
        return dict(zip(self.selection.key or ("ctid",), found, strict=True)) if found else {}

    def _named(self, numbers: str) -> list[Column]:
        watched = self.selection.watched
        return [watched[int(number) - 1] for number in numbers.split(",") if number]

    def _rejected(self, record: str, columns: Sequence[Column], row: int, *, stays: bool) -> dict[str, object]:
        told = "; ".join(f"column {column.name!r} has {told_of(column.type)}" for column in columns)
        instead = "null was loaded in its place" if stays else "the row was left out"
        return {
            "record": record,
            "reason": f"{told}, which Arrow cannot hold: {instead}",
            "path": columns[0].name,
            "place": self.selection.subject,
            "row": row,
        }
