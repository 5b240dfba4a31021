"""Rows that a table cannot hold are gone around: they become rejected records, and their neighbours are copied.

A row is refused by us (the character NUL, a moment too far away, NULL in a column that must not have it) or by the
server (text that is no uuid, a number too large for its column, a check constraint). Either names the first one, never
all; so a slice of rows that was refused is tried in smaller ones, each a COPY within a savepoint, which grow again as
long as all is well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from de_classes.errors import ValueNotHeld
from de_classes.utils.picking import rows_where
from de_classes.utils.quarantine import REJECTED

from .copying_in import SLICE_BYTES, Copying, refuse_other_columns
from .json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from .encode import CopyEncoder
    from .placing import Placing
    from .quarantine import Rejects
    from .sieving import Sieve

__all__ = ["SettingAside", "Unfit"]

Unfit: TypeAlias = Literal["fail", "null", "quarantine"]
"""What a destination does with a value that its column cannot hold:

- fail: the load ends with ValueNotHeld, which names table, column and row.
- null: null takes its place, and the row as it came is kept in quarantine. Where the column must not be NULL, the row
  is left out.
- quarantine: the row is left out, and kept in quarantine.
"""


@dataclass
class SettingAside:
    """Copies the rows of a split into its table, without those that do not fit."""

    connection: psycopg.Connection[Any]
    statement: str
    """COPY ... FROM STDIN; not FREEZE, which the server refuses within a savepoint."""
    placing: Placing
    encoder: CopyEncoder
    sieve: Sieve
    came: pa.Schema
    unfit: Unfit
    rejects: Rejects
    rows: int = 0
    size: int = 0
    seen: int = 0
    left_out: int = 0
    replaced: int = 0

    def take(self, records: pa.RecordBatch) -> None:
        """Copy what fits of a batch, and set the rest aside.

        Raises:
            ValueNotHeld: the policy is to fail.
            SchemaMismatch: the batch has other columns than the first.

        """
        refuse_other_columns(self.placing.subject, self.came, records.schema)
        wrong = self.sieve.wrong(records)
        numbers = np.arange(self.seen, self.seen + records.num_rows)
        self.seen += records.num_rows
        if wrong.any():
            self._reject_columns(rows_where(records, pa.array(wrong)), numbers[wrong].tolist())
            records, numbers = rows_where(records, pa.array(~wrong)), numbers[~wrong]
        self._copy(self.sieve.left(records), numbers.tolist())

    def _reject_columns(self, records: pa.RecordBatch, numbers: Sequence[int]) -> None:
        reasons = [f"{reason}: the row was left out" for reason in self.sieve.reasons(records)]
        paths = [None] * len(reasons)
        self._reject(_as_json(records), reasons, paths, numbers)
        self.left_out += len(reasons)

    def _copy(self, records: pa.RecordBatch, numbers: Sequence[int]) -> None:
        most = max(1, records.num_rows * SLICE_BYTES // max(records.nbytes, 1))
        start, step = 0, most
        while start < records.num_rows:
            part = records.slice(start, step)
            refused = self._refused(part)
            if refused is None:
                start, step = start + part.num_rows, min(most, 2 * step)
            elif self.unfit == "fail" or refused.row is None:
                raise refused
            elif refused.row:
                step = refused.row  # those before it, among which others may be
            else:
                self._go_around(part.slice(0, 1), numbers[start], refused)
                start += 1

    def _refused(self, part: pa.RecordBatch) -> ValueNotHeld | None:
        """Copy rows; the error if one of them cannot be held, and then none is copied."""
        copying = Copying(self.placing, self.encoder, part.schema)
        try:
            spelled = [self.encoder.header, *copying.written(part)]
            with (
                copying.errors(),
                self.connection.transaction(),
                self.connection.cursor() as cursor,
                cursor.copy(self.statement.encode()) as copy,
            ):
                for piece in spelled:
                    copy.write(piece)
        except ValueNotHeld as error:
            return error
        self.rows += copying.rows
        self.size += copying.size
        return None

    def _go_around(self, row: pa.RecordBatch, number: int, refused: ValueNotHeld) -> None:
        """Load a row with nulls in place of what is refused, if that is the policy and can be; else leave it out."""
        reasons, path = [_reason(refused)], refused.column
        nulled: pa.RecordBatch | None = row
        left: ValueNotHeld | None = refused
        while left is not None and (nulled := self._with_null(nulled, left.column)) is not None:
            left = self._refused(nulled)
            reasons += [_reason(left)] if left is not None else []
        if left is None:
            self.replaced += 1
        else:
            self.left_out += 1
        instead = "null was loaded in its place" if left is None else "the row was left out"
        self._reject(_as_json(row), [f"{'; '.join(reasons)}: {instead}"], [path], [number])

    def _with_null(self, row: pa.RecordBatch | None, column: str | None) -> pa.RecordBatch | None:
        """The row with NULL in a column; None where that must not be, or is so already."""
        names = [own.name for own in self.placing.columns]
        if row is None or self.unfit != "null" or column not in names or column in self.placing.required:
            return None
        at = names.index(column)
        if not row.column(at).is_valid()[0].as_py():
            return None
        arrays = [pa.nulls(1, array.type) if n == at else array for n, array in enumerate(row.columns)]
        return pa.RecordBatch.from_arrays(arrays, schema=row.schema)

    def _reject(
        self, records: Sequence[str], reasons: Sequence[str], paths: Sequence[str | None], numbers: Sequence[int]
    ) -> None:
        places = [self.placing.subject] * len(records)
        columns = zip(REJECTED, (records, reasons, paths, places, numbers), strict=True)
        arrays = [pa.array(values, field.type) for field, values in columns]
        self.rejects.add(pa.RecordBatch.from_arrays(arrays, schema=REJECTED))


def _reason(refused: ValueNotHeld) -> str:
    return f"column {refused.column!r}: {refused.what}" if refused.column else str(refused.what)


def _as_json(records: pa.RecordBatch) -> list[str]:
    """Each row as JSON; where a value is none that JSON or PostgreSQL has, it is written as text."""
    rows = pa.StructArray.from_arrays(records.columns, names=records.schema.names)
    try:
        return _texts(json_text(rows, _not_held))
    except ValueNotHeld:
        if records.num_rows > 1:
            return [text for n in range(records.num_rows) for text in _as_json(records.slice(n, 1))]
    values = [f"{json.dumps(name)}: {_shown(records.column(n))}" for n, name in enumerate(records.schema.names)]
    return [f"{{{', '.join(values)}}}"]


def _shown(value: Any) -> str:
    """An array of one value as JSON, whatever it holds."""
    try:
        return _texts(json_text(value, _not_held))[0]
    except ValueNotHeld:
        (text,) = _texts(value.cast(pa.string())) if not pa.types.is_nested(value.type) else [str(value[0].as_py())]
        return json.dumps(text, ensure_ascii=False)


def _texts(array: Any) -> list[str]:
    return [text.decode(errors="backslashreplace") for text in array.cast(pa.binary()).to_pylist()]


def _not_held(at: int, what: str) -> ValueNotHeld:
    return ValueNotHeld("a rejected record", f"it has {what} in row {at}")
