"""Arrow columns as the fields of COPY BINARY, a whole column at a time.

A field is its length (32 bits, most significant byte first; -1 for NULL) and its bytes, such as each type's receive
function reads them (src/backend/utils/adt/<type>.c). Whatever PostgreSQL could not hold is refused by row.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from .arrow_values import pc, relisted, row_of_value
from .copy_text import held_moments, plain, refuse_nul
from .json_text import json_text
from .sent_numerics import sent_decimals, sent_texts
from .sent_uuids import sent_uuids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from .arrow_values import Array
    from .copy_text import Refuse
    from .types import PgType

__all__ = ["Piece", "fields", "has_fields", "joined_pieces"]

Piece: TypeAlias = Any
"""The bytes of each row: a numpy array where all have as many (of no dimension: the same), else a binary column."""

_NULL = -1
_NO_VALUE = b"\xff" * 4
_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_JSONB_VERSION = b"\x01"

_INTEGERS = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8"}
_FLOATS = {"real": (pa.float32(), ">f4"), "double precision": (pa.float64(), ">f8")}
_TEXTS = {"text", "varchar", "char", "bpchar", "json", "jsonb", "enum"}
_MOMENTS: Mapping[str, Callable[[pa.DataType], bool]] = {
    "date": pa.types.is_date,
    "timestamp": pa.types.is_timestamp,
    "timestamptz": pa.types.is_timestamp,
    "time": pa.types.is_time,
}

_OIDS = {
    "boolean": 16, "bytea": 17, "bigint": 20, "smallint": 21, "integer": 23, "text": 25, "json": 114, "real": 700,
    "double precision": 701, "char": 1042, "bpchar": 1042, "varchar": 1043, "date": 1082, "time": 1083,
    "timestamp": 1114, "timestamptz": 1184, "numeric": 1700, "uuid": 2950, "jsonb": 3802,
}  # fmt: skip
"""pg_type.oid of what arrays may have as elements: the same in every server."""


def has_fields(kind: pa.DataType, type_: PgType) -> bool:  # noqa: PLR0911 -- a table of pairs
    """Whether a column of the Arrow type, laid out plainly, has a binary form for a column of the other."""
    if pa.types.is_null(kind):
        return True
    if type_.array:
        return type_.base in _OIDS and pa.types.is_list(kind) and has_fields(_plain(kind.value_type), type_.element)
    base = type_.base
    if base in _INTEGERS:
        return pa.types.is_integer(kind)
    if base in _FLOATS:
        return kind == _FLOATS[base][0]
    if base in _MOMENTS:
        return _MOMENTS[base](kind)
    if base in _TEXTS and pa.types.is_nested(kind):
        return base in {"json", "jsonb"}
    words = base in _TEXTS or base == "uuid"
    return (
        (words and pa.types.is_string(kind))
        or (base == "numeric" and (pa.types.is_string(kind) or pa.types.is_decimal(kind)))
        or (base == "boolean" and pa.types.is_boolean(kind))
        or (base == "bytea" and pa.types.is_binary(kind))
    )


def _plain(kind: Any) -> pa.DataType:
    return plain(pa.array([], kind)).type  # type: ignore[no-any-return]  # whatever an array says its type is


def fields(array: Array, type_: PgType, refuse: Refuse) -> Sequence[Piece]:
    """The field of each row, in pieces that follow one another.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    array = plain(array)
    if pa.types.is_null(array.type):
        return [_size(_NULL)]
    if type_.array:
        return _sized(array, _arrays(array, type_, refuse))
    values = _values(array, type_, refuse)
    return _fixed(array, values) if isinstance(values, np.ndarray) else _sized(array, values)


def _values(array: Array, type_: PgType, refuse: Refuse) -> Piece:  # noqa: PLR0911 -- a table of ways
    """The bytes of each value, whatever where it is null."""
    base = type_.base
    if base in _INTEGERS:
        return _integers(array, _INTEGERS[base], refuse)
    if base in _FLOATS:
        return _numbers(array).astype(_FLOATS[base][1])
    if base == "boolean":
        return _numbers(array.cast(pa.uint8()))
    if base in _MOMENTS:
        return _moments(array, base, refuse)
    if base == "uuid":
        return sent_uuids(array, refuse)
    if base == "numeric":
        return sent_decimals(array) if pa.types.is_decimal(array.type) else sent_texts(array, refuse)
    return array if base == "bytea" else _words(array, base, refuse)


def _integers(array: Array, form: str, refuse: Refuse) -> Piece:
    numbers, limits = _numbers(array), np.iinfo(np.dtype(form))
    if len(numbers) and not limits.min <= int(numbers.min()) <= int(numbers.max()) <= limits.max:
        outside = [not limits.min <= number <= limits.max for number in numbers.tolist()]
        raise refuse(outside.index(True), "a number out of range")
    return numbers.astype(form)


def _words(array: Array, base: str, refuse: Refuse) -> Array:
    nested = pa.types.is_nested(array.type)
    texts = json_text(array, refuse) if nested else refuse_nul(array, refuse)
    sent = texts.cast(pa.binary())
    return pc.binary_join_element_wise(_JSONB_VERSION, sent, b"") if base == "jsonb" else sent


def _moments(array: Array, base: str, refuse: Refuse) -> Piece:
    held = held_moments(array, refuse)
    if base == "date":
        return (_numbers(held.view(pa.int32())) - _DAYS_TO_2000).astype(">i4")
    shift = 0 if base == "time" else _MICROSECONDS_TO_2000
    return (_numbers(held.view(pa.int64())) - shift).astype(">i8")


def _arrays(array: Array, type_: PgType, refuse: Refuse) -> Array:
    """Dimensions (an empty one has none), whether there are nulls, the elements' type, number, bound, fields."""
    values = array.flatten()
    element = fields(values, type_.element, lambda at, what: refuse(row_of_value(array, at), what))
    counts = _numbers(pc.list_value_length(array)).astype(">i4")
    nulls, oid = _size(bool(values.null_count)), _size(_OIDS[type_.base])
    head = _column(len(array), [_size(1), nulls, oid, counts, _size(1)])
    empty = pa.array(counts == 0)
    if pc.any(empty).as_py():
        head = pc.if_else(empty, bytes(8) + oid.tobytes(), head)
    body = pc.binary_join(relisted(array, joined_pieces(len(values), element)), b"")
    return pc.binary_join_element_wise(head, pc.fill_null(body, b""), b"")


# --- Laying out -------------------------------------------------------------------------------------------------------


def _numbers(array: Array) -> npt.NDArray[Any]:
    filled = array.fill_null(0) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _size(size: int) -> npt.NDArray[Any]:
    return np.array(size, ">i4")


def _fixed(array: Array, values: npt.NDArray[Any]) -> Sequence[Piece]:
    """Fields of one size, or of none where they are null."""
    width = values.dtype.itemsize
    if not array.null_count:
        return [_size(width), values]
    return [pc.if_else(array.is_null(), _NO_VALUE, _column(len(array), [_size(width), values]))]


def _sized(array: Array, values: Array) -> Sequence[Piece]:
    """Fields of any size: their lengths, then their bytes."""
    sizes = _numbers(pc.binary_length(values)).astype(">i4")
    if array.null_count:
        sizes[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
        values = pc.if_else(array.is_null(), b"", values)
    return [sizes, values]


def joined_pieces(count: int, pieces: Sequence[Piece]) -> Array:
    """One binary column of pieces that follow one another in each of so many rows."""
    runs = [list(run) for _, run in groupby(pieces, lambda piece: isinstance(piece, np.ndarray))]
    columns = [column for run in runs for column in ([_column(count, run)] if isinstance(run[0], np.ndarray) else run)]
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, b"")


def _column(count: int, pieces: Sequence[npt.NDArray[Any]]) -> Array:
    table = _table(count, pieces)
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(table.shape[1])
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets.data), pa.py_buffer(table.data)])


def _table(count: int, pieces: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """The bytes of each row."""
    forms = [(str(n), piece.dtype) for n, piece in enumerate(pieces)]
    rows: npt.NDArray[Any] = np.empty(count, forms)
    for (name, _), piece in zip(forms, pieces, strict=True):
        rows[name] = piece
    return rows.view(np.uint8).reshape(count, rows.dtype.itemsize)
