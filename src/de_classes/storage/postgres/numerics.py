"""The binary form of `numeric` as decimals, a whole column at a time.

A value is 16-bit words, most significant byte first: how many digits (to the base of 10000), the weight of the first
(the power of 10000), the sign, the decimals to show, then the digits (numeric_send in src/backend/utils/adt/numeric.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy.typing as npt

    from de_classes.errors import ValueNotHeld

__all__ = ["MOST_DIGITS", "decimals"]

MOST_DIGITS = 18
"""What 64 bits hold of any decimal."""

_HEAD = 4
"""Words before the digits."""
_DIGITS_A_WORD = 4
_NEGATIVE, _NAN = 0x4000, 0xC000
"""Signs; the infinities, which no `numeric` with a precision has, come after NaN."""


def decimals(array: Any, wanted: Any, refuse: Callable[[int, str], ValueNotHeld]) -> Any:
    """Turn a binary column into decimals (`wanted`) of at most `MOST_DIGITS` digits.

    Raises:
        ValueNotHeld: made by `refuse`, of what is no number or has more decimals than the type.

    """
    there = array.drop_null() if array.null_count else array

    def refuse_where(odd: npt.NDArray[np.bool_], what: str) -> None:
        if odd.any():
            raise refuse(int(_rows(array)[odd.argmax()]), what)

    words, starts = _words(there)
    signs = words[starts + 2]
    refuse_where(signs >= _NAN, "NaN")
    refuse_where(words[starts + 3] > wanted.scale, f"more than {wanted.scale} decimals")
    units = _units(words, starts, wanted.scale)
    np.negative(units, out=units, where=signs == _NEGATIVE)
    if not array.null_count:
        return _decimals(units, wanted, None)
    numbers = np.zeros(len(array), np.int64)
    numbers[_rows(array)] = units
    return _decimals(numbers, wanted, array.is_valid().buffers()[1])


def _rows(array: Any) -> npt.NDArray[np.int64]:
    """The rows that are not null."""
    return np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))


def _decimals(numbers: npt.NDArray[np.int64], wanted: Any, valid: Any) -> Any:
    halves = np.empty((len(numbers), 2), "<i8")
    halves[:, 0] = numbers
    halves[:, 1] = numbers >> 63  # the upper half repeats the sign
    return pa.Array.from_buffers(wanted, len(numbers), [valid, pa.py_buffer(halves.data)])


def _words(array: Any) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """All the words of a column without nulls, and where each of its values begins among them."""
    if not len(array):
        return np.zeros(0, np.uint16), np.zeros(0, np.int64)
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset).astype(np.int64)
    words = np.frombuffer(data, ">u2", (ends[-1] - ends[0]) // 2, ends[0])
    return words.astype(np.uint16), (ends[:-1] - ends[0]) // 2


def _units(words: npt.NDArray[np.uint16], starts: npt.NDArray[np.int64], scale: int) -> npt.NDArray[np.int64]:
    """The values without their signs, in units of the last decimal."""
    counts, weights = words[starts], words[starts + 1].view(np.int16)
    whole, rest = divmod(scale, _DIGITS_A_WORD)
    units = np.zeros(len(starts), np.int64)
    for power in range(int(weights.max(initial=0)), -whole - 1, -1):
        units *= 10**_DIGITS_A_WORD
        units += _digits(words, starts, counts, weights, power)
    if rest:
        units *= 10**rest
        last = _digits(words, starts, counts, weights, -whole - 1)
        units += last // 10 ** (_DIGITS_A_WORD - rest)
    return units


def _digits(
    words: npt.NDArray[np.uint16],
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.uint16],
    weights: npt.NDArray[np.int16],
    power: int,
) -> npt.NDArray[np.uint16]:
    """The digit of each value at a power of 10000; 0 where it has none there."""
    places = weights - np.int16(power)
    digits = words.take(starts + places + _HEAD, mode="clip")
    return digits * (places.view(np.uint16) < counts)  # places below 0 are large without a sign
