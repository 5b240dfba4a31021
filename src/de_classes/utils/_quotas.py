"""How many calls are left: what a `RateLimiter` counts. Moments are nanoseconds of one clock; no waiting, no locks."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

__all__ = ["Allowance", "Window", "nanoseconds"]

_MOST_ENTRIES = 1000
_ABOUT_A_SECOND = 1_000_000_000
"""Resets are told in whole seconds, rounded up or down: within this, two tell of the same moment."""


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds, rather one too many than one too few."""
    return math.ceil(seconds * 1_000_000_000)


@dataclass(slots=True)
class _Entry:
    first: int
    last: int
    calls: int = 1


class Window:
    """At most `size` calls in any stretch of `length`, as a bucket of tokens that come back a `length` after use.

    Beyond a thousand tokens, those that were used within a thousandth of the length come back together, with the last
    of them: a window of a day and a million calls is no list of a million moments.
    """

    def __init__(self, size: int, length: int) -> None:
        self._size = size
        self._length = max(1, length)
        self._used: deque[_Entry] = deque()
        self._away = 0

    def become(self, size: int, length: int) -> None:
        """Have other numbers from now on, with the same calls behind it."""
        self._size = size
        self._length = max(1, length)

    def early(self, now: int, running: int) -> int | None:
        """How much too early it is for a call beside the running ones; None: one of them has to end first."""
        while self._used and self._used[0].last + self._length <= now:
            self._away -= self._used.popleft().calls
        if running + self._away < self._size:
            return 0
        return self._used[0].last + self._length - now if self._used else None

    def add(self, now: int) -> None:
        """A call has ended."""
        self._away += 1
        newest = self._used[-1] if self._used else None
        if newest and self._size > _MOST_ENTRIES and now - newest.first < self._length // _MOST_ENTRIES:
            newest.last = now
            newest.calls += 1
        else:
            self._used.append(_Entry(now, now))


class Allowance:
    """So many calls until a reset, as the other side counts them.

    After the reset the whole limit is taken to be there again, for as long as the longest reset that was ever told,
    or until the next answer tells better.
    """

    def __init__(self) -> None:
        self.left = 0
        self._limit: int | None = None
        self._until = 0
        self._longest = 0
        self._guessed = True

    def told(self, limit: int | None, left: int, now: int, reset: int) -> bool:
        """Take an answer in; False when it speaks of an earlier reset than one before it, and is passed over."""
        until = now + reset
        self._limit = limit or self._limit
        self._longest = max(self._longest, reset)
        if self._guessed or now >= self._until or until > self._until + _ABOUT_A_SECOND:
            self.left, self._until, self._guessed = left, until, False
            return True
        if until < self._until - _ABOUT_A_SECOND:
            return False
        self.left = min(self.left, left)
        self._until = max(self._until, until)
        return True

    def early(self, now: int, running: int, ahead: int) -> int:
        """How much too early it is for one more call behind so many others."""
        if now >= self._until:
            if self._limit is None:
                return 0
            self.left, self._until, self._guessed = self._limit - running, now + self._longest, True
        return 0 if self.left > ahead else self._until - now
