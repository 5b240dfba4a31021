"""Trying again: how often, how long to wait in between, and whom to tell.

`RetryPolicy` says when; what is worth another attempt is for the caller to know, since only it knows its errors::

    RetryPolicy(attempts=4).call(fetch, on=(ConnectionError,), name="GET https://shop.example/orders")

This is a loop of our own, and not stamina's, for one reason: stamina reports retries through hooks of the whole
process, which write to standard output when structlog is installed, while here each caller names its own observer.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from de_classes.contracts import Retried
from de_classes.errors import ConfigurationError, DeClassesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.contracts import Observer

__all__ = ["RetryOn", "RetryPolicy"]

T = TypeVar("T")

_log = logging.getLogger("de_classes")

RetryOn: TypeAlias = "tuple[type[Exception], ...] | Callable[[Exception], bool | float]"
"""What is worth another attempt: exception classes, or a function of the exception that answers False (it is not), True
(after the policy's own wait) or seconds (it is, and the other side asks to wait at least that long)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try, and how long to wait: exponentially longer, with jitter, never sooner than asked.

    After the n-th failure the wait is `wait_seconds * 2 ** (n - 1)`, at most `max_wait_seconds`, shortened at random
    by up to the share `jitter`, so that many clients do not come back in step. A wait that the failure asks for
    (Retry-After) is kept to, up to `max_asked_wait_seconds`. No wait is begun that would end later than
    `timeout_seconds` after the start; the last error is raised instead, as it is after the last attempt.
    """

    attempts: int = 6
    """Including the first one; 1 means never to try again."""
    wait_seconds: float = 0.5
    max_wait_seconds: float = 30.0
    jitter: float = 0.5
    timeout_seconds: float = 300.0
    max_asked_wait_seconds: float = 120.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={value!r} (must be {rule})"
            for name, value, rule, held in (
                ("attempts", self.attempts, "1 or more", self.attempts >= 1),
                ("wait_seconds", self.wait_seconds, "0 or more", self.wait_seconds >= 0),
                ("max_wait_seconds", self.max_wait_seconds, "0 or more", self.max_wait_seconds >= 0),
                ("jitter", self.jitter, "from 0 to 1", 0 <= self.jitter <= 1),
                ("timeout_seconds", self.timeout_seconds, "0 or more", self.timeout_seconds >= 0),
                ("max_asked_wait_seconds", self.max_asked_wait_seconds, "0 or more", self.max_asked_wait_seconds >= 0),
            )
            if not held
        ]
        if wrong:
            raise ConfigurationError("RetryPolicy", "; ".join(wrong), "Give values within these limits.")

    def wait_after(
        self, failures: int, *, elapsed_seconds: float = 0.0, asked_seconds: float = 0.0, draw: float = 0.0
    ) -> float | None:
        """Seconds to wait after so many failures, or None to give up; `draw`, 0 to 1, is how much jitter is used."""
        if failures >= self.attempts:
            return None
        # Beyond 2 ** 62 a float would only overflow; the cap has long been reached.
        backoff = min(self.wait_seconds * 2.0 ** min(failures - 1, 62), self.max_wait_seconds)
        backoff *= 1 - self.jitter * draw
        wait = max(backoff, min(asked_seconds, self.max_asked_wait_seconds))
        return wait if elapsed_seconds + wait <= self.timeout_seconds else None

    def call(  # noqa: PLR0913 -- what to call, when to repeat it, whom to tell, and the time
        self,
        function: Callable[[], T],
        *,
        on: RetryOn,
        name: str,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> T:
        """Call `function` until it returns; the last error is raised as it is.

        The observer is told of each further attempt before the wait. `clock`, `sleep` and `draw` are there for virtual
        time.
        """
        start = clock()
        failures = 0
        while True:
            try:
                return function()
            except Exception as error:
                failures += 1
                verdict = isinstance(error, on) if isinstance(on, tuple) else on(error)
                if verdict is False:
                    raise
                wait = self.wait_after(
                    failures,
                    elapsed_seconds=clock() - start,
                    asked_seconds=0.0 if verdict is True else verdict,
                    draw=draw(),
                )
                if wait is None:
                    raise
                told = error.fact if isinstance(error, DeClassesError) else str(error)
                cause = told or type(error).__name__
            if observer is not None:
                _tell(
                    observer, Retried(at=datetime.now(UTC), name=name, attempt=failures, wait_seconds=wait, cause=cause)
                )
            sleep(wait)


def _tell(observer: Observer, event: Retried) -> None:
    try:
        observer(event)
    except Exception:  # noqa: BLE001 -- whatever an observer does must not stop the work
        _log.exception("observer %r failed on Retried", observer)
