"""Taking secrets out of what is written down: by their values, however they are spelled, and by the names they have."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MASK", "Mask"]

MASK = "***"

_SECRET_FIELDS = frozenset(
    {"accesstoken", "refreshtoken", "idtoken", "clientsecret", "clientassertion", "password", "privatekey"}
)
_SECRET_PARAMS = _SECRET_FIELDS | frozenset(
    {"apikey", "xapikey", "assertion", "codeverifier", "devicecode", "secret", "sig", "signature", "subscriptionkey"}
    | {f"x{of}{what}" for of in ("amz", "goog") for what in ("signature", "credential", "securitytoken")}
)
_SECRET_HEADERS = re.compile(r"authorization|cookie|token|secret|api-?key|password|signature|session", re.IGNORECASE)
_SECRET_ANSWER_HEADERS = frozenset({"set-cookie", "authorization", "authentication-info", "proxy-authentication-info"})
_SAID_OPENLY = frozenset({"tokentype", "scope"})
_SHORTEST_CORE = 4


class Mask:
    """Knows secrets, and takes them out of texts, bytes, URLs, headers and decoded JSON.

    Found are a secret's own spelling, its spellings in URLs, JSON and HTML, and Base64 of anything that has it inside.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._found: re.Pattern[str] | None = None
        self._found_in_bytes: re.Pattern[bytes] | None = None
        self.learn(values)

    def learn(self, values: Iterable[str]) -> bool:
        """Know these, too; whether any of them is new."""
        new = {part for value in values for part in (value, value.partition(" ")[2])} - self._known - {""}
        if new:
            self._known |= new
            spellings = sorted({text for value in self._known for text in _spellings(value)}, key=len, reverse=True)
            self._found = re.compile("|".join(map(re.escape, spellings)))
            self._found_in_bytes = re.compile(b"|".join(re.escape(text.encode()) for text in spellings))
        return bool(new)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._found.sub(MASK, text) if self._found is not None else text

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
            else self.text(value)
            for name, value in headers.items()
        }

    def tree(self, value: Any, *, texts: bool = False) -> Any:
        """Decoded JSON without secrets; with `texts` without any text, as of an answer to a login."""
        if isinstance(value, Mapping):
            return {self.text(name): self._member(name, inner, texts=texts) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.tree(inner, texts=texts) for inner in value]
        if isinstance(value, str):
            return MASK if texts and value else self.text(value)
        if value is None or isinstance(value, bool):
            return value
        return MASK if self.text(str(value)) == MASK else value

    def _member(self, name: str, value: Any, *, texts: bool) -> Any:
        plain = _plain(name)
        if plain in _SECRET_FIELDS and isinstance(value, str) and value:
            return MASK
        return self.tree(value, texts=texts and plain not in _SAID_OPENLY)


def _plain(name: str) -> str:
    """A name without what people write differently: `accessToken`, `access_token`, `access-token`."""
    return name.replace("_", "").replace("-", "").lower()


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={MASK}" if equals and value and _plain(unquote_plus(name)) in _SECRET_PARAMS else pair


def _spellings(value: str) -> Iterator[str]:
    yield value
    for once in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield from (once, re.sub("%..", lambda found: found[0].lower(), once), quote(once, safe=""))
    for ascii_only in (False, True):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(value)
    for encode in (b64encode, urlsafe_b64encode):
        yield from (core for shift in range(3) if len(core := _core(encode, value.encode(), shift)) >= _SHORTEST_CORE)


def _core(encode: Any, value: bytes, shift: int) -> str:
    """What Base64 has of the value whatever stands around it, when it begins so many bytes into a group of three."""
    encoded: str = encode(b"\0" * shift + value).decode()
    begins = (0, 2, 3)[shift]
    ends = len(encoded) - (0, 3, 2)[(shift + len(value)) % 3]
    return encoded[begins:ends]
