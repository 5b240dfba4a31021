"""Decimals, and numbers as text, in the binary form of `numeric` (see `numerics`), a whole column at a time.

Every value of a column is given as many digits: numeric_recv takes the zeros off that stand at either end.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .arrow_values import pc
from .numerics import MOST_DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from .arrow_values import Array
__all__ = ["sent_decimals", "sent_texts"]

_DIGITS_A_WORD = 4
_BASE = 10**_DIGITS_A_WORD
_NEGATIVE = 0x4000
_SPECIAL = {"nan": 0xC000, "infinity": 0xD000, "inf": 0xD000, "+infinity": 0xD000, "+inf": 0xD000,
            "-infinity": 0xF000, "-inf": 0xF000}  # fmt: skip
_MOST_WORDS = 64
"""Of the widest value in a table of all; a column with longer ones is written one by one."""

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?")
_MOST_BEFORE, _MOST_DECIMALS = 131_072, 16_383
_BLANKS = " \t\n\v\f\r"


def sent_decimals(array: Array) -> Any:
    """The bytes of each decimal, zero where it is null."""
    if array.type.bit_width > 128 or array.type.precision > MOST_DIGITS or array.type.scale < 0:  # noqa: PLR2004 -- bits
        return sent_texts(array.cast(pa.string()), _never)
    array = array.fill_null(0) if array.null_count else array
    halves = np.frombuffer(array.buffers()[1], "<i8", 2 * len(array), 16 * array.offset)
    numbers = halves[0::2]
    whole, rest = divmod(array.type.scale, _DIGITS_A_WORD)
    units, words = np.abs(numbers), list[Any]()
    if rest:
        units, last = np.divmod(units, 10**rest)
        words.insert(0, last * 10 ** (_DIGITS_A_WORD - rest))
    after = whole + bool(rest)
    while len(words) < after or units.any():
        units, last = np.divmod(units, _BASE)
        words.insert(0, last)
    return _table(words, after, np.where(numbers < 0, _NEGATIVE, 0), array.type.scale, len(array))


def _table(words: Any, after: int, signs: Any, scales: Any, count: int) -> npt.NDArray[Any]:
    """Values of which as many words each stand before and after the point."""
    table = np.empty((count, 4 + len(words)), ">i2")
    table[:, 0], table[:, 1], table[:, 2], table[:, 3] = len(words), len(words) - after - 1, signs, scales
    for n, word in enumerate(words, 4):
        table[:, n] = word
    return _whole(table)


def _whole(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each row as one value of so many bytes."""
    return table.view(f"V{table.dtype.itemsize * table.shape[1]}").reshape(-1)


def _never(_row: int, what: str) -> Exception:
    return ValueError(f"a decimal gave {what}")


def sent_texts(array: Array, refuse: Callable[[int, str], Exception]) -> Any:
    """The bytes of each number that is spelled as PostgreSQL takes it; of zero where it is null.

    Raises:
        ValueNotHeld: made by `refuse`, of text that is no number.

    """
    texts = array.fill_null("0") if array.null_count else array
    spelled = _Spelled.of(texts)
    odd, usual = ~spelled.usual, texts
    if odd.any():
        usual = pc.if_else(pa.array(odd), "0", texts)
        spelled = _Spelled.of(usual)
    table = _plainly(spelled, usual)
    if table is None:
        return _singly(texts, range(len(texts)), refuse)
    if not odd.any():
        return table
    rows = np.flatnonzero(odd).tolist()
    plain = pa.array([row.tobytes() for row in table], pa.binary())
    return pc.replace_with_mask(plain, pa.array(odd), _singly(texts, rows, refuse))


@dataclass(frozen=True, slots=True)
class _Spelled:
    """Where the parts of each number stand among the bytes of its column."""

    starts: npt.NDArray[np.int32]
    """Of the digits, after the sign."""
    points: npt.NDArray[np.int32]
    """Of the point, or the end."""
    ends: npt.NDArray[np.int32]
    negative: npt.NDArray[np.bool_]
    usual: npt.NDArray[np.bool_]
    """Whether it is digits, with a minus before them and a point in or behind them perhaps."""

    @classmethod
    def of(cls, texts: Array) -> _Spelled:
        """Look at every byte."""
        count = len(texts)
        if not count:
            nothing = np.zeros(0, np.int32)
            return cls(nothing, nothing, nothing, nothing.astype(bool), nothing.astype(bool))
        offsets = np.frombuffer(texts.buffers()[1], np.int32, count + 1, 4 * texts.offset)
        starts, ends = offsets[:-1], offsets[1:]
        data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
        others = np.flatnonzero(data - np.uint8(ord("0")) > 9) + offsets[0]  # noqa: PLR2004 -- the last digit
        rows, letters = np.searchsorted(ends, others, side="right"), data[others - offsets[0]]
        points, negative = ends.copy(), np.zeros(count, np.bool_)
        is_point, is_minus = letters == ord("."), (letters == ord("-")) & (others == starts[rows])
        points[rows[is_point]] = others[is_point]
        negative[rows[is_minus]] = True
        usual = np.bincount(rows[is_point], minlength=count) <= 1
        usual[rows[~(is_point | is_minus)]] = False
        return cls(starts + negative, points, ends, negative, usual & (points > starts + negative))


def _plainly(spelled: _Spelled, texts: Array) -> npt.NDArray[Any] | None:
    """The bytes of usual numbers in a table; None where some are so long that it would be mostly zeros."""
    count = len(texts)
    if not count:
        return np.zeros(0, "V8")
    before = -(-int((spelled.points - spelled.starts).max()) // _DIGITS_A_WORD)
    after = -(-max(int((spelled.ends - spelled.points).max()) - 1, 0) // _DIGITS_A_WORD)
    if before + after > _MOST_WORDS:
        return None
    # The same bytes as texts of their own: what is before the point, what is from it on, and the sign that comes next.
    cuts = np.stack([spelled.starts, spelled.points, spelled.ends], axis=1).astype(np.int32).reshape(-1)
    parts: Any = pa.Array.from_buffers(pa.string(), len(cuts) - 1, [None, pa.py_buffer(cuts.data), texts.buffers()[2]])
    whole = pc.ascii_lpad(parts.take(np.arange(0, len(cuts) - 1, 3)), before * _DIGITS_A_WORD, "0")
    rest = pc.ascii_rpad(parts.take(np.arange(1, len(cuts) - 1, 3)), 1 + after * _DIGITS_A_WORD, "0")
    words = np.hstack([_words(_letters(whole, count)), _words(_letters(rest, count)[:, 1:])])
    scales = np.maximum(spelled.ends - spelled.points - 1, 0)
    return _table(words.T, after, np.where(spelled.negative, _NEGATIVE, 0), scales, count)


def _letters(texts: Array, count: int) -> npt.NDArray[np.uint8]:
    """Texts of one length as a table."""
    return np.frombuffer(texts.buffers()[2] or b"", np.uint8).reshape(count, -1)


def _words(letters: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    digits = (letters - np.uint8(ord("0"))).reshape(len(letters), -1, _DIGITS_A_WORD)
    words: npt.NDArray[np.int16] = digits[:, :, 0].astype(np.int16)
    for n in range(1, _DIGITS_A_WORD):
        words *= 10
        words += digits[:, :, n]
    return words


# --- One by one -------------------------------------------------------------------------------------------------------


def _singly(texts: Array, rows: Iterable[int], refuse: Callable[[int, str], Exception]) -> Array:
    return pa.array([_single(texts[row].as_py(), row, refuse) for row in rows], pa.binary())


def _single(text: str, row: int, refuse: Callable[[int, str], Exception]) -> bytes:
    """The bytes of a number with an exponent, of one that is long, or of none."""
    text = text.strip(_BLANKS)
    if (sign := _SPECIAL.get(text.lower())) is not None:
        return struct.pack("!hhHH", 0, 0, sign, 0)
    found = _NUMBER.fullmatch(text)
    if not found or not (found[2] or found[3]):
        raise refuse(row, f"{text[:40]!r}, which is no number,")
    exponent, fraction = int(found[4] or 0), found[3] or ""
    scale = max(len(fraction) - exponent, 0)
    digits = found[2] + fraction
    before, after = len(found[2]) + exponent, -(-scale // _DIGITS_A_WORD)
    if before > _MOST_BEFORE or scale > _MOST_DECIMALS:
        raise refuse(row, f"{text[:40]!r}, which has more digits than numeric,")
    digits = digits + "0" * (before - len(digits)) if before > 0 else "0" * -before + digits
    cut = max(before, 0)
    whole, rest = digits[:cut], digits[cut:].ljust(after * _DIGITS_A_WORD, "0")
    aligned = whole.rjust(-(-len(whole) // _DIGITS_A_WORD) * _DIGITS_A_WORD, "0") + rest
    words = [int(aligned[at : at + _DIGITS_A_WORD]) for at in range(0, len(aligned), _DIGITS_A_WORD)]
    sign = _NEGATIVE if found[1] == "-" else 0
    return struct.pack(f"!hhHH{len(words)}h", len(words), len(words) - after - 1, sign, scale, *words)
