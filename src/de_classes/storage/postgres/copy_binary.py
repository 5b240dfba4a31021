"""The plain reference reader: COPY BINARY taken apart in Python, one value at a time.

It exists to be obviously right, not to be fast. The format is in PostgreSQL's manual under COPY, "Binary Format"; that
of the values is what each type's send function writes (src/backend/utils/adt/<type>.c).
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._errors import postgres_errors
from .arriving import Arriving
from .arrow_values import LIMITS, relisted
from .types import PgType, arrow_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from de_classes.contracts import Batch

    from .arrow_values import Array
    from .client import PostgresClient
    from .selection import Selection

__all__ = ["CopyBinaryReader", "decode", "tuples"]

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_END = -1
_NULL = -1

_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000

_NEGATIVE, _NAN, _INFINITY, _MINUS_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000


@dataclass(frozen=True, slots=True)
class CopyBinaryReader:
    """Reads with psycopg and Python alone."""

    batch_rows: int = 10_000

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        """Stream the rows."""
        with postgres_errors(selection.subject):
            connection = client.open()
        with connection, connection.cursor() as cursor, postgres_errors(selection.subject):
            connection.autocommit = True
            for statement in selection.begin:
                cursor.execute(statement.encode())
            with cursor.copy(f"COPY ({selection.sql}) TO STDOUT (FORMAT binary)".encode()) as copy:
                yield from self._batches(tuples(copy), Arriving(client, selection))

    def _batches(self, rows: Iterator[list[bytes | None]], arriving: Arriving) -> Iterator[Batch]:
        first_row = 0
        while (some := list(islice(rows, self.batch_rows))) or not first_row:
            yield _batch(some, arriving, first_row)
            first_row += len(some)
            if not some:
                return


def tuples(chunks: Iterable[bytes | bytearray | memoryview]) -> Iterator[list[bytes | None]]:
    """Take a COPY BINARY stream apart into rows of fields; chunks may end anywhere."""
    stream = _Stream(iter(chunks))
    if stream.take(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("this is no COPY BINARY")
    _, extension = struct.unpack("!iI", stream.take(8))
    stream.take(extension)
    while (count := stream.number("!h")) != _END:
        yield [None if (size := stream.number("!i")) == _NULL else stream.take(size) for _ in range(count)]
    stream.drain()


class _Stream:
    def __init__(self, chunks: Iterator[bytes | bytearray | memoryview]) -> None:
        self._chunks = chunks
        self._rest = b""

    def take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += bytes(next(self._chunks))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def drain(self) -> None:
        """See the stream to its end, without which the connection is not free."""
        for _ in self._chunks:
            pass

    def number(self, form: str) -> int:
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(number)


def _batch(rows: list[list[bytes | None]], arriving: Arriving, first_row: int) -> Batch:
    selection = arriving.selection
    count = len(selection.columns)
    places = range(count, count + len(selection.hidden))
    type_ = PgType("integer" if len(places) == 1 else "text")
    hidden = [
        _array([None if (told := row[n]) is None else decode(told, type_) for row in rows], type_) for n in places
    ]
    if len(hidden) == 1:
        arriving.refuse_arrays(hidden[0], first_row)
    arrays = []
    for n, (column, wire) in enumerate(zip(selection.read, selection.wires, strict=True)):
        values = []
        for at, row in enumerate(rows):
            value = row[n]
            try:
                values.append(None if value is None else decode(value, wire.sent))
            except _NoPlaceError as error:
                raise arriving.refused(column, first_row + at, str(error)) from None
        arrays.append(_array(values, wire.sent))
    return arriving.batch(arrays, hidden, first_row)


def _array(values: list[Any], sent: PgType) -> Array:
    """Build the column; moments are built of integers, since Python's own end with the year 9999."""
    wanted = arrow_type(sent)
    raw = _raw(wanted)
    array = pa.array(values, raw)
    if raw == wanted:
        return array
    if isinstance(array, pa.ListArray):
        return relisted(array, array.flatten().view(arrow_type(sent.element)))
    return array.view(wanted)


def _raw(type_: Any) -> pa.DataType:
    if pa.types.is_list(type_):
        return pa.list_(_raw(type_.value_type))
    if pa.types.is_date(type_):
        return pa.int32()
    return pa.int64() if pa.types.is_timestamp(type_) or pa.types.is_time(type_) else type_


class _NoPlaceError(Exception):
    """A value that Arrow has no place for."""


def decode(value: bytes, type_: PgType) -> Any:
    """One value of a type of the table, as Python; moments as integers of Arrow's."""
    if type_.array:
        return _list(value, type_)
    if type_.base == "numeric":
        return _numeric(value, type_)
    return _DECODERS[type_.base](value)


def _list(value: bytes, type_: PgType) -> list[Any]:
    (dimensions,) = struct.unpack_from("!i", value)
    if dimensions == 0:
        return []
    count, _lower = struct.unpack_from("!ii", value, 12)
    values, at = [], 20
    for _ in range(count):
        (size,) = struct.unpack_from("!i", value, at)
        at += 4
        values.append(None if size == _NULL else decode(value[at : at + size], type_.element))
        at += max(size, 0)
    return values


def _numeric(value: bytes, type_: PgType) -> str | Decimal:
    """Digits to the base of 10000: count, weight of the first, sign, decimals to show, digits."""
    count, weight, sign, scale = struct.unpack_from("!hhHh", value)
    exact = pa.types.is_decimal(arrow_type(type_))
    if sign in {_NAN, _INFINITY, _MINUS_INFINITY}:
        told = {_NAN: "NaN", _INFINITY: "Infinity", _MINUS_INFINITY: "-Infinity"}[sign]
        if exact:
            raise _NoPlaceError(told)
        return told
    number = 0
    for digit in struct.unpack_from(f"!{count}h", value, 8):
        number = number * 10_000 + digit
    shift = 4 * (weight - count + 1) + scale
    number = number * 10**shift if shift >= 0 else number // 10**-shift
    digits = str(number).rjust(scale + 1, "0")
    text = f"{'-' if sign == _NEGATIVE else ''}{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    if not scale and sign == _NEGATIVE:
        text = f"-{digits}"
    return Decimal(text, Context(prec=2000)) if exact else text


def _number(form: str) -> Callable[[bytes], Any]:
    return lambda value: struct.unpack(form, value)[0]


def _moment(base: str, form: str, shift: int) -> Callable[[bytes], int]:
    lowest, highest = LIMITS[base]
    told = {"time": "24:00", "date": "infinity"}.get(base, "infinity, or a moment after 294247-01-10,")

    def decoded(value: bytes) -> int:
        number = int(struct.unpack(form, value)[0]) + shift
        if not lowest <= number <= highest:
            raise _NoPlaceError(told)
        return number

    return decoded


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "smallint": _number("!h"),
    "integer": _number("!i"),
    "bigint": _number("!q"),
    "real": _number("!f"),
    "double precision": _number("!d"),
    "boolean": _number("!?"),
    "bytea": bytes,
    "date": _moment("date", "!i", _DAYS_TO_2000),
    "timestamp": _moment("timestamp", "!q", _MICROSECONDS_TO_2000),
    "timestamptz": _moment("timestamptz", "!q", _MICROSECONDS_TO_2000),
    "time": _moment("time", "!q", 0),
    "uuid": lambda value: str(uuid.UUID(bytes=value)),
    "jsonb": lambda value: value[1:].decode(),  # the first byte is the version
    **dict.fromkeys(("text", "varchar", "char", "bpchar", "json", "enum"), bytes.decode),
}
