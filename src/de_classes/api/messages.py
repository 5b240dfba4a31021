"""What goes back and forth: a request, its response, and the one signature that everything between them shares.

A transport is any callable that takes a `Request` and returns its `Response`. `HttpTransport` goes over the network,
`RandomNumbers.api()` answers by itself, and whatever wraps a transport (a cache, a recorder) is a transport again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import unquote, unquote_plus, urlencode, urljoin, urlsplit, urlunsplit

import msgspec

from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError

from ._masking import mask_of
from ._reading import json_of, shown, utf8_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "IDEMPOTENT",
    "Api",
    "Param",
    "Request",
    "Response",
    "Streamed",
    "Transport",
    "check_params",
    "joined",
    "merged",
    "origin",
    "same_origin_path",
    "without_query",
    "without_secrets",
]

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be repeated without another effect (RFC 9110, 9.2.2)."""

Param: TypeAlias = "_Value | Sequence[_Value]"
"""The value of a parameter; None leaves the parameter out, and of a list there is one for each of its values."""

_Value: TypeAlias = "str | int | float | bool | Decimal | date | Secret | None"

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\xa0\u2028\u2029]")
_USER = re.compile(r"//[^/#]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """What is asked. Secrets stay wrapped until the transport sends them, so that a request can be shown."""

    method: str
    url: str
    """Relative to the client's base URL until the client has resolved it."""
    params: Mapping[str, Param] = field(default_factory=dict)
    """Added to whatever query the URL has."""
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    json: Any = None
    """The body, sent as JSON; None sends none. May hold secrets."""
    form: Mapping[str, Param] | None = None
    """The body, sent as a form in place of `json`."""
    repeatable: bool = False
    """Whether it may be sent again although its method is not idempotent, as a login may."""
    hidden: tuple[Secret, ...] = ()
    """Other secrets to take out of what is told: of parts of a header, or of a URL that a redirect gave."""
    purpose: Literal["ask", "login", "token"] = "ask"
    """An auth sets "login" for what it asks of the API on its own account, and "token" for what it asks at a URL that
    it was given, of whatever origin, without the client's headers."""
    away: bool = False
    """Whether a redirect has led to another origin; the client's to say."""

    def __post_init__(self) -> None:
        check_params(f"{self.method} {without_query(self.url)}", {**self.params, **(self.form or {})})

    def __repr__(self) -> str:
        return f"<Request {self.name}>"

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice has the effect of sending it once."""
        return self.repeatable or self.method in IDEMPOTENT

    @property
    def name(self) -> str:
        """Method and URL, without secrets."""
        return self.masked(f"{self.method} {self.full_url()}")

    def full_url(self) -> str:
        """The URL with its parameters, secrets revealed."""
        pairs = _pairs(self.params)
        if not pairs:
            return self.url
        scheme, netloc, path, query, _ = urlsplit(self.url)
        return urlunsplit((scheme, netloc, path, "&".join(filter(None, (query, urlencode(pairs)))), ""))

    def body(self) -> bytes | None:
        """The bytes to send, secrets revealed; the same ones each time."""
        if self.form is not None:
            return urlencode(_pairs(self.form)).encode()
        try:
            return None if self.json is None else msgspec.json.encode(self.json, enc_hook=_reveal)
        except (TypeError, NotImplementedError, RecursionError, UnicodeError) as error:
            raise ConfigurationError(
                self.name, f"its body cannot be sent as JSON: {error}", "Give objects, lists, texts and numbers."
            ) from None

    def content_type(self) -> str | None:
        """What the body is; None where there is none."""
        if self.form is not None:
            return "application/x-www-form-urlencoded"
        return None if self.json is None else "application/json"

    def with_header(self, name: str, value: str | Secret) -> Request:
        """The same request with the header, in place of one of that name."""
        return replace(self, headers=merged(self.headers, {name: value}))

    def masked(self, text: str) -> str:
        """The text with every secret of this request taken out, however it is spelled."""
        return mask_of(frozenset(secret.reveal() for secret in self.secrets())).text(text)

    def secrets(self) -> Iterator[Secret]:
        """Every secret in it."""
        yield from self.hidden
        yield from _secrets_in([*self.params.values(), *self.headers.values(), self.json, self.form])


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What came back, whole."""

    request: Request
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status} to {self.request.name}, {len(self.body)} bytes>"

    @property
    def url(self) -> str:
        """Where it came from, without secrets; links in it are relative to this."""
        return self.request.masked(self.request.full_url())

    def json(self, *, exact: bool = False) -> Any:
        """The body, decoded; `exact` gives numbers with a fraction or an exponent as Decimal, digit for digit.

        Raises:
            InvalidAnswer: it is no JSON, or none that can be read.

        """
        return json_of(self, exact=exact)

    @property
    def utf8(self) -> bytes:
        """The body's text in UTF-8, for those who read JSON.

        Raises:
            InvalidAnswer: it is in another charset than its headers say.

        """
        return utf8_of(self)

    def excerpt(self, length: int = 200) -> str:
        """The first characters of the body on one line, without secrets; nothing of what may be a token."""
        if self.request.purpose in {"login", "token"} and self.status < 400:  # noqa: PLR2004 -- no refusal
            return ""
        text = self.request.masked(shown(self.body[: 8 * length], self.headers))
        return _CONTROL.sub(" ", text)[:length].strip()


@dataclass(frozen=True, slots=True)
class Streamed:
    """What comes back, piece by piece."""

    request: Request
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    pieces: Iterator[bytes]
    """The body, unpacked, once."""

    def read(self) -> bytes:
        """The rest of the body."""
        pieces = list(self.pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


Transport: TypeAlias = Callable[[Request], Response]
"""Sends one request and returns its response, whatever its status. Raises ApiUnreachable when there is none."""


class Api(Protocol):
    """What whoever reads records needs of a client."""

    @property
    def base_url(self) -> str:
        """What paths are appended to, and links are relative to."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        json: Any = None,
        repeatable: bool = False,
    ) -> Response:
        """Send, and return a response whose status is below 400; `repeatable` is a POST that only reads."""
        ...


def merged(headers: Mapping[str, str | Secret], later: Mapping[str, str | Secret]) -> dict[str, str | Secret]:
    """Both, the later one in place of one of the same name, whatever the case."""
    names = {name.lower() for name in later}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **later}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL (RFC 6454): what credentials belong to.

    A host in another spelling (a dot at its end, an address in other digits, letters that are not ASCII) is another
    host: better one too many than one that is not meant.

    Raises:
        ValueError: a URL that others may read in another way: with a user, a blank in its host, a backslash or a
            control character before its query, or with a port that is none.

    """
    start = url.partition("?")[0]
    parts = urlsplit(url)
    if "\\" in start or {"@", " "} & set(parts.netloc) or _UNSEEN.search(start):
        raise ValueError("no plain URL")
    scheme = parts.scheme.lower()
    host = (parts.hostname or "") if parts.netloc.isascii() else parts.netloc
    return scheme, host, {"http": 80, "https": 443}.get(scheme) if parts.port is None else parts.port


def joined(url: str, link: str) -> str:
    """Where a link in what came from the URL leads.

    Raises:
        ValueError: it has control characters, which some readers of URLs leave out, or is no URL at all.

    """
    if _UNSEEN.search(link):
        raise ValueError("no plain URL")
    return urljoin(url, link)


def same_origin_path(page_url: str, link: str) -> str | None:
    """Where a link of a page leads, as path and query; None when that is another origin.

    Without the origin a link stays good when the API is found under another address next time.
    """
    try:
        target = joined(page_url, link)
        if origin(target) != origin(page_url):
            return None
    except ValueError:
        return None
    _, _, path, query, _ = urlsplit(target)
    # With "//" at its front the path would be taken for a host.
    return urlunsplit(("", "", f"/.{path}" if path.startswith("//") else path or "/", query, ""))


def without_secrets(link: str, secrets: Iterable[Secret]) -> str:
    """The link without parameters whose values are secrets, so that it can be kept."""
    known = {secret.reveal() for secret in secrets} - {""}
    scheme, netloc, path, query, fragment = urlsplit(link)
    # Some servers write a plus as it is, which others read as a blank.
    kept = [
        pair
        for pair in query.split("&")
        if not known & {read(pair.partition("=")[2]) for read in (unquote, unquote_plus)}
    ]
    return urlunsplit((scheme, netloc, path, "&".join(kept), fragment))


def without_query(url: str) -> str:
    """The URL as it may be shown where nobody knows what its parameters are."""
    return _USER.sub("//***@", url.partition("?")[0])


def _secrets_in(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        yield from _secrets_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_in(item)


def check_params(subject: str, params: Mapping[str, Any]) -> None:
    """Refuse values that nobody knows how to send.

    Raises:
        ConfigurationError: one is neither a value nor a list of values.

    """
    for name, value in params.items():
        if isinstance(value, list | tuple) and not value:
            raise ConfigurationError(
                f"{subject}, parameter {name!r}",
                "is an empty list, without which everything would be asked for",
                "Leave the parameter out, if that is meant.",
            )
        for one in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(one, str | int | float | Decimal | date | Secret | None):
                raise ConfigurationError(
                    f"{subject}, parameter {name!r}",
                    f"is a {type(one).__name__}, which has no form in a URL",
                    "Give a text, a number, true or false, a date or a moment, or a list of these.",
                )


def _pairs(params: Mapping[str, Param]) -> list[tuple[str, str]]:
    several = ((name, value if isinstance(value, list | tuple) else [value]) for name, value in params.items())
    return [(name, _text(value)) for name, values in several for value in values if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"{type(value).__name__} is no JSON")
