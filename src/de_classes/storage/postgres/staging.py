"""A split goes into a table of its own, in one transaction with its line in the ledger; so do its rejected records."""

from __future__ import annotations

import re
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Receipt
from de_classes.errors import SchemaMismatch, ValueNotHeld
from de_classes.utils.faults import reach
from de_classes.utils.read_ahead import read_ahead

from .adopting import adoptable
from .altering import refuse_obstacles
from .catalogue import column_list, table_in_catalogue
from .deleting import AliveKeys
from .encode import CsvEncoder
from .encode_binary import BinaryEncoder
from .growing import changes, coming_columns
from .identifiers import TableName, quoted
from .placing import place
from .quarantine import Rejects
from .reading_back import is_checkable
from .state import alive_of, rejects_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Item, Position
    from de_classes.utils.schemas import SchemaChanges

    from .catalogue import Table
    from .encode import CopyEncoder
    from .placing import Placing
    from .state import State
    from .types import PgType

__all__ = ["Staging", "create_staging"]

_SLICE_BYTES = 4 * 2**20
"""Arrow bytes that are spelled at once: what COPY's text costs in memory on top of the batch."""


_AHEAD_BYTES = 4 * 2**20
"""Bytes of COPY's text that may be spelled and not sent."""

_BEHIND_BYTES = 24 * 2**20
"""More than is spelled ahead, and the buffers of two sockets and of libpq hold, together."""

_AT = re.compile(r"^COPY [^\n]*?, line (\d+)(?:, column (.+?)(?:: |$))?", re.MULTILINE)
"""Where COPY was, in the context of the server's error (its text is translated in few languages, the order is kept)."""

_ABOUT_VALUES = {"22", "23"}
"""Classes of SQLSTATE: data exceptions and violated constraints."""


@dataclass(frozen=True, slots=True)
class Staging:
    """Where the pieces of a load are staged, and for which table."""

    state: State
    epoch: int
    target: TableName
    primary_key: Sequence[str]
    encoder: CopyEncoder | None = None
    """How rows are written; None: as COPY BINARY if all the columns can be, else as CSV."""
    schema_changes: SchemaChanges = "freeze"
    replaces: bool = False
    """Whether the target's rows will go, so that none of its values is in the way of another type."""

    def write(self, connection: psycopg.Connection[Any], split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Copy the batches into new tables of the state's schema and commit; where nothing came, nothing is left.

        Raises:
            ValueNotHeld, SchemaMismatch, UnknownType: as told by `place` and `Placing`; nothing is left.

        """
        reach("postgres.write.before_copy")
        encoding = connection.info.parameter_status("server_encoding") or ""
        with Rejects(CsvEncoder(), encoding) as rejects, AliveKeys(self.target, CsvEncoder()) as alive:
            passing = _Passing(batches, rejects, alive)
            name, details = f"staged_{uuid.uuid4().hex}", {}
            receipt = Receipt(split_id, 0, 0, None)
            if (first := next(passing, None)) is not None:
                details["table"] = name
                receipt = self._copied(connection, name, receipt, first, passing)
            if rejects.rows:
                details["rejected"] = rejects_of(name)
                rejects.stage(connection, TableName(self.state.schema, details["rejected"]))
            if alive.rows is not None:
                details["alive"] = alive_of(name)
                alive.stage(connection, TableName(self.state.schema, details["alive"]))
            receipt = replace(
                receipt,
                bytes=receipt.bytes + rejects.size + alive.size,
                position=passing.position,
                details=details,
                rejected=rejects.rows,
                alive=alive.rows,
                items=passing.items,
                checksum=passing.checksum,
            )
        reach("postgres.write.after_copy")
        if details:
            self.enter(connection, name, receipt)
        return receipt

    def checkable(self, connection: psycopg.Connection[Any], schema: pa.Schema) -> Sequence[str]:
        """The columns whose values come back from where they are staged as what they were."""
        there = table_in_catalogue(connection, self.target)
        placing = place(str(self.target), schema, there, self.primary_key, self.schema_changes)
        types = [type_ for type_, _ in _staged(placing, there)]
        return [field.name for field, type_ in zip(schema, types, strict=True) if is_checkable(field.type, type_)]

    def enter(self, connection: psycopg.Connection[Any], name: str, receipt: Receipt) -> None:
        """Commit what is staged under a name, with its line in the ledger."""
        self.state.enter(connection, self.epoch, name, receipt)
        reach("postgres.write.before_commit")
        connection.commit()
        reach("postgres.write.after_commit")

    def _copied(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        receipt: Receipt,
        first: pa.RecordBatch,
        others: Iterator[pa.RecordBatch],
    ) -> Receipt:
        there = table_in_catalogue(connection, self.target)
        schema = first.schema
        placing = place(str(self.target), schema, there, self.primary_key, self.schema_changes)
        if there is not None and self.schema_changes == "evolve" and not self.replaces:
            # The commit looks again, under a lock; here it saves copying what is refused then.
            made = changes(str(self.target), [coming_columns(str(self.target), schema)], there)
            lossy = [change for change in made if not change.optional]
            refuse_obstacles(connection, str(self.target), self.target, there, lossy)
        create_staging(connection, TableName(self.state.schema, name), placing, self.target, there)
        encoder = self.encoder or _fitting(first, placing, there)
        copying = _Copying(placing, encoder, schema)
        columns = column_list(placing.columns)
        # Nobody sees the table before it is committed, so its rows may be such as need no look at who wrote them.
        options = f"FREEZE, {encoder.options}"
        statement = f"COPY {TableName(self.state.schema, name).sql} ({columns}) FROM STDIN WITH ({options})"
        rows = chain.from_iterable(map(copying.written, chain([first], others)))
        spelled = chain([encoder.header] if encoder.header else [], rows)
        with (
            copying.errors(),
            connection.cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
            # The next rows are spelled while the server takes these.
            read_ahead(spelled, len, _AHEAD_BYTES) as pieces,
        ):
            for piece in pieces:
                copy.write(piece)
                reach("postgres.write.in_copy")
        return replace(receipt, rows=copying.rows, bytes=copying.size, schema=schema)


class _Passing:
    """The records of batches that have columns; what else they bring is set aside on the way."""

    def __init__(self, batches: Iterator[Batch], rejects: Rejects, alive: AliveKeys) -> None:
        self.position: Position | None = None
        self.items: tuple[Item, ...] = ()
        self.checksum: str | None = None
        self._batches = batches
        self._rejects = rejects
        self._alive = alive

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        for batch in self._batches:
            if batch.rejected is not None and batch.rejected.num_rows:
                self._rejects.add(batch.rejected)
            if batch.alive is not None:
                self._alive.add(batch.alive)
            self.items += batch.items
            self.checksum = batch.checksum
            self.position = batch.position if batch.position is not None else self.position
            if batch.records.num_columns or batch.records.num_rows:
                return batch.records
        raise StopIteration


def _staged(placing: Placing, there: Table | None) -> Sequence[tuple[PgType, bool]]:
    """The type that each column is staged in, and whether that is the target's own."""
    known = {column.name: column.type for column in there.columns} if there is not None else {}
    found = [(column.type, known.get(column.name) == column.type) for column in placing.columns]
    return [(type_ if is_known else type_.staged, is_known) for type_, is_known in found]


def _fitting(first: pa.RecordBatch, placing: Placing, there: Table | None) -> CopyEncoder:
    """The fastest way to write columns such as these."""
    types = [type_.plain for type_, _ in _staged(placing, there)]
    return BinaryEncoder.fitting(types, placing.checked(first.slice(0, 0), 0)) or CsvEncoder()


def create_staging(
    connection: psycopg.Connection[Any], name: TableName, placing: Placing, target: TableName, there: Table | None
) -> None:
    """Make the table with the target's own types, so that what does not fit fails in COPY, which names the line.

    Columns that the target lacks, or that it must grow for, are of the types that come.
    """
    parts = [
        quoted(column.name) if known else f"NULL::{type_.ddl('')} AS {quoted(column.name)}"
        for column, (type_, known) in zip(placing.columns, _staged(placing, there), strict=True)
    ]
    origin = f"FROM {target.sql} " if there is not None else ""
    # What may become the target itself is logged from the start; what is copied into it once more need not be.
    kind = "TABLE" if there is None and adoptable(connection, target.schema) else "UNLOGGED TABLE"
    connection.execute(f"CREATE {kind} {name.sql} AS SELECT {', '.join(parts)} {origin}WITH NO DATA".encode())


@dataclass
class _Copying:
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
        if not records.schema.equals(self.schema):
            raise SchemaMismatch(
                f"table {self.placing.subject}",
                f"a batch has the columns {_told(records.schema)} after batches with {_told(self.schema)}",
                "Every batch of a split must have the same schema.",
            )
        size = max(records.nbytes, 1)
        step = max(1, records.num_rows * _SLICE_BYTES // size)
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


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
