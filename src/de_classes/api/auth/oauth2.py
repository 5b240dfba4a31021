"""OAuth 2.0 (RFC 6749): tokens for a client's own credentials, and tokens for a refresh token.

The token endpoint is often of another origin than the API. It is asked at the URL given here, with what is given here
and nothing of the client's: neither its headers nor another credential.
"""

from __future__ import annotations

import logging
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote_plus, urlsplit

from de_classes.api.messages import Request, without_query
from de_classes.configs.secrets import Secret, as_secret
from de_classes.errors import ConfigurationError, InvalidAnswer

from .expiring import ExpiringToken, granted, refused
from .interface import authorized, wanted
from .known import basic_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from de_classes.api.messages import Param, Response

    from .expiring import Granted

__all__ = ["OAuth2ClientCredentials", "OAuth2RefreshToken"]

_SECONDS = re.compile(r"[0-9]+([.][0-9]*)?")
_log = logging.getLogger("de_classes")

_REMEDIES = ("Is this the URL of a token endpoint?", "A token endpoint gives expires_in as a number, or not at all.")


class OAuth2ClientCredentials:
    """Tokens for the client itself (RFC 6749, 4.4), renewed as `TokenLogin` does.

    `client_auth` says where id and secret go: "basic", as every server must allow, or "body", which some insist on.
    `extra` is sent along, such as `{"audience": ...}`.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        token_url: str,
        client_id: str,
        client_secret: str | Secret,
        *,
        scope: str | None = None,
        client_auth: Literal["basic", "body"] = "basic",
        extra: Mapping[str, Param] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        secret = wanted("OAuth2ClientCredentials", "client_secret", client_secret)
        self._endpoint = _TokenEndpoint(token_url, client_id, secret, client_auth)
        self.token_url = token_url
        self._form = {"grant_type": "client_credentials", "scope": scope, **(extra or {})}
        self._token = ExpiringToken(clock)

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Ask for a token if need be, then send the request with it.

        Raises:
            AuthenticationFailed: id or secret is not accepted.
            InvalidAnswer: the answer holds no token that can be used.

        """
        yield from self._token.flow(request, self._ask, self._endpoint.accept)

    def _ask(self) -> Request:
        return self._endpoint.ask(self._form)

    def __repr__(self) -> str:
        return f"OAuth2ClientCredentials({self._endpoint})"


class OAuth2RefreshToken:
    """Tokens for a refresh token that a user once granted (RFC 6749, 6), renewed as `TokenLogin` does.

    Servers that rotate give a new refresh token with each access token, and the old one is worth nothing then:
    `on_rotation` is called with the new one, to store it for the next run, before it is used; when it raises, so does
    the request, and the next one calls it again. Without it the new one is kept for this process only, with a warning
    in the log.

    A copy in another process refreshes for itself. A server that rotates takes that for theft: use threads there.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        token_url: str,
        client_id: str,
        refresh_token: str | Secret,
        *,
        client_secret: str | Secret | None = None,
        on_rotation: Callable[[Secret], object] | None = None,
        scope: str | None = None,
        client_auth: Literal["basic", "body"] = "basic",
        extra: Mapping[str, Param] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = _TokenEndpoint(token_url, client_id, as_secret(client_secret), client_auth)
        self.token_url = token_url
        self._refresh_token = wanted("OAuth2RefreshToken", "refresh_token", refresh_token)
        self._new: Secret | None = None
        self._on_rotation = on_rotation
        self._form = {"grant_type": "refresh_token", "scope": scope, **(extra or {})}
        self._token = ExpiringToken(clock)

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Ask for a token if need be, then send the request with it.

        Raises:
            AuthenticationFailed: the refresh token is not accepted, any more perhaps.
            InvalidAnswer: the answer holds no token that can be used.

        """
        yield from self._token.flow(request, self._ask, self._accept)

    def _ask(self) -> Request:
        self._hand_over()
        return self._endpoint.ask({**self._form, "refresh_token": self._refresh_token})

    def _accept(self, response: Response) -> Granted:
        # The old one is worth nothing any more, whatever else may be wrong with the answer, or with who stores it.
        answer = response.json() if response.status < HTTPStatus.BAD_REQUEST else None
        new = answer.get("refresh_token") if isinstance(answer, dict) else None
        if isinstance(new, str) and new and new != self._refresh_token.reveal():
            self._new = Secret(new)
            self._hand_over()
        return self._endpoint.accept(response)

    def _hand_over(self) -> None:
        """Give a token that nobody has stored yet to who stores it, again and again until it is taken."""
        if self._new is None:
            return
        if self._on_rotation is None:
            _log.warning("%r got a new refresh token that nobody stores: give on_rotation=...", self)
        else:
            self._on_rotation(self._new)
        self._refresh_token, self._new = self._new, None

    def __repr__(self) -> str:
        return f"OAuth2RefreshToken({self._endpoint})"


class _TokenEndpoint:
    """Where tokens are asked for, and who asks; a client without a secret is a public one."""

    def __init__(self, url: str, client_id: str, secret: Secret | None, client_auth: str) -> None:
        if not isinstance(url, str):
            raise ConfigurationError(f"the token endpoint {url!r}", "is no text", "Give one with https://")
        if client_auth not in {"basic", "body"} or not client_id:
            raise ConfigurationError(
                f"the token endpoint {without_query(url)}",
                f"client_auth={client_auth!r}, client_id={client_id!r}",
                "Give client_auth='basic' or 'body', and a client_id.",
            )
        shown = without_query(url)
        if not url.lower().startswith(("https://", "http://")):
            raise ConfigurationError(f"the token endpoint {shown!r}", "is no whole URL", "Give one with https://")
        if "@" in urlsplit(url).netloc:
            raise ConfigurationError(
                f"the token endpoint {shown!r}", "holds a user", "Give client_id and client_secret apart."
            )
        self._url = url
        self._shown = shown
        self._client_id = client_id
        self._secret = secret
        self._in_body = client_auth == "body" or secret is None

    def ask(self, form: Mapping[str, Param]) -> Request:
        # Asking twice does no harm: where an answer is lost, the token in it is lost anyhow.
        if self._secret is None or self._in_body:
            form = {**form, "client_id": self._client_id, "client_secret": self._secret}
        asked = Request("POST", self._url, form=form, repeatable=True, purpose="token").with_header(
            "Accept", "application/json"
        )
        if self._secret is None or self._in_body:
            return asked
        # RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
        pair = basic_credentials(quote_plus(self._client_id), quote_plus(self._secret.reveal()))
        return authorized(asked, "Basic", pair, self._secret)

    def accept(self, response: Response) -> Granted:
        refused(
            response,
            f"the token for client {self._client_id!r}",
            "Check client_id, client_secret, scope and, if there is one, the refresh token.",
            "token_url",
        )
        answer = response.json()
        if not isinstance(answer, dict):
            raise InvalidAnswer(response.request.name, "the token endpoint's answer is no object", _REMEDIES[0])
        kind = answer.get("token_type", "bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise InvalidAnswer(
                response.request.name, "the token is of another type than bearer", "Ask the API's makers for one."
            )
        return granted(
            response,
            "the token endpoint's answer",
            answer.get("access_token"),
            _seconds(answer.get("expires_in")),
            _REMEDIES,
        )

    def __repr__(self) -> str:
        return f"{self._shown!r}, {self._client_id!r}, ***"


def _seconds(life: Any) -> Any:
    """Some servers give the number as a text."""
    return float(life) if isinstance(life, str) and _SECONDS.fullmatch(life) else life
