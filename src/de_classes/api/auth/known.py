"""Credentials that are known beforehand and last: a token, a key, user and password, a function that signs."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from netrc import NetrcParseError, netrc
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from de_classes.errors import ConfigurationError

from .interface import authorized, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from de_classes.api.messages import Request, Response
    from de_classes.configs.secrets import Secret

__all__ = ["ApiKey", "Basic", "BearerToken", "Signed", "basic_credentials"]


class BearerToken:
    """A token that is known beforehand, sent as `Authorization: Bearer ...`."""

    def __init__(self, token: str | Secret) -> None:
        self._token = wanted("BearerToken", "token", token)

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request with the token."""
        yield authorized(request, "Bearer", self._token.reveal(), self._token)

    def __repr__(self) -> str:
        return "BearerToken(***)"


class ApiKey:
    """A key, sent as the header or the query parameter `name`.

    A header is the better place where there is a choice: servers and proxies write URLs to their logs.
    """

    def __init__(
        self, key: str | Secret, *, name: str = "X-API-Key", place: Literal["header", "query"] = "header"
    ) -> None:
        self._key = wanted("ApiKey", "key", key)
        if place not in {"header", "query"} or not name:
            raise ConfigurationError(
                "ApiKey", f"place={place!r}, name={name!r}", "Give place='header' or 'query', and a name."
            )
        self._name = name
        self._place = place

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request with the key; a parameter of the same name is replaced by it."""
        if self._place == "header":
            yield request.with_header(self._name, self._key)
            return
        scheme, netloc, path, query, fragment = urlsplit(request.url)
        others = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != self._name]
        url = urlunsplit((scheme, netloc, path, "&".join(others), fragment))
        yield replace(request, url=url, params={**request.params, self._name: self._key})

    def __repr__(self) -> str:
        return f"ApiKey(***, name={self._name!r}, place={self._place!r})"


class Basic:
    """User and password, sent with every request as `Authorization: Basic ...` (RFC 7617), in UTF-8."""

    def __init__(self, user: str, password: str | Secret) -> None:
        if ":" in user:
            raise ConfigurationError("Basic", f"user {user!r} has a colon", "Basic cannot send it: use another user.")
        self._user = user
        self._password = wanted("Basic", "password", password)

    @classmethod
    def from_netrc(cls, machine: str, file: str | None = None) -> Basic:
        """User and password of a machine in a netrc file, `~/.netrc` unless named. It is read now, and only here.

        Raises:
            ConfigurationError: no such file, no such machine in it, or it is no netrc file.

        """
        try:
            found = netrc(file).hosts.get(machine)
        except (OSError, NetrcParseError, UnicodeError) as error:
            raise ConfigurationError(
                f"netrc file {file or '~/.netrc'}",
                f"cannot be read ({type(error).__name__})",
                "Check its path and form.",
            ) from error
        if found is None:
            raise ConfigurationError(
                f"netrc file {file or '~/.netrc'}", f"has no machine {machine!r}", "Add it, or name another machine."
            )
        return cls(found[0], found[2])

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request with user and password."""
        pair = basic_credentials(self._user, self._password.reveal())
        yield authorized(request, "Basic", pair, self._password)

    def __repr__(self) -> str:
        return f"Basic({self._user!r}, ***)"


class Signed:
    """Requests that a function of the user signs.

    `sign` gets the request as it will be sent, its URL whole and its parameters and headers there, and returns the one
    to send, mostly `request.with_header(...)`; `request.full_url()` and `request.body()` are what goes over the wire.
    It is asked anew for every attempt, so that timestamps are fresh. To travel to another process it must pickle.
    """

    def __init__(self, sign: Callable[[Request], Request]) -> None:
        self._sign = sign

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send what the function makes of the request."""
        yield self._sign(request)

    def __repr__(self) -> str:
        # A partial function shows what it is given, which is the key.
        return f"Signed({getattr(self._sign, '__qualname__', type(self._sign).__qualname__)})"


def basic_credentials(user: str, password: str) -> str:
    """What stands behind the word Basic."""
    return b64encode(f"{user}:{password}".encode()).decode("ascii")
