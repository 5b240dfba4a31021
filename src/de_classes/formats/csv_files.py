"""CSV to batches: records as RFC 4180 has them, every value a text first, and nothing taken for something else.

Arrow's parser takes the records apart; what may be null, and what a text means in a declared type, is said here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.csv as arrow_csv

from de_classes.errors import ConfigurationError, InvalidFile, SchemaMismatch

from ._csv_records import CsvGrammar, Endless, lines_in
from .file_format import Decoded, Misfit, misfits_of
from .guessing import guessed
from .json_columns.unfit import Unfit
from .texts import check_types, misfitting, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ._csv_records import Block
    from .shaping import ExtraFields, Misfits

__all__ = ["Csv"]

_BOM = codecs.BOM_UTF8
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
            codecs.lookup(self.encoding)
        except LookupError:
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
        grammar = CsvGrammar(self.delimiter, self.quote, self.escape)
        reading = _Reading(self, grammar, schema, table, where, misfits, line=1 + self.skip_lines)
        try:
            for block in grammar.blocks(text, batch_bytes):
                yield from reading.rows(block)
        except Endless:
            raise InvalidFile(
                where,
                f"the record that begins in line {reading.line} has no end: too long, or without an end quote",
                "Check delimiter and quote; for longer records allow larger batches: batch_bytes=...",
            ) from None
        reading.end()

    def sampled(self, text: bytes, *, table: str, where: str) -> pa.Schema:
        """The columns in the header: texts, or what they seem to be if `guess` is set; null where nothing is seen.

        Raises:
            InvalidFile: there is no header.

        """
        shown = _without_lines(_as_utf8(iter([text]), self.encoding, where, whole=False), self.skip_lines)
        grammar, whole = CsvGrammar(self.delimiter, self.quote, self.escape), b"".join(shown)
        header = grammar.first(whole if whole.count(b"\n") else whole + b"\n")
        if not self.header or not header or not whole:
            raise _without_header(where)
        names = _names(self, header, where)
        _check_columns(names, None, self, table, where)
        records = b"".join(islice(grammar.each(whole[len(header) :]), _SAMPLED_ROWS))
        if not self.guess or not records:
            unseen = pa.null() if self.guess else pa.string()
            return pa.schema([pa.field(name, unseen) for name in names])
        try:
            texts = self.texts(records, names)
        except Unfit as unfit:
            raise InvalidFile(where, unfit.fact, "Check delimiter and quote, or declare the columns.") from None
        return pa.schema([pa.field(name, guessed(texts.column(name).combine_chunks())) for name in names])

    def header_of(self, record: bytes) -> list[str]:
        """The names in a header; UnicodeDecodeError where it is no text."""
        spelling: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if self.quote is None else {"quotechar": self.quote}
        if self.escape is not None:
            spelling |= {"escapechar": self.escape, "doublequote": False}
        line = io.StringIO(record.decode(), newline="")
        return next(csv.reader(line, delimiter=self.delimiter, **spelling), []) or [""]

    def texts(self, block: bytes, names: list[str]) -> pa.Table:
        """The records of a block, every column as text.

        Raises:
            Unfit: some are no such records; which of them is not looked for.

        """
        try:
            return self._parsed(block, names, None)
        except pa.ArrowException as error:
            raise Unfit("", _told(error), InvalidFile) from None

    def texts_apart(self, block: bytes, names: list[str]) -> tuple[pa.Table, Mapping[int, Unfit]]:
        """The records of as many values as there are columns, and the numbers of the others.

        Raises:
            Unfit: the block cannot be taken apart.

        """
        wrong: dict[int, Unfit] = {}

        def aside(row: Any) -> Literal["skip"]:
            fact = f"it has {row.actual_columns} values where there are {row.expected_columns} columns"
            wrong[row.number - 1] = Unfit("", fact, InvalidFile)
            return "skip"

        try:
            return self._parsed(block, names, aside), wrong
        except pa.ArrowException as error:
            raise Unfit("", _told(error), InvalidFile) from None

    def _parsed(self, block: bytes, names: list[str], aside: Callable[[Any], Literal["skip"]] | None) -> pa.Table:
        if not block.strip(b"\r\n") and (len(names) > 1 or not block):
            return pa.table({name: pa.array([], pa.string()) for name in names})
        reading: Any = arrow_csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False)
        parsing: Any = arrow_csv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            double_quote=self.escape is None,
            escape_char=self.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,  # of a single column, an empty line is an empty value
            invalid_row_handler=aside,
        )
        converting: Any = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(self.null_values),
            strings_can_be_null=bool(self.null_values),
            quoted_strings_can_be_null=self.quoted_nulls,
        )
        # Arrow takes a mark of byte order off whatever it parses; here it would be a value's.
        source: Any = pa.BufferReader(_BOM + block if block.startswith(_BOM) else block)
        return arrow_csv.read_csv(source, reading, parsing, converting)


@dataclass
class _Reading:
    """One file on its way to batches."""

    how: Csv
    grammar: CsvGrammar
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
        if self.how.header and not self.names:
            raise _without_header(self.where)

    def _behind_header(self, block: Block) -> bytes:
        """Take the names, and give what follows."""
        schema, header = self.schema, b""
        if self.how.header or schema is None:
            header = (b"" if block.broken else self.grammar.first(block.text)) or b""
            if not header:
                raise _without_header(self.where)
            self.names = _names(self.how, header, self.where)
        else:
            self.names = schema.names
        _check_columns(self.names, schema, self.how, self.table, self.where)
        self.line += lines_in(header)
        return block.text[len(header) :]

    def _taken(self, text: bytes) -> _Taken:
        """The records of a block: all at once where they fit, else those that do, and the misfits."""
        try:
            return _Taken([self._typed(self.how.texts(text, self.names))], [])
        except Unfit:
            return self._sorted_out(text)

    def _sorted_out(self, text: bytes) -> _Taken:
        records, line = list[_Record](), 0
        for record in self.grammar.each(text):
            if len(self.names) == 1 or record.strip(b"\r\n"):  # else an empty line, which is no record
                records.append(_Record(record, line))
            line += lines_in(record)
        unfit = {row: _NO_TEXT for row, record in enumerate(records) if not _is_text(record.text)}
        there = [row for row in range(len(records)) if row not in unfit]
        texts, wrong = self.how.texts_apart(b"".join(records[row].text for row in there), self.names)
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
        return batches[0] if batches else self._typed(self.how.texts(b"", self.names))


class _Record(NamedTuple):
    """A record, and how many lines are before it within its block."""

    text: bytes
    line: int


class _Taken(NamedTuple):
    """What became of a block."""

    batches: list[pa.RecordBatch]
    misfits: list[Misfit]


_NO_TEXT = Unfit("", "it has bytes that are no UTF8", InvalidFile)


def _is_text(record: bytes) -> bool:
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True


def _names(how: Csv, header: bytes, where: str) -> list[str]:
    try:
        return how.header_of(header)
    except UnicodeDecodeError as error:
        raise InvalidFile(where, f"its header is no text ({error})", "Is it CSV? If so, Csv(encoding=...).") from None


def _told(error: Exception) -> str:
    """What Arrow says, without its counting of rows, which is that of a part."""
    told = " ".join(str(error).split())
    found = re.search(r"Expected (\d+) columns, got (\d+)", told)
    return f"it has {found[2]} values where there are {found[1]} columns" if found else told[:300]


def _without_header(where: str) -> InvalidFile:
    return InvalidFile(where, "it is empty, or has no header", "Look at the file; with no header: Csv(header=False).")


def _without_lines(pieces: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The text behind so many lines."""
    for piece in pieces:
        rest = piece
        while lines and rest:
            _, end, rest = rest.partition(b"\n")
            lines -= len(end)
        if rest:
            yield rest


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


def _check_columns(names: Sequence[str], schema: pa.Schema | None, how: Csv, table: str, where: str) -> None:
    """Tell all differences between the header and the columns that are wanted."""
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"the header has {', '.join(map(repr, twice))} more than once"] if twice else []
    if schema is not None:
        nulls = how.missing_columns == "null"
        lacking = [repr(one.name) for one in schema if one.name not in names and not (nulls and one.nullable)]
        ignored = how.extra_columns == "ignore"
        extra = [] if ignored else [repr(name) for name in names if name not in schema.names]
        problems += [f"it lacks {', '.join(lacking)}"] if lacking else []
        problems += [f"it has {', '.join(extra)}, not declared"] if extra else []
    if problems:
        raise SchemaMismatch(
            table,
            f"{where}: {'; '.join(problems)}",
            'Correct the schema or the file; columns that are not wanted: Csv(extra_columns="ignore"), or that not all'
            ' files have: Csv(missing_columns="null").',
            table=table,
        )
