"""Where an API is at home: what belongs to its origin, and how far a redirect may lead away from it.

Everything that keeps credentials at their origin is decided here, from texts alone, before anything is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError, InvalidAnswer

from ._masking import mask_of
from .messages import Request, joined, origin, without_query, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Param

__all__ = ["Home"]

_WHOLE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Home:
    """The base URL of an API.

    Raises:
        ConfigurationError: it is no such URL, or holds what is secret.

    """

    base_url: str
    follows_foreign: bool = False
    """Whether redirects may lead to another origin, without anything of the request but its method and URL."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _checked(self.base_url))

    def resolved(self, path: str) -> str:
        """The URL of a path, which is appended to the base URL, or of a whole URL of the same origin.

        Raises:
            InvalidAnswer: it is of another origin.

        """
        absolute = _WHOLE.match(path)
        url = path if absolute else f"{self.base_url}/{path.lstrip('/')}" if path else self.base_url
        self._refuse_foreign(url, "the request", without_query(url))
        return url

    def is_own(self, url: str) -> bool:
        """Whether the URL is of this origin."""
        try:
            return origin(url) == origin(self.base_url)
        except ValueError:
            return False

    def refuse_token_url(self, url: str) -> None:
        """See, before anything is sent, that a token endpoint does not let https fall to http.

        Raises:
            ConfigurationError: it does, or is no plain URL.

        """
        try:
            _refuse_downgrade(self.base_url, url, "the token endpoint", without_query(url))
        except InvalidAnswer as error:
            raise ConfigurationError(f"token_url {error.subject}", error.fact, "Give one of https.") from None

    def check_token_url(self, request: Request) -> None:
        """See that a token endpoint, of whatever origin, can be asked.

        Raises:
            InvalidAnswer: it is no plain URL, or https would fall to http.

        """
        _refuse_downgrade(self.base_url, request.url, "the token endpoint", request.name)

    def redirected(self, request: Request, location: str) -> Request:
        """The request that follows a redirect.

        Raises:
            InvalidAnswer: it leads to another origin where that is not wanted, or from https to http, or would take a
                secret along.

        """
        try:
            target = joined(request.full_url(), location)
        except ValueError:
            target = location
        target = target.partition("#")[0]
        if not request.away:
            if self.is_own(target):
                return replace(
                    request, url=target, params=_keys_lacking(request, target), hidden=tuple(request.secrets())
                )
            if not self.follows_foreign:
                self._refuse_foreign(target, "a redirect", request.name)
        return _away(request, target)

    def _refuse_foreign(self, url: str, what: str, subject: str) -> None:
        if not self.is_own(url):
            raise InvalidAnswer(
                subject,
                f"{what} goes to another origin than {self.base_url}: {without_query(url)}",
                "It is not sent, so that credentials go nowhere else. If the API has moved, change base_url.",
            )


def _keys_lacking(request: Request, target: str) -> Mapping[str, Param]:
    """The keys in the query: they are asked for there as well, and servers that redirect seldom repeat them."""
    there = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
    return {name: key for name, key in request.params.items() if isinstance(key, Secret) and name not in there}


def _away(request: Request, target: str) -> Request:
    """The request to another origin, made anew, so that nothing goes along that is not named here."""
    _refuse_downgrade(request.url, request.masked(target), "a redirect", request.name)
    hidden = tuple(request.secrets())
    bare = Request(request.method, without_secrets(target, hidden), hidden=hidden, away=True)
    if mask_of(frozenset(secret.reveal() for secret in hidden)).is_in(bare.url):
        raise InvalidAnswer(
            request.name,
            f"a redirect would take a secret to another origin: {without_query(bare.masked(target))}",
            "It is not followed. Report it to the API's makers.",
        )
    return bare


def _refuse_downgrade(before: str, url: str, what: str, subject: str) -> None:
    """Raise when a URL is none that can be asked plainly, or when https would fall to http."""
    try:
        scheme, host, _ = origin(url)
        sound = bool(host) and scheme in ({"https"} if origin(before)[0] == "https" else {"http", "https"})
    except ValueError:
        sound = False
    if not sound:
        raise InvalidAnswer(
            subject,
            f"{what} leads to what is no plain URL, or from https to http: {without_query(url)}",
            "It is not sent. Check the URL.",
        )


def _checked(base_url: str) -> str:
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url {base_url!r}", "is no text", "Give one like https://api.example.com/v2")
    # The URL is shown in every error; what is secret has its own place.
    if any(mark in base_url for mark in "@?#"):
        raise ConfigurationError(
            f"base_url of {without_query(base_url).rpartition('@')[2].partition('#')[0]}",
            "holds a user, a password, a query or a fragment",
            "Give credentials by auth=... or headers=..., and parameters with the resource.",
        )
    try:
        scheme, host, _ = origin(base_url)
        valid = bool(host) and scheme in {"http", "https"}
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"base_url {base_url!r}", "is no URL of an API", "Give one like https://api.example.com/v2"
        )
    return base_url.rstrip("/")
