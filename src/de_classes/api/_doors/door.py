"""What the doors of APIs share: what they ask, and as whom."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from de_classes._doors.frame import say
from de_classes.api.auth import ApiKey, Basic, BearerToken, Digest, OAuth2ClientCredentials, TokenLogin
from de_classes.api.client import ApiClient
from de_classes.configs.secrets import Secret
from de_classes.contracts import Retried
from de_classes.errors import ConfigurationError
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from de_classes.api.auth import Auth
    from de_classes.api.messages import Transport
    from de_classes.contracts import Event

__all__ = [
    "add_asking",
    "add_credentials",
    "auth_of",
    "client_of",
    "origin_of",
    "path_of",
    "query_of",
    "value_of",
]

_KINDS = ("bearer", "key", "basic", "digest", "oauth2", "login")


def add_asking(parser: argparse.ArgumentParser) -> None:
    """The URL, and everything about how it is asked."""
    parser.add_argument("url", help="what to ask, with its query")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="send this header, too")
    parser.add_argument("--attempts", type=int, default=6, help="how often to try at most (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds without a byte (default %(default)s)")
    add_credentials(parser)


def add_credentials(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Who asks. Secrets are read from the environment only: arguments are seen by everybody on a machine."""
    group = parser.add_argument_group("credentials")
    group.add_argument("--auth", choices=_KINDS, required=required, help="how to say who asks")
    group.add_argument("--secret-env", metavar="NAME", help="environment variable with the token, key or password")
    group.add_argument("--user", help="the user, or the client's id for oauth2")
    group.add_argument("--key-name", default="X-API-Key", help="header or parameter of a key (default %(default)s)")
    group.add_argument("--key-place", choices=("header", "query"), default="header", help="default %(default)s")
    group.add_argument("--token-url", help="where oauth2 asks for a token; path of a login")
    group.add_argument("--scope", help="for oauth2")


def auth_of(asked: argparse.Namespace) -> Auth | None:
    """The auth that was asked for.

    Raises:
        ConfigurationError: something that it needs is missing; all of it is told.

    """
    kind = asked.auth
    if kind is None:
        return None
    needed = {"secret_env": True, "user": kind not in {"bearer", "key"}, "token_url": kind in {"oauth2", "login"}}
    lacking = [
        f"--{name.replace('_', '-')}" for name, is_needed in needed.items() if is_needed and not vars(asked)[name]
    ]
    if lacking:
        raise ConfigurationError(f"--auth {kind}", f"it needs {' and '.join(lacking)}", "See --help.")
    secret = Secret.from_env(asked.secret_env)
    makers: dict[str, Callable[[], Auth]] = {
        "bearer": lambda: BearerToken(secret),
        "key": lambda: ApiKey(secret, name=asked.key_name, place=asked.key_place),
        "basic": lambda: Basic(asked.user, secret),
        "digest": lambda: Digest(asked.user, secret),
        "oauth2": lambda: OAuth2ClientCredentials(asked.token_url, asked.user, secret, scope=asked.scope),
        "login": lambda: TokenLogin(asked.token_url, asked.user, secret),
    }
    return makers[kind]()


def client_of(asked: argparse.Namespace, *, transport: Transport | None = None) -> ApiClient:
    """A client of the URL's origin, that tells of its retries on stderr."""
    return ApiClient(
        origin_of(asked.url),
        auth=auth_of(asked),
        headers=dict(_header(text) for text in asked.header),
        timeout_seconds=asked.timeout,
        retry=RetryPolicy(attempts=asked.attempts),
        observer=_told,
        transport=transport,
    )


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL.

    Raises:
        ConfigurationError: it has no scheme or no host.

    """
    parts = urlsplit(url)
    if not (parts.scheme and parts.netloc):
        shown = url.partition("?")[0].rpartition("@")[2]
        raise ConfigurationError(f"url {shown!r}", "has no scheme or no host", "Write it out: https://host/path.")
    return f"{parts.scheme}://{parts.netloc}"


def path_of(url: str) -> str:
    """The path of a URL, from the root."""
    return urlsplit(url).path or "/"


def query_of(url: str) -> dict[str, str | list[str]]:
    """The parameters of a URL; of one that comes several times all its values."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def value_of(text: str) -> Any:
    """What an argument means: JSON where it is some, else a text."""
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigurationError(f"--header {name!r}", "is no header", 'Give one like "Accept: application/json".')
    return name.strip(), value.strip()


def _told(event: Event) -> None:
    if isinstance(event, Retried):
        say(f"{event.name}: {event.cause}; again in {event.wait_seconds:.1f} s", aside=True)
