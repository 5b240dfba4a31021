"""NDJSON to batches: a JSON object a line, converted as exactly as the pages of an API are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from de_classes.errors import ConfigurationError, InvalidAnswer, InvalidFile
from de_classes.utils.quarantine import REJECTED

from .file_format import Decoded, Misfit, misfits_of
from .json_columns.converting import Converter
from .json_columns.pages import Records
from .json_columns.unfit import Unfit
from .records import RecordConverter
from .shaping import Shaping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .shaping import ExtraFields, Misfits

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
        """A batch for about every `batch_bytes` of lines, cut at the same places however the pieces come.

        Raises:
            InvalidFile: a line that is no JSON, or is too long.
            SchemaMismatch: a line with fields that are not declared, or that is no object.
            ValueNotHeld: a value that its column cannot hold.

        """
        shaping = Shaping(table, schema, extra_fields=self.extra_fields, misfits=misfits, schema_changes="freeze")
        reading = _Reading(Converter(shaping), where)
        for block in _blocks(pieces, batch_bytes, max(batch_bytes, self.max_line_bytes), where):
            yield from reading.rows(block)

    def sampled(self, text: bytes, *, table: str, where: str, whole: bool = False) -> pa.Schema:
        """The columns that whole lines show, inferred as for an API; a line that does not fit shows nothing.

        Raises:
            InvalidFile, SchemaMismatch: none of them fits, or none has a field.

        """
        lines = text if whole else text[: text.rfind(b"\n") + 1] or text
        return _shown(lines, table, where, "quarantine") or _shown(lines, table, where, "fail") or pa.schema([])


def _shown(lines: bytes, table: str, where: str, misfits: Misfits) -> pa.Schema | None:
    reading = _Reading(Converter(Shaping(table, misfits=misfits)), where)
    return next((batch.records.schema for batch in reading.rows(lines) if batch.records.num_columns), None)


@dataclass
class _Reading:
    """One file on its way to batches."""

    converter: Converter
    where: str
    lines: int = 0
    """How many came before."""
    given: int = 0
    """How many of them were records, or should have been."""

    def rows(self, block: bytes) -> Iterator[Decoded]:
        """The rows of a block of lines, and those that do not fit."""
        if not self.lines:
            block = block.removeprefix(_BOM)
        taken = self._taken(block.split(b"\n"))
        where = f"the lines from {self.lines + 1} on of {self.where}"
        self.lines += block.count(b"\n")
        self.given += len(taken.records) + len(taken.misfits)
        if not taken.records and not taken.misfits:
            return
        try:
            batch, rejected = self.converter.batch(Records(taken.records, where), where)
        except InvalidAnswer as error:  # as the pages of an API are told
            raise InvalidFile(where, error.fact, "Mend the line, or leave it out.") from None
        yield Decoded(batch, _together(self._placed(rejected, taken), misfits_of(taken.misfits, self.where)))

    def _taken(self, lines: list[bytes]) -> _Taken:
        """The lines as records, each of them a JSON value of its own; where they are not, one by one."""
        if b"" not in lines[:-1]:
            try:
                records = list(map(_LINE.decode, filter(None, lines)))
            except (msgspec.MsgspecError, RecursionError):  # blanks on a line of their own, or no JSON
                pass
            else:
                count = len(records)
                return _Taken(
                    records, range(self.given, self.given + count), range(self.lines + 1, self.lines + count + 1), []
                )
        return self._one_by_one(lines)

    def _one_by_one(self, lines: list[bytes]) -> _Taken:
        records: list[msgspec.Raw] = []
        misfits: list[Misfit] = []
        rows, numbers = [], []
        for number, line in enumerate(lines, self.lines + 1):
            if not line.strip(_BLANK):
                continue
            row = self.given + len(records) + len(misfits)
            try:
                records.append(_LINE.decode(line))
            except (msgspec.MsgspecError, RecursionError) as error:
                if self.converter.shaping.misfits == "fail":
                    raise InvalidFile(
                        self.where,
                        f"line {number} is no JSON ({error})",
                        "Is it NDJSON, an object on each line? Such lines can be set aside: misfits=, allowed_misfits=",
                    ) from None
                unfit = Unfit("", f"it is no JSON ({error})", InvalidFile)
                misfits.append(Misfit(line.decode(errors="backslashreplace"), unfit, row, number))
            else:
                rows.append(row)
                numbers.append(number)
        return _Taken(records, rows, numbers, misfits)

    def _placed(self, rejected: pa.RecordBatch | None, taken: _Taken) -> pa.RecordBatch | None:
        """The rejected records with their numbers and lines in the file."""
        if rejected is None:
            return None
        there = rejected.to_pylist()
        places = [f"{self.where}, line {taken.lines[one['row']]}" for one in there]
        placed = [
            {**one, "row": taken.rows[one["row"]], "place": place} for one, place in zip(there, places, strict=True)
        ]
        return pa.RecordBatch.from_pylist(placed, schema=REJECTED)


class _Taken(NamedTuple):
    """What became of some lines."""

    records: list[msgspec.Raw]
    rows: Sequence[int]
    """The number of each record in the file, counted from 0."""
    lines: Sequence[int]
    """Where each stands, counted from 1."""
    misfits: list[Misfit]


def _together(one: pa.RecordBatch | None, other: pa.RecordBatch | None) -> pa.RecordBatch | None:
    if one is None or other is None:
        return other if one is None else one
    arrow: Any = pa  # the stubs lack the function
    both: pa.RecordBatch = arrow.concat_batches([one, other])
    return both.sort_by("row")


def _blocks(pieces: Iterator[bytes], size: int, most: int, where: str) -> Iterator[bytes]:
    """Whole lines, about `size` bytes of them at a time."""
    waiting, searched = bytearray(), size
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size:
            cut = waiting.rfind(b"\n", 0, size) + 1 if searched == size else 0
            cut = cut or waiting.find(b"\n", searched) + 1
            if (cut or len(waiting)) > most:
                raise InvalidFile(
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
