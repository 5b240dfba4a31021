"""Whether floats and decimals can hold the numbers of a JSON text, told without an object for each of them.

A float of 64 bits holds any number of 15 significant digits, and gives it back. Most texts have no longer ones, which
one search tells. Where there are some, they are cut out, and each must be what the float nearest to it is written as.

Decimals of 128 bits have 38 digits, and Arrow's parser does not always see when it needs more on the way (the module
`utils.decimals` tells what happens then). One search tells whether a text has numbers that could need so many.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

__all__ = ["MOST_SCALE", "decimals_are_safe", "floats_hold"]

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
MOST_SCALE = 19
"""Digits behind the point up to which decimals leave room for all whole numbers of 64 bits."""
_MANY_BEFORE = r"[0-9]{15}[.]"
_MANY_BEHIND = r"[.][0-9]{25}"
"""With at most 14 digits before the point and 24 behind it a number has 38."""
_SHIFTED = r"[:,\[\s]\"?[-+]?[0-9.]+[eE](\+?[0-9]|-0*[1-9][0-9])[0-9]*[\s,}\]\"]"
"""A number, or a text of one, with an exponent that adds digits: any, save the negative ones of one digit."""
_ESCAPED = r"\\u00(3[0-9]|[46]5|2[bBdDeE])"
"""What numbers are written with, hidden."""
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


def decimals_are_safe(text: bytes, scale: int) -> bool:
    """Whether Arrow's parser makes of each number, or text of one, the very decimal, or an error.

    That is for decimals of 128 bits and scales from 0 to `scale`, which is at most `MOST_SCALE`. False is also the
    answer to some texts that have no such numbers.
    """
    many = f"[0-9]{{{39 - scale}}}"
    return not _has(pa.array([text], pa.binary()), f"{many}|{_MANY_BEFORE}|{_MANY_BEHIND}|{_SHIFTED}|{_ESCAPED}")


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
