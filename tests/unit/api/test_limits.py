from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient
from de_classes.api.auth import OAuth2ClientCredentials
from de_classes.api.limits import asked_seconds, facts, refused_for_rate
from de_classes.api.messages import Request, Response
from de_classes.errors import ApiStatusError, AuthenticationFailed
from de_classes.utils.rate_limit import RateLimiter, Told
from de_classes.utils.retry import RetryBudget, RetryPolicy

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        # draft 08 and later: named quotas, as lists of structured fields
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
            [Told(100, 50, 30, window_seconds=60, name="default")],
        ),
        (
            {
                "ratelimit": '"burst";r=0;t=1 , "daily";r=900',
                "ratelimit-policy": '"burst";q=10;w=1, "daily";q=1000;w=86400, "extra";q=5;w=7',
            },
            [
                Told(10, 0, 1, window_seconds=1, name="burst"),
                Told(1000, 900, window_seconds=86400, name="daily"),
                Told(5, window_seconds=7, name="extra"),
            ],
        ),
        ({"ratelimit": '"a, b; \\"c\\"";r=1;t=2'}, [Told(None, 1, 2, name='a, b; "c"')]),
        ({"ratelimit": "default; r=3; t=4"}, [Told(None, 3, 4, name="default")]),
        (
            {"ratelimit": '"p";r=3;t=4;pk=:eA==:', "ratelimit-policy": '"p";q=9;w=8;pk=:eA==:'},
            [Told(9, 3, 4, window_seconds=8, name="p;:eA==:")],
        ),
        (
            {"ratelimit": '"bytes";r=9;t=4', "ratelimit-policy": '"bytes";q=99;w=8;qu="content-bytes"'},
            [],
        ),
        # draft 07: a dictionary
        (
            {"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=10"},
            [Told(100, 50, 5), Told(100, window_seconds=10, name="100;w=10")],
        ),
        # drafts up to 06: three headers
        (
            {"ratelimit-limit": "10", "ratelimit-remaining": "9", "ratelimit-reset": "50"},
            [Told(10, 9, 50)],
        ),
        (
            {
                "ratelimit-limit": "10",
                "ratelimit-remaining": "9",
                "ratelimit-reset": "50",
                "ratelimit-policy": '10;w=60;comment="x", 500;w=3600',
            },
            [
                Told(10, window_seconds=60, name="10;w=60"),
                Told(500, window_seconds=3600, name="500;w=3600"),
                Told(10, 9, 50),
            ],
        ),
        (
            {"ratelimit-limit": "10, 10;w=1, 50;w=60", "ratelimit-remaining": "9", "ratelimit-reset": "1"},
            [
                Told(10, 9, 1),
                Told(10, window_seconds=1, name="10;w=1"),
                Told(50, window_seconds=60, name="50;w=60"),
            ],
        ),
        # the customs before any draft
        (
            {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000040"},
            [Told(60, 0, 40)],
        ),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "40"}, [Told(None, 7, 40)]),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "1800000040500"}, [Told(None, 7, 40.5)]),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "1700000000"}, [Told(None, 7, 0)]),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": formatdate(NOW + 9, usegmt=True)}, [Told(None, 7, 9)]),
        ({"x-rate-limit-limit": "15", "x-rate-limit-remaining": "14"}, [Told(15, 14)]),
        # the server's clock counts, not this machine's
        (
            {
                "date": formatdate(NOW - 1000, usegmt=True),
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": f"{NOW - 990:.0f}",
            },
            [Told(None, 0, 10)],
        ),
        # what stands in the standard's headers comes before what stands in others
        (
            {"ratelimit": '"a";r=1;t=2', "x-ratelimit-remaining": "5", "x-ratelimit-reset": "6"},
            [Told(None, 1, 2, name="a")],
        ),
        ({"x-ratelimit-limit": "many", "x-ratelimit-reset": "soon"}, []),
        ({"x-ratelimit-remaining": "-1", "ratelimit-policy": ";;,=,", "retry-after": "5"}, []),
        ({}, []),
    ],
)
def test_reads_every_form(headers: dict[str, str], told: list[Told]) -> None:
    """Each form that servers use leads to the same facts."""
    assert list(facts(200, headers, NOW)) == told


def test_a_refusal_asks_for_a_pause() -> None:
    """Retry-After is a pause where it comes with a refusal; with an answer it tells when to look again."""
    assert facts(429, {"retry-after": "5"}, NOW) == (Told(pause_seconds=5),)
    assert facts(503, {"retry-after": formatdate(NOW + 60, usegmt=True)}, NOW) == (Told(pause_seconds=60),)
    assert facts(202, {"retry-after": "5"}, NOW) == ()


@given(
    st.dictionaries(
        st.sampled_from(
            ["date", "retry-after", "ratelimit", "ratelimit-policy"]
            + [
                f"{family}{part}"
                for family in ("ratelimit-", "x-ratelimit-")
                for part in ("limit", "remaining", "reset")
            ]
        ),
        st.one_of(
            st.text(),
            st.text('"\\;,=rtqw 019.-e', max_size=30),
            st.floats().map(str),
            st.integers().map(str),
        ),
    )
)
def test_no_header_breaks_anything(headers: dict[str, str]) -> None:
    """Whatever a server writes, it is facts with numbers of 0 or more, and a limiter keeps to them and goes on."""
    now = [0]

    def sleep(seconds: float) -> None:
        now[0] += int(seconds * 1e9) + 1

    told = facts(429, headers, NOW)
    for fact in told:
        numbers = (fact.limit, fact.remaining, fact.reset_seconds, fact.pause_seconds, fact.window_seconds)
        assert all(number is None or number >= 0 for number in numbers)
    limiter = RateLimiter(clock=lambda: now[0], sleep=sleep)
    for _ in range(2):
        with limiter:
            limiter.told(*told)
    assert now[0] <= 3 * 3600 * 10**9


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7", "ratelimit": '"a";r=0;t=99'}, 7),
        (429, {"ratelimit": '"a";r=0;t=9, "b";r=1;t=99'}, 9),
        (429, {"ratelimit": '"a";r=0', "ratelimit-policy": '"a";q=9;w=60'}, 60),
        (429, {}, None),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        (403, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "30"}, None),
    ],
)
def test_knows_how_long_a_refusal_asks_to_wait(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After comes first, then the reset of a quota that is used up."""
    assert asked_seconds(status, headers, NOW) == seconds
    assert refused_for_rate(status, headers) == (status == 429 or seconds is not None)


class Api:
    """A transport in virtual time: each answer is (status, headers), the last for ever; says when it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str]], takes: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes = takes
        self.now = 0.0
        self.asked: list[tuple[float, Request]] = []

    def __call__(self, request: Request) -> Response:
        """Answer."""
        self.asked.append((self.now, request))
        self.now += self.takes
        status, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Response(request, status, headers, b"{}")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def limiter(self, *numbers: Any) -> RateLimiter:
        """A limiter in the same time."""
        return RateLimiter(*numbers, clock=lambda: round(self.now * 1e9), sleep=self.wait)


AT_ONCE = RetryPolicy(wait_seconds=0, max_asked_wait_seconds=0)


def _client(api: Api, **options: Any) -> ApiClient:
    return ApiClient("https://api.example", transport=api, **{"retry": AT_ONCE, **options})


def test_a_client_learns_from_answers() -> None:
    """With a limiter that learns, a client waits as its answers say, without ever being refused."""
    spent = {"ratelimit": '"a";r=0;t=30', "ratelimit-policy": '"a";q=1;w=30'}
    api = Api((200, spent))
    client = _client(api, rate_limit=api.limiter())
    for _ in range(3):
        client.get_json("x")
    assert [moment for moment, _ in api.asked] == [0, 30, 60]


def test_a_pause_holds_for_all_requests_of_a_limiter() -> None:
    """What one client is told, another one with the same limiter keeps to."""
    api = Api((429, {"retry-after": "7"}), (200, {}))
    limiter = api.limiter()
    with pytest.raises(ApiStatusError):
        _client(api, rate_limit=limiter, retry=RetryPolicy(attempts=1)).get_json("x")
    _client(api, rate_limit=limiter).get_json("x")
    assert [moment for moment, _ in api.asked] == [0, 7]


def test_a_request_counts_from_its_end() -> None:
    """A window begins when the answer is there, so that it holds where requests arrive, too."""
    api = Api((200, {}), takes=0.5)
    client = _client(api, rate_limit=api.limiter(1, 2.0))
    for _ in range(3):
        client.get_json("x")
    assert [moment for moment, _ in api.asked] == [0, 2.5, 5]


def test_a_stream_runs_until_its_body_is_read() -> None:
    """A call whose body comes in pieces ends with its context, not with its headers."""
    api = Api((200, {}))
    client = _client(api, rate_limit=api.limiter(1, 2.0))
    for _ in range(2):
        with client.stream("GET", "x"):
            api.wait(100)
    client.get_json("x")
    assert [moment for moment, _ in api.asked] == [0, 102, 204]


def test_a_stream_that_is_refused_has_ended() -> None:
    """What answers a stream with a refusal leaves nothing running."""
    api = Api((503, {}), (200, {}))
    client = _client(api, rate_limit=RateLimiter(concurrent=1))
    with client.stream("GET", "x") as answer:
        assert b"".join(answer.pieces) == b"{}"
    client.get_json("x")
    assert len(api.asked) == 3


@pytest.mark.parametrize(("token_url", "turns"), [("https://login.example/token", 1), ("https://api.example/token", 2)])
def test_only_the_origin_itself_counts(token_url: str, turns: int) -> None:
    """Asking another origin for a token takes no turn, and what it says of its limits is not the API's."""
    sent = []

    def api(request: Request) -> Response:
        sent.append(request.url)
        headers = {"ratelimit": '"a";r=0;t=30'} if request.url == token_url else {}
        return Response(request, 200, headers, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 60}')

    slept = []
    now = [0]

    def sleep(seconds: float) -> None:
        slept.append(round(seconds))
        now[0] += round(seconds * 1e9)

    limiter = RateLimiter(clock=lambda: now[0], sleep=sleep)
    auth = OAuth2ClientCredentials(token_url, "me", "secret")
    client = ApiClient("https://api.example", auth=auth, transport=api, rate_limit=limiter)
    client.get_json("x")
    assert sent == [token_url, "https://api.example/x"]
    assert slept == [30] * (turns - 1)


def test_a_forbidden_that_is_about_the_rate_is_tried_again() -> None:
    """A 403 that says when to come back, as GitHub's, is no matter of credentials; another one is."""
    api = Api((403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}), (200, {}))
    assert _client(api).get_json("x") == {}
    with pytest.raises(AuthenticationFailed):
        _client(Api((403, {}))).get_json("x")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_which_statuses_are_tried_again_is_for_the_user(status: int) -> None:
    """Other statuses may be given, and then these alone are tried again."""
    api = Api((status, {}), (418, {}), (200, {}))
    with pytest.raises(ApiStatusError) as caught:
        _client(api).get_json("x")
    assert caught.value.status == 418
    api = Api((418, {}), (status, {}), (200, {}))
    with pytest.raises(ApiStatusError) as caught:
        _client(api, retry_statuses=(418,)).get_json("x")
    assert caught.value.status == status


def test_a_dead_service_is_not_hammered() -> None:
    """Over an outage all requests of a client together lead to 1.1 times as many at most, and the error says why."""
    api = Api((503, {"retry-after": "1"}))
    client = _client(api)
    for _ in range(200):
        with pytest.raises(ApiStatusError) as caught:
            client.get_json("x")
    assert len(api.asked) == 220
    assert "retry budget is spent" in str(caught.value)
    assert caught.value.status == 503


def test_clients_may_share_a_budget() -> None:
    """A budget that is given is used, by all clients that it is given to."""
    budget = RetryBudget(1)
    api = Api((503, {}))
    for _ in range(3):
        with pytest.raises(ApiStatusError):
            _client(api, retry_budget=budget).get_json("x")
    assert len(api.asked) == 4


def test_a_refusal_for_the_rate_costs_no_budget() -> None:
    """An API that says "too many" is alive: what it refuses is tried again without end of budget."""
    api = Api(*[(429, {}), (200, {})] * 50)
    client = _client(api, retry_budget=RetryBudget(0))
    for _ in range(50):
        client.get_json("x")


def test_a_post_with_a_key_is_tried_again() -> None:
    """A request with an idempotency key is repeated whatever its method, each time with the same key."""
    api = Api((503, {}), (502, {}), (201, {}))
    client = _client(api)
    assert client.request("POST", "orders", json={}, idempotency_key="order 17").status == 201
    assert [request.headers["Idempotency-Key"] for _, request in api.asked] == ["order 17"] * 3


def test_a_key_may_go_by_another_name() -> None:
    """The header's name is the API's; a key that the user puts into it counts as one."""
    for key in ({"idempotency_key": "17"}, {"headers": {"x-REQUEST-id": "17"}}):
        api = Api((503, {}), (201, {}))
        client = _client(api, idempotency_header="X-Request-Id")
        assert client.request("PATCH", "orders", json={}, **key).status == 201  # type: ignore[arg-type]  # of both
    api = Api((503, {}), (201, {}))
    with pytest.raises(ApiStatusError):
        _client(api).request("POST", "orders", json={}, headers={"X-Request-Id": "17"})
