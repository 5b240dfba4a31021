"""The bytes of an answer as text and as JSON, or why they are none."""

from __future__ import annotations

import codecs
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.surrogates import count_halves, without_halves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Response

__all__ = ["charset_of", "json_of", "utf8_of"]

_PLAIN = msgspec.json.Decoder()
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def charset_of(headers: Mapping[str, str]) -> str | None:
    """The charset that Content-Type names; None where there is none, or it is UTF-8, or within it."""
    found = _CHARSET.search(headers.get("content-type", ""))
    return None if found is None or found[1].lower() in _UTF8 else found[1]


def utf8_of(response: Response) -> bytes:
    """The body as UTF-8, as JSON is whatever its headers say (RFC 8259, 8.1 and 11); what is not is as they say.

    Raises:
        InvalidAnswer: it is neither.

    """
    body = response.body
    mark = next((charset for mark, charset in _MARKS.items() if body.startswith(mark)), None)
    charset = mark or charset_of(response.headers)
    if charset is None or (not mark and _is_utf8(body)):
        return body
    try:
        # Without a mark of byte order UTF-16 is big-endian (RFC 2781, 4.3), and not what the machine is.
        big = "" if mark or charset.lower() not in {"utf-16", "utf-32"} or body[:1] != b"\0" else "-be"
        return body.decode(f"{charset}{big}").encode()
    except (LookupError, UnicodeError) as error:
        unknown = isinstance(error, LookupError)
        raise InvalidAnswer(
            response.request.name,
            f"status {response.status} with a body that is not UTF-8, and its charset {charset!r} is "
            + ("not known" if unknown else f"not what it is in, either ({error})"),
            "Report it to the API's makers: JSON is UTF-8.",
            url=response.url,
            status=response.status,
        ) from error


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
