"""Taking secrets out of what is written down: by their values, however they are spelled, and by the names they have."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MASK", "Mask", "mask_of"]

MASK = "***"

_SECRET_NAMES = frozenset(
    {"accesstoken", "refreshtoken", "idtoken", "authtoken", "sessiontoken", "csrftoken", "token", "jwt", "sessionid"}
    | {"clientsecret", "clientassertion", "password", "passwd", "passphrase", "privatekey", "secret", "secretkey"}
    | {"apikey", "xapikey", "accesskey", "assertion", "codeverifier", "devicecode", "sig", "signature"}
    | {"subscriptionkey", "authorization"}
    | {f"x{of}{what}" for of in ("amz", "goog") for what in ("signature", "credential", "securitytoken")}
)
"""Of parameters and of fields, as `_plain` has them."""
_SECRET_HEADERS = re.compile(
    r"authorization|cookie|token|jwt|secret|credential|api-?key|password|signature|session", re.IGNORECASE
)
_SECRET_ANSWER_HEADERS = frozenset(
    {"set-cookie", "authorization", "authentication-info", "proxy-authentication-info"}
    | {f"x-{of}-token" for of in ("auth", "access", "refresh", "session", "csrf", "xsrf", "subject", "amz-security")}
    | {"x-jwt", "x-api-key", "x-session-id"}
)
"""Fewer than a request has: tokens of pages come in headers, too."""
_PARAM = re.compile(r"([?&])([^\s?&=<>\"']+=[^\s&<>\"']+)")
_MOST_ENCODINGS = 5
_UNICODE = re.compile(r"\\u([0-9a-f]{4})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z-]* (\S+)")
_SAID_OPENLY = frozenset({"tokentype", "scope"})
_SHORTEST_CORE = 4


class Mask:
    """Knows secrets, and takes them out of texts, bytes, URLs, headers and decoded JSON.

    Found are a secret's own spelling, its spellings in URLs, JSON and HTML, and Base64 of anything that has it inside;
    in bytes also what it is in UTF-16.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._found: re.Pattern[str] | None = None
        self._found_in_bytes: re.Pattern[bytes] | None = None
        self.learn(values)

    def learn(self, values: Iterable[str]) -> bool:
        """Know these, too; whether any of them is new."""
        new = {part for value in values for part in _parts(value)} - self._known - {""}
        if new:
            self._known |= new
            spellings = sorted({text for value in self._known for text in _spellings(value)}, key=len, reverse=True)
            self._found = re.compile("|".join(map(re.escape, spellings)))
            wide = [value.encode(charset) for value in self._known for charset in ("utf-16-le", "utf-16-be")]
            self._found_in_bytes = re.compile(
                b"|".join(map(re.escape, [*(text.encode() for text in spellings), *wide]))
            )
        return bool(new)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._found.sub(MASK, text) if self._found is not None else text

    def is_in(self, url: str) -> bool:
        """Whether a secret is in the URL, be it encoded several times, as an address to return to is."""
        for _ in range(_MOST_ENCODINGS):
            if self.text(url) != url:
                return True
            decoded = unquote(url)
            if decoded == url:
                return False
            url = decoded
        return True

    def bytes(self, data: bytes) -> bytes:
        """The bytes without secrets."""
        return self._found_in_bytes.sub(MASK.encode(), data) if self._found_in_bytes is not None else data

    def url(self, url: str) -> str:
        """The URL without secrets, and without the values of parameters that have the names of secrets."""
        scheme, netloc, path, query, _ = urlsplit(url)
        host = netloc.rpartition("@")[2]
        return self.text(urlunsplit((scheme, host, path, self.query(query), "")))

    def query(self, query: str) -> str:
        """Parameters or a form, likewise."""
        return self.text("&".join(_pair(pair) for pair in query.split("&")))

    def headers(self, headers: Mapping[str, str], *, of_answer: bool = False) -> dict[str, str]:
        """Headers without secrets; by name, more of a request's are secrets than of an answer's."""
        return {
            name: MASK
            if (name.lower() in _SECRET_ANSWER_HEADERS if of_answer else _SECRET_HEADERS.search(name))
            else self.link(value)
            for name, value in headers.items()
        }

    def link(self, text: str) -> str:
        """The text without secrets; where URLs are in it, also without parameters that have the names of secrets."""
        return self.text(_PARAM.sub(lambda found: found[1] + _pair(found[2]), text))

    def tree(self, value: Any, *, texts: bool = False) -> Any:
        """Decoded JSON without secrets; with `texts` without any text, as of an answer to a login."""
        if isinstance(value, Mapping):
            return {self.text(name): self._member(name, inner, texts=texts) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.tree(inner, texts=texts) for inner in value]
        if isinstance(value, str):
            return MASK if texts and value else self.link(value)
        if value is None or isinstance(value, bool):
            return value
        return MASK if self.text(str(value)) == MASK else value

    def _member(self, name: str, value: Any, *, texts: bool) -> Any:
        plain = _plain(name)
        if plain in _SECRET_NAMES and not isinstance(value, Mapping | list | bool) and value not in {None, ""}:
            return MASK
        return self.tree(value, texts=texts and plain not in _SAID_OPENLY)


def _plain(name: str) -> str:
    """A name without what people write differently: `accessToken`, `access_token`, `access-token`."""
    return name.replace("_", "").replace("-", "").lower()


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={MASK}" if equals and value and _plain(unquote_plus(name)) in _SECRET_NAMES else pair


def _parts(value: str) -> tuple[str, ...]:
    """A secret, and what stands behind the scheme where it is the value of a header."""
    scheme = _SCHEME.fullmatch(value)
    return (value, scheme[1]) if scheme else (value,)


def _spellings(value: str) -> Iterator[str]:
    yield value
    for once in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield from (once, re.sub("%..", lambda found: found[0].lower(), once), quote(once, safe=""))
    for ascii_only in (False, True):
        spelt = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        for once in (spelt, _UNICODE.sub(lambda found: "\\u" + found[1].upper(), spelt)):
            yield from (once, once.replace("/", "\\/"))
    yield html.escape(value)
    for encode in (b64encode, urlsafe_b64encode):
        yield from (core for shift in range(3) if len(core := _core(encode, value.encode(), shift)) >= _SHORTEST_CORE)


def _core(encode: Any, value: bytes, shift: int) -> str:
    """What Base64 has of the value whatever stands around it, when it begins so many bytes into a group of three."""
    encoded: str = encode(b"\0" * shift + value).decode()
    begins = (0, 2, 3)[shift]
    ends = len(encoded) - (0, 3, 2)[(shift + len(value)) % 3]
    return encoded[begins:ends]


@lru_cache(maxsize=64)
def mask_of(values: frozenset[str]) -> Mask:
    """The mask of a request's secrets, which the next one mostly has as well; nobody teaches it more."""
    return Mask(values)
