"""A split goes into a table of its own, in one transaction with its line in the ledger."""

from __future__ import annotations

import re
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Receipt
from de_classes.errors import SchemaMismatch, ValueNotHeld
from de_classes.utils.faults import reach

from .catalogue import column_list, table_in_catalogue
from .identifiers import TableName, quoted
from .placing import place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Position

    from .catalogue import Table
    from .encode import CopyEncoder
    from .placing import Placing
    from .state import State

__all__ = ["stage"]

_SLICE_BYTES = 4 * 2**20
"""Arrow bytes that are spelled at once: what COPY's text costs in memory on top of the batch."""


_BEHIND_BYTES = 16 * 2**20
"""More than the buffers of two sockets and of libpq hold together."""

_AT = re.compile(r"^COPY [^\n]*?, line (\d+)(?:, column (.+?)(?:: |$))?", re.MULTILINE)
"""Where COPY was, in the context of the server's error (its text is translated in few languages, the order is kept)."""

_ABOUT_VALUES = {"22", "23"}
"""Classes of SQLSTATE: data exceptions and violated constraints."""


def stage(  # noqa: PLR0913 -- what a write consists of
    connection: psycopg.Connection[Any],
    state: State,
    epoch: int,
    target: TableName,
    primary_key: Sequence[str],
    encoder: CopyEncoder,
    split_id: str,
    batches: Iterator[Batch],
) -> Receipt:
    """Copy the batches into a new table of the state's schema and commit; without batches nothing is left.

    Raises:
        ValueNotHeld, SchemaMismatch, UnknownType: as told by `place` and `Placing`; nothing is left.

    """
    reach("postgres.write.before_copy")
    first = next(batches, None)
    if first is None:
        return Receipt(split_id, 0, 0, None)
    there = table_in_catalogue(connection, target)
    schema = first.records.schema
    placing = place(str(target), schema, there, primary_key)
    name = f"staged_{uuid.uuid4().hex}"
    _create(connection, TableName(state.schema, name), placing, target, there)
    copying = _Copying(placing, encoder, schema)
    statement = (
        f"COPY {TableName(state.schema, name).sql} ({column_list(placing.columns)}) FROM STDIN WITH {encoder.options}"
    )
    with copying.errors(), connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for batch in chain([first], batches):
            for written in copying.written(batch):
                copy.write(written)
            reach("postgres.write.in_copy")
    receipt = Receipt(split_id, copying.rows, copying.size, schema, copying.position, {"table": name})
    reach("postgres.write.after_copy")
    state.enter(connection, epoch, receipt)
    connection.commit()
    return receipt


def _create(
    connection: psycopg.Connection[Any], name: TableName, placing: Placing, target: TableName, there: Table | None
) -> None:
    """Make the table with the target's own types, so that what does not fit fails in COPY, which names the line."""
    if there is not None:
        origin = f"AS SELECT {column_list(placing.columns)} FROM {target.sql} WITH NO DATA"
    else:
        types = ("text" + "[]" * c.type.array if c.type.base == "enum" else c.type.ddl("") for c in placing.columns)
        origin = f"({', '.join(f'{quoted(c.name)} {type_}' for c, type_ in zip(placing.columns, types, strict=True))})"
    connection.execute(f"CREATE UNLOGGED TABLE {name.sql} {origin}".encode())


@dataclass
class _Copying:
    """Spells batches, counts them, and finds the row that the server complains about."""

    placing: Placing
    encoder: CopyEncoder
    schema: pa.Schema
    rows: int = 0
    size: int = 0
    lines: int = 0
    position: Position | None = None
    recent: deque[_Slice] = field(default_factory=deque)

    def written(self, batch: Batch) -> Iterator[bytes]:
        """The batch's rows for COPY, some at a time."""
        records = batch.records
        if not records.schema.equals(self.schema):
            raise SchemaMismatch(
                f"table {self.placing.subject}",
                f"a batch has the columns {_told(records.schema)} after batches with {_told(self.schema)}",
                "Every batch of a split must have the same schema.",
            )
        step = max(1, records.num_rows * _SLICE_BYTES // max(records.nbytes, 1))
        for start in range(0, records.num_rows, step):
            piece = _Slice(records.slice(start, step), self.rows, self.lines)
            encoded = self._encoded(piece.records, piece.first_row)
            if not self.rows:
                # How lines end is only known after the first one, so the server does not count breaks within that.
                self.lines -= self._encoded(piece.records.slice(0, 1), 0).count(b"\n") - 1
                piece.first_line = self.lines
            self._remember(piece)
            self.rows += piece.records.num_rows
            self.size += len(encoded)
            self.lines += encoded.count(b"\n")
            yield encoded
        self.position = batch.position if batch.position is not None else self.position

    def _remember(self, piece: _Slice) -> None:
        """Keep as much as the server may be behind: what it complains about is among the last that was sent."""
        self.recent.append(piece)
        while sum(kept.records.nbytes for kept in self.recent) > _BEHIND_BYTES and len(self.recent) > 1:
            self.recent.popleft()

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
            if found is None or (error.sqlstate or "")[:2] not in _ABOUT_VALUES:
                raise
            line, column = int(found[1]), found[2]
            row = self.row_of_line(line)
            place = f"column {column!r}, row {row}" if column else f"row {row}"
            raise ValueNotHeld(
                self.placing.subject,
                f"{place}: {error.diag.message_primary}",
                "Change or leave out such values in a transform, or alter the column.",
                table=self.placing.subject,
                column=column,
                row=row,
            ) from error

    def row_of_line(self, line: int) -> int | None:
        """The row whose text ends in this line of the COPY, counted from 1; None when it is long gone."""
        piece = next((piece for piece in reversed(self.recent) if piece.first_line < line), None)
        if piece is None:
            return None
        low, high = 1, piece.records.num_rows
        while low < high:
            middle = (low + high) // 2
            lines = piece.first_line + self._encoded(piece.records.slice(0, middle), piece.first_row).count(b"\n")
            low, high = (low, middle) if lines >= line else (middle + 1, high)
        return piece.first_row + low - 1


@dataclass
class _Slice:
    records: pa.RecordBatch
    first_row: int
    first_line: int
    """Lines before it."""


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
