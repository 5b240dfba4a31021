from __future__ import annotations

import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from de_classes.api import ApiClient, TokenLogin
from de_classes.errors import ApiUnreachable
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply
from de_classes.utils.rate_limit import RateLimiter
from de_classes.utils.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)


class Counting:
    """Answers, and keeps the moments at which requests came; refuses what is more than `limit` in a window."""

    def __init__(self, limit: int, window_seconds: float, form: str = "") -> None:
        self.limit, self.window, self.form = limit, window_seconds, form
        self.came: list[float] = []
        self.refused = 0
        self._lock = threading.Lock()
        self._fixed: Counter[int] = Counter()

    def __call__(self, _: Asked) -> Reply:
        with self._lock:
            now = time.monotonic()
            recent = sum(now - moment < self.window for moment in self.came)
            self.came.append(now)
            number, past = divmod(now, self.window)
            if self.form == "fixed":
                recent = self._fixed[int(number)]
                self._fixed[int(number)] += 1
            left = self.limit - recent - 1
            self.refused += left < 0
            reset = math.ceil(self.window - past)
        headers = {
            "": {},
            "sliding": {"RateLimit-Policy": f'"all";q={self.limit};w={self.window}'},
            "fixed": {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(max(0, left)),
                "X-RateLimit-Reset": str(reset),
            },
        }[self.form]
        return Reply(429 if left < 0 else 200, b"{}", headers)


def _ask(client: ApiClient, times: int, threads: int = 8) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for answer in [pool.submit(client.get_json, "x") for _ in range(times)]:
            answer.result()


def test_no_window_holds_more_on_the_wire() -> None:
    """Eight threads with two clients and one limiter never have more requests arrive in a window than it allows."""
    server = Counting(5, 0.2)
    limiter = RateLimiter(5, 0.2)
    with (
        LoopbackServer(server) as http,
        ApiClient(http.url, rate_limit=limiter, retry=ONCE) as one,
        ApiClient(http.url, rate_limit=limiter, retry=ONCE) as two,
        ThreadPoolExecutor(2) as pool,
    ):
        for half in [pool.submit(_ask, client, 20, threads=4) for client in (one, two)]:
            half.result()
    assert len(server.came) == 40
    assert all(later - earlier >= 0.2 for earlier, later in zip(server.came, server.came[5:], strict=False))


@pytest.mark.parametrize(("form", "window"), [("sliding", 0.25), ("fixed", 1.0)])
def test_learns_a_limit_and_is_never_refused(form: str, window: float) -> None:
    """After one answer that tells of the limit, eight threads keep to it."""
    server = Counting(6, window, form)
    with LoopbackServer(server) as http, ApiClient(http.url, rate_limit=RateLimiter(), retry=ONCE) as client:
        client.get_json("x")
        _ask(client, 20)
    assert server.refused == 0
    assert server.came[-1] - server.came[0] >= 2 * window


def test_a_pause_stops_all_threads() -> None:
    """After a refusal with Retry-After nothing arrives, from any thread, until it is over."""
    came: list[float] = []

    def busy_once(_: Asked) -> Reply:
        came.append(time.monotonic())
        return Reply(429, headers={"Retry-After": "0.5"}) if len(came) == 3 else json_reply({})

    with LoopbackServer(busy_once) as http, ApiClient(http.url, rate_limit=RateLimiter(concurrent=1)) as client:
        _ask(client, 8, threads=4)
    assert len(came) == 9
    assert came[3] - came[2] >= 0.5


def test_logins_and_turns_never_wait_for_each_other() -> None:
    """Threads that need a new token, and threads that wait for their turn behind them, all come through."""
    logins = 0
    lock = threading.Lock()

    def second_token(asked: Asked) -> Reply:
        nonlocal logins
        with lock:
            if asked.path == "/login":
                logins += 1
                return json_reply({"access_token": str(logins)})
        return json_reply({}) if asked.headers["authorization"] == "Bearer 2" else Reply(401)

    auth = TokenLogin("/login", "ann", "secret", expires_in_at=None)
    limiter = RateLimiter(1, 0.01, concurrent=1)
    with LoopbackServer(second_token) as http, ApiClient(http.url, auth=auth, rate_limit=limiter) as client:
        _ask(client, 24)
    assert logins == 2


def test_an_outage_is_not_hammered_by_threads() -> None:
    """Threads share the budget: where nobody listens, two hundred requests lead to twenty retries in all."""
    with LoopbackServer(Counting(1, 1)) as http:
        url = http.url
    retried = []
    policy = RetryPolicy(wait_seconds=0)
    with ApiClient(url, retry=policy, observer=retried.append) as client, ThreadPoolExecutor(8) as pool:
        errors = [pool.submit(client.get_json, "x").exception() for _ in range(200)]
    assert all(isinstance(error, ApiUnreachable) for error in errors)
    assert len(retried) == 20
