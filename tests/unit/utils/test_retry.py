from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.contracts import Retried
from de_classes.errors import ConfigurationError
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from de_classes.contracts import Event, Observer
    from de_classes.utils.retry import RetryOn


class VirtualTime:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Say what time it is."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


class Flaky:
    """Fails with the given errors in turn, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        """Fail, or return."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def _call(
    policy: RetryPolicy,
    flaky: Flaky,
    time: VirtualTime,
    on: RetryOn = (ConnectionError,),
    observer: Observer | None = None,
) -> str:
    return policy.call(
        flaky, on=on, name="GET x", observer=observer, clock=time.clock, sleep=time.sleep, draw=lambda: 0.0
    )


def test_returns_what_the_first_success_returns() -> None:
    """Failures that are worth it are tried again, with waits that double up to the cap."""
    time, flaky = VirtualTime(), Flaky(*[ConnectionError()] * 4)
    assert _call(RetryPolicy(wait_seconds=1, max_wait_seconds=3), flaky, time) == "done"
    assert time.slept == [1, 2, 3, 3]


def test_raises_the_last_error_after_all_attempts() -> None:
    """After so many attempts the last error comes out as it is."""
    last = ConnectionError("third")
    flaky = Flaky(ConnectionError("first"), ConnectionError("second"), last)
    with pytest.raises(ConnectionError) as caught:
        _call(RetryPolicy(attempts=3), flaky, VirtualTime())
    assert caught.value is last
    assert flaky.calls == 3


def test_other_errors_are_raised_at_once() -> None:
    """What is not worth another attempt is not tried again."""
    flaky = Flaky(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        _call(RetryPolicy(), flaky, VirtualTime())
    assert flaky.calls == 1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(0.0, 1.0), (True, 1.0), (0.5, 1.0), (7.0, 7.0), (99.0, 10.0)],
)
def test_waits_as_long_as_the_failure_asks(asked: float, waited: float) -> None:
    """The asked wait is kept to when it is longer than the policy's own, up to its cap."""
    time = VirtualTime()
    policy = RetryPolicy(wait_seconds=1, max_asked_wait_seconds=10)
    _call(policy, Flaky(ConnectionError()), time, on=lambda _: asked)
    assert time.slept == [waited]


def test_begins_no_wait_beyond_the_timeout() -> None:
    """The error is raised when the next wait would end after the time that is allowed."""
    time, flaky = VirtualTime(), Flaky(*[ConnectionError()] * 10)
    with pytest.raises(ConnectionError):
        _call(RetryPolicy(attempts=10, wait_seconds=2, timeout_seconds=7), flaky, time)
    assert time.slept == [2, 4]


def test_tells_the_observer_before_each_wait() -> None:
    """An observer hears what is tried again, how often it failed, how long the wait is and why."""
    told: list[Event] = []
    _call(
        RetryPolicy(wait_seconds=1),
        Flaky(ConnectionError("gone"), ConnectionError()),
        VirtualTime(),
        observer=told.append,
    )
    assert all(isinstance(event, Retried) for event in told)
    assert [(e.name, e.attempt, e.wait_seconds, e.cause) for e in told] == [
        ("GET x", 1, 1, "gone"),
        ("GET x", 2, 2, "ConnectionError"),
    ]
    assert told[0].at.tzinfo is not None


def test_an_observer_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What an observer raises is logged, and the attempts go on."""

    def broken(_: Event) -> None:
        raise RuntimeError("no disk")

    assert _call(RetryPolicy(), Flaky(ConnectionError()), VirtualTime(), observer=broken) == "done"
    assert "no disk" in caplog.text


@given(
    failures=st.integers(1, 10_000),
    draw=st.floats(0, 1),
    asked=st.floats(0, 1e9),
    jitter=st.floats(0, 1),
)
def test_waits_stay_within_their_limits(failures: int, draw: float, asked: float, jitter: float) -> None:
    """Whatever happened and whatever is asked, the wait is within the caps, and not below the asked one."""
    policy = RetryPolicy(attempts=20_000, jitter=jitter, timeout_seconds=1e9, max_asked_wait_seconds=60)
    wait = policy.wait_after(failures, asked_seconds=asked, draw=draw)
    assert wait is not None
    assert min(asked, 60) <= wait <= 60
    assert policy.wait_after(20_000) is None


def test_wrong_settings_are_all_told_at_once() -> None:
    """A policy that makes no sense names everything that is wrong with it."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(attempts=0, jitter=2)
    assert "attempts=0" in str(caught.value)
    assert "jitter=2" in str(caught.value)


def test_a_policy_pickles() -> None:
    """A policy goes to workers as it is."""
    policy = RetryPolicy(attempts=3)
    assert pickle.loads(pickle.dumps(policy)) == policy
