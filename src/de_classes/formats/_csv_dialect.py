"""How a CSV file is spelled, and what that makes of its bytes: names, texts, and records that are none."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.csv as arrow_csv

from de_classes.errors import InvalidFile, SchemaMismatch

from ._csv_records import CsvGrammar
from .json_columns.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Dialect", "without_header"]

_DELIMITERS = ",;\t|"
"""What stands between values of CSV in the wild."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The settings of `Csv` that say what its records are."""

    delimiter: str
    quote: str | None
    escape: str | None
    header: bool
    null_values: tuple[str, ...]
    quoted_nulls: bool
    ignores_extra: bool
    """Whether a file may have columns that the schema does not have."""
    fills_missing: bool
    """Whether it may lack some of those that the schema has."""

    @property
    def grammar(self) -> CsvGrammar:
        """Where its records end."""
        return CsvGrammar(self.delimiter, self.quote, self.escape)

    def names(self, header: bytes, where: str) -> list[str]:
        """The names in a header.

        Raises:
            InvalidFile: the header is no text.

        """
        spelling: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if self.quote is None else {"quotechar": self.quote}
        if self.escape is not None:
            spelling |= {"escapechar": self.escape, "doublequote": False}
        try:
            line = io.StringIO(header.decode(), newline="")
        except UnicodeDecodeError as error:
            raise InvalidFile(
                where, f"its header is no text ({error})", "Is it CSV? If so, Csv(encoding=...)."
            ) from None
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
        source: Any = pa.BufferReader(codecs.BOM_UTF8 + block if block.startswith(codecs.BOM_UTF8) else block)
        return arrow_csv.read_csv(source, reading, parsing, converting)

    def check_columns(self, names: Sequence[str], schema: pa.Schema | None, table: str, where: str) -> None:
        """Tell all differences between the header and the columns that are wanted.

        Raises:
            SchemaMismatch: there are any.

        """
        twice = sorted({name for name in names if names.count(name) > 1})
        problems = [f"the header has {', '.join(map(repr, twice))} more than once"] if twice else []
        if schema is not None:
            lacking = [
                repr(one.name) for one in schema if one.name not in names and not (self.fills_missing and one.nullable)
            ]
            extra = [] if self.ignores_extra else [repr(name) for name in names if name not in schema.names]
            problems += [f"it lacks {', '.join(lacking)}"] if lacking else []
            problems += [f"it has {', '.join(extra)}, not declared"] if extra else []
        if problems:
            raise SchemaMismatch(
                table,
                f"{where}: {'; '.join(problems)}",
                'Correct the schema or the file; columns that are not wanted: Csv(extra_columns="ignore"), that not all'
                ' files have: Csv(missing_columns="null").',
                table=table,
            )

    def refuse_other_delimiter(self, names: Sequence[str], header: bytes, where: str) -> None:
        """See that a header of one name is none of several, with something else between them.

        Raises:
            InvalidFile: it seems to be.

        """
        quoted = self.quote is not None and self.quote.encode() in header
        others = [mark for mark in _DELIMITERS if len(names) == 1 and mark in names[0] and not quoted]
        if others:
            raise InvalidFile(
                where,
                f"its header is one column, {names[0]!r}",
                f"If there are several, say what is between them: Csv(delimiter={others[0]!r}). Or declare the column.",
            )


def _told(error: Exception) -> str:
    """What Arrow says, without its counting of rows, which is that of a part."""
    told = " ".join(str(error).split())
    found = re.search(r"Expected (\d+) columns, got (\d+)", told)
    return f"it has {found[2]} values where there are {found[1]} columns" if found else told[:300]


def without_header(where: str) -> InvalidFile:
    return InvalidFile(where, "it is empty, or has no header", "Look at the file; with no header: Csv(header=False).")
