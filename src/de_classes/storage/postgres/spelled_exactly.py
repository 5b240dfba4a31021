"""Tagged text that its column would round: PostgreSQL cuts digits and fields that a declared type has not, in silence.

What was read of a column of that type never has them; a transform, or whoever wrote the metadata, may have put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arrow_values import pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .arrow_values import Array
    from .copy_text import Refuse
    from .types import PgType

__all__ = ["refuse_rounded_text"]

_SOME_TIME = r":[\d:.]*[1-9]|[1-9]\d*:"
_BELOW: Mapping[str, str] = {
    "year": f"mon|day|{_SOME_TIME}",
    "month": f"day|{_SOME_TIME}",
    "day": _SOME_TIME,
    "hour": r":[\d:.]*[1-9]",
    "minute": r":\d\d:[\d.]*[1-9]",
}
"""The last field of an interval -> what its text has not."""
_ROUNDED = {"numeric", "timestamp", "timestamptz", "time", "timetz"}


def refuse_rounded_text(array: Array, type_: PgType, refuse: Refuse) -> None:
    """Refuse text of a type with more than a column of that type keeps.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    patterns = [_BELOW.get(type_.base.rpartition(" ")[2], "")] if type_.base.startswith("interval ") else []
    if type_.arguments and (type_.base in _ROUNDED or type_.base.startswith("interval")):
        digits = max(type_.arguments[-1], 0)
        patterns += [rf"\.\d{{{digits}}}\d*[1-9]", r"\d[eE]" if type_.base == "numeric" else ""]
    for pattern in filter(None, patterns):
        found = pc.index(pc.match_substring_regex(array, pattern), True).as_py()
        if found >= 0:
            raise refuse(found, f"more than a column of {type_} keeps")
