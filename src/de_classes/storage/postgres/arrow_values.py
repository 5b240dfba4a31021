"""From what the ADBC driver gives to what the type table promises, a whole column at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .numerics import decimals
from .types import arrow_type

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from de_classes.errors import ValueNotHeld

    from .types import PgType

__all__ = [
    "HEX",
    "LIMITS",
    "Array",
    "first_outside",
    "pc",
    "relisted",
    "row_of_value",
    "to_table_type",
    "uuid_text",
]

Array: TypeAlias = Any
"""A pyarrow.Array. The stubs know what an array can do by its type, which here is known only when it comes."""

pc: Any = pyarrow.compute
"""The kernels, for the same reason."""

_MICROSECONDS_A_DAY = 86_400_000_000
_FIRST_DAY = -2_440_588
"""4714-11-24 BC, the first day of PostgreSQL's calendar (Julian day 0), counted from 1970."""
_LAST_DAY = 2_145_042_905
"""5874897-12-31, its last date. What lies outside is `infinity`, which the driver shifts past the end of 32 bits."""

LIMITS: dict[str, tuple[int, int]] = {
    "date": (_FIRST_DAY, _LAST_DAY),
    "timestamp": (_FIRST_DAY * _MICROSECONDS_A_DAY, 2**63 - 1),
    "timestamptz": (_FIRST_DAY * _MICROSECONDS_A_DAY, 2**63 - 1),
    "time": (0, _MICROSECONDS_A_DAY - 1),
}
"""The integers of Arrow that are values of PostgreSQL's; a timestamp that the driver wrapped lies below the first."""

_TOLD = {
    "date": "infinity",
    "timestamp": "infinity, or a moment after 294247-01-10,",
    "timestamptz": "infinity, or a moment after 294247-01-10,",
    "time": "24:00",
}


def to_table_type(array: Array, sent: PgType, refuse: Callable[[int, str], ValueNotHeld]) -> Array:
    """Turn a column of the driver's, which came as the type `sent`, into the Arrow type of the type table.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    if not sent.array:
        return _scalars(array, sent, refuse)
    values = _scalars(pc.list_flatten(array), sent.element, lambda at, what: refuse(row_of_value(array, at), what))
    return relisted(array, values)


def row_of_value(lists: Array, value: int) -> int:
    """Find the row that the n-th value of a list column is in."""
    return int(np.searchsorted(_ends(lists), value, side="right"))


def relisted(lists: Array, values: Array) -> Array:
    """Put other values, as many, into the lists of a column."""
    offsets = pa.array(np.concatenate([[0], _ends(lists)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=lists.is_null() if lists.null_count else None)


def _ends(lists: Array) -> npt.NDArray[np.int64]:
    return np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def _scalars(array: Array, type_: PgType, refuse: Callable[[int, str], ValueNotHeld]) -> Array:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if type_.base == "uuid":
        return uuid_text(array)
    if type_.base == "numeric":
        return _numerics(array, type_, refuse)
    if type_.base in LIMITS:
        outside = first_outside(array, *LIMITS[type_.base])
        if outside is not None:
            raise refuse(outside, _TOLD[type_.base])
    wanted = arrow_type(type_)
    return array if array.type == wanted else array.cast(wanted)


def first_outside(array: Array, lowest: int, highest: int) -> int | None:
    """The first place whose integer is outside the limits, both of which are inside."""
    integers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())  # noqa: PLR2004 -- bits
    span = pc.min_max(integers)
    low, high = span["min"].as_py(), span["max"].as_py()
    if low is None or (low >= lowest and high <= highest):
        return None
    outside = pc.or_(pc.less(integers, lowest), pc.greater(integers, highest))
    return int(pc.index(outside, True).as_py())


def _numerics(array: Array, type_: PgType, refuse: Callable[[int, str], ValueNotHeld]) -> Array:
    """Decimals of the bytes that the server sends or, of many digits or in lists, of the driver's text."""
    wanted = arrow_type(type_)
    if pa.types.is_binary(array.type):
        return decimals(array, wanted, refuse)
    odd = pc.match_substring_regex(array, "^-?[a-zA-Z]")
    if pc.any(odd).as_py():
        at = int(pc.index(odd, True).as_py())
        raise refuse(at, "NaN")
    return pc.cast(array, wanted)


HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype=np.uint16)
"""Two digits for every byte, as one number."""
_DASHED = [(0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)]
"""First and last digit of each group of a UUID, and where the group stands in its text."""
_TEXT_BYTES = 36


def uuid_text(array: Array) -> Array:
    """Write UUIDs of 16 bytes as text, lower case with dashes."""
    count = len(array)
    data = array.buffers()[1]
    binary = np.frombuffer(data, np.uint8, 16 * count, 16 * array.offset) if count else np.zeros(0, np.uint8)
    digits = HEX.take(binary).view(np.uint8).reshape(count, 32)
    text = np.full((count, _TEXT_BYTES), ord("-"), np.uint8)
    for start, end, at in _DASHED:
        text[:, at : at + end - start] = digits[:, start:end]
    offsets = np.arange(0, _TEXT_BYTES * (count + 1), _TEXT_BYTES, dtype=np.int32)
    valid = array.is_valid().buffers()[1] if array.null_count else None
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()), valid, array.null_count
    )
