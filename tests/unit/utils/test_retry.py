from __future__ import annotations

import math
import pickle
import subprocess
import sys
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.contracts import Retried
from de_classes.errors import ApiUnreachable, ConfigurationError
from de_classes.utils.retry import Again, RetryBudget, RetryPolicy, main

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


def _call(  # noqa: PLR0913 -- as the method that it calls
    policy: RetryPolicy,
    flaky: Flaky,
    time: VirtualTime,
    on: RetryOn = (ConnectionError,),
    observer: Observer | None = None,
    budget: RetryBudget | None = None,
) -> str:
    return policy.call(
        flaky,
        on=on,
        name="GET x",
        budget=budget,
        observer=observer,
        clock=time.clock,
        sleep=time.sleep,
        draw=lambda: 0.0,
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
    [(0.0, 1.0), (True, 1.0), (0.5, 1.0), (7.0, 7.0), (99.0, 10.0), (Again(), 1.0), (Again(7), 7.0), (math.inf, 10.0)],
)
def test_waits_as_long_as_the_failure_asks(asked: float | Again, waited: float) -> None:
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


def test_an_outage_costs_a_tenth_more_at_most() -> None:
    """A service that is dead for long is asked no more than 1.1 times per call, whatever a call may have."""
    budget, attempts, time = RetryBudget(), 0, VirtualTime()
    for _ in range(200):
        flaky = Flaky(*[ConnectionError()] * 9)
        with pytest.raises(ConnectionError):
            _call(RetryPolicy(), flaky, time, budget=budget)
        attempts += flaky.calls
    assert attempts == 220


@given(outcomes=st.lists(st.integers(0, 9), max_size=200), capacity=st.integers(0, 9), refill=st.floats(0, 1))
def test_attempts_stay_within_the_budget(outcomes: list[int], capacity: int, refill: float) -> None:
    """Whatever fails how often, n calls of which s succeed lead to at most n + capacity + s * refill attempts."""
    budget, attempts, succeeded, time = RetryBudget(capacity, refill), 0, 0, VirtualTime()
    for calls, failures in enumerate(outcomes, 1):
        flaky = Flaky(*[ConnectionError()] * failures)
        with suppress(ConnectionError):
            _call(RetryPolicy(), flaky, time, budget=budget)
            succeeded += 1
        attempts += flaky.calls
        assert attempts <= calls + capacity + succeeded * refill + 1e-6


def test_a_service_that_a_fifth_gets_through_to_is_spared_too() -> None:
    """Over a long outage with some successes in it there are no more than 1.1 attempts per call, either."""
    budget, attempts, succeeded, time = RetryBudget(), 0, 0, VirtualTime()
    for call in range(1000):
        flaky = Flaky(*[ConnectionError()] * (0 if call % 5 == 0 else 9))
        with suppress(ConnectionError):
            _call(RetryPolicy(), flaky, time, budget=budget)
            succeeded += 1
        attempts += flaky.calls
    assert succeeded == 200
    assert attempts <= 1100 + 20


@pytest.mark.parametrize("seed", range(5))
def test_an_unsteady_service_is_borne(seed: int) -> None:
    """A service that fails a quarter of all attempts at random never uses the budget up."""
    chance, budget, time = Random(seed), RetryBudget(), VirtualTime()
    for _ in range(1000):
        failures = next(n for n in range(9) if chance.random() > 0.25 or n == 5)
        assert _call(RetryPolicy(), Flaky(*[ConnectionError()] * failures), time, budget=budget) == "done"


def test_successes_refill_the_budget() -> None:
    """Calls that succeed bring retries back: ten of them one, where each brings a tenth."""
    budget, time = RetryBudget(1, refill=0.1), VirtualTime()
    for _ in range(3):
        assert _call(RetryPolicy(), Flaky(ConnectionError()), time, budget=budget) == "done"
        for _ in range(9):
            _call(RetryPolicy(), Flaky(), time, budget=budget)
    assert budget.spend()
    assert not budget.spend()


def test_an_error_says_that_the_budget_is_spent() -> None:
    """The error is of the same kind, with the same attributes, and tells why there was no other attempt."""
    ours = ApiUnreachable("GET x", "gone", "Look.", url="http://x")
    with pytest.raises(ApiUnreachable, match="gone; not tried again, since the retry budget is spent") as caught:
        _call(RetryPolicy(), Flaky(ours), VirtualTime(), on=(ApiUnreachable,), budget=RetryBudget(0))
    assert (caught.value.url, caught.value.remedy, caught.value.retry_budget_spent) == ("http://x", "Look.", True)
    assert caught.value.__cause__ is ours
    theirs = ConnectionError("gone")
    with pytest.raises(ConnectionError) as raised:
        _call(RetryPolicy(), Flaky(theirs), VirtualTime(), budget=RetryBudget(0))
    assert raised.value is theirs
    assert "budget is spent" in theirs.__notes__[0]


def test_the_last_attempt_spends_nothing() -> None:
    """Where the policy gives up, the budget stays as it is, and the error says nothing of it."""
    budget = RetryBudget(1)
    with pytest.raises(ConnectionError) as caught:
        _call(RetryPolicy(attempts=1), Flaky(ConnectionError()), VirtualTime(), budget=budget)
    assert not hasattr(caught.value, "__notes__")
    assert budget.spend()


def test_who_asks_to_come_back_costs_nothing() -> None:
    """A retry that the other side asks for, being well, is free."""
    flaky = Flaky(*[ConnectionError()] * 3)
    assert _call(RetryPolicy(), flaky, VirtualTime(), on=lambda _: Again(1, free=True), budget=RetryBudget(0)) == "done"


def test_who_always_asks_to_come_back_is_down() -> None:
    """Over a long outage that says "too many" each call has about one attempt, as over any other; success forgives."""
    budget, asked = RetryBudget(20), list[int]()

    def refused() -> str:
        asked.append(1)
        raise ConnectionError

    policy, free = RetryPolicy(attempts=6), lambda _: Again(1, free=True)
    for _ in range(3000):
        with pytest.raises(ConnectionError):
            _call(policy, refused, VirtualTime(), on=free, budget=budget)
    assert len(asked) <= 1.1 * 3000
    assert not budget.spend(free=True)
    budget.earn()
    assert budget.spend(free=True)


def test_a_budget_pickles_full() -> None:
    """A copy in a worker counts for itself."""
    budget = RetryBudget(1, refill=0.5)
    assert budget.spend()
    copy = pickle.loads(pickle.dumps(budget))
    assert repr(copy) == "RetryBudget(1, refill=0.5)"
    assert copy.spend()


@pytest.mark.parametrize("given", [{"capacity": -1}, {"refill": -1}, {"refill": math.inf}, {"capacity": math.nan}])
def test_senseless_budgets_are_refused(given: dict[str, float]) -> None:
    """A budget below nothing is the user's mistake."""
    with pytest.raises(ConfigurationError):
        RetryBudget(**given)


def test_decorates_a_function() -> None:
    """A decorated function keeps its name and its arguments, and its calls share the budget."""
    time, told = VirtualTime(), list[Retried]()
    failing = [ConnectionError("one"), ConnectionError("two")]

    @RetryPolicy(jitter=0).retrying(
        on=(ConnectionError,), budget=RetryBudget(1), observer=told.append, clock=time.clock, sleep=time.sleep
    )
    def fetch(page: int, *, size: int) -> int:
        """Fetch."""
        if failing:
            raise failing.pop(0)
        return page * size

    with pytest.raises(ConnectionError, match="two"):
        fetch(6, size=7)
    assert fetch(6, size=7) == 42
    assert fetch.__doc__ == "Fetch."
    assert [event.name for event in told] == ["test_decorates_a_function.<locals>.fetch"]


def test_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """The demonstration tells the moments of attempts, in virtual time, and what ended them."""
    assert main(["--fails", "3", "--jitter", "0", "--retry-after", "1.5"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["0.000", "1.500", "3.000", "5.000"]
    assert main(["--fails", "3", "--budget", "1"]) == 1
    assert "budget is spent" in capsys.readouterr().out
    assert main(["--attempts", "0"]) == 2


def test_runs_alone() -> None:
    """The module is a command with help."""
    command = [sys.executable, "-m", "de_classes.utils.retry", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "RetryPolicy" in told.stdout
    assert told.stderr == ""
