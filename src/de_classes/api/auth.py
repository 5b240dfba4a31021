"""Who is asking: credentials put on requests, as decisions without I/O.

An auth's `flow` takes the request that is to be made and yields the requests to send in its place, each time receiving
the response; the response to the last one yielded is the answer. The client does the sending, retries included.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from de_classes.configs.secrets import Secret, as_secret
from de_classes.errors import ApiStatusError, AuthenticationFailed, ConfigurationError, InvalidAnswer

from .messages import Request
from .paging import dig

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .messages import Response

__all__ = ["Auth", "BearerToken", "TokenLogin"]

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_BAD_REQUEST = 400


class Auth(Protocol):
    """Anything that puts credentials on requests."""

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Yield the requests to send for this one. May be asked by many threads at once."""
        ...


class BearerToken:
    """A token that is known beforehand, sent as `Authorization: Bearer ...`."""

    def __init__(self, token: str | Secret) -> None:
        self._token = _wanted("BearerToken", "token", token)

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request with the token."""
        yield _with_token(request, self._token)


class TokenLogin:
    """Logs in with user and password for a token, and again shortly before it expires or when the API refuses it.

    `path` is asked by POST with the JSON `{"user": ..., "password": ...}` (names by `user_as`, `password_as`); the
    answer has the token at `token_at` and its life in seconds at `expires_in_at` (dotted paths; None when the API does
    not say). However many threads need a token, one of them logs in while the others wait. A token is renewed when a
    tenth of its life is left, at most 30 s before its end. A 401 leads to one new login and one repetition, not more.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        path: str,
        user: str,
        password: str | Secret,
        *,
        token_at: str = "access_token",  # noqa: S107 -- where the token stands, not a token
        expires_in_at: str | None = "expires_in",
        user_as: str = "user",
        password_as: str = "password",  # noqa: S107 -- a key, not a password
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._user = user
        self._password = _wanted("TokenLogin", "password", password)
        self._token_at = token_at
        self._expires_in_at = expires_in_at
        self._user_as = user_as
        self._password_as = password_as
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_at = 0.0

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Log in if need be, then send the request with the token.

        Raises:
            AuthenticationFailed: user or password is not accepted.
            InvalidAnswer: the login's answer holds no token.

        """
        token = yield from self._current(refused=None)
        response = yield _with_token(request, token)
        if response.status == _UNAUTHORIZED:
            token = yield from self._current(refused=token)
            yield _with_token(request, token)

    def _current(self, refused: Secret | None) -> Generator[Request, Response, Secret]:
        with self._lock:
            token = self._token
            if token is None or token == refused or self._clock() >= self._renew_at:
                asked_at = self._clock()
                token = self._accept((yield self._login()), asked_at)
            return token

    def _login(self) -> Request:
        # Logging in twice does no harm, so it may be tried again although it is a POST.
        return Request(
            "POST",
            self._path,
            json={self._user_as: self._user, self._password_as: self._password},
            repeatable=True,
        )

    def _accept(self, response: Response, asked_at: float) -> Secret:
        if response.status in {_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN}:
            raise AuthenticationFailed(
                response.request.name,
                f"the login of user {self._user!r} is refused with status {response.status}: {response.excerpt()}",
                "Check user and password.",
                status=response.status,
            )
        if response.status >= _BAD_REQUEST:
            raise ApiStatusError(
                response.request.name,
                f"the login is answered with status {response.status}: {response.excerpt()}",
                "Check the login's path, and whether the server is well.",
                status=response.status,
            )
        answer = response.json()
        token = dig(answer, self._token_at)
        if not isinstance(token, str) or not token:
            raise InvalidAnswer(
                response.request.name,
                f"the login's answer has no text at {self._token_at!r}",
                "Name where the token stands: token_at=...",
            )
        self._renew_at = asked_at + self._good_for(response, answer)
        self._token = Secret(token)
        return self._token

    def _good_for(self, response: Response, answer: Any) -> float:
        if self._expires_in_at is None:
            return float("inf")
        life = dig(answer, self._expires_in_at)
        if isinstance(life, bool) or not isinstance(life, int | float):
            raise InvalidAnswer(
                response.request.name,
                f"the login's answer has no number at {self._expires_in_at!r}",
                "Name where the seconds stand: expires_in_at=..., or None when the API does not say.",
            )
        return life - min(30.0, life / 10)

    def __repr__(self) -> str:
        return f"TokenLogin({self._path!r}, {self._user!r}, ***)"

    def __getstate__(self) -> dict[str, Any]:
        # A worker logs in for itself: the token stays here, and locks do not travel.
        return {name: value for name, value in vars(self).items() if name not in {"_lock", "_token", "_renew_at"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _token=None, _renew_at=0.0)


def _with_token(request: Request, token: Secret) -> Request:
    return request.with_header("Authorization", Secret(f"Bearer {token.reveal()}"))


def _wanted(of: str, name: str, value: str | Secret) -> Secret:
    secret = as_secret(value)
    if secret is None or secret == Secret(""):
        raise ConfigurationError(of, f"{name} is empty", f"Give a {name}.")
    return secret
