from __future__ import annotations

import gc
import math
import multiprocessing
import pickle
import subprocess
import sys
import threading
import weakref
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError
from de_classes.utils.rate_limit import RateLimiter, Told, main

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


@given(
    requests=st.integers(1, 5),
    calls=st.lists(st.tuples(st.integers(0, SECOND), st.integers(0, 2 * SECOND), st.floats(0, 1)), max_size=40),
)
def test_no_window_holds_more_where_the_calls_arrive(requests: int, calls: list[tuple[int, int, float]]) -> None:
    """However long each call is on its way, at most so many arrive within any second."""
    time = VirtualTime()
    limiter = RateLimiter(requests, clock=time.clock, sleep=time.sleep)
    arrived = []
    for pause, takes, way in calls:
        time.now += pause
        with limiter:
            arrived.append(time.now + int(takes * way))
            time.now += takes
    assert all(later - earlier >= SECOND for earlier, later in zip(arrived, arrived[requests:], strict=False))


@given(
    requests=st.integers(1001, 1200),
    pauses=st.lists(st.integers(0, SECOND // 500), min_size=1500, max_size=3000),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.data_too_large])
def test_a_large_limit_holds_too(requests: int, pauses: list[int]) -> None:
    """Where tokens are counted in lumps to save memory, no window holds more than it may, either."""
    time = VirtualTime()
    limiter = RateLimiter(requests, clock=time.clock, sleep=time.sleep)
    passed = []
    for pause in pauses:
        time.now += pause
        limiter.acquire()
        passed.append(time.now)
    assert all(later - earlier >= SECOND for earlier, later in zip(passed, passed[requests:], strict=False))


class Server:
    """Allows `limit` calls in each of its windows, which begin on the clock, and tells so."""

    def __init__(self, limit: int, window: int, time: VirtualTime) -> None:
        self.limit, self.window, self.time = limit, window, time
        self.counts: dict[int, int] = {}

    def call(self, *, tells_window: bool) -> Told:
        """Count the call."""
        number, past = divmod(self.time.now, self.window)
        self.counts[number] = self.counts.get(number, 0) + 1
        return Told(
            limit=self.limit,
            remaining=max(0, self.limit - self.counts[number]),
            reset_seconds=math.ceil((self.window - past) / SECOND),
            window_seconds=self.window / SECOND if tells_window else None,
        )


@given(
    limit=st.integers(1, 6),
    seconds=st.integers(1, 5),
    pauses=st.lists(st.integers(0, 2 * SECOND), max_size=40),
    tells_window=st.booleans(),
)
def test_a_learnt_limit_is_kept_from_the_first_answer_on(
    limit: int, seconds: int, pauses: list[int], *, tells_window: bool
) -> None:
    """A limiter without numbers never asks for more than what the answers say remains."""
    time = VirtualTime()
    server = Server(limit, seconds * SECOND, time)
    limiter = RateLimiter(clock=time.clock, sleep=time.sleep)
    for pause in pauses:
        time.now += pause
        with limiter:
            limiter.told(server.call(tells_window=tells_window))
    assert all(count <= limit for count in server.counts.values())


@given(limit=st.integers(1, 6), pauses=st.lists(st.integers(0, 2 * SECOND), max_size=40))
def test_a_learnt_window_holds_wherever_it_begins(limit: int, pauses: list[int]) -> None:
    """A limit that is told with its window holds for any window of that length, as one's own numbers do."""
    time = VirtualTime()
    limiter = RateLimiter(clock=time.clock, sleep=time.sleep)
    passed = []
    for pause in pauses:
        time.now += pause
        with limiter:
            passed.append(time.now)
            limiter.told(Told(limit, window_seconds=1))
    assert all(later - earlier >= SECOND for earlier, later in zip(passed, passed[limit:], strict=False))


def _learner() -> tuple[RateLimiter, VirtualTime]:
    time = VirtualTime()
    time.now = 0
    return RateLimiter(clock=time.clock, sleep=time.sleep), time


def test_knows_no_limit_before_it_is_told() -> None:
    """Without numbers and without facts nothing is waited for."""
    limiter, time = _learner()
    for _ in range(1000):
        limiter.acquire()
    assert time.now == 0


def test_a_pause_is_for_everyone() -> None:
    """Whoever asks next waits the pause out that one answer asked for, up to the longest that is kept."""
    limiter, time = _learner()
    limiter.told(Told(pause_seconds=7), Told(pause_seconds=3))
    limiter.acquire()
    limiter.acquire()
    assert time.now == 7 * SECOND
    limiter.told(Told(pause_seconds=1e300))
    limiter.acquire()
    assert time.now == (7 + 3600) * SECOND


def test_own_numbers_are_kept_beside_what_is_told() -> None:
    """What is told only narrows the limits that were given."""
    time = VirtualTime()
    time.now = 0
    limiter = RateLimiter(1, learn=True, clock=time.clock, sleep=time.sleep)
    limiter.told(Told(100, 99, 60))
    limiter.acquire()
    limiter.acquire()
    assert time.now == SECOND
    limiter.told(Told(remaining=0, reset_seconds=5))
    limiter.acquire()
    assert time.now == 6 * SECOND


def test_who_does_not_learn_is_told_nothing() -> None:
    """Numbers that were given stand alone unless learning is asked for."""
    time = VirtualTime()
    limiter = RateLimiter(9, clock=time.clock, sleep=time.sleep)
    start = time.now
    limiter.told(Told(1, 0, 60, 60, 60))
    limiter.acquire()
    assert time.now == start


def test_answers_out_of_order_give_nothing_back() -> None:
    """The lowest remainder told in a window counts, and calls under way are taken off."""
    limiter, time = _learner()
    for _ in range(3):
        limiter.begin()
    limiter.told(Told(remaining=2, reset_seconds=10))  # two others are under way, and may not be counted yet
    limiter.told(Told(remaining=4, reset_seconds=10))
    for _ in range(3):
        limiter.end()
    limiter.acquire()
    assert time.now == 10 * SECOND


def test_an_answer_from_before_the_reset_blocks_no_window() -> None:
    """A late answer that tells of the past window is good for a short pause and no more."""
    limiter, time = _learner()
    limiter.told(Told(remaining=100, reset_seconds=3600))
    limiter.told(Told(remaining=0, reset_seconds=1))
    limiter.acquire()
    assert time.now == SECOND


def test_several_quotas_hold_at_once() -> None:
    """Each quota that has a name of its own is kept."""
    limiter, time = _learner()
    limiter.told(Told(2, window_seconds=1, name="burst"), Told(3, window_seconds=60, name="minute"))
    for _ in range(3):
        limiter.acquire()
    assert time.now == SECOND
    limiter.acquire()
    assert time.now == 60 * SECOND


def test_what_is_told_stops_nobody_for_ever() -> None:
    """Limits of nothing and windows of years are waited for no longer than the longest pause."""
    limiter, time = _learner()
    for fact in (Told(0, 0, 1), Told(1, 0, 1e300), Told(1, window_seconds=1e300), Told(0, window_seconds=1)):
        start = time.now
        limiter.told(fact)
        for _ in range(2):
            limiter.acquire()
        assert time.now - start <= 2 * 3600 * SECOND


def test_names_without_end_fill_no_memory() -> None:
    """Of quotas that never come again the oldest are forgotten."""
    limiter, _ = _learner()
    for number in range(1000):
        limiter.told(Told(10, 9, 60, window_seconds=60, name=f"quota {number}"))
    assert len(limiter._windows) == len(limiter._allowances) == 32


def test_no_more_calls_run_at_once() -> None:
    """Threads wait while as many as may are under way."""
    limiter = RateLimiter(concurrent=3)
    running, most = 0, 0
    lock = threading.Lock()
    full = threading.Barrier(3)

    def work() -> None:
        nonlocal running, most
        with limiter:
            with lock:
                running += 1
                most = max(most, running)
            full.wait(10)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_place_in_the_line_holds_up_nobody_who_needs_to_begin() -> None:
    """Who has lined up and now waits for another does not keep that other from beginning, even with one token."""
    time = VirtualTime()
    time.now = 0
    limiter = RateLimiter(1, concurrent=1, clock=time.clock, sleep=time.sleep)
    limiter.line_up()
    limiter.begin()
    limiter.end()
    limiter.begin(lined_up=True)
    limiter.end()
    assert time.now == SECOND
    limiter.line_up()
    limiter.leave()
    limiter.acquire()
    assert time.now == 2 * SECOND


def test_a_call_that_fails_gives_its_place_back() -> None:
    """An error in the call ends it as a return does."""
    limiter = RateLimiter(concurrent=1)
    for _ in range(3):
        with pytest.raises(OSError, match="no"), limiter:
            raise OSError("no")


def test_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """The demonstration tells the moments at which calls begin, in virtual time."""
    assert main(["--requests", "2", "--calls", "4", "--pause-at", "3", "--pause", "2.5"]) == 0
    moments = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert moments == ["0.000", "0.000", "1.000", "3.500"]
    assert main(["--requests", "0"]) == 2
    assert "requests=0" in capsys.readouterr().err


def test_runs_alone() -> None:
    """The module is a command with help."""
    command = [sys.executable, "-m", "de_classes.utils.rate_limit", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "with limiter" in told.stdout
    assert told.stderr == ""


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


def test_copies_are_one_limiter_in_a_process() -> None:
    """Pickled copies share the count of the limiter, or of each other, since a process may get one with every split."""
    limiter = RateLimiter(1, per_seconds=3600, concurrent=2, learn=True)
    pickled = pickle.dumps(limiter)
    assert pickle.loads(pickled) is limiter
    here = pickle.loads(pickled.replace(limiter._id.encode(), b"0" * 32))
    assert here is not limiter
    assert repr(here) == repr(limiter) == "RateLimiter(1, per_seconds=3600, concurrent=2, learn=True)"
    here.acquire()  # would take an hour if it were the other
    again = weakref.ref(here)
    del here
    gc.collect()
    assert pickle.loads(pickled.replace(limiter._id.encode(), b"0" * 32)) is again()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_process_counts_for_itself() -> None:
    """Calls that were under way when a process was forked end in the parent alone; the child waits for none of them."""
    limiter = RateLimiter(2, per_seconds=3600, concurrent=1)
    pickled = pickle.dumps(limiter)

    def child() -> None:
        with limiter:
            assert pickle.loads(pickled) is limiter

    with limiter, limiter._line, limiter._front, limiter._changed:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(20)
    ended = process.exitcode
    process.kill()
    assert ended == 0


@pytest.mark.parametrize(
    "given",
    [
        {"requests": 0},
        {"requests": -1},
        {"requests": 1, "per_seconds": 0},
        {"requests": 1, "per_seconds": -5},
        {"requests": 1, "per_seconds": float("inf")},
        {"requests": 1, "per_seconds": float("nan")},
        {"concurrent": 0},
        {"learn": False},
        {"max_pause_seconds": -1},
    ],
)
def test_senseless_limits_are_refused(given: Any) -> None:
    """A limit that allows nothing, everything, or has no window, is the user's mistake."""
    with pytest.raises(ConfigurationError):
        RateLimiter(**given)


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
