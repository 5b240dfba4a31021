"""Rows on their way into COPY: spelled some at a time, counted, and found again when the server complains."""

from __future__ import annotations

import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from de_classes.errors import SchemaMismatch, ValueNotHeld

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .encode import CopyEncoder
    from .placing import Placing

__all__ = ["SLICE_BYTES", "Copying", "refuse_other_columns"]

SLICE_BYTES = 4 * 2**20
"""Arrow bytes that are spelled at once: what COPY's text costs in memory on top of the batch."""

_BEHIND_BYTES = 24 * 2**20
"""More than is spelled ahead, and the buffers of two sockets and of libpq hold, together."""

_AT = re.compile(r"^COPY [^\n]*?, line (\d+)(?:, column (.+?)(?:: |$))?", re.MULTILINE)
"""Where COPY was, in the context of the server's error (its text is translated in few languages, the order is kept)."""

_ABOUT_VALUES = ("22", "23", "54", "3F000", "42601", "42602", "42704", "42883", "42725", "42P01")
"""How a SQLSTATE begins: data exceptions, violated constraints, limits (of depth, of length); and of the others, what
the name of an object meets that is not there, or is no name (`regclass` and its like)."""


@dataclass
class Copying:
    """Spells batches, counts them, and finds the row that the server complains about."""

    placing: Placing
    encoder: CopyEncoder
    schema: pa.Schema
    rows: int = 0
    size: int = 0
    lines: int = 0
    recent: deque[_Slice] = field(default_factory=deque)
    recent_bytes: int = 0

    def written(self, records: pa.RecordBatch) -> Iterator[bytes]:
        """The rows for COPY, some at a time."""
        refuse_other_columns(self.placing.subject, self.schema, records.schema)
        size = max(records.nbytes, 1)
        step = max(1, records.num_rows * SLICE_BYTES // size)
        for start in range(0, records.num_rows, step):
            cut = records.slice(start, step)
            piece = _Slice(cut, self.rows, self.lines, size * cut.num_rows // records.num_rows)
            encoded = self._encoded(piece.records, piece.first_row)
            if not self.rows:
                # How lines end is only known after the first one, so the server does not count breaks within that.
                self.lines -= self._lines(piece.records.slice(0, 1), 0) - 1
                piece.first_line = self.lines
            self._remember(piece)
            self.rows += piece.records.num_rows
            self.size += len(encoded)
            self.lines += self.encoder.lines(encoded, piece.records.num_rows)
            yield encoded

    def _remember(self, piece: _Slice) -> None:
        """Keep as much as the server may be behind: what it complains about is among the last that was sent."""
        self.recent.append(piece)
        self.recent_bytes += piece.size
        while self.recent_bytes > _BEHIND_BYTES and len(self.recent) > 1:
            self.recent_bytes -= self.recent.popleft().size

    def _lines(self, records: pa.RecordBatch, first_row: int) -> int:
        return self.encoder.lines(self._encoded(records, first_row), records.num_rows)

    def _encoded(self, records: pa.RecordBatch, first_row: int) -> bytes:
        checked = self.placing.checked(records, first_row)
        return self.encoder.encode(checked, lambda column: self.placing.refuse(first_row, column))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Make the server's complaints about values name table, column and row."""
        try:
            yield
        except psycopg.Error as error:
            found = _AT.search(error.diag.context or "")
            if found is None or not (error.sqlstate or "").startswith(_ABOUT_VALUES):
                raise
            line, column = int(found[1]), found[2]
            row = self.row_of_line(line)
            place = f"column {column!r}, row {row}" if column else f"row {row}"
            what = error.diag.message_primary
            if error.diag.table_name and error.diag.constraint_name:  # of the staging table, which has the target's
                what = f"it violates check constraint {error.diag.constraint_name!r}"
            raise ValueNotHeld(
                self.placing.subject,
                f"{place}: {what}",
                "Change or leave out such values in a transform, or alter the column.",
                table=self.placing.subject,
                column=column,
                row=row,
                what=what,
            ) from error

    def row_of_line(self, line: int) -> int | None:
        """The row whose text ends in this line of the COPY, counted from 1; None when it is long gone."""
        piece = next((piece for piece in reversed(self.recent) if piece.first_line < line), None)
        if piece is None:
            return None
        low, high = 1, piece.records.num_rows
        while low < high:
            middle = (low + high) // 2
            lines = piece.first_line + self._lines(piece.records.slice(0, middle), piece.first_row)
            low, high = (low, middle) if lines >= line else (middle + 1, high)
        return piece.first_row + low - 1


@dataclass
class _Slice:
    records: pa.RecordBatch
    first_row: int
    first_line: int
    """Lines before it."""
    size: int
    """Arrow bytes, about."""


def refuse_other_columns(subject: str, first: pa.Schema, schema: pa.Schema) -> None:
    """See that a batch of a split has the columns of its first one."""
    if not schema.equals(first):
        raise SchemaMismatch(
            f"table {subject}",
            f"a batch has the columns {_told(schema)} after batches with {_told(first)}",
            "Every batch of a split must have the same schema.",
        )


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
