"""What texts seem to be: a type for a column of CSV, out of a sample of its values.

Only what every text of the sample is exactly; whatever comes later and is none is a misfit, and never changed to fit.
Codes stay text: `007` is no number, nor is `1e5`, nor a zero with a sign, and nothing is a float.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from de_classes.utils.decimals import decimals_of_texts

__all__ = ["guessed"]

_DAY = r"\d{4}-\d{2}-\d{2}"
_MOMENT = _DAY + r"[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
_DIGITS = 38
_KINDS: tuple[tuple[str, Any], ...] = (
    (r"^(0|-?[1-9]\d{0,17})$", pa.int64()),
    (r"^(true|false)$", pa.bool_()),
    (rf"^{_DAY}$", pa.date32()),
    (rf"^{_MOMENT}$", pa.timestamp("us")),
    (rf"^{_MOMENT}(Z|[+-]\d{{2}}(:?\d{{2}})?)$", pa.timestamp("us", "UTC")),
)
_FRACTION = r"^(-?[1-9]\d*(\.\d+)?|-?0\.\d*[1-9]\d*|0(\.0+)?)$"


def guessed(texts: Any) -> Any:
    """The type that all of the texts are of; text where there is none, and null where there are no texts at all."""
    present = texts.drop_null()
    if not len(present):
        return pa.null()
    for spelling, kind in _KINDS:
        if _all_are(present, spelling) and _is_held(present, kind):
            return kind
    return _decimal(present) if _all_are(present, _FRACTION) else pa.string()


def _decimal(texts: Any) -> Any:
    """A decimal with the digits behind the point that were seen, and room before it."""
    behind = pc.utf8_length(pc.replace_substring_regex(texts, r"^[^.]*\.?", ""))
    scale = pc.max(behind).as_py()
    if scale >= _DIGITS:
        return pa.string()
    kind = pa.decimal128(_DIGITS, scale)
    try:
        decimals_of_texts(texts, kind)
    except ValueError:
        return pa.string()
    return kind


def _all_are(texts: Any, spelling: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, spelling)).as_py() is True


def _is_held(texts: Any, kind: Any) -> bool:
    """Whether Arrow makes values of them: the 30th of February is no day."""
    try:
        texts.cast(kind)
    except pa.ArrowException:
        return False
    return True
