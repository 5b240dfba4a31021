"""Not more than so many calls in a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RateLimiter"]

_NANOSECONDS = 1_000_000_000


class RateLimiter:
    """Lets at most `requests` calls of `acquire` return within any window of `per_seconds`, wherever the window begins.

    The first calls pass at once, so a burst of `requests` is possible, but never two bursts closer than a window. All
    threads that share the object share the limit, and wait their turn. A pickled copy counts for itself: the limit
    holds per process, so give each of n worker processes an n-th of what the other side allows.
    """

    def __init__(
        self,
        requests: int,
        per_seconds: float = 1.0,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if requests < 1 or per_seconds <= 0:
            raise ConfigurationError(
                "RateLimiter",
                f"requests={requests!r} per_seconds={per_seconds!r} allows nothing or everything",
                "Give at least 1 request per more than 0 seconds; one in ten seconds is requests=1, per_seconds=10.",
            )
        self.requests = requests
        self.per_seconds = per_seconds
        self._window = round(per_seconds * _NANOSECONDS)
        self._clock = clock
        self._sleep = sleep
        self._passed: deque[int] = deque(maxlen=requests)
        self._turn = threading.Lock()

    def acquire(self) -> None:
        """Return when one more call is allowed."""
        # The lock is held while waiting, and the moment noted afterwards: had each thread only a reservation, one that
        # oversleeps would come too close to the next one's.
        with self._turn:
            if len(self._passed) == self.requests:
                free_at = self._passed[0] + self._window
                while (early := free_at - self._clock()) > 0:
                    self._sleep(early / _NANOSECONDS)
            self._passed.append(self._clock())

    def __repr__(self) -> str:
        return f"RateLimiter({self.requests}, per_seconds={self.per_seconds})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.requests, self.per_seconds, self._clock, self._sleep)


def _rebuilt(
    requests: int, per_seconds: float, clock: Callable[[], int], sleep: Callable[[float], object]
) -> RateLimiter:
    return RateLimiter(requests, per_seconds, clock=clock, sleep=sleep)
