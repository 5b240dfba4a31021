"""Whether what a dataclass was given is of the kinds that its annotations say, so far as these are plain ones.

Type checkers look at this, too, but not at what comes from a notebook or was read from somewhere.
"""

from __future__ import annotations

import collections.abc
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["odd_kinds"]

_NAMES: Mapping[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "None"}


def odd_kinds(given: Any, *fields: str) -> Iterator[str]:
    """What is of another kind than its annotation says, in words; without `fields` of all of them."""
    kind: Any = type(given)
    hints = _hints(kind)
    for name in fields or hints:
        value = getattr(given, name)
        if not _is_of(value, hints[name]):
            yield f"{name}={_shown(value)} is not {_told(hints[name])}"


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    """The annotations; what their module imports for type checkers only is anything, but for mappings and the like."""
    known: dict[str, Any] = {}
    while True:
        try:
            return get_type_hints(kind, localns=known)
        except NameError as error:
            name = str(error.name)
            known[name] = getattr(collections.abc, name, Any)


def _is_of(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return any(_is_of(value, one) for one in get_args(kind))
    if origin is Literal:
        return value in get_args(kind)
    if kind in {int, float}:
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    plain = origin or kind
    return not isinstance(plain, type) or isinstance(value, plain)


def _shown(value: Any) -> str:
    """The value; not what is in it, which may be secret, as headers are."""
    return repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _told(kind: Any) -> str:
    if get_origin(kind) in {Union, UnionType, Literal}:
        return " or ".join(_told(one) if get_origin(kind) is not Literal else repr(one) for one in get_args(kind))
    plain = get_origin(kind) or kind
    name = _NAMES.get(plain, getattr(plain, "__name__", str(plain)))
    return name if plain in {bool, NoneType} else f"a {name}"
