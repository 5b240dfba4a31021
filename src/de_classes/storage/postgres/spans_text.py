"""Lengths of time as PostgreSQL reads intervals: months, days and microseconds apart, as Arrow has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .arrow_values import pc

if TYPE_CHECKING:
    from .arrow_values import Array
    from .copy_text import Refuse

__all__ = ["spans"]

_PARTS = np.dtype([("months", np.int32), ("days", np.int32), ("nanoseconds", np.int64)])
"""How month_day_nano_interval lies in memory."""
_A_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


def spans(array: Array, refuse: Refuse) -> Array:
    """Spell durations and intervals; what is finer than a microsecond, or longer than 64 bits of them, is refused."""
    if pa.types.is_duration(array.type):
        return _with_unit(_microseconds(array.view(pa.int64()), _A_SECOND[array.type.unit], refuse), "microseconds")
    count = len(array)
    data = array.buffers()[1]
    parts = np.frombuffer(data, _PARTS, count, _PARTS.itemsize * array.offset) if count else np.zeros(0, _PARTS)
    null = array.is_null().to_numpy(zero_copy_only=False)
    months, days, nanoseconds = (pa.array(parts[name], mask=null) for name in parts.dtype.names or ())
    microseconds = _microseconds(nanoseconds, _A_SECOND["ns"], refuse)
    spelled = (
        _with_unit(numbers, unit)
        for numbers, unit in ((months, "months"), (days, "days"), (microseconds, "microseconds"))
    )
    return pc.binary_join_element_wise(*spelled, " ")


def _with_unit(numbers: Array, unit: str) -> Array:
    return pc.binary_join_element_wise(numbers.cast(pa.string()), unit, " ")


def _microseconds(numbers: Array, a_second: int, refuse: Refuse) -> Array:
    if a_second > _A_SECOND["us"]:
        coarse = pc.divide(numbers, 1000)
        inexact = pc.index(pc.not_equal(pc.multiply(coarse, 1000), numbers), True).as_py()
        if inexact >= 0:
            raise refuse(inexact, "nanoseconds")
        return coarse
    if a_second == _A_SECOND["us"]:
        return numbers
    factor = _A_SECOND["us"] // a_second
    limit = (2**63 - 1) // factor
    far = pc.index(pc.or_(pc.less(numbers, -limit), pc.greater(numbers, limit)), True).as_py()
    if far >= 0:
        raise refuse(far, "a length of time beyond 64 bits of microseconds")
    return pc.multiply(numbers, factor)
