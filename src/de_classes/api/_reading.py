"""The bytes of an answer as text and as JSON, or why they are none."""

from __future__ import annotations

import codecs
import re
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.surrogates import count_halves, without_halves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .messages import Response

__all__ = ["json_of", "readable", "shown", "utf8_of", "utf8_pieces"]

_PLAIN = msgspec.json.Decoder()
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OF_TEXT = ("text/", "json", "xml", "csv", "form-urlencoded")
_HEAD = 1024
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def _charset_of(headers: Mapping[str, str]) -> str | None:
    """The charset that Content-Type names; None where there is none, or it is UTF-8, or within it."""
    found = _CHARSET.search(headers.get("content-type", ""))
    return None if found is None or found[1].lower() in _UTF8 else found[1]


def utf8_of(response: Response) -> bytes:
    """The body as UTF-8, as JSON is whatever its headers say (RFC 8259, 8.1 and 11); what is not is as they say.

    Raises:
        InvalidAnswer: it is neither.

    """
    body = response.body
    charset = _charset_to_try(body, response.headers)
    if charset is None or _is_utf8(body):
        return body
    try:
        return body.decode(charset).encode()
    except (LookupError, UnicodeError) as error:
        raise InvalidAnswer(
            response.request.name,
            f"status {response.status} with a body that is not UTF-8, {_nor(charset, error)}",
            "Report it to the API's makers: JSON is UTF-8.",
            url=response.url,
            status=response.status,
        ) from error


def utf8_pieces(pieces: Iterator[bytes], headers: Mapping[str, str], where: str) -> Iterator[bytes]:
    """The pieces of a text as UTF-8 by the same rule, though nobody knows what is still to come.

    As long as nothing but ASCII has come, which nearly all charsets have in common, either may be meant. `headers` are
    looked at when the first piece has come.

    Raises:
        InvalidAnswer: what is not UTF-8 is not in the charset of the headers, or comes after what was read as UTF-8.

    """
    waiting, is_plain, charset = b"", True, None
    pieces = _with_a_head(pieces)
    for number, piece in enumerate(pieces):
        if number == 0:
            charset = _charset_to_try(piece, headers)
        if charset is None:
            yield piece
            continue
        text = waiting + piece
        end, is_utf8 = _utf8_until(text)
        is_plain = is_plain and text[:end].isascii()
        if not is_utf8:
            yield from _recoded(chain([text], pieces), charset, where, is_plain=is_plain)
            return
        waiting = text[end:]
        yield text[:end]
    if waiting and charset is not None:
        yield from _recoded(iter([waiting]), charset, where, is_plain=is_plain)


def _with_a_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, the first of them long enough to show marks, and the zeros of UTF-16."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _HEAD:
            break
    if head:
        yield head
    yield from pieces


def _recoded(pieces: Iterator[bytes], charset: str, where: str, *, is_plain: bool) -> Iterator[bytes]:
    try:
        if not is_plain:
            raise UnicodeError("its beginning is UTF-8")  # noqa: TRY301 -- what is wrong is told in one place
        decoder = codecs.getincrementaldecoder(charset)()
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except (LookupError, UnicodeError) as error:
        fact = f"it is not UTF-8, {_nor(charset, error)}"
        raise InvalidAnswer(where, fact, "Say what it is in, as in Csv(encoding=...).") from error


def _charset_to_try(text: bytes, headers: Mapping[str, str]) -> str | None:
    """What a text is in if it is not UTF-8: as its mark of byte order or its headers tell; None where nothing does."""
    charset = next((charset for mark, charset in _MARKS.items() if text.startswith(mark)), _charset_of(headers))
    # Without a mark UTF-16 is big-endian (RFC 2781, 4.3), and not what the machine is.
    if charset is not None and charset.lower() in {"utf-16", "utf-32"} and text[:1] == b"\0":
        return charset if text.startswith(codecs.BOM_UTF32_BE) else f"{charset}-be"
    return charset


def _nor(charset: str, error: Exception) -> str:
    unknown = isinstance(error, LookupError)
    return f"and its charset {charset!r} is {'not known' if unknown else f'not what it is in, either ({error})'}"


def _utf8_until(text: bytes) -> tuple[int, bool]:
    """Where its last whole character ends, and whether what follows may be UTF-8, too."""
    end, is_utf8 = len(text), True
    try:
        text.decode()
    except UnicodeDecodeError as error:
        end, is_utf8 = error.start, error.end == len(text) and error.reason == "unexpected end of data"
    zero = text.find(b"\0", 0, end)
    return (end, is_utf8) if zero < 0 else (zero, False)


def readable(response: Response) -> bytes:
    """The body as it is for people, and for masks, to read: a text of another charset as UTF-8, all else as it came."""
    kind = response.headers.get("content-type", "").lower()
    if not any(of_text in kind for of_text in _OF_TEXT):
        return response.body
    try:
        return utf8_of(response)
    except InvalidAnswer:
        return response.body


def shown(body: bytes, headers: Mapping[str, str]) -> str:
    """The beginning of a body, cut anywhere, in which a secret stands as it is spelled elsewhere."""
    charset = None if _is_utf8(body) else _charset_to_try(body, headers)
    try:
        text = body.decode(charset or "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    return text.replace("\0", "")  # of UTF-16, where nobody says that it is


def json_of(response: Response, *, exact: bool) -> Any:
    """The body, decoded; `exact` gives numbers with a fraction or an exponent as Decimal, digit for digit.

    Raises:
        InvalidAnswer: it is no JSON, or none that can be read.

    """
    text = utf8_of(response).removeprefix(codecs.BOM_UTF8)
    try:
        return (_EXACT if exact else _PLAIN).decode(text)
    except (RecursionError, ArithmeticError, msgspec.MsgspecError, ValueError) as error:
        fact, remedy = _why(response, text, error)
        raise InvalidAnswer(
            response.request.name,
            f"status {response.status} {fact}",
            remedy,
            url=response.url,
            status=response.status,
        ) from error


def _why(response: Response, text: bytes, error: Exception) -> tuple[str, str]:
    """What is wrong with what is no JSON, and what to do about it."""
    if isinstance(error, RecursionError | ArithmeticError):
        return (
            f"with JSON that cannot be read: {error or type(error).__name__}",
            "It is nested too deep, or has a number beyond any measure. Report it to the API's makers.",
        )
    if not text:
        return (
            "without a body, where JSON is needed",
            "Check the URL and the path; an API that says nothing has no records to give there.",
        )
    kind = response.headers.get("content-type", "no content type")
    if "json" in kind.lower() and not _is_utf8(text):
        return (
            f"with JSON that is not UTF-8, and its headers name no other charset ({kind}): {error}",
            "Report it to the API's makers.",
        )
    if _has_halves(text):
        return (
            r"with JSON in which half a character (a lone surrogate, such as \ud800) stands outside of any record",
            "No text can hold it. Report it to the API's makers.",
        )
    return (
        f"with a page that is no JSON ({kind}, {len(text)} bytes, beginning {response.excerpt(60)!r}): {error}",
        "Check the URL and the path; a login page or a proxy may have answered in the API's place.",
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in text  # which UTF-16 is full of, and no JSON has


def _has_halves(text: bytes) -> bool:
    if not count_halves(text):
        return False
    try:
        _PLAIN.decode(without_halves(text))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
