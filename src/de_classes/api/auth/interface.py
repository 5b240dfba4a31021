"""The one interface of all auths, and what they share in putting credentials on a request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from de_classes.configs.secrets import Secret, as_secret
from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

    from de_classes.api.messages import Request, Response

__all__ = ["Auth", "authorized", "wanted"]


class Auth(Protocol):
    """Anything that puts credentials on requests."""

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Yield the requests to send for this one. May be asked by many threads at once.

        What it asks on its own account says so by `purpose`; only the answers to those are sure to come with a body.
        """
        ...


def authorized(request: Request, scheme: str, credentials: str, *secrets: Secret) -> Request:
    """The request with an Authorization header; it and the secrets that it is made of are masked in what is told."""
    named = request.with_header("Authorization", Secret(f"{scheme} {credentials}"))
    return replace(named, hidden=(*named.hidden, *secrets))


def wanted(of: str, name: str, value: str | Secret) -> Secret:
    """The value as a secret, which must not be empty, and no bytes, which would be sent as Python writes them."""
    given: Any = value
    if not isinstance(given, str | Secret | None):
        raise ConfigurationError(of, f"{name} is a {type(given).__name__}, not a text", "Decode it, or give a Secret.")
    secret = as_secret(value)
    if secret is None or secret == Secret(""):
        raise ConfigurationError(of, f"{name} is empty", f"Give a {name}.")
    return secret
