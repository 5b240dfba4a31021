"""Into columns that are there already: which type takes which unchanged."""

from __future__ import annotations

import pyarrow as pa

from ._columns import arrow_type
from ._pg_type import PgType
from ._table import WHOLE

__all__ = ["holds"]

_INTEGERS = {"smallint", "integer", "bigint"}
_TEXTS = {"text", "varchar", "char", "bpchar"}
_WORDS = _TEXTS | {"uuid", "json", "jsonb", "enum"}
_FROM_WORDS = _WORDS | {"inet", "cidr", "macaddr", "macaddr8", "xml"}
_EXACT_IN = {
    "real": {"real", "smallint"},
    "double precision": {"double precision", "real", "smallint", "integer"},
}
_FRACTIONS = {"timestamp", "timestamptz", "time", "timetz"}
_BITS = {"bit", '"bit"', "varbit"}
_MICROSECONDS = 6


def holds(target: PgType, source: PgType) -> bool:  # noqa: PLR0911 -- a table of pairs
    """Whether a column of the target type takes every value of the source type unchanged, or refuses it aloud.

    Types that would round or cut in silence (a smaller scale, fewer digits of a second, a float for a decimal) do not.
    """
    target, source = target.plain, source.plain  # a domain takes what lies below it, or refuses it aloud
    if target.array or source.array:
        return target.array and source.array and _array_holds(target, source)
    if target.base in {"composite", "type"}:
        return _same_kind(target, source)
    if target.base == "numeric":
        return _numeric_holds(target, source)
    if target.base in _INTEGERS:
        return source.base in _INTEGERS or (source.base == "numeric" and source.arguments[1:] == (0,))
    if target.base in _EXACT_IN:
        return source.base in _EXACT_IN[target.base]
    if target.base in _FRACTIONS:
        kept, needed = (type_.arguments[0] if type_.arguments else _MICROSECONDS for type_ in (target, source))
        return target.base == source.base and kept >= needed
    if target.base in _FROM_WORDS:
        return source.base in {*_WORDS, target.base} or (target.base == "text" and _is_spelled(source))
    if target.base in _BITS:
        return source.base in _BITS  # of another length, they are refused aloud
    if target.base.startswith("interval"):
        return target == source or (target == PgType("interval") and source.base.startswith("interval"))
    return target.known and target.base == source.base


def _array_holds(target: PgType, source: PgType) -> bool:
    # Arrays that come as one text are read as such only by a column of their own type.
    alike = target.base == source.base or not {target.base, source.base} & WHOLE
    return alike and holds(target.element, source.element)


def _same_kind(target: PgType, source: PgType) -> bool:
    """Whether a composite, or a type of an extension, takes the other's text; citext takes any words."""
    if target.base == "composite":
        return source.base == "composite" and target.attributes == source.attributes
    _, name, modifier = target.own
    if source.base != "type":
        return name == "citext" and source.base in _WORDS
    return name == source.own[1] and modifier in {"", source.own[2]}


def _is_spelled(source: PgType) -> bool:
    """Whether a text column takes the values in their spelling."""
    return source.base == "numeric" or (source.known and pa.types.is_string(arrow_type(source)))


def _numeric_holds(target: PgType, source: PgType) -> bool:
    if source.base in _INTEGERS:
        return not target.arguments or target.arguments[1] >= 0
    if source.base != "numeric":
        return False  # text such as 0x1F would be read as a number of another spelling
    if not target.arguments:
        return True
    return bool(source.arguments) and target.arguments[1] >= source.arguments[1]
