"""Logging in with user and password for a token that expires."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from de_classes.api.messages import Request
from de_classes.api.paging import check_selectors, dig
from de_classes.errors import InvalidAnswer

from .expiring import ExpiringToken, granted, refused
from .interface import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from de_classes.api.messages import Response
    from de_classes.configs.secrets import Secret

    from .expiring import Granted

__all__ = ["TokenLogin"]


class TokenLogin:
    """Logs in with user and password for a token, and again shortly before it expires or when the API refuses it.

    `path` is asked by POST with the JSON `{"user": ..., "password": ...}` (names by `user_as`, `password_as`); the
    answer has the token at `token_at` and its life in seconds at `expires_in_at` (selectors; None when the API does
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
        check_selectors("TokenLogin", {"token_at": token_at, "expires_in_at": expires_in_at})
        self._path = path
        self._user = user
        self._password = wanted("TokenLogin", "password", password)
        self._token_at = token_at
        self._expires_in_at = expires_in_at
        self._user_as = user_as
        self._password_as = password_as
        self._token = ExpiringToken(clock)

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Log in if need be, then send the request with the token.

        Raises:
            AuthenticationFailed: user or password is not accepted.
            InvalidAnswer: the login's answer holds no token.

        """
        yield from self._token.flow(request, self._login, self._accept)

    def _login(self) -> Request:
        # Logging in twice does no harm, so it may be tried again although it is a POST.
        return Request(
            "POST",
            self._path,
            json={self._user_as: self._user, self._password_as: self._password},
            repeatable=True,
            purpose="login",
        )

    def _accept(self, response: Response) -> Granted:
        refused(response, f"the login of user {self._user!r}", "Check user and password.", "the login's path")
        answer = response.json()
        life = None if self._expires_in_at is None else dig(answer, self._expires_in_at)
        if self._expires_in_at is not None and life is None:
            raise InvalidAnswer(
                response.request.name,
                f"the login's answer has no number at {self._expires_in_at!r}",
                "Name where the seconds stand: expires_in_at=..., or None when the API does not say.",
            )
        return granted(
            response,
            "the login's answer",
            dig(answer, self._token_at),
            life,
            (
                f"It was looked for at {self._token_at!r}. Name where it stands: token_at=...",
                f"They were looked for at {self._expires_in_at!r}. Name where they stand: expires_in_at=...",
            ),
        )

    def __repr__(self) -> str:
        return f"TokenLogin({self._path!r}, {self._user!r}, ***)"
