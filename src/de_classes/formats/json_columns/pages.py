"""An answer that is taken apart without making an object of each value.

The records of a page are most of its bytes, and Arrow reads them by itself (`arrow_json`). So the answer is decoded
around them: what says where the next page is becomes Python objects, and the records stay text, each a slice of the
body, until somebody asks for one.
"""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import msgspec
import pyarrow as pa

from de_classes.errors import InvalidAnswer

from .surrogates import count_halves, path_of_half, without_halves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Records", "taken_apart"]

_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What decoding raises; ArithmeticError is Decimal's, for exponents of very many digits."""


class Records(Sequence[Any]):
    """The records of a page: text, and objects for those who ask, with fractions as Decimal, digit for digit.

    Args:
        texts: the records, each valid JSON as far as it can be known without decoding it.
        where: the page that they are of, for errors.

    """

    def __init__(self, texts: Sequence[msgspec.Raw], where: str = "the page") -> None:
        self._texts = texts
        self._where = where

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, at: int) -> Any: ...

    @overload
    def __getitem__(self, at: slice) -> Records: ...

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return Records(self._texts[at], self._where)
        try:
            return _EXACT.decode(self._texts[at])
        except _UNREADABLE as error:
            raise self._unreadable(at, error) from error

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def _unreadable(self, at: int, error: Exception) -> InvalidAnswer:
        """The error of a record, which has the path of what cannot be read as its `column` where that is known."""
        path = path_of_half(bytes(self._texts[at]))
        if path is None:
            fact = str(error)
        else:
            fact = (
                f"half a character (a lone surrogate) {f'at {path!r}' if path else 'in a name'}, which no text can hold"
            )
        return InvalidAnswer(
            self._where,
            f"a record in it cannot be read (number {at}, counted from 0): {fact}",
            "Report it to the API's makers; a resource can set such records aside: misfits='quarantine'.",
            column=path,
        )

    @property
    def nbytes(self) -> int:
        """The length of their texts, in bytes."""
        return sum(map(len, map(bytes, self._texts)))

    @property
    def are_objects(self) -> bool:
        """Whether each of them is a JSON object."""
        return all(memoryview(text)[:1].tobytes() == b"{" for text in self._texts)

    @property
    def have_empty(self) -> bool:
        """Whether one of them is an object without fields."""
        return any(not bytes(text)[1:-1].strip() for text in self._texts)

    def are_like(self, decoder: msgspec.json.Decoder[Any]) -> bool:
        """Whether a decoder takes each of them."""
        try:
            for text in self._texts:
                decoder.decode(text)
        except _UNREADABLE:
            return False
        return True

    def text(self, at: int) -> str:
        """One of them, as it came; bytes that are no text are told in hexadecimal digits."""
        return bytes(self._texts[at]).decode(errors="backslashreplace")

    @classmethod
    def joined(cls, several: Sequence[Records]) -> Records:
        """The records of several pages as if they were of one."""
        return cls([text for records in several for text in records._texts])  # noqa: SLF001 -- its own class

    def chosen(self, rows: Sequence[int]) -> Records:
        """The records of these numbers."""
        return Records([self._texts[row] for row in rows], self._where)

    def with_fields(self, fields: Mapping[str, bytes]) -> Records:
        """The records with further fields, given as JSON, before their own.

        Raises:
            ValueError: a record has one of them already.

        """
        for name in fields:
            if self._any_has(name):
                raise ValueError(f"a record has a field {name!r} of its own")
        before = b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in fields.items())
        return Records([_behind(before, bytes(text)) for text in self._texts], self._where)

    def _any_has(self, name: str) -> bool:
        decoder, _ = _reader_of(name)
        for text in self._texts:
            try:
                if decoder.decode(text).at is not msgspec.UNSET:
                    return True
            except _UNREADABLE:
                continue  # what is no object is told about when it is converted
        return False

    def lines(self) -> bytes:
        """The texts, one after the other, each followed by the end of a line."""
        return b"\n".join([*self._texts, b""])

    def digest(self) -> str:
        """16 hexadecimal digits that tell these records from others."""
        return hashlib.sha256(self.lines()).hexdigest()[:16]  # processors help with it: twice as fast as BLAKE2

    def field(self, path: str) -> list[Any] | None:
        """The values of one field, at a dotted path of objects; None where a record lacks it or a parent.

        Only these values are decoded.
        """
        decoder, names = _reader_of(path)
        values = []
        for text in self._texts:
            try:
                value = decoder.decode(text)
            except _UNREADABLE:  # a parent that is no object, or a value that is told about when it is decoded
                return None
            for name in names:
                value = getattr(value, name, msgspec.UNSET)
            if value is msgspec.UNSET:
                return None
            values.append(value)
        return values


def taken_apart(body: bytes, records_at: str, where: str = "the page") -> tuple[Any, Records] | None:
    """The answer, and the records at a dotted path of it ("" for the answer itself).

    In the answer, `Records` stand in the place of the list. None where there is no list, or no JSON. A record may have
    halves of characters, and cannot be read then; nothing else may.
    """
    names = records_at.split(".") if records_at else []
    try:
        body = body.removeprefix(BOM_UTF8)  # some servers send one, and RFC 8259 lets us read on
        body.decode()  # where text is skipped, nobody else looks whether it is UTF-8
        try:
            return _apart(body, names, lambda texts: Records(texts, where))
        except _UNREADABLE:
            return _apart_with_halves(body, names, where)
    except _UNREADABLE:
        return None


_Made: TypeAlias = "Callable[[list[msgspec.Raw]], Records]"


def _apart(text: bytes | msgspec.Raw, names: list[str], made: _Made) -> tuple[Any, Records] | None:
    if not names:
        records = made(_ITEMS.decode(text))
        return records, records
    members = _MEMBERS.decode(text)
    name, *further = names
    inner = _apart(members.pop(name), further, made) if name in members else None
    if inner is None:
        return None
    answer = {other: _EXACT.decode(value) for other, value in members.items()}
    return {**answer, name: inner[0]}, inner[1]


def _apart_with_halves(body: bytes, names: list[str], where: str) -> tuple[Any, Records] | None:
    """The same where records have halves of characters: it is cut as if they had none, and each stays as it came."""
    mended = without_halves(body)
    found = _apart(mended, names, lambda texts: Records(_same_places(texts, mended, body), where))
    if found is None or sum(count_halves(bytes(text)) for text in found[1]._texts) < count_halves(body):  # noqa: SLF001 -- its own module
        return None
    return found


def _same_places(texts: list[msgspec.Raw], within: bytes, other: bytes) -> list[msgspec.Raw]:
    """What stands in the other bytes where the texts, which are slices, stand within theirs."""
    begin = pa.py_buffer(within).address
    starts = ((pa.py_buffer(text).address - begin, memoryview(text).nbytes) for text in texts)
    return [msgspec.Raw(other[start : start + size]) for start, size in starts]


def _behind(before: bytes, text: bytes) -> msgspec.Raw:
    """An object with fields before its own; what is no object stays what it is."""
    if text[:1] != b"{":
        return msgspec.Raw(text)
    own = text[1:].lstrip()
    return msgspec.Raw(before + (b"" if own[:1] == b"}" else b",") + own)


@lru_cache(maxsize=64)
def _reader_of(path: str) -> tuple[msgspec.json.Decoder[Any], tuple[str, ...]]:
    """A decoder that skips everything but a path, and the attributes that lead along it."""
    *parents, last = path.split(".")
    kind: Any = msgspec.defstruct("Last", [("at", Any, msgspec.field(name=last, default=msgspec.UNSET))])
    for name in reversed(parents):
        kind = msgspec.defstruct("Parent", [("at", kind, msgspec.field(name=name, default=msgspec.UNSET))])
    return msgspec.json.Decoder(kind, float_hook=Decimal), ("at",) * (len(parents) + 1)
