"""One CSV file on its way to batches: its header, its records, and those that do not fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from de_classes.errors import InvalidFile

from ._csv_dialect import without_header
from ._csv_records import lines_in
from .file_format import Decoded, Misfit, misfits_of
from .json_columns.unfit import Unfit
from .texts import misfitting, typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._csv_dialect import Dialect
    from ._csv_records import Block
    from .shaping import Misfits

__all__ = ["CsvReading", "is_text"]


@dataclass
class CsvReading:
    """One file on its way to batches."""

    dialect: Dialect
    schema: pa.Schema | None
    table: str
    where: str
    misfits: Misfits
    line: int
    """The one that comes next."""
    given: int = 0
    """How many records came before."""
    names: list[str] = field(default_factory=list)

    def rows(self, block: Block) -> Iterator[Decoded]:
        """The rows of a block, and those that do not fit."""
        text = block.text
        if not self.names:
            text = self._behind_header(block)
        if not text:
            return
        if block.broken:
            taken = _Taken([], [self._misfit(text, Unfit("", "it has text beside its quotes", InvalidFile), 0, 0)])
        else:
            taken = self._taken(text)
        self.line += lines_in(text)
        rows = sum(batch.num_rows for batch in taken.batches) + len(taken.misfits)
        self.given += rows
        if rows:
            yield Decoded(self._joined(taken.batches), misfits_of(taken.misfits, self.where))

    def end(self) -> None:
        """See that there was a header."""
        if self.dialect.header and not self.names:
            raise without_header(self.where)

    def _behind_header(self, block: Block) -> bytes:
        """Take the names, and give what follows."""
        schema, header = self.schema, b""
        if self.dialect.header or schema is None:
            header = (b"" if block.broken else self.dialect.grammar.first(block.text)) or b""
            if not header:
                raise without_header(self.where)
            self.names = self.dialect.names(header, self.where)
        else:
            self.names = schema.names
        self.dialect.check_columns(self.names, schema, self.table, self.where)
        self.line += lines_in(header)
        return block.text[len(header) :]

    def _taken(self, text: bytes) -> _Taken:
        """The records of a block: all at once where they fit, else those that do, and the misfits."""
        try:
            return _Taken([self._typed(self.dialect.texts(text, self.names))], [])
        except Unfit:
            return self._sorted_out(text)

    def _sorted_out(self, text: bytes) -> _Taken:
        records, line = list[_Record](), 0
        for record in self.dialect.grammar.each(text):
            if len(self.names) == 1 or record.strip(b"\r\n"):  # else an empty line, which is no record
                records.append(_Record(record, line))
            line += lines_in(record)
        unfit = {row: _NO_TEXT for row, record in enumerate(records) if not is_text(record.text)}
        there = [row for row in range(len(records)) if row not in unfit]
        texts, wrong = self.dialect.texts_apart(b"".join(records[row].text for row in there), self.names)
        unfit.update((there[at], one) for at, one in wrong.items())
        whole = [row for row in there if row not in unfit]
        if len(whole) != texts.num_rows:
            raise AssertionError(self.where)  # the grammar and the parser see the same records
        unfit.update((whole[at], one) for at, one in misfitting(texts, self._wanted).items())
        misfits = [self._misfit(records[row].text, unfit[row], row, records[row].line) for row in sorted(unfit)]
        fitting = pa.array([row not in unfit for row in whole], pa.bool_())
        return _Taken([self._typed(texts.filter(fitting))], misfits)

    @property
    def _wanted(self) -> pa.Schema:
        return self.schema or pa.schema([pa.field(name, pa.string()) for name in self.names])

    def _typed(self, texts: pa.Table) -> pa.RecordBatch:
        return typed(texts, self._wanted)

    def _misfit(self, record: bytes, unfit: Unfit, row: int, line: int) -> Misfit:
        """A record that does not fit, told or kept.

        Raises:
            InvalidFile, ValueNotHeld: misfits are not set aside.

        """
        row, line = self.given + row, self.line + line
        if self.misfits == "fail":
            remedy = (
                "Check delimiter, quote and encoding"
                if unfit.kind is InvalidFile
                else "Declare a type that holds such values, or say which texts are null"
            )
            aside = 'or set such rows aside: misfits="quarantine" of a download, allowed_misfits=... of files.'
            raise unfit.error(self.table, row, f"{self.where}, line {line}", f"{remedy}, {aside}") from None
        return Misfit(record.decode(errors="backslashreplace").rstrip("\r\n"), unfit, row, line)

    def _joined(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        return batches[0] if batches else self._typed(self.dialect.texts(b"", self.names))


class _Record(NamedTuple):
    """A record, and how many lines are before it within its block."""

    text: bytes
    line: int


class _Taken(NamedTuple):
    """What became of a block."""

    batches: list[pa.RecordBatch]
    misfits: list[Misfit]


_NO_TEXT = Unfit("", "it has bytes that are no UTF8", InvalidFile)


def is_text(record: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True
