"""CSV files in any dialect, with an explicit null, that give back what was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from de_classes.errors import ConfigurationError
from de_classes.storage.objects._plain import check_plain, is_nested, of_text, refuse_types, to_plain
from de_classes.storage.objects._text import COMPRESSIONS, TextWriter, confirmed

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects._text import Packing
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["CsvFormat"]


class CsvFormat:
    r"""CSV in UTF-8. Text that could be taken for null, or for a part of the dialect, is quoted; null never is.

    Numbers keep every digit, dates and times are as ISO 8601 writes them, those with a zone in UTC, bytes are base64.
    Nested columns are refused: NDJSON and Parquet have them. DatasetSource reads the exact values back, since the
    commit log keeps the columns and the dialect; what others read depends on what they make of the text.

    Args:
        delimiter: a character between the values.
        quote: the character around what needs it.
        escape: a character before quotes inside quotes, and before itself; None doubles them instead.
        line_end: what ends a row, ``\n`` or ``\r\n``.
        header: whether the first line names the columns.
        null: the text for null; a text value like it is quoted.
        compression: "gzip", "zstd" or "none".

    """

    name = "csv"

    def __init__(  # noqa: PLR0913 -- the dialect
        self,
        *,
        delimiter: str = ",",
        quote: str = '"',
        escape: str | None = None,
        line_end: Literal["\n", "\r\n"] = "\n",
        header: bool = True,
        null: str = "",
        compression: Packing = "none",
    ) -> None:
        wrong = _wrong_with(delimiter, quote, escape, line_end, null)
        if compression not in COMPRESSIONS:
            wrong.append(f"compression={compression!r}")
        if wrong:
            raise ConfigurationError(
                "CsvFormat",
                "; ".join(wrong),
                "Give single ASCII characters that differ, a null without them, and gzip, zstd or none.",
            )
        self._delimiter, self._quote, self._escape = delimiter, quote, escape
        self._line_end, self._header, self._null = line_end, header, null
        self._compression = compression

    @property
    def suffix(self) -> str:
        """How names of files end."""
        return f".csv{COMPRESSIONS[self._compression]}"

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """The columns as they are; UnknownType for nested ones."""
        refuse_types(schema, "CSV", lambda kind: not is_nested(kind))
        return schema

    def check(self, batch: pa.RecordBatch) -> None:
        """See that text holds the values."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            check_plain(column, name)

    def writer(self, sink: io.RawIOBase, first: pa.Table, where: str) -> TextWriter:
        """Begin a file."""
        del where
        header = self._joined([self._quoted(pa.array([name])) for name in first.column_names]) if self._header else None
        return TextWriter(sink, self, first.schema, self._lines, header)

    def confirm(self, store: ObjectStore, key: str, size: int, rows: int) -> None:
        """See that the file is there, as long as it was written. It has no footer that counts rows."""
        del rows
        confirmed(store, key, size)

    def read(self, file: BinaryIO, schema: pa.Schema, widest: int, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """The rows of a file that is unpacked already. Raises pa.ArrowInvalid where it is not what was written."""
        names = schema.names
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[self._null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        parse = pa.csv.ParseOptions(
            delimiter=self._delimiter,
            quote_char=self._quote,
            double_quote=self._escape is None,
            escape_char=self._escape or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
        )
        # A block must have a whole row, and the header.
        header = 8 * sum(len(name) + 3 for name in names)
        blocks = pa.csv.ReadOptions(
            use_threads=False,
            block_size=min(max(batch_bytes, widest + header, 1 << 16), _LARGEST_BLOCK),
            column_names=None if self._header else names,
        )
        with pa.csv.open_csv(file, blocks, parse, convert) as reader:
            if reader.schema.names != names:
                raise pa.ArrowInvalid(f"the header has {', '.join(reader.schema.names)}")
            for batch in reader:
                columns = [of_text(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _lines(self, batch: pa.RecordBatch) -> Any:
        return self._joined([self._cells(column) for column in batch.columns])

    def _joined(self, cells: list[Any]) -> Any:
        rows = cells[0] if len(cells) == 1 else pc.binary_join_element_wise(*cells, _large(self._delimiter))
        return pc.binary_join_element_wise(rows, _large(self._line_end), _large(""))

    def _cells(self, column: Any) -> Any:
        text = to_plain(column).cast(pa.large_string())
        free = pa.types.is_dictionary(column.type) or _is_free_text(column.type)
        return pc.fill_null(self._quoted(text) if free or self._meets_numbers else text, self._null)

    @property
    def _meets_numbers(self) -> bool:
        """Whether a number or a moment may look like a part of the dialect, or like null."""
        marks = {self._delimiter, self._quote, self._escape}
        return bool(marks & _OF_NUMBERS) or (self._null != "" and set(self._null) <= _OF_NUMBERS)

    def _quoted(self, text: Any) -> Any:
        text = text.cast(pa.large_string())
        special = re.escape(self._delimiter + self._quote + (self._escape or ""))
        needed = pc.match_substring_regex(text, rf"[{special}\r\n\x{{feff}}]|^\s|\s$")
        needed = pc.or_(needed, pc.equal(text, _large(self._null)))
        if not pc.any(needed).as_py():
            return text
        inside = text
        for character in (self._escape, self._quote) if self._escape else (self._quote,):
            inside = pc.replace_substring(inside, character, (self._escape or self._quote) + character)
        quote = _large(self._quote)
        return pc.if_else(needed, pc.binary_join_element_wise(quote, inside, quote, _large("")), text)

    @property
    def options(self) -> Mapping[str, JsonValue]:
        """The arguments that it was made with."""
        return {
            "delimiter": self._delimiter,
            "quote": self._quote,
            "escape": self._escape,
            "line_end": self._line_end,
            "header": self._header,
            "null": self._null,
            "compression": self._compression,
        }

    def __repr__(self) -> str:
        return f"CsvFormat({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"


_OF_NUMBERS = frozenset("0123456789+-.:EeZ infatruls")
"""Characters of numbers, booleans and moments."""
_LARGEST_BLOCK = (1 << 31) - 1


def _is_free_text(kind: Any) -> bool:
    return not any(
        is_one(kind)
        for is_one in (
            pa.types.is_null,
            pa.types.is_boolean,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_temporal,
        )
    )


def _large(text: str) -> Any:
    return pa.scalar(text, pa.large_string())


def _wrong_with(delimiter: str, quote: str, escape: str | None, line_end: str, null: str) -> list[str]:
    marks = {"delimiter": delimiter, "quote": quote, **({"escape": escape} if escape is not None else {})}
    wrong = [
        f"{name}={mark!r}" for name, mark in marks.items() if len(mark) != 1 or not mark.isascii() or mark in "\r\n\0"
    ]
    if len(set(marks.values())) < len(marks):
        wrong.append("two of delimiter, quote and escape are the same")
    if line_end not in {"\n", "\r\n"}:
        wrong.append(f"line_end={line_end!r}")
    if null != null.strip() or any(mark in null for mark in (*marks.values(), "\r", "\n")):
        wrong.append(f"null={null!r}")
    return wrong


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.csv")
