"""Dotted paths: where something stands in an answer, and where it goes in a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from de_classes.contracts import JsonValue

__all__ = ["dig", "placed"]


def dig(answer: Any, path: str) -> Any:
    """What stands at a dotted path of mappings: `"meta.pages"`; None when there is no such place."""
    for name in path.split("."):
        if not isinstance(answer, Mapping):
            return None
        answer = answer.get(name)
    return answer


def placed(body: Mapping[str, Any], values: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The body with each value at its dotted path; objects on the way are made. The body given stays as it is.

    Raises:
        ConfigurationError: a path leads through something that is no object.

    """
    filled = dict(body)
    for path, value in values.items():
        name, _, further = path.partition(".")
        if not further:
            filled[name] = value
            continue
        inner = filled.get(name, {})
        if not isinstance(inner, Mapping):
            raise ConfigurationError(
                f"the body's {name!r}", f"is no object, and {path!r} leads through it", "Correct the body or the path."
            )
        filled[name] = placed(inner, {further: value})
    return filled
