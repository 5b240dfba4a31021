"""NDJSON to batches: a JSON object a line, converted as exactly as the pages of an API are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from de_classes.errors import ConfigurationError, InvalidAnswer

from .json_columns.arrow_json import ArrowJson
from .json_columns.converting import Converter
from .json_columns.pages import Records
from .records import RecordConverter
from .shaping import Shaping

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .shaping import ExtraFields

__all__ = ["Ndjson"]

_LINE = msgspec.json.Decoder(msgspec.Raw)
_BLANK = b" \t\r"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ndjson:
    """A file with a JSON object on each line; blank lines are nothing.

    Without a declared schema the columns are inferred from the first batch, and later lines must fit them.
    """

    extra_fields: ExtraFields = "refuse"
    """What becomes of fields that a declared schema does not have: `refuse` or `ignore`."""
    max_line_bytes: int = 64 * 1024 * 1024
    """A line that is longer than this, and than a batch, is an error."""

    def check(self, table: str, schema: pa.Schema | None) -> None:
        """Refuse what cannot be read.

        Raises:
            ConfigurationError: a type that JSON has no values for, or a setting that means nothing.

        """
        if self.extra_fields not in {"refuse", "ignore"} or self.max_line_bytes < 1:
            raise ConfigurationError(
                f"Ndjson of {table!r}",
                f"extra_fields={self.extra_fields!r}, max_line_bytes={self.max_line_bytes}",
                "Give 'refuse' or 'ignore', and 1 byte or more.",
            )
        if schema is not None:
            RecordConverter(table, schema)

    def batches(
        self, pieces: Iterator[bytes], schema: pa.Schema | None, batch_bytes: int, *, table: str, where: str
    ) -> Iterator[pa.RecordBatch]:
        """A batch for about every `batch_bytes` of lines, cut at the same places however the pieces come.

        Raises:
            InvalidAnswer: a line that is no JSON, or is too long.
            SchemaMismatch: a line with fields that are not declared, or that is no object.
            ValueNotHeld: a value that its column cannot hold.

        """
        read = _Inferred(table) if schema is None else _Declared(table, schema, self.extra_fields)
        first = 1
        for block in _blocks(pieces, batch_bytes, max(batch_bytes, self.max_line_bytes), where):
            told = f"the lines from {first} on of {where}"
            records = _records(block, first, where, told)
            first += block.count(b"\n")
            if records:
                yield read.batch(records, told)


class _Declared:
    """Lines to batches of a declared schema: by Arrow's parser where that is exact, else as `RecordConverter` says."""

    def __init__(self, table: str, schema: pa.Schema, extra_fields: ExtraFields) -> None:
        self._fast = ArrowJson(schema, ignore_extra=extra_fields == "ignore", as_written=False)
        self._exact = RecordConverter(table, schema, extra_fields)

    def batch(self, records: Records, where: str) -> pa.RecordBatch:
        batch = self._fast.read(records)
        return batch if batch is not None else self._exact.batch(list(records), where)


class _Inferred:
    """Lines to batches of the columns that the first of them show."""

    def __init__(self, table: str) -> None:
        self._converter = Converter(Shaping(table, schema_changes="freeze"))

    def batch(self, records: Records, where: str) -> pa.RecordBatch:
        return self._converter.batch(records, where)[0]


def _blocks(pieces: Iterator[bytes], size: int, most: int, where: str) -> Iterator[bytes]:
    """Whole lines, about `size` bytes of them at a time."""
    waiting, searched = bytearray(), size
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size:
            cut = waiting.rfind(b"\n", 0, size) + 1 if searched == size else 0
            cut = cut or waiting.find(b"\n", searched) + 1
            if (cut or len(waiting)) > most:
                raise InvalidAnswer(
                    where, f"a line has more than {most} bytes", "Is it NDJSON? If so, allow more: max_line_bytes=..."
                )
            if not cut:
                searched = len(waiting)
                break
            yield bytes(waiting[:cut])
            del waiting[:cut]
            searched = size
    if waiting:
        yield bytes(waiting)


def _records(block: bytes, first: int, where: str, told: str) -> Records:
    """The lines as records, each of them a JSON value of its own."""
    if first == 1:
        block = block.removeprefix(_BOM)
    lines = block.split(b"\n")
    try:
        return Records(list(map(_LINE.decode, filter(None, lines))), told)
    except (msgspec.MsgspecError, RecursionError):  # blanks on a line of their own, or no JSON
        return Records(list(_one_by_one(lines, first, where)), told)


def _one_by_one(lines: list[bytes], first: int, where: str) -> Iterator[msgspec.Raw]:
    for number, line in enumerate(lines, first):
        if line.strip(_BLANK):
            try:
                yield _LINE.decode(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise InvalidAnswer(
                    where, f"line {number} is no JSON ({error})", "Is it NDJSON: a JSON object on each line?"
                ) from None
