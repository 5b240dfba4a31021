"""Where the records of a CSV file end, found without taking them apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Block", "CsvGrammar", "Endless", "lines_in"]


class Block(NamedTuple):
    """A part of a file."""

    text: bytes
    broken: bool = False
    """Whether it is a line with text beside its quotes; else it is whole records."""


class Endless(Exception):  # noqa: N818 -- a message within this package
    """A record has no end: too long, or a quote that nothing closes."""


@dataclass(frozen=True)
class CsvGrammar:
    r"""The grammar of records (RFC 4180, and a character that escapes), whose lines end with `\n`, `\r\n` or `\r`."""

    delimiter: str
    quote: str | None
    escape: str | None

    def blocks(self, pieces: Iterator[bytes], size: int) -> Iterator[Block]:
        """Whole records, about `size` bytes of them at a time; lines that are none, each by itself.

        Raises:
            Endless: a record is longer than `size`, or the last one has no end.

        """
        waiting = bytearray()
        for piece in pieces:
            waiting += piece
            while len(waiting) > size:
                block = self._first(waiting, size)
                yield block
                del waiting[: len(block.text)]
        if waiting and not waiting.endswith(b"\n"):
            waiting += b"\n"
        while waiting:
            block = self._first(waiting, len(waiting))
            yield block
            del waiting[: len(block.text)]

    def _first(self, text: bytearray, size: int) -> Block:
        cut = self._end(text, size)
        if cut:
            return Block(bytes(text[:cut]))
        line = text.find(b"\n", 0, size) + 1
        if not line or self._open.match(text, 0, size):
            raise Endless
        return Block(bytes(text[:line]), broken=True)

    def _end(self, text: bytearray, size: int) -> int:
        """Where the last whole record within `size` bytes ends; 0 where none does."""
        plain = self.escape is None and (self.quote is None or text.find(self.quote.encode(), 0, size) < 0)
        end = text.rfind(b"\n", 0, size) + 1 if plain else 0
        if end:
            return end
        found = self._several.match(text, 0, size)
        return found.end() if found is not None else 0

    def first(self, text: bytes) -> bytes | None:
        """The first record, with its end of line; None where there is none."""
        found = self._one.match(text)
        return found[0] if found is not None else None

    def each(self, text: bytes) -> Iterator[bytes]:
        """The records of a block, up to one that has no end."""
        at = 0
        while found := self._one.match(text, at):
            yield found[0]
            at = found.end()

    @cached_property
    def _several(self) -> re.Pattern[bytes]:
        return re.compile(rb"(?:%b)*+" % self._record, re.DOTALL)

    @cached_property
    def _one(self) -> re.Pattern[bytes]:
        return re.compile(self._record, re.DOTALL)

    @property
    def _record(self) -> bytes:
        r"""One record. A `\r` at the very end may be half of `\r\n`."""
        mark = re.escape(self.delimiter.encode())
        return rb"(?:%b%b)*+%b(?:\r\n|\n|\r(?=[^\n]))" % (self._value, mark, self._value)

    @property
    def _value(self) -> bytes:
        """A quoted value has nothing between its quotes and the delimiters, which Arrow would let pass and drop."""
        if self.quote is None:
            return self._plain
        ends = re.escape(self.quote.encode())
        return rb"(?:%b%b*+%b|(?!%b)%b)" % (ends, self._quoted, ends, ends, self._plain)

    @property
    def _plain(self) -> bytes:
        mark = re.escape(self.delimiter.encode())
        if self.escape is None:
            return rb"[^%b\r\n]*+" % mark
        sign = re.escape(self.escape.encode())
        return rb"(?:[^%b\r\n%b]++|%b.)*+" % (mark, sign, sign)

    @property
    def _quoted(self) -> bytes:
        """What may stand between quotes, one by one."""
        ends = re.escape((self.quote or "").encode())
        if self.escape is None:
            return rb"(?:[^%b]++|%b%b)" % (ends, ends, ends)
        sign = re.escape(self.escape.encode())
        return rb"(?:[^%b%b]++|%b.)" % (ends, sign, sign)

    @cached_property
    def _open(self) -> re.Pattern[bytes]:
        """The beginning of a record of which more would have to come: it ends within a quoted value."""
        if self.quote is None:
            return re.compile(rb"(?!)")
        mark, ends = re.escape(self.delimiter.encode()), re.escape(self.quote.encode())
        return re.compile(rb"(?:%b%b)*+%b%b*+%b?\Z" % (self._value, mark, ends, self._quoted, ends), re.DOTALL)


def lines_in(text: bytes) -> int:
    r"""How many lines end in the text, with `\n`, `\r\n` or `\r`."""
    returns = text.count(b"\r")
    return text.count(b"\n") + (returns - text.count(b"\r\n") if returns else 0)
