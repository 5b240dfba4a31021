"""Not more than so many calls in any window, nor at once: by numbers of one's own, or as the other side tells.

::

    limiter = RateLimiter(10)                                  # any second holds 10 calls at most
    limiter = RateLimiter(100, per_seconds=60, concurrent=4)   # any minute holds 100, and 4 run at once
    with limiter:                                              # around any call, in any thread
        ask()

    limiter = RateLimiter()                                    # learns its limits from what it is told
    limiter.told(Told(remaining=0, reset_seconds=30))          # nobody begins within the next 30 seconds

and, in a shell, `python -m de_classes.utils.rate_limit --requests 3 --calls 8`.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import threading
import time
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from de_classes.errors import ConfigurationError, DeClassesError

from ._quotas import Allowance, Window, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["RateLimiter", "Told", "main"]

_MOST_QUOTAS = 32
"""How many quotas of different names are remembered: who invents a name per answer fills no memory."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the other side says of one of its limits; None where it says nothing."""

    limit: int | None = None
    """Calls in a window."""
    remaining: int | None = None
    """Calls that are left until the reset."""
    reset_seconds: float | None = None
    """Until the whole limit is there again."""
    pause_seconds: float | None = None
    """How long nobody should call."""
    window_seconds: float | None = None
    name: str = ""
    """Tells several limits apart that hold at once."""


class RateLimiter:
    """A bucket of `requests` tokens, and `concurrent` calls at once, for all threads that share the object.

    A call takes a token, and gives it back `per_seconds` after its end. So no window of that length holds more than
    `requests` calls, wherever it begins, and that is true where the calls arrive, too, however long each was on its
    way; the price is that calls which take long lower the rate. The first ones pass at once, as a burst. `acquire` is
    for calls whose end nobody tells: their tokens come back `per_seconds` after they were taken, and they do not count
    as running.

    With `learn`, which is on when `requests` is not given, it also keeps to what it is `told`: limits with a window,
    what remains until a reset, and pauses, each within the limits of its own. A pause or a reset that is further away
    than `max_pause_seconds` is cut to that, and of a longer window only what remains is kept to: whoever calls then
    hears of it from the other side, in place of waiting for a day in silence.

    One object stands for one origin: give it to every client of that origin. Within a process a pickled copy is the
    same limiter again, or the same as the other copies; each process counts for itself, so give each of n worker
    processes an n-th of what the other side allows.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        requests: int | None = None,
        per_seconds: float = 1.0,
        *,
        concurrent: int | None = None,
        learn: bool | None = None,
        max_pause_seconds: float = 3600.0,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.requests = requests
        self.per_seconds = per_seconds
        self.concurrent = concurrent
        self.learn = requests is None if learn is None else learn
        self.max_pause_seconds = max_pause_seconds
        self._check()
        self._clock = clock
        self._sleep = sleep
        self._id = uuid.uuid4().hex
        self._own = [] if requests is None else [Window(requests, nanoseconds(per_seconds))]
        self._windows: dict[str, Window] = {}
        self._allowances: dict[str, Allowance] = {}
        self._paused_until = 0
        self._alone()
        _here[self._id] = self

    def acquire(self) -> None:
        """Return when one more call is allowed, and count it as made at that moment."""
        with self._line, self._front, self._allowed():
            self._take()
            self._give_back()

    def line_up(self) -> None:
        """Return when a call may begin, and keep its place until `begin(lined_up=True)` or `leave`.

        For what must not be prepared too early, such as credentials that expire. Places are given, not tokens: whoever
        has none may still begin first, so that no two threads wait for each other.
        """
        with self._line, self._allowed(behind_others=True):
            self._lined_up += 1

    def leave(self) -> None:
        """Give the place up."""
        with self._changed:
            self._lined_up -= 1
            self._changed.notify_all()

    def begin(self, *, lined_up: bool = False) -> None:
        """Return when the call may begin; `end` must follow."""
        with self._front, self._allowed():
            self._lined_up -= lined_up
            self._take()

    def end(self) -> None:
        """The call has ended, and with it one that waits may begin."""
        with self._changed:
            self._give_back()
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def told(self, *facts: Told) -> None:
        """Keep to what the other side says, if this limiter learns.

        To be called before the call that brought the facts ends. Answers may come out of order: within one window the
        lowest remainder counts, and calls still under way are taken off it.
        """
        if not self.learn:
            return
        with self._changed:
            now = self._clock()
            for fact in facts:
                self._learn(fact, now)
            self._changed.notify_all()

    def _alone(self) -> None:
        """No thread waits and no call runs, as at the beginning of a process."""
        self._running = 0
        self._lined_up = 0
        # One thread at a time waits for its place, and one of those that have a place waits to begin.
        self._line = threading.Lock()
        self._front = threading.Lock()
        self._changed = threading.Condition(threading.Lock())

    def __repr__(self) -> str:
        given = [] if self.requests is None else [f"{self.requests}, per_seconds={self.per_seconds}"]
        given += [] if self.concurrent is None else [f"concurrent={self.concurrent}"]
        given += ["learn=True"] if self.learn else []
        return f"RateLimiter({', '.join(given)})"

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "concurrent": self.concurrent,
            "learn": self.learn,
            "max_pause_seconds": self.max_pause_seconds,
            "clock": self._clock,
            "sleep": self._sleep,
        }
        return _rebuilt, (self._id, self.requests, self.per_seconds, options)

    def _check(self) -> None:
        wrong = [
            f"{name}={value!r}"
            for name, value, held in (
                ("requests", self.requests, self.requests is None or self.requests >= 1),
                ("per_seconds", self.per_seconds, 0 < self.per_seconds < math.inf),
                ("concurrent", self.concurrent, self.concurrent is None or self.concurrent >= 1),
                ("max_pause_seconds", self.max_pause_seconds, 0 <= self.max_pause_seconds < math.inf),
            )
            if not held
        ]
        if self.requests is None and self.concurrent is None and not self.learn:
            wrong.append("learn=False without requests or concurrent")
        if wrong:
            raise ConfigurationError(
                "RateLimiter",
                f"{' '.join(wrong)} allows nothing or everything",
                "Give at least 1 request per more than 0 seconds; one in ten seconds is requests=1, per_seconds=10.",
            )

    @contextmanager
    def _allowed(self, *, behind_others: bool = False) -> Iterator[None]:
        """Wait until a call is allowed, and hold the lock from that moment on."""
        with self._changed:
            while (early := self._early(self._lined_up if behind_others else 0)) != 0:
                if early is None:
                    self._changed.wait()
                    continue
                self._changed.release()
                try:
                    self._sleep(early / 1_000_000_000)
                finally:
                    self._changed.acquire()
            yield

    def _early(self, ahead: int) -> int | None:
        """How many nanoseconds it is too early for a call behind so many others; None: until one of them has ended."""
        now = self._clock()
        if self.concurrent is not None and self._running + ahead >= self.concurrent:
            return None
        waits = [window.early(now, self._running + ahead) for window in (*self._own, *self._windows.values())]
        waits += [allowance.early(now, self._running, ahead) for allowance in self._allowances.values()]
        known = [wait for wait in waits if wait is not None]
        return None if len(known) < len(waits) else max(0, self._paused_until - now, *known)

    def _take(self) -> None:
        self._running += 1
        for allowance in self._allowances.values():
            allowance.left -= 1

    def _give_back(self) -> None:
        self._running -= 1
        now = self._clock()
        for window in (*self._own, *self._windows.values()):
            window.add(now)

    def _learn(self, fact: Told, now: int) -> None:
        if fact.pause_seconds is not None:
            self._paused_until = max(self._paused_until, now + self._capped(fact.pause_seconds))
        if fact.limit and fact.window_seconds and fact.window_seconds <= self.max_pause_seconds:
            size, length = fact.limit, nanoseconds(fact.window_seconds)
            _remembered(self._windows, fact.name, lambda: Window(size, length)).become(size, length)
        reset = fact.window_seconds if fact.reset_seconds is None else fact.reset_seconds
        if fact.remaining is None or reset is None:
            return
        allowance = _remembered(self._allowances, fact.name, Allowance)
        left = max(0, fact.remaining - max(0, self._running - 1))
        if not allowance.told(fact.limit, left, now, self._capped(reset)) and left == 0:
            self._paused_until = max(self._paused_until, now + self._capped(reset))

    def _capped(self, seconds: float) -> int:
        return nanoseconds(min(max(0.0, seconds), self.max_pause_seconds))


def _remembered(quotas: dict[str, Any], name: str, make: Callable[[], Any]) -> Any:
    """The quota of that name, made when there is none; the oldest makes room."""
    if name not in quotas:
        if len(quotas) == _MOST_QUOTAS:
            del quotas[next(iter(quotas))]
        quotas[name] = make()
    return quotas[name]


# Copies of one limiter that come to this process, one with each split it may be, are one limiter here.
_here: WeakValueDictionary[str, RateLimiter] = WeakValueDictionary()
_arrived: deque[RateLimiter] = deque(maxlen=100)
_arriving = threading.Lock()


def _rebuilt(identity: str, requests: int | None, per_seconds: float, options: dict[str, Any]) -> RateLimiter:
    with _arriving:
        limiter = _here.get(identity)
        if limiter is None:
            limiter = RateLimiter(requests, per_seconds, **options)
            limiter._id = identity  # noqa: SLF001 -- the same one, in another process
            _here[identity] = limiter
            _arrived.append(limiter)  # kept when its split is done: the next one must not begin with a full bucket
        return limiter


def _forked() -> None:
    """The threads that held locks, and made calls, are not in the child."""
    global _arriving  # noqa: PLW0603 -- a lock that was held stays so for ever
    _arriving = threading.Lock()
    for limiter in list(_here.values()):
        limiter._alone()  # noqa: SLF001 -- its own module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def main(arguments: Sequence[str] | None = None) -> int:
    """Show in virtual time when calls would begin."""
    parser = argparse.ArgumentParser(
        prog="python -m de_classes.utils.rate_limit",
        description="Show when calls would begin under a rate limit. Time is virtual: nothing is waited for.",
        epilog="In Python: limiter = RateLimiter(3); then, in any thread: with limiter: ask()",
    )
    parser.add_argument("--requests", type=int, help="calls per window; without it the limiter only learns")
    parser.add_argument("--per-seconds", type=float, default=1.0, help="the window (default %(default)s)")
    parser.add_argument("--calls", type=int, default=8, help="how many calls to make (default %(default)s)")
    parser.add_argument("--takes", type=float, default=0.0, help="seconds that a call takes (default %(default)s)")
    parser.add_argument("--pause-at", type=int, help="the call whose answer asks for a pause, counted from 1")
    parser.add_argument("--pause", type=float, default=5.0, help="the seconds it asks for (default %(default)s)")
    asked = parser.parse_args(arguments)
    now = [0]

    def sleep(seconds: float) -> None:
        now[0] += nanoseconds(seconds)

    try:
        limiter = RateLimiter(asked.requests, asked.per_seconds, learn=True, clock=lambda: now[0], sleep=sleep)
    except DeClassesError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the message of a command
        return error.exit_code
    for call in range(1, asked.calls + 1):
        with limiter:
            print(f"{now[0] / 1e9:8.3f} s  call {call}")  # noqa: T201 -- what was asked for
            sleep(asked.takes)
            if call == asked.pause_at:
                limiter.told(Told(pause_seconds=asked.pause))
    return 0


if __name__ == "__main__":
    sys.exit(main())
