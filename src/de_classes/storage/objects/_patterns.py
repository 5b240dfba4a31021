"""Patterns of keys: which objects of a store are meant."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.storage.objects.store import ObjectInfo, ObjectStore

__all__ = ["found", "is_meant", "wrong_with"]

_WILD = re.compile(r"[*?\[{]")


def wrong_with(pattern: str) -> str | None:
    """Why it is no pattern; None where it is one."""
    if not pattern or pattern.startswith("/") or pattern.endswith("/"):
        return f"{pattern!r} is empty, or begins or ends with a slash"
    try:
        _expression(pattern)
    except (re.error, ValueError) as error:
        return f"{pattern!r} cannot be read: {error}"
    return None


def found(store: ObjectStore, pattern: str) -> Iterator[ObjectInfo]:
    """The objects that are meant, by key in the order of Unicode; only the folder before the first sign is listed."""
    if _WILD.search(pattern) is None:
        folder = pattern.rpartition("/")[0]
    else:
        folder = _WILD.split(pattern, maxsplit=1)[0].rpartition("/")[0]
    for info in store.list(folder):
        if is_meant(info.key, pattern):
            yield info


def is_meant(key: str, pattern: str) -> bool:
    """Whether a key is one of the pattern's."""
    return _expression(pattern).fullmatch(key) is not None


@lru_cache(maxsize=64)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = pattern.split("/")
    parts += ["*"] if parts[-1] == "**" else []
    # `**/` is no folder, or some of them; names with a dot or an underscore in front are hidden, as in Hadoop's world.
    text = "".join(r"(?:[^/._][^/]*/)*" if part == "**" else f"{_segment(part)}/" for part in parts[:-1])
    return re.compile(text + _segment(parts[-1]), re.DOTALL)


def _segment(part: str) -> str:
    hidden = r"(?![._])" if _WILD.match(part) else ""
    return hidden + "".join(_signs(part))


def _signs(part: str) -> Iterator[str]:
    depth, at = 0, 0
    while at < len(part):
        sign = part[at]
        if sign == "[":
            end = part.find("]", at + 2)
            if end < 0:
                raise ValueError("a bracket is not closed")
            inside = re.sub(r"[\\\[&|~]", r"\\\g<0>", part[at + 1 : end])
            yield f"[{'^/' + inside[1:] if inside[0] == '!' else inside}]"
            at = end
        elif sign in "{}":
            depth += 1 if sign == "{" else -1
            yield "(?:" if sign == "{" else ")"
        elif sign == "," and depth:
            yield "|"
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign))
        at += 1
    if depth:
        raise ValueError("a brace is not closed")
