"""Trying again: how often, how long to wait in between, how much of it in all, and whom to tell.

`RetryPolicy` says when; what is worth another attempt is for the caller to know, since only it knows its errors::

    RetryPolicy(attempts=4).call(fetch, on=(ConnectionError,), name="GET https://shop.example/orders")

    @RetryPolicy(attempts=4).retrying(on=(ConnectionError,), budget=RetryBudget())
    def fetch(page): ...

and, in a shell, `python -m de_classes.utils.retry --fails 3`.

This is a loop of our own, and not stamina's, for one reason: stamina reports retries through hooks of the whole
process, which write to standard output when structlog is installed, while here each caller names its own observer.
"""

from __future__ import annotations

import argparse
import functools
import logging
import math
import random
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeAlias, TypeVar

from de_classes.contracts import Retried
from de_classes.errors import ConfigurationError, DeClassesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from de_classes.contracts import Observer

__all__ = ["Again", "RetryBudget", "RetryOn", "RetryPolicy", "main"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("de_classes")


@dataclass(frozen=True, slots=True)
class Again:
    """A failure is worth another attempt."""

    after_seconds: float = 0.0
    """How long the other side asks to wait; the policy's own wait counts when it is longer."""
    free: bool = False
    """Whether this takes nothing from the budget: the other side is well, and asks to come back."""


RetryOn: TypeAlias = "tuple[type[Exception], ...] | Callable[[Exception], bool | float | Again]"
"""What is worth another attempt: exception classes, or a function of the exception that answers False (it is not), True
(after the policy's own wait), seconds (it is, and the other side asks to wait at least that long) or `Again`."""


_FREE = 200
"""Retries without a token since the last success: enough for as many threads that meet the end of a quota at once."""


class RetryBudget:
    """How many retries all calls together may have: a bucket of tokens, so that a dead service is not hammered.

    It begins with `capacity` tokens. A retry takes one; a call that succeeds puts `refill` of one back, up to the
    capacity. Without a token a failure is final at its first attempt. So n calls of which s succeed lead to at most
    n + capacity + s * refill attempts, whatever happens. With the numbers given here that is 1.1 attempts per call over
    an outage of 200 calls in which none succeeds, and also over a long one in which a fifth does; a service that is
    merely unsteady, and fails a third of the attempts, is borne for ever. What is refused for its rate alone (`free`)
    takes no token, 200 times at most until a call succeeds again: an API that only ever says "too many" is down, too.

    Share one object among all threads and calls that ask the same service. A pickled copy is full, and counts for
    itself. gRPC's `retryThrottling` refills by success in the same way; Finagle's `RetryBudget` adds some retries for
    every second, which this leaves out: they would hammer a service that is dead.
    """

    def __init__(self, capacity: float = 20, refill: float = 0.5) -> None:
        if not (capacity >= 0 and 0 <= refill < math.inf):
            raise ConfigurationError(
                "RetryBudget",
                f"capacity={capacity!r} refill={refill!r} is no budget",
                "Give numbers of 0 or more; a capacity of infinity allows every retry.",
            )
        self.capacity = capacity
        self.refill = refill
        self._tokens = float(capacity)
        self._free = _FREE
        self._lock = threading.Lock()

    def spend(self, *, free: bool = False) -> bool:
        """Take a token for a retry, if it is not free of charge; False when there is none."""
        with self._lock:
            if free and self._free >= 1:
                self._free -= 1
                return True
            # What ten successes of 0.1 bring back is one token, though the sum is a little less.
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens = max(0.0, self._tokens - 1)
            return True

    def earn(self) -> None:
        """A call has succeeded."""
        with self._lock:
            self._tokens = min(self.capacity, self._tokens + self.refill)
            self._free = _FREE

    def __repr__(self) -> str:
        return f"RetryBudget({self.capacity}, refill={self.refill})"

    def __reduce__(self) -> tuple[Any, ...]:
        return RetryBudget, (self.capacity, self.refill)


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
        budget: RetryBudget | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> T:
        """Call `function` until it returns; the last error is raised as it is.

        An error that is final only since `budget` is spent says so: in its fact when it is one of ours, with
        `retry_budget_spent`, otherwise in a note. The observer is told of each further attempt before the wait.
        `clock`, `sleep` and `draw` are there for virtual time.
        """
        start = clock()
        failures = 0
        while True:
            try:
                result = function()
            except Exception as error:
                failures += 1
                again = _verdict(on, error)
                if again is None:
                    raise
                wait = self.wait_after(
                    failures, elapsed_seconds=clock() - start, asked_seconds=again.after_seconds, draw=draw()
                )
                if wait is None:
                    raise
                if budget is not None and not budget.spend(free=again.free):
                    _raise_as_spent(error, budget)
                cause = _cause(error)
            else:
                if budget is not None:
                    budget.earn()
                return result
            if observer is not None:
                now = datetime.now(UTC)
                _tell(observer, Retried(at=now, name=name, attempt=failures, wait_seconds=wait, cause=cause))
            sleep(wait)

    def retrying(
        self,
        *,
        on: RetryOn,
        name: str | None = None,
        budget: RetryBudget | None = None,
        observer: Observer | None = None,
        **time: Any,
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """The same as a decorator: each call of the function is tried as `call` does.

        `name` is the function's own when it is not given; `clock`, `sleep` and `draw` are handed on.
        """

        def decorated(function: Callable[P, T]) -> Callable[P, T]:
            called = name or str(getattr(function, "__qualname__", function))

            @functools.wraps(function)
            def patient(*args: P.args, **kwargs: P.kwargs) -> T:
                once = functools.partial(function, *args, **kwargs)
                return self.call(once, on=on, name=called, budget=budget, observer=observer, **time)

            return patient

        return decorated


def _verdict(on: RetryOn, error: Exception) -> Again | None:
    verdict = isinstance(error, on) if isinstance(on, tuple) else on(error)
    if isinstance(verdict, bool):
        return Again() if verdict else None
    return verdict if isinstance(verdict, Again) else Again(verdict)


def _cause(error: Exception) -> str:
    return (error.fact if isinstance(error, DeClassesError) else str(error)) or type(error).__name__


def _raise_as_spent(error: Exception, budget: RetryBudget) -> NoReturn:
    told = f"not tried again, since the retry budget is spent: too few calls have succeeded lately ({budget!r})"
    if isinstance(error, DeClassesError):
        fact = f"{error.fact}; {told}"
        raise type(error)(error.subject, fact, error.remedy, **{**error.context, "retry_budget_spent": True}) from error
    error.add_note(told)
    raise error


def _tell(observer: Observer, event: Retried) -> None:
    try:
        observer(event)
    except Exception:  # noqa: BLE001 -- whatever an observer does must not stop the work
        _log.exception("observer %r failed on Retried", observer)


class _Outage:
    """A service that fails so many times, in virtual time, and tells of each attempt."""

    def __init__(self, fails: int) -> None:
        self.now = 0.0
        self._fails = fails
        self._asked = 0

    def __call__(self) -> None:
        """Fail, or not any more."""
        self._asked += 1
        told = "fails" if self._asked <= self._fails else "succeeds"
        print(f"{self.now:8.3f} s  attempt {self._asked} {told}")  # noqa: T201 -- what was asked for
        if told == "fails":
            raise ConnectionError("nobody there")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m de_classes.utils.retry",
        description="Show when a call that fails would be tried again. Time is virtual: nothing is waited for.",
        epilog="In Python: RetryPolicy(attempts=4).call(fetch, on=(ConnectionError,), name='fetch')",
    )
    parser.add_argument("--fails", type=int, default=3, help="attempts that fail (default %(default)s)")
    parser.add_argument("--calls", type=int, default=1, help="calls, one after the other (default %(default)s)")
    parser.add_argument("--attempts", type=int, default=6, help="attempts per call (default %(default)s)")
    parser.add_argument("--wait", type=float, default=0.5, help="seconds of the first wait (default %(default)s)")
    parser.add_argument(
        "--jitter", type=float, default=0.5, help="share of a wait left to chance (default %(default)s)"
    )
    parser.add_argument("--retry-after", type=float, default=0.0, help="seconds that the service asks to wait")
    parser.add_argument("--budget", type=float, default=20, help="retries that all calls share (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter (default %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Show in virtual time when attempts would be made."""
    asked = _parser().parse_args(arguments)
    outage = _Outage(asked.fails)
    try:
        policy = RetryPolicy(attempts=asked.attempts, wait_seconds=asked.wait, jitter=asked.jitter)
        patient = policy.retrying(
            on=lambda error: isinstance(error, ConnectionError) and Again(asked.retry_after),
            budget=RetryBudget(asked.budget),
            clock=lambda: outage.now,
            sleep=outage.sleep,
            draw=random.Random(asked.seed).random,  # noqa: S311 -- jitter is no secret
        )(outage)
    except DeClassesError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the message of a command
        return error.exit_code
    given_up = False
    for _ in range(asked.calls):
        try:
            patient()
        except ConnectionError as error:
            given_up = True
            told = "; ".join([str(error), *getattr(error, "__notes__", ())])
            print(f"{outage.now:8.3f} s  given up: {told}")  # noqa: T201 -- what was asked for
    return int(given_up)


if __name__ == "__main__":
    sys.exit(main())
