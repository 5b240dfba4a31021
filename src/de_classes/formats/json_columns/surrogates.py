r"""Halves of characters: `\ud800` alone, which the grammar of JSON lets pass and no text can hold (RFC 8259, 8.2)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["count_halves", "path_of_half", "without_halves"]

_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Pairs, which are characters, halves that stand alone, and what else a backslash may stand before."""


def without_halves(text: bytes) -> bytes:
    """JSON of the same length, each half of a character replaced."""
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found["half"] else found[0], text)


def count_halves(text: bytes) -> int:
    """How many there are."""
    return sum(1 for found in _ESCAPES.finditer(text) if found["half"])


def path_of_half(text: bytes) -> str | None:
    """The dotted path of the first value that has one, in itself or in its name; None where there is none."""
    if not count_halves(text):
        return None
    try:
        return next(_paths(json.loads(text), ""), None)
    except (ValueError, RecursionError):
        return None


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if not _is_whole(value):
            yield path
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, path)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not _is_whole(name):
                yield path
            yield from _paths(item, f"{path}.{name}" if path else name)


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
