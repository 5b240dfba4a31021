"""Arrow columns as the text that COPY reads, a whole column at a time.

What pyarrow's CSV writer spells as PostgreSQL reads it (numbers, truth values, text, moments of years with four digits)
stays as it is; bytes, arrays, nested values and moments far away become text here. Whatever PostgreSQL could not hold,
or would round in silence, is refused by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from .arrow_values import HEX, LIMITS, first_outside, pc, relisted, row_of_value, uuid_text
from .spans_text import spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.errors import ValueNotHeld

    from .arrow_values import Array

__all__ = ["Refuse", "for_csv", "held_moments", "plain", "refuse_nul", "text_of"]

Refuse: TypeAlias = "Callable[[int, str], ValueNotHeld]"
"""Makes the error for the value of a row, counted from 0 in the column."""

_MICROSECONDS_A_DAY = 86_400_000_000
_YEAR_1, _YEAR_10000 = -719_162, 2_932_897
"""0001-01-01 and 10000-01-01 in days from 1970: between them, dates are spelled with four digits."""


def for_csv(array: Array, refuse: Refuse) -> Array:
    """Give a column in types that the CSV writer spells exactly as COPY reads them.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    array = plain(array)
    type_ = array.type
    if pa.types.is_string(type_):
        return refuse_nul(array, refuse)
    if pa.types.is_binary(type_):
        return _hex(array)
    if pa.types.is_duration(type_) or pa.types.is_interval(type_):
        return spans(array, refuse)
    if pa.types.is_temporal(type_):
        return _moments(array, refuse)
    if pa.types.is_list(type_):
        return _array_literals(array, refuse)
    return array.cast(pa.string()) if pa.types.is_null(type_) else array


def text_of(array: Array, refuse: Refuse) -> Array:
    """Give a column as strings, NULL where it is NULL."""
    spelled = for_csv(array, refuse)
    return spelled if pa.types.is_string(spelled.type) else spelled.cast(pa.string())


def plain(array: Array) -> Array:  # noqa: PLR0911 -- a table of ways
    """The same values without Arrow's other ways to lay them out, and without extension types."""
    if isinstance(array, pa.ExtensionArray):
        storage = array.storage
        if isinstance(array.type, pa.Bool8Type):
            return array.cast(pa.bool_())
        return uuid_text(storage) if isinstance(array.type, pa.UuidType) else plain(storage)
    type_ = array.type
    if isinstance(array, pa.DictionaryArray):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(type_):
        return plain(pc.run_end_decode(array))
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return array.cast(pa.string())
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_):
        return array.cast(pa.binary())
    if pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return array.cast(pa.list_(type_.value_type))
    if pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_):
        return relisted(array, array.flatten())  # a cast of these gives lists that have lost their values
    if isinstance(array, pa.MapArray):
        return array.cast(pa.list_(pa.struct([("key", type_.key_type), ("value", type_.item_type)])))
    return _wide_enough(array)


def _wide_enough(array: Array) -> Array:
    """Numbers of no fewer bits than what follows reads: floats of 32, decimals of 128."""
    type_ = array.type
    if pa.types.is_decimal32(type_) or pa.types.is_decimal64(type_):
        return array.cast(pa.decimal128(type_.precision, type_.scale))
    return array.cast(pa.float32()) if pa.types.is_float16(type_) else array


def refuse_nul(array: Array, refuse: Refuse) -> Array:
    """Give text back as it is, unless it has the one character that PostgreSQL has not."""
    data = array.buffers()[2]
    if data is not None and data.size and not np.frombuffer(data, np.uint8).all():
        # The buffer may hold more than the column shows.
        found = pc.index(pc.match_substring(array, "\0"), True).as_py()
        if found >= 0:
            raise refuse(found, "the character NUL")
    return array


def _hex(array: Array) -> Array:
    """Write bytes as PostgreSQL's hex form."""
    count = len(array)
    offsets = (
        np.frombuffer(array.buffers()[1], np.int32, count + 1, 4 * array.offset) if count else np.zeros(1, np.int32)
    )
    data = array.buffers()[2]
    shown = int(offsets[-1] - offsets[0])
    values = (
        np.frombuffer(data, np.uint8, shown, int(offsets[0])) if data is not None and shown else np.zeros(0, np.uint8)
    )
    digits = pa.py_buffer(HEX.take(values).tobytes())
    valid = array.is_valid().buffers()[1] if array.null_count else None
    spelled = pa.LargeStringArray.from_buffers(
        count, pa.py_buffer(((offsets - offsets[0]).astype(np.int64) * 2).tobytes()), digits, valid, array.null_count
    )
    return pc.binary_join_element_wise(
        pa.scalar("\\x", pa.large_string()), spelled, pa.scalar("", pa.large_string())
    ).cast(pa.string())


# --- Moments ----------------------------------------------------------------------------------------------------------


def _moments(array: Array, refuse: Refuse) -> Array:
    held = held_moments(array, refuse)
    if pa.types.is_time(held.type):
        return held
    # A moment with a zone is UTC inside, and the session's zone is UTC; spelling the zone takes ten times as long.
    return _spelled(held, 1 if pa.types.is_date(held.type) else _MICROSECONDS_A_DAY)


def held_moments(array: Array, refuse: Refuse) -> Array:
    """Give dates in days, times and timestamps in microseconds and without a zone; what PostgreSQL has not is refused.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    if pa.types.is_date(array.type):
        held, kind, told = _days(array, refuse), "date", "a moment too far away"
    elif pa.types.is_time(array.type):
        held, kind, told = _microseconds(array, pa.time64("us"), refuse), "time", "a time outside of the day"
    else:
        held, kind, told = _microseconds(array, pa.timestamp("us"), refuse), "timestamp", "a moment too far away"
    outside = first_outside(held, *LIMITS[kind])
    if outside is not None:
        raise refuse(outside, told)
    return held


def _days(array: Array, refuse: Refuse) -> Array:
    if pa.types.is_date32(array.type):
        return array
    milliseconds = array.view(pa.int64())
    days = pc.divide(milliseconds, 86_400_000)
    inexact = pc.index(pc.not_equal(pc.multiply(days, 86_400_000), milliseconds), True).as_py()
    if inexact >= 0:
        raise refuse(inexact, "a date with a time of day")
    return days.cast(pa.int32()).view(pa.date32())


_A_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


def _microseconds(array: Array, wanted: pa.DataType, refuse: Refuse) -> Array:
    """Give moments in microseconds; those that would be rounded or overflow are refused."""
    units = _A_SECOND[array.type.unit]
    numbers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).cast(pa.int64())  # noqa: PLR2004 -- bits
    if units > 1_000_000:  # noqa: PLR2004 -- microseconds
        coarse = pc.divide(numbers, 1000)
        inexact = pc.index(pc.not_equal(pc.multiply(coarse, 1000), numbers), True).as_py()
        if inexact >= 0:
            raise refuse(inexact, "nanoseconds")
        return coarse.view(wanted)
    factor = 1_000_000 // units
    far = pc.index(pc.greater(pc.abs(pc.divide(numbers, 2)), (2**63 - 1) // factor // 2), True).as_py()
    if far >= 0:
        raise refuse(far, "a moment too far away")
    return pc.multiply(numbers, factor).view(wanted)


def _spelled(moments: Array, units_a_day: int) -> Array:
    """Leave moments of years with four digits to the CSV writer; others are spelled one by one: they are few."""
    if first_outside(moments, _YEAR_1 * units_a_day, _YEAR_10000 * units_a_day - 1) is None:
        return moments
    numbers = moments.view(pa.int32() if units_a_day == 1 else pa.int64())
    far = pc.or_(pc.less(numbers, _YEAR_1 * units_a_day), pc.greater_equal(numbers, _YEAR_10000 * units_a_day))
    near = pc.if_else(far, pa.scalar(None, moments.type), moments).cast(pa.string())
    there = far.fill_null(False).to_numpy(zero_copy_only=False).nonzero()[0].tolist()  # noqa: FBT003 -- the value itself
    spelled = [_far(numbers[at].as_py(), units_a_day) for at in there]
    return pc.replace_with_mask(near, far.fill_null(False), pa.array(spelled, pa.string()))  # noqa: FBT003 -- same


def _far(number: int, units_a_day: int) -> str:
    days, rest = divmod(number, units_a_day)
    year, month, day = _civil(days)
    time = ""
    if units_a_day > 1:
        seconds, micros = divmod(rest, 1_000_000)
        time = f" {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"
    era = " BC" if year < 1 else ""
    return f"{1 - year if era else year:04}-{month:02}-{day:02}{time}{era}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a count of days from 1970, in the Gregorian calendar without an end or a beginning.

    Years are counted from March, so that the day that may be missing is the last one; 146097 days are 400 years.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9  # noqa: PLR2004 -- March to December, then January and February
    return year_of_era + era * 400 + (month <= 2), month, day  # noqa: PLR2004 -- January and February


# --- Arrays -----------------------------------------------------------------------------------------------------------


def _array_literals(array: Array, refuse: Refuse) -> Array:
    """Write lists as `{1,NULL,"text"}`."""
    values = array.flatten()
    spelled = text_of(values, lambda at, what: refuse(row_of_value(array, at), what))
    if not _is_bare(plain(values).type):
        escaped = pc.replace_substring(pc.replace_substring(spelled, "\\", "\\\\"), '"', '\\"')
        spelled = pc.binary_join_element_wise('"', escaped, '"', "")
    return joined(array, spelled.fill_null("NULL"), "{", "}")


def _is_bare(type_: pa.DataType) -> bool:
    return (
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_boolean(type_)
        or pa.types.is_decimal(type_)
    )


def joined(lists: Array, values: Array, before: str, after: str) -> Array:
    """Join the spelled values of lists with commas, between brackets; NULL where there is no list."""
    inner = pc.binary_join(relisted(lists, values), ",")
    return pc.binary_join_element_wise(before, inner, after, "")
