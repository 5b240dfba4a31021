"""Whether floats can hold the numbers of a JSON text as they are written, told without an object for each of them.

A float of 64 bits holds any number of 15 significant digits, and gives it back. Most texts have no longer ones, which
one search tells. Where there are some, they are cut out, and each must be what the float nearest to it is written as.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

__all__ = ["floats_hold"]

pc: Any = pyarrow.compute

_LONG = r"[:,\[\s][-0-9][0-9.]{15}"
"""What stands before a number, and its first 16 characters. Ends of words match, too, and do no harm."""
_FAR = r"[:,\[\s]-?[0-9.]+[eE][-+]?[0-9]{3}"
"""An exponent of three digits: among such numbers are those that a float has fewer digits for, or none."""
_ZERO = r"[:,\[\s]-0[\s,\]}]"
"""A whole zero with a sign. It is zero, as whole numbers know no other, and not the negative zero of floats."""
_MATCHED = 17
"""How many bytes that is."""
_LONGEST = 40
_FRACTION = r"^-?(0|[1-9][0-9]*)([.][0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)$"
_IN_NUMBERS = np.zeros(256, np.bool_)
_IN_NUMBERS[list(b"0123456789.eE+-")] = True


def floats_hold(text: bytes) -> bool:
    """Whether each number with a fraction or an exponent survives as a float.

    False is also the answer to numbers that are too long, too small or too large to be worth the trouble. Whole
    numbers are not looked at, save -0: a whole number below 2 ** 53 is a float.
    """
    texts: Any = pa.array([text], pa.binary())
    if not _has(texts, f"{_LONG}|{_FAR}|{_ZERO}"):
        return True
    if _has(texts, f"{_FAR}|{_ZERO}"):
        return False
    numbers = _long_numbers(text, texts)
    return numbers is not None and all(map(_is_held, _written_otherwise(numbers)))


def _has(texts: Any, pattern: str) -> bool:
    return bool(pc.match_substring_regex(texts, pattern)[0].as_py())


def _long_numbers(text: bytes, texts: Any) -> Any:
    """The long numbers with a fraction or an exponent; None where one is too long."""
    between = pc.binary_length(pc.split_pattern_regex(texts, _LONG).values).to_numpy()
    begins = np.cumsum(between[:-1] + _MATCHED) - _MATCHED + 1
    data = np.frombuffer(text + bytes(_LONGEST), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(data, _LONGEST)[begins]
    inside = np.logical_and.accumulate(_IN_NUMBERS[windows], axis=1)
    if inside[:, -1].any():
        return None
    cut = np.where(inside, windows, 0).astype(np.uint8)
    found: Any = pa.array(cut.view(f"S{_LONGEST}").ravel()).cast(pa.string())
    return found.filter(pc.match_substring_regex(found, _FRACTION))


def _written_otherwise(numbers: Any) -> list[str]:
    """Those that are not, letter for letter, what their floats are written as."""
    written = numbers.cast(pa.float64()).cast(pa.string())
    others: list[str] = numbers.filter(pc.not_equal(written, numbers)).to_pylist()
    return others


def _is_held(number: str) -> bool:
    return Decimal(repr(float(number))) == Decimal(number)
