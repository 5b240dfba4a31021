"""Templates of paths and parameters: `/shops/{shop}/orders`.

A name in braces is filled with a value; a brace that is meant is doubled: `{{`. In a path a value stays within its
segment whatever it holds: it is percent-encoded, and what would make a segment vanish or climb (nothing, `.`, `..`) is
refused, for servers and clients read even `%2e%2e` as a way up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Value", "filled_in", "names_in", "path_of", "text_of", "texts_in"]

Value: TypeAlias = "str | int"

_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}|[{}]", re.ASCII)
_CLIMBING = frozenset({".", ".."})


def names_in(template: str) -> frozenset[str]:
    """The names that a template is filled with.

    Raises:
        ValueError: a brace belongs to no name.

    """
    if any(piece.group() in "{}" for piece in _PIECE.finditer(template)):
        raise ValueError(f"{template!r} has a brace that belongs to no name (one that is meant is doubled: '{{{{')")
    return frozenset(piece.group(1) for piece in _PIECE.finditer(template) if piece.group(1))


def text_of(template: str, values: Mapping[str, Value]) -> str:
    """The template with the values as they are, for what is encoded later, such as a parameter.

    Raises:
        ValueError: a value is empty, or neither text nor a whole number.

    """
    return _filled(template, values, str)


def filled_in(params: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """The parameters with the values in their templates, which are all of their texts.

    Raises:
        ValueError: as `text_of`.

    """

    def of(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [of(one) for one in value]
        return text_of(value, values) if isinstance(value, str) else value

    return {name: of(value) for name, value in params.items()}


def texts_in(params: Mapping[str, Any]) -> list[str]:
    """The texts among the values of parameters."""
    several = (value if isinstance(value, list | tuple) else [value] for value in params.values())
    return [one for values in several for one in values if isinstance(one, str)]


def path_of(template: str, values: Mapping[str, Value]) -> str:
    """The template with each value as (a part of) one segment of a path.

    Raises:
        ValueError: as `text_of`, or a segment would be `.` or `..`.

    """
    path = _filled(template, values, lambda text: quote(text, safe=""))
    before = template.split("/")
    for filled, segment in zip(path.partition("?")[0].split("/"), before, strict=False):
        if filled in _CLIMBING and names_in(segment):
            raise ValueError(
                f"the value of {' and '.join(sorted(names_in(segment)))} would make the segment {filled!r}"
            )
    return path


def _filled(template: str, values: Mapping[str, Value], spelt: Callable[[str], str]) -> str:
    def piece(match: re.Match[str]) -> str:
        name = match.group(1)
        return spelt(_checked(name, values[name])) if name else match.group()[:1]

    return _PIECE.sub(piece, template)


def _checked(name: str, value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"the value of {name!r} is neither text nor a whole number, but {type(value).__name__}")  # noqa: TRY004 -- one error for all that cannot be filled in
    text = str(value)
    if not text:
        raise ValueError(f"the value of {name!r} is empty")
    return text
