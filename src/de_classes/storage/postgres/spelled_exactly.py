r"""Tagged text that its column would cut: PostgreSQL drops what a type has no room for, in silence.

That is digits behind the last one that is kept, fields of an interval, the zone of a `timestamp`, the time of a `date`,
the bytes of a `name` from the 64th on. What was read of a column of that type never has them; a transform, or whoever
wrote the metadata, may have put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from .arrow_values import pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

_ZONE = r":[\d.]+ ?(?:[+-]|[zZ]|[A-Za-z]{3})"
_DAY = r"\d-\d+-\d|\d/\d"
_ABSENT: Mapping[str, str] = {
    "date": r"[-/]\d+[ tT]+\d",
    "timestamp": _ZONE,
    "time": f"{_ZONE}|{_DAY}",
    "timetz": _DAY,
    "name": r"(?s)^.{64}",
    '"char"': r"(?s)^.{2,3}$|^.{5}|^[^\\].{3}$|^.[^0-3]..$|^..[^0-7].$|^...[^0-7]$",
}
r"""What the text of a value has not. A `"char"` is one byte, or `\ooo`."""
_ABSENT_IN_ARRAYS = {**_ABSENT, "name": r'(?s)[^,{}"\\]{64}|"(?:[^"\\]|\\.){64}', '"char"': ""}
"""What the text of an array has not, where it can be told."""

_MICROSECONDS = 6
_FRACTIONS = {"timestamp", "timestamptz", "time", "timetz", "interval"}


def refuse_rounded_text(array: Array, type_: PgType, refuse: Refuse) -> None:
    """Refuse text of a type with more than a column of that type keeps; an array is one text, with its brackets.

    Raises:
        ValueNotHeld: made by `refuse`.

    """
    told = array.cast(pa.binary())  # of which patterns count bytes
    for pattern in _patterns(type_):
        found = pc.index(pc.match_substring_regex(told, pattern), True).as_py()
        if found >= 0:
            raise refuse(found, f"more than a column of {type_} keeps")


def _patterns(type_: PgType) -> Iterator[str]:
    """What is looked for in the text of a type."""
    kind, _, fields = type_.base.partition(" ")
    absent = (_ABSENT_IN_ARRAYS if type_.array else _ABSENT).get(type_.base)
    if absent:
        yield absent
    if kind == "interval" and (last := fields.rpartition(" ")[2]) in _BELOW:
        yield _BELOW[last]
    if kind in _FRACTIONS or (kind == "numeric" and type_.arguments):
        digits = max(type_.arguments[-1], 0) if type_.arguments else _MICROSECONDS
        yield rf"\.\d{{{digits}}}\d*[1-9]"
    if kind == "numeric" and type_.arguments:
        yield r"\d[eE]"
