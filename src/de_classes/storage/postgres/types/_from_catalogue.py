"""What the catalogue says of types becomes `PgType`s; decisions only, the query is in `catalogue.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ._pg_type import PgType
from ._table import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Entry", "Use", "type_of"]

_NO_MODIFIER = -1
_WITHOUT_LENGTH = {"char": "bpchar", "bit": '"bit"'}
"""Those that mean a length of 1 in DDL where none is given, and the name of the type that has no length."""
_INTERVAL = re.compile(r"interval( [a-z ]+?)?(?:\((\d)\))?")
_DEEPEST = 20
_OF_ITS_OWN = {"b", "r", "m"}
"""typtype of types with an input and an output of their own: base types, ranges, multiranges."""


@dataclass(frozen=True, slots=True)
class Use:
    """A type where it is used: with a modifier, and as format_type shows it."""

    oid: int
    modifier: int
    formatted: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of pg_type, with what hangs on it."""

    name: str
    schema: str
    kind: str
    """typtype."""
    element: int = 0
    """The type whose array type this is; 0 for others."""
    over: Use | None = None
    """What a domain is over."""
    labels: Sequence[str] = ()
    attributes: Sequence[tuple[str, Use]] = field(default_factory=tuple)


def type_of(use: Use, entries: Mapping[int, Entry], depth: int = 0) -> PgType:  # noqa: PLR0911 -- one a kind
    """The type of a use; one that is not `known` where de-classes has no form for it."""
    entry = entries.get(use.oid)
    if entry is None or depth > _DEEPEST:
        return PgType(use.formatted)
    if entry.element:
        return _array(Use(entry.element, use.modifier, use.formatted.removesuffix("[]")), use, entries, depth)
    if entry.over is not None:
        return _domain(entry, type_of(entry.over, entries, depth + 1))
    if entry.kind == "e":
        return PgType("enum", enum=entry.name, labels=tuple(entry.labels))
    if entry.kind == "c" and entry.schema not in {"pg_catalog", "information_schema"}:
        attributes = tuple((name, type_of(inner, entries, depth + 1)) for name, inner in entry.attributes)
        return PgType("composite", composite=entry.name, attributes=attributes)
    if entry.schema == "pg_catalog":
        return _builtin(entry.name, use)
    if entry.kind in _OF_ITS_OWN:
        return PgType("type", own=(entry.schema, entry.name, _modifier(use)))
    return PgType(use.formatted)


def _array(element: Use, use: Use, entries: Mapping[int, Entry], depth: int) -> PgType:
    type_ = type_of(element, entries, depth + 1)
    if not type_.known:
        return PgType(use.formatted)
    if type_.array:  # a domain over an array: such a value within a value has no list in Arrow
        entry = entries[element.oid]
        return PgType("type", array=True, own=(entry.schema, entry.name, ""))
    return replace(type_, array=True)


def _domain(entry: Entry, over: PgType) -> PgType:
    """Name a domain; of a domain over a domain, only the outer one is a name that users wrote."""
    return replace(over, domain=entry.name, domain_of_array=over.array)


def _builtin(name: str, use: Use) -> PgType:
    base = CATALOGUE.get(name)
    if base is None:
        return PgType(use.formatted)
    if use.modifier == _NO_MODIFIER:
        return PgType(_WITHOUT_LENGTH.get(base, base))
    if base == "interval":
        found = _INTERVAL.fullmatch(use.formatted)
        fields, precision = found.groups() if found else (None, None)
        return PgType(base + (fields or ""), (int(precision),) if precision else ())
    return PgType(base, _arguments(base, use.modifier))


def _arguments(base: str, modifier: int) -> tuple[int, ...]:
    """Take a modifier apart (numeric.c: precision above 16 bits, scale in 11 bits with a sign; both offset by 4)."""
    if base == "numeric":
        packed = modifier - 4
        return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    if base in {"varchar", "char"}:
        return (modifier - 4,)
    return (modifier,) if base in {"timestamp", "timestamptz", "time", "timetz", "bit", "varbit"} else ()


def _modifier(use: Use) -> str:
    """The modifier as format_type shows it: `(Point,4326)`."""
    return use.formatted[use.formatted.index("(") :] if use.modifier != _NO_MODIFIER and "(" in use.formatted else ""
