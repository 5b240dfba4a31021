from __future__ import annotations

import math
import pickle
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError
from de_classes.utils.rate_limit import RateLimiter

SECOND = 1_000_000_000


class VirtualTime:
    """Nanoseconds; sleeping lets them pass, and oversleeps by `late`."""

    def __init__(self, late: int = 0) -> None:
        self.now = 12_345
        self.late = late

    def clock(self) -> int:
        """Say what time it is."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += math.ceil(seconds * SECOND) + self.late


@given(
    requests=st.integers(1, 7),
    pauses=st.lists(st.integers(0, 2 * SECOND), max_size=60),
    late=st.integers(0, SECOND // 2),
)
def test_no_window_of_a_second_holds_more(requests: int, pauses: list[int], late: int) -> None:
    """Wherever a window of one second begins, at most so many calls fall into it."""
    time = VirtualTime(late)
    limiter = RateLimiter(requests, clock=time.clock, sleep=time.sleep)
    passed = []
    for pause in pauses:
        time.now += pause
        limiter.acquire()
        passed.append(time.now)
    assert all(later - earlier >= SECOND for earlier, later in zip(passed, passed[requests:], strict=False))


def test_does_not_wait_when_it_need_not() -> None:
    """Calls within the limit pass at once; the first one beyond waits exactly until it may."""
    time = VirtualTime()
    limiter = RateLimiter(3, per_seconds=2, clock=time.clock, sleep=time.sleep)
    start = time.now
    for _ in range(3):
        limiter.acquire()
    assert time.now == start
    limiter.acquire()
    assert time.now == start + 2 * SECOND


def test_threads_share_the_limit() -> None:
    """Many threads that use one limiter together stay within it."""
    passed: list[int] = []
    time = VirtualTime()
    limiter = RateLimiter(5, clock=time.clock, sleep=time.sleep)
    lock = threading.Lock()

    def work() -> None:
        for _ in range(10):
            limiter.acquire()
            with lock:
                passed.append(time.now)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 80
    assert time.now - 12_345 == 15 * SECOND  # 80 calls, 5 a second, the first 5 at once


def test_a_copy_counts_for_itself() -> None:
    """A pickled limiter has the same limit, a lock of its own and an empty count."""
    limiter = RateLimiter(1, per_seconds=3600)
    limiter.acquire()
    copy = pickle.loads(pickle.dumps(limiter))
    assert (copy.requests, copy.per_seconds) == (1, 3600)
    copy.acquire()  # would take an hour if it had not


@pytest.mark.parametrize(("requests", "per_seconds"), [(0, 1), (1, 0), (-1, 1), (1, -5)])
def test_senseless_limits_are_refused(requests: int, per_seconds: float) -> None:
    """A limit that allows nothing, or has no window, is the user's mistake."""
    with pytest.raises(ConfigurationError):
        RateLimiter(requests, per_seconds)


def test_time_between_calls_counts() -> None:
    """Time that passed anyway is not waited for again."""
    time = VirtualTime()
    limiter = RateLimiter(1, clock=time.clock, sleep=time.sleep)
    moments = []
    for _ in range(4):
        limiter.acquire()
        moments.append(time.now)
        time.now += SECOND // 4
    assert [later - earlier for earlier, later in pairwise(moments)] == [SECOND] * 3
