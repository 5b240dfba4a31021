"""UUIDs that come as text, as the sixteen bytes that they are."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .arrow_values import pc

if TYPE_CHECKING:
    import numpy.typing as npt

    from .arrow_values import Array
    from .copy_text import Refuse

__all__ = ["sent_uuids"]

_NO_BYTE = 0xFFFF
_BYTES = np.full(1 << 16, _NO_BYTE, np.uint16)
"""Two digits, the first in the lower half as they stand in memory, and the byte that they spell."""
for _first, _second in product(b"0123456789abcdefABCDEF", repeat=2):
    _BYTES[_first | _second << 8] = int(bytes([_first, _second]), 16)

_LENGTH, _DASHES = 36, [8, 13, 18, 23]
_GROUPS = np.dtype(
    {
        "names": [*"abcde"],
        "formats": ["V8", "V4", "V4", "V4", "V12"],
        "offsets": [0, 9, 14, 19, 24],
        "itemsize": _LENGTH,
    }
)
"""The digits of a UUID, without the dashes between them."""
_ZERO = "00000000-0000-0000-0000-000000000000"

_LOOSELY = re.compile(r"(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}")
"""What PostgreSQL takes besides: no dashes, or others after any four digits, and all of it in braces."""


def sent_uuids(array: Array, refuse: Refuse) -> npt.NDArray[np.void]:
    """Sixteen bytes for each text; zeros where it is null.

    Raises:
        ValueNotHeld: made by `refuse`, of text that is no UUID.

    """
    texts = array.fill_null(_ZERO) if array.null_count else array
    odd = pc.not_equal(pc.binary_length(texts), _LENGTH)
    if pc.any(odd).as_py():
        texts = _respelled(texts, odd, refuse)
    count = len(texts)
    if not count:
        return np.zeros(0, "V16")
    (start,) = np.frombuffer(texts.buffers()[1], np.int32, 1, 4 * texts.offset)
    letters = np.frombuffer(texts.buffers()[2], np.uint8, _LENGTH * count, start).reshape(count, _LENGTH)
    found = _BYTES.take(_digits(letters))
    wrong = (found == _NO_BYTE).any(axis=1) | (letters[:, _DASHES] != ord("-")).any(axis=1)
    if wrong.any():
        return sent_uuids(_respelled(texts, pa.array(wrong), refuse), refuse)
    return found.astype(np.uint8).view("V16").reshape(-1)


def _digits(letters: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """The digits of each row, two by two."""
    groups = letters.view(_GROUPS).reshape(-1)
    digits = np.empty(len(letters), [(name, _GROUPS[name]) for name in "abcde"])
    for name in "abcde":
        digits[name] = groups[name]
    return digits.view("<u2").reshape(len(letters), 16)


def _respelled(texts: Array, odd: Array, refuse: Refuse) -> Array:
    rows = pc.indices_nonzero(odd).to_pylist()
    return pc.replace_with_mask(texts, odd, pa.array([_usual(texts[row].as_py(), row, refuse) for row in rows]))


def _usual(text: str, row: int, refuse: Refuse) -> str:
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not _LOOSELY.fullmatch(inner):
        raise refuse(row, f"{text[:40]!r}, which is no UUID,")
    digits = inner.replace("-", "")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
