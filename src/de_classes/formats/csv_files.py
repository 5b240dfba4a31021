"""CSV to batches: records as RFC 4180 has them, every value a text first, and nothing taken for something else.

Arrow's parser takes the records apart; what may be null, and what a text means in a declared type, is said here.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from de_classes.errors import ConfigurationError, InvalidFile

from ._csv_dialect import Dialect, without_header
from ._csv_reading import CsvReading, is_text
from ._csv_records import Endless
from .guessing import guessed
from .json_columns.unfit import Unfit
from .texts import check_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .file_format import Decoded
    from .shaping import ExtraFields, Misfits

__all__ = ["Csv"]

_BOM = codecs.BOM_UTF8
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_SAMPLED_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv:
    r"""A file of comma-separated values (RFC 4180); lines end with `\n`, `\r\n` or `\r`, also within quotes.

    Columns are found by the names in the header, in whatever order. Without a declared schema every column is text.
    A declared one may have texts, booleans (true, false, t, f, 1, 0), whole numbers, decimals, floats, timestamps,
    dates and times; blanks around a value belong to it, so that ` 5` is no number.
    """

    delimiter: str = ","
    quote: str | None = '"'
    """What stands around a value that has delimiters or ends of lines in it; doubled within. None: nothing does."""
    escape: str | None = None
    r"""What makes the character behind it a part of the value, such as a backslash; quotes are not doubled then."""
    encoding: str = "utf-8"
    header: bool = True
    """Whether the first record has the names. Without it a schema must be declared, in the order of the columns."""
    skip_lines: int = 0
    """How many lines are left out at the very front, such as a title."""
    null_values: tuple[str, ...] = ()
    r"""Texts that stand for null, such as `""` (the empty text), `NULL` or `\N`. As it is, nothing does."""
    quoted_nulls: bool = False
    """Whether they do so in quotes, too; PostgreSQL writes an empty text as `""`, and null as nothing."""
    extra_columns: ExtraFields = "refuse"
    """What becomes of columns that a declared schema does not have: `refuse` or `ignore`."""
    missing_columns: Literal["refuse", "null"] = "refuse"
    """What becomes of columns of the schema that a file does not have: `refuse`, or they are `null`."""
    guess: bool = False
    """Whether columns that are sampled get the types that their texts seem to have, see `formats.guessing`."""

    def check(self, table: str, schema: pa.Schema | None) -> None:
        """Refuse what cannot be read.

        Raises:
            ConfigurationError: all that is wrong with the settings, or a type that CSV has no values for.

        """
        problems = [
            f"{name}={mark!r} is not one plain character"
            for name, mark in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escape))
            if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in "\r\n")
        ]
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if len(set(marks)) < len(marks):
            problems.append("two of delimiter, quote and escape are the same")
        if self.skip_lines < 0:
            problems.append(f"skip_lines={self.skip_lines} is less than 0")
        if self.extra_columns not in {"refuse", "ignore"}:
            problems.append(f"extra_columns={self.extra_columns!r} is neither 'refuse' nor 'ignore'")
        if self.missing_columns not in {"refuse", "null"}:
            problems.append(f"missing_columns={self.missing_columns!r} is neither 'refuse' nor 'null'")
        if not self.header and schema is None:
            problems.append("there is neither a header nor a schema")
        try:
            "".encode(self.encoding)  # which refuses codecs that are none of texts, such as base64
        except (LookupError, UnicodeError):
            problems.append(f"encoding={self.encoding!r} is not known")
        if problems:
            raise ConfigurationError(f"Csv of {table!r}", "; ".join(problems), "Correct the settings.")
        if schema is not None:
            check_types(table, schema)

    def batches(  # noqa: PLR0913 -- as the protocol has it
        self,
        pieces: Iterator[bytes],
        schema: pa.Schema | None,
        batch_bytes: int,
        *,
        table: str,
        where: str,
        misfits: Misfits = "fail",
    ) -> Iterator[Decoded]:
        """A batch for about every `batch_bytes` of records, cut at the same places however the pieces come.

        Raises:
            InvalidFile: a record that is too long, not quoted as it should be, or of another number of values; no
                header where there should be one.
            SchemaMismatch: the header does not have the columns that were declared.
            ValueNotHeld: a value that its column cannot hold.

        """
        text = _without_lines(_as_utf8(pieces, self.encoding, where), self.skip_lines)
        dialect = self._dialect
        reading = CsvReading(dialect, schema, table, where, misfits, line=1 + self.skip_lines)
        try:
            for block in dialect.grammar.blocks(text, batch_bytes):
                yield from reading.rows(block)
        except Endless:
            raise InvalidFile(
                where,
                f"the record that begins in line {reading.line} has no end: too long, or without an end quote",
                "Check delimiter and quote; for longer records allow larger batches: batch_bytes=...",
            ) from None
        reading.end()

    def sampled(self, text: bytes, *, table: str, where: str, whole: bool = False) -> pa.Schema:
        """The columns in the header: texts, or what they seem to be if `guess` is set; null where nothing is seen.

        Raises:
            InvalidFile: there is no header, or one of a single column that looks like several.

        """
        shown = b"".join(_without_lines(_as_utf8(iter([text]), self.encoding, where, whole=whole), self.skip_lines))
        if whole and shown and not shown.endswith(b"\n"):
            shown += b"\n"
        dialect = self._dialect
        grammar = dialect.grammar
        header = grammar.first(shown if shown.count(b"\n") else shown + b"\n")
        if not self.header or not header or not shown:
            raise without_header(where)
        names = dialect.names(header, where)
        dialect.check_columns(names, None, table, where)
        dialect.refuse_other_delimiter(names, header, where)
        # What is no text shows nothing, like a row of too few or too many values; whoever reads it tells of it.
        each = islice(grammar.each(shown[len(header) :]), _SAMPLED_ROWS)
        records = b"".join(record for record in each if is_text(record))
        if not self.guess or not records:
            unseen = pa.null() if self.guess else pa.string()
            return pa.schema([pa.field(name, unseen) for name in names])
        try:
            texts, _ = dialect.texts_apart(records, names)
        except Unfit as unfit:
            raise InvalidFile(where, unfit.fact, "Check delimiter and quote, or declare the columns.") from None
        return pa.schema([pa.field(name, guessed(texts.column(name).combine_chunks())) for name in names])

    @property
    def _dialect(self) -> Dialect:
        return Dialect(
            self.delimiter,
            self.quote,
            self.escape,
            self.header,
            self.null_values,
            self.quoted_nulls,
            ignores_extra=self.extra_columns == "ignore",
            fills_missing=self.missing_columns == "null",
        )


def _without_lines(pieces: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The text behind so many lines."""
    rest = b""
    for piece in pieces:
        rest += piece
        while lines and (end := _LINE_END.search(rest)):
            rest = rest[end.end() :]
            lines -= 1
        if lines:
            rest = rest[-1:]  # half of an end, perhaps
        elif rest:
            yield rest
            rest = b""


def _as_utf8(pieces: Iterator[bytes], encoding: str, where: str, *, whole: bool = True) -> Iterator[bytes]:
    """The text without a mark of byte order, in UTF-8; one that is not whole may end within a character."""
    name = codecs.lookup(encoding).name
    head, started = b"", False
    for piece in pieces if name in {"utf-8", "utf-8-sig"} else _recoded(pieces, name, where, whole=whole):
        head += piece
        if started or len(head) >= len(_BOM):
            yield head if started else head.removeprefix(_BOM)
            head, started = b"", True
    if head:
        yield head.removeprefix(_BOM)


def _recoded(pieces: Iterator[bytes], encoding: str, where: str, *, whole: bool) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=whole).encode()
    except UnicodeError as error:
        raise InvalidFile(
            where, f"it is not in {encoding} ({error})", "Name its encoding: Csv(encoding=...)."
        ) from None
