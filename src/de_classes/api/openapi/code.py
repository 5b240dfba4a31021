"""Python source out of expressions: literals and comments that hold any text, laid out as formatters do."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Code", "Item", "atom", "call", "comment", "identifier", "listed", "literal", "written"]

_WIDTH = 120


def literal(value: object) -> str:
    """The source of a text, whole number, boolean or None. What does not print, or turns text around, is escaped."""
    if not isinstance(value, str):
        return repr(value) if value is None or isinstance(value, bool | int) else literal(str(value))
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_escaped(char, quote) for char in value) + quote


def _escaped(char: str, quote: str) -> str:
    if char in {"\\", quote}:
        return f"\\{char}"
    if char.isprintable():
        return char
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or char.encode("unicode_escape", "surrogatepass").decode()


@lru_cache(maxsize=1024)
def comment(text: str, indent: int = 0) -> tuple[str, ...]:
    """The lines of a comment. It is one text, whatever it holds: no line of it is anything but a comment."""
    told = " ".join("".join(char if char.isprintable() else " " for char in text).replace("#", " ").split())
    lines = textwrap.wrap(told, max(40, _WIDTH - indent - 2), break_long_words=False, break_on_hyphens=False)
    return tuple(f"{' ' * indent}# {line}" for line in lines)


def identifier(text: str, fallback: str) -> str:
    """Letters, digits and underscores, in lower case: orderLines and order-lines are order_lines."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")
    return name if name and not name[0].isdigit() else f"{fallback}_{name}".strip("_")


@dataclass(frozen=True, slots=True)
class Item:
    """What stands between brackets, perhaps by keyword, and comments on it."""

    code: Code
    keyword: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """An expression: a head, and where it has brackets, what stands between them."""

    head: str
    items: tuple[Item, ...] = ()
    tail: str = ""
    apart: bool = False
    """Whether each item has a line of its own however short."""


def atom(source: str) -> Code:
    """An expression without parts."""
    return Code(source)


def call(name: str, items: Iterable[Item | Code], *, apart: bool = False) -> Code:
    """A call."""
    return Code(f"{name}(", tuple(map(_item, items)), ")", apart)


def listed(items: Iterable[Item | Code], brackets: str = "[]", *, apart: bool = False) -> Code:
    """A list, or what has other brackets."""
    return Code(brackets[0], tuple(map(_item, items)), brackets[1], apart)


def written(code: Code, indent: int = 0, before: int = 0) -> str:
    """The source, its first line after `before` characters; on one line where it fits and has no comments."""
    line = _on_one_line(code)
    if line is not None and (before + len(line) < _WIDTH or not code.items):
        return line
    inner = indent + 4
    lines = [code.head]
    for item in code.items:
        for note in item.notes:
            lines += comment(note, inner)
        start = " " * inner + item.keyword
        lines.append(f"{start}{written(item.code, inner, len(start))},")
    return "\n".join([*lines, " " * indent + code.tail])


def _on_one_line(code: Code) -> str | None:
    if code.apart or any(item.notes for item in code.items):
        return None
    told = []
    for item in code.items:
        part = _on_one_line(item.code)
        if part is None:
            return None
        told.append(item.keyword + part)
    comma = "," if code.head == "(" and len(told) == 1 else ""
    return f"{code.head}{', '.join(told)}{comma}{code.tail}"


def _item(item: Item | Code) -> Item:
    return item if isinstance(item, Item) else Item(item)
