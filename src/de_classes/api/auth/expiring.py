"""A token that expires: who renews it, when, and what the others do meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from de_classes.configs.secrets import Secret
from de_classes.errors import ApiStatusError, AuthenticationFailed, ConfigurationError, InvalidAnswer

from .interface import authorized

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from de_classes.api.messages import Request, Response

__all__ = ["ExpiringToken", "Granted", "granted", "refused"]

_REFUSALS = frozenset({400, 401, 403})
_UNAUTHORIZED = 401
_BAD_REQUEST = 400


class Granted(NamedTuple):
    """A token, and for how many seconds from when it was asked for; None when nobody said."""

    token: Secret
    life_seconds: float | None


class ExpiringToken:
    """Sends requests with a token that is asked for when need be.

    However many threads need a token, one of them asks while the others wait; when it is refused the credentials, they
    are refused with it instead of asking too, for some servers lock who fails often. A token is renewed when a tenth of
    its life is left, at most 30 s before its end. A 401 leads to one new token and one repetition, not more. A copy in
    another process asks for itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_at = 0.0
        self._failure: AuthenticationFailed | None = None
        self._failures = 0
        self._asking: int | None = None

    def flow(
        self, request: Request, ask: Callable[[], Request], accept: Callable[[Response], Granted]
    ) -> Generator[Request, Response, None]:
        """Send the request with the token; `ask` makes the request for one, `accept` reads the answer to it."""
        token = yield from self._current(None, ask, accept)
        response = yield authorized(request, "Bearer", token.reveal(), token)
        if response.status == _UNAUTHORIZED:
            token = yield from self._current(token, ask, accept)
            yield authorized(request, "Bearer", token.reveal(), token)

    def _current(
        self, refused: Secret | None, ask: Callable[[], Request], accept: Callable[[Response], Granted]
    ) -> Generator[Request, Response, Secret]:
        failures = self._failures
        if self._asking == threading.get_ident():
            raise ConfigurationError(
                "what stores a new token",
                "it asks through the client that waits for the token",
                "Store it by another client, or put it somewhere else.",
            )
        with self._lock, self._alone():
            if self._failure is not None and self._failures > failures:
                raise copy(self._failure)
            if self._token is None or self._token == refused or self._clock() >= self._renew_at:
                asked_at = self._clock()
                response = yield ask()
                try:
                    granted = accept(response)
                except AuthenticationFailed as error:
                    self._failure, self._failures = error, self._failures + 1
                    raise
                self._token, self._renew_at = granted.token, asked_at + _good_for(granted.life_seconds)
            return self._token

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """This thread asks, and must not come here again while it does."""
        self._asking = threading.get_ident()
        try:
            yield
        finally:
            self._asking = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_clock": self._clock}  # the token stays here, and locks do not travel

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()


def _good_for(life_seconds: float | None) -> float:
    return float("inf") if life_seconds is None else life_seconds - min(30.0, life_seconds / 10)


def refused(response: Response, what: str, remedy: str, where: str) -> None:
    """Raise when the answer to a request for a token says no; `remedy` is about the credentials, `where` the place."""
    if response.status < _BAD_REQUEST:
        return
    about = response.status in _REFUSALS
    kind = AuthenticationFailed if about else ApiStatusError
    fact = f"is {'refused' if about else 'answered'} with status {response.status}"
    raise kind(
        response.request.name,
        f"{what} {fact}: {response.excerpt()}",
        remedy if about else f"Check {where}, and whether the server is well.",
        status=response.status,
    )


def granted(response: Response, what: str, token: Any, life: Any, remedies: tuple[str, str]) -> Granted:
    """The token and its life as an answer has them, checked; `remedies` are for a missing token and a missing life."""
    if not isinstance(token, str) or not token:
        raise InvalidAnswer(response.request.name, f"{what} has no text where the token should stand", remedies[0])
    if life is not None and (isinstance(life, bool) or not isinstance(life, int | float)):
        raise InvalidAnswer(response.request.name, f"{what} has no number where the seconds should stand", remedies[1])
    return Granted(Secret(token), life)
