"""Reading a type from its text, strictly: metadata of a file may be anybody's, and becomes DDL.

Names come as quoted identifiers and go into DDL as such; what stands bare must be in the type table, with numbers as
arguments. Only the modifier of an extension's type is free, within words, numbers, commas and blanks in brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ._pg_type import PgType
from ._table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["parsed"]

_T = TypeVar("_T")

_NAME = re.compile(r'"((?:[^"]|"")+)"', re.DOTALL)
_LABEL = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_BARE = re.compile(r'("char"|"bit"|[a-z][a-z0-9_]*(?: [a-z]+)*)(?:\((-?\d+(?:,-?\d+)*)\))?')
_MODIFIER = re.compile(r"(?:\([A-Za-z0-9_ ,.-]+\))?")
_KINDS = {"enum", "composite", "type"}
_DEEPEST = 20
"""Types within types: more is no type that somebody made, but text made to exhaust who reads it."""


class _NoTypeError(Exception):
    """The text is no type."""


def parsed(text: str) -> PgType | None:
    """Read what `str` of a type gave; None for everything else."""
    reading = _Reading(text)
    try:
        type_ = reading.type()
    except _NoTypeError:
        return None
    return type_ if reading.at == len(text) else None


@dataclass(slots=True)
class _Reading:
    text: str
    at: int = 0
    depth: int = 0

    def type(self) -> PgType:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _NoTypeError
        type_ = self._scalar()
        self.depth -= 1
        if not self._has("[]"):
            return type_
        if type_.array:  # of an array, by way of a domain
            raise _NoTypeError
        return replace(type_, array=True)

    def _scalar(self) -> PgType:
        if self._has("enum "):
            name = self._name()
            return PgType("enum", enum=name, labels=tuple(self._listed(self._label)))
        if self._has("composite "):
            name = self._name()
            return PgType("composite", composite=name, attributes=tuple(self._listed(self._attribute)))
        if self._has("domain "):
            return self._domain()
        if self._has("type "):
            schema = self._name()
            self._expect(".")
            return PgType("type", own=(schema, self._name(), self._match(_MODIFIER).group()))
        base, arguments = self._match(_BARE).groups()
        if base in _KINDS or (base not in TABLE and base != "numeric"):
            raise _NoTypeError
        return PgType(base, tuple(map(int, arguments.split(","))) if arguments else ())

    def _domain(self) -> PgType:
        name = self._name()
        self._expect(" (")
        inner = self.type()
        self._expect(")")
        if inner.domain:
            raise _NoTypeError
        return replace(inner, domain=name, domain_of_array=inner.array)

    def _attribute(self) -> tuple[str, PgType]:
        name = self._name()
        self._expect(" ")
        return name, self.type()

    def _label(self) -> str:
        return str(self._match(_LABEL).group(1)).replace("''", "'")

    def _listed(self, one: Callable[[], _T]) -> Iterator[_T]:
        self._expect(" (")
        while not self._has(")"):
            yield one()
            if not self.text.startswith(")", self.at):
                self._expect(", ")

    def _name(self) -> str:
        return str(self._match(_NAME).group(1)).replace('""', '"')

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _NoTypeError
        self.at = found.end()
        return found

    def _has(self, word: str) -> bool:
        there = self.text.startswith(word, self.at)
        self.at += len(word) * there
        return there

    def _expect(self, word: str) -> None:
        if not self._has(word):
            raise _NoTypeError
