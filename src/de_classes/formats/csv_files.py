"""CSV to batches: records as RFC 4180 has them, every value a text first, and nothing taken for something else.

Arrow's parser takes the records apart; what may be null, and what a text means in a declared type, is said here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from de_classes.errors import ConfigurationError, InvalidAnswer, SchemaMismatch

from .texts import check_types, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .shaping import ExtraFields

__all__ = ["Csv"]

_BOM = codecs.BOM_UTF8


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
    encoding: str = "utf-8"
    header: bool = True
    """Whether the first record has the names. Without it a schema must be declared, in the order of the columns."""
    null_values: tuple[str, ...] = ()
    r"""Texts that stand for null, such as `""` (the empty text), `NULL` or `\N`. As it is, nothing does."""
    quoted_nulls: bool = False
    """Whether they do so in quotes, too; PostgreSQL writes an empty text as `""`, and null as nothing."""
    extra_columns: ExtraFields = "refuse"
    """What becomes of columns that a declared schema does not have: `refuse` or `ignore`."""

    def check(self, table: str, schema: pa.Schema | None) -> None:
        """Refuse what cannot be read.

        Raises:
            ConfigurationError: all that is wrong with the settings, or a type that CSV has no values for.

        """
        problems = [
            f"{name}={mark!r} is not one plain character"
            for name, mark in (("delimiter", self.delimiter), ("quote", self.quote))
            if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in "\r\n")
        ]
        if self.delimiter == self.quote:
            problems.append("delimiter and quote are the same")
        if self.extra_columns not in {"refuse", "ignore"}:
            problems.append(f"extra_columns={self.extra_columns!r} is neither 'refuse' nor 'ignore'")
        if not self.header and schema is None:
            problems.append("there is neither a header nor a schema")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            problems.append(f"encoding={self.encoding!r} is not known")
        if problems:
            raise ConfigurationError(f"Csv of {table!r}", "; ".join(problems), "Correct the settings.")
        if schema is not None:
            check_types(table, schema)

    def batches(
        self, pieces: Iterator[bytes], schema: pa.Schema | None, batch_bytes: int, *, table: str, where: str
    ) -> Iterator[pa.RecordBatch]:
        """A batch for about every `batch_bytes` of records, cut at the same places however the pieces come.

        Raises:
            InvalidAnswer: a record that is too long, not quoted as it should be, or of another number of values; no
                header where there should be one.
            SchemaMismatch: the header does not have the columns that were declared.
            ValueNotHeld: a value that its column cannot hold.

        """
        names: list[str] = [] if self.header or schema is None else schema.names
        given = 0
        for block in self._blocks(_as_utf8(pieces, self.encoding, where), batch_bytes, where):
            body = block
            if not names:
                names, body = self._header(block, where)
            if given == 0:
                _check_columns(names, schema, table, where, ignore_extra=self.extra_columns == "ignore")
            # Arrow takes a mark of byte order off whatever it parses; here it would be a value's.
            texts = self._texts(_BOM + body if body.startswith(_BOM) else body, names, where, given)
            if texts.num_rows:
                wanted = schema or pa.schema([pa.field(name, pa.string()) for name in names])
                yield typed(texts, wanted, table=table, where=where, before=given)
                given += texts.num_rows
        if not names:
            raise InvalidAnswer(
                where, "it is empty, without a header", "Look at the file; with no header, header=False."
            )

    def _blocks(self, pieces: Iterator[bytes], size: int, where: str) -> Iterator[bytes]:
        """Whole records, about `size` bytes of them at a time."""
        records = _grammar(self.delimiter, self.quote)
        waiting = bytearray()
        for piece in pieces:
            waiting += piece
            while len(waiting) > size:
                cut = _end_of_records(records, waiting, size, self.quote)
                if not cut:
                    raise _broken(where, f"there is no end to a record within {size} bytes")
                yield bytes(waiting[:cut])
                del waiting[:cut]
        if waiting:
            rest = bytes(waiting) if waiting.endswith(b"\n") else bytes(waiting) + b"\n"
            if _end_of_records(records, rest, len(rest), self.quote) < len(rest):
                raise _broken(where, "its last record has no end")
            yield rest

    def _header(self, block: bytes, where: str) -> tuple[list[str], bytes]:
        """The names, and the block without them."""
        found = _grammar(self.delimiter, self.quote, one=True).match(block)
        if found is None:
            raise _broken(where, "its header has no end")
        spelling: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if self.quote is None else {"quotechar": self.quote}
        line = io.StringIO(found[0].decode(errors="replace"), newline="")
        return next(csv.reader(line, delimiter=self.delimiter, **spelling), []) or [""], block[found.end() :]

    def _texts(self, block: bytes, names: list[str], where: str, given: int) -> pa.Table:
        """The records, every column as text."""
        if not block.strip(b"\r\n") and (len(names) > 1 or not block):
            return pa.table({name: pa.array([], pa.string()) for name in names})
        reading: Any = arrow_csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False)
        parsing: Any = arrow_csv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,  # of a single column, an empty line is an empty value
        )
        converting: Any = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(self.null_values),
            strings_can_be_null=bool(self.null_values),
            quoted_strings_can_be_null=self.quoted_nulls,
        )
        source: Any = pa.BufferReader(block)
        try:
            return arrow_csv.read_csv(source, reading, parsing, converting)
        except pa.ArrowException as error:
            told = " ".join(str(error).split())
            raise InvalidAnswer(
                where,
                f"among the records from {given} (counted from 0) on: {told}",
                "Check delimiter, quote, encoding.",
            ) from None


@lru_cache(maxsize=64)
def _grammar(delimiter: str, quote: str | None, *, one: bool = False) -> re.Pattern[bytes]:
    r"""Whole records, as many as there are, or one.

    A quoted value has nothing between its quotes and the delimiters, which Arrow would let pass and drop. A `\r` at the
    very end may be half of `\r\n`.
    """
    mark = re.escape(delimiter.encode())
    plain = rb"[^%b\r\n]*+" % mark
    value = plain
    if quote is not None:
        ends = re.escape(quote.encode())
        value = rb"(?:%b(?:[^%b]++|%b%b)*+%b|(?!%b)%b)" % (ends, ends, ends, ends, ends, ends, plain)
    record = rb"(?:%b%b)*+%b(?:\r\n|\n|\r(?=[^\n]))" % (value, mark, value)
    return re.compile(record if one else rb"(?:%b)*+" % record)


def _end_of_records(records: re.Pattern[bytes], text: bytes | bytearray, size: int, quote: str | None) -> int:
    """Where the last whole record within `size` bytes ends; 0 where none does."""
    if quote is None or text.find(quote.encode(), 0, size) < 0:
        end = text.rfind(b"\n", 0, size) + 1
        if end:
            return end
    found = records.match(text, 0, size)
    return found.end() if found is not None else 0


def _as_utf8(pieces: Iterator[bytes], encoding: str, where: str) -> Iterator[bytes]:
    """The text without a mark of byte order, in UTF-8."""
    name = codecs.lookup(encoding).name
    head, started = b"", False
    for piece in pieces if name in {"utf-8", "utf-8-sig"} else _recoded(pieces, name, where):
        head += piece
        if started or len(head) >= len(_BOM):
            yield head if started else head.removeprefix(_BOM)
            head, started = b"", True
    if head:
        yield head.removeprefix(_BOM)


def _recoded(pieces: Iterator[bytes], encoding: str, where: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise InvalidAnswer(
            where, f"it is not in {encoding} ({error})", "Name its encoding: Csv(encoding=...)."
        ) from None


def _check_columns(
    names: Sequence[str], schema: pa.Schema | None, table: str, where: str, *, ignore_extra: bool
) -> None:
    """Tell all differences between the header and the columns that are wanted."""
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"the header has {', '.join(map(repr, twice))} more than once"] if twice else []
    if schema is not None:
        lacking = [repr(name) for name in schema.names if name not in names]
        extra = [] if ignore_extra else [repr(name) for name in names if name not in schema.names]
        problems += [f"it lacks {', '.join(lacking)}"] if lacking else []
        problems += [f"it has {', '.join(extra)}, not declared"] if extra else []
    if problems:
        raise SchemaMismatch(
            table,
            f"{where}: {'; '.join(problems)}",
            'Correct the schema or the file; columns that are not wanted: Csv(extra_columns="ignore").',
            table=table,
        )


def _broken(where: str, fact: str) -> InvalidAnswer:
    return InvalidAnswer(
        where,
        f"{fact}: too long, without an end quote, or with text beside its quotes",
        "Check delimiter and quote; for longer records allow larger batches: batch_bytes=...",
    )
