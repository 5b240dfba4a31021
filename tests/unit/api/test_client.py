from __future__ import annotations

import pickle
from decimal import Decimal
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from de_classes.api import ApiClient, BearerToken, TokenLogin
from de_classes.api.limits import retry_after_seconds
from de_classes.api.messages import Response
from de_classes.configs.secrets import Secret
from de_classes.errors import (
    ApiStatusError,
    ApiUnreachable,
    AuthenticationFailed,
    ConfigurationError,
    DeClassesError,
    InvalidAnswer,
)
from de_classes.utils.rate_limit import RateLimiter
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.api.messages import Request
    from de_classes.contracts import Event

AT_ONCE = RetryPolicy(attempts=4, wait_seconds=0, max_asked_wait_seconds=0.001)


class Script:
    """A transport that gives its answers in turn: (status, body, headers), or an error to raise."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[Request] = []

    def __call__(self, request: Request) -> Response:
        """Give the next answer."""
        self.sent.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = (*answer, {})[:3]
        return Response(request, status, headers, body)


def _client(script: Script, base_url: str = "https://api.example/v2", **options: Any) -> ApiClient:
    return ApiClient(base_url, transport=script, **{"retry": AT_ONCE, **options})


def test_gets_json_with_parameters() -> None:
    """The path is appended to the base URL, parameters are encoded, and those that are None left out."""
    script = Script((200, b'{"a": 1.10}'))
    params = {"q": "a b&c", "on": True, "none": None, "n": 3}
    assert _client(script).get_json("/orders", params) == {"a": 1.1}
    assert script.sent[0].full_url() == "https://api.example/v2/orders?q=a+b%26c&on=true&n=3"


def test_exact_numbers_are_decimals() -> None:
    """On demand, numbers with a fraction come digit for digit."""
    body = b"[1.10, 0.1234567890123456789, 1e2, 3, 123456789012345678901234567890]"
    exact = _client(Script((200, body))).get_json("x", exact=True)
    assert list(map(str, exact)) == ["1.10", "0.1234567890123456789", "1E+2", "3", "123456789012345678901234567890"]
    assert isinstance(exact[0], Decimal)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_tries_again_what_may_pass(status: int) -> None:
    """Statuses that may pass, and broken connections, are tried again until it works."""
    script = Script((status, b""), ApiUnreachable("x", "gone"), (200, b"1"))
    assert _client(script).get_json("x") == 1
    assert len(script.sent) == 3


def test_what_stays_as_it_is_is_tried_once() -> None:
    """A server whose certificate is not trusted is not asked again: it would have the same one."""
    script = Script(ApiUnreachable("x", "certificate verify failed", for_good=True))
    with pytest.raises(ApiUnreachable, match="certificate"):
        _client(script).get_json("x")
    assert len(script.sent) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 501])
def test_other_refusals_are_told_at_once(status: int) -> None:
    """Other statuses are errors at once, with the status, the URL and what the API says."""
    script = Script((status, b'{"error": "no\n\x1b[31m such"}'))
    with pytest.raises(ApiStatusError) as caught:
        _client(script).get_json("/orders", {"page": 2})
    assert caught.value.status == status
    assert isinstance(caught.value, AuthenticationFailed) == (status in {401, 403})
    assert "GET https://api.example/v2/orders?page=2" in str(caught.value)
    assert '"error": "no [31m such"' in str(caught.value)


def test_keeps_the_last_refusal_after_all_attempts() -> None:
    """When the API stays unwell, its last answer is the error."""
    with pytest.raises(ApiStatusError, match="503") as caught:
        _client(Script(*[(503, b"")] * 4)).get_json("x")
    assert caught.value.status == 503


def test_does_not_repeat_what_has_effects() -> None:
    """A POST is sent once, whatever becomes of it."""
    script = Script((500, b""), (200, b"1"))
    with pytest.raises(ApiStatusError):
        _client(script).request("POST", "x", json={"a": 1})
    assert len(script.sent) == 1


def test_waits_as_long_as_the_api_asks() -> None:
    """Retry-After is kept to, and the observer is told of it."""
    told: list[Any] = []
    patient = RetryPolicy(wait_seconds=0, max_asked_wait_seconds=0.01)
    script = Script((429, b"", {"retry-after": "3600"}), (200, b"1"))
    observer: Any = told.append
    assert _client(script, retry=patient, observer=observer).get_json("x") == 1
    assert [(event.wait_seconds, event.attempt) for event in told] == [(0.01, 1)]
    assert told[0].name == "GET https://api.example/v2/x"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 1.5 ", 1.5),
        ("-3", 0),
        ("nan", 0),
        (formatdate(1_000_060, usegmt=True), 60),
        (formatdate(999_000, usegmt=True), 0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_reads_retry_after(header: str | None, seconds: float | None) -> None:
    """Retry-After is seconds or an HTTP date; anything else asks nothing."""
    assert retry_after_seconds(header, now=1_000_000) == seconds


def test_every_attempt_counts_for_the_rate_limit() -> None:
    """Repetitions and redirects count, so the limit holds on the wire."""
    waits: list[float] = []
    now = [0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += round(seconds * 1e9)

    limiter = RateLimiter(1, clock=lambda: now[0], sleep=sleep)
    script = Script((500, b""), (302, b"", {"location": "/y"}), (200, b"1"))
    _client(script, rate_limit=limiter).get_json("x")
    assert waits == [1, 1]


def test_follows_redirects_within_the_origin() -> None:
    """A redirect to the same origin is followed, with the credentials."""
    script = Script((301, b"", {"location": "../v3/orders?x=1"}), (200, b"1"))
    assert _client(script, auth=BearerToken("t")).get_json("orders") == 1
    assert script.sent[1].full_url() == "https://api.example/v3/orders?x=1"
    assert script.sent[1].headers["Authorization"] == Secret("Bearer t")


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/v2",
        "http://api.example/v2",
        "//evil.example/",
        "https://api.example:444/",
        "https://api.example:99999/",
    ],
)
def test_redirects_to_another_origin_are_refused(location: str) -> None:
    """Nothing is sent to another scheme, host or port, whatever a redirect says."""
    script = Script((302, b"", {"location": location}))
    with pytest.raises(InvalidAnswer, match="another origin"):
        _client(script, auth=BearerToken("t")).get_json("orders")
    assert len(script.sent) == 1


def test_a_path_to_another_origin_is_refused() -> None:
    """A whole URL is only taken for a path when it is the API's own."""
    script = Script((200, b"1"))
    assert _client(script).get_json("https://API.example:443/x") == 1
    with pytest.raises(InvalidAnswer, match="another origin"):
        _client(script).get_json("https://evil.example/x")


def test_endless_redirects_are_an_error() -> None:
    """A redirect that leads to itself is given up."""
    with pytest.raises(InvalidAnswer, match="redirects"):
        _client(Script(*[(302, b"", {"location": "/x"})] * 9)).get_json("x")


def test_a_page_that_is_no_json_is_described() -> None:
    """The error names URL, status, content type and how the page begins."""
    script = Script((200, b"<html>\n<body>Please log in</body>", {"content-type": "text/html"}))
    with pytest.raises(InvalidAnswer) as caught:
        _client(script).get_json("orders")
    for part in ("https://api.example/v2/orders", "200", "text/html", "<html> <body>Please log in"):
        assert part in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": 1} x', b"\xff", b"[NaN]", b'{"a": "\\ud800"}'])
def test_broken_json_is_an_invalid_answer(body: bytes) -> None:
    """Whatever is no JSON is told as such, not as a library's error."""
    with pytest.raises(InvalidAnswer, match="JSON"):
        _client(Script((200, body))).get_json("orders", exact=True)


@pytest.mark.parametrize("answer", [(404, b"k=s3cret+x"), (200, b"s3cret x?"), (401, b"s3cret x")])
def test_secrets_stand_in_no_error(answer: Any) -> None:
    """Secrets in parameters, headers and answers are masked in errors and in their pickles' messages."""
    client = _client(Script(answer), headers={"X-Key": Secret("hush")})
    with pytest.raises(DeClassesError) as caught:
        client.get_json("orders", {"key": Secret("s3cret x")})
    assert "***" in str(caught.value)
    for secret in ("s3cret", "hush"):
        assert secret not in str(pickle.loads(pickle.dumps(caught.value)))
        assert secret not in repr(client)


def test_secrets_of_a_redirect_stand_in_no_error() -> None:
    """A redirect that repeats a secret parameter gives it away in no message, wherever it leads."""
    for location in ("/new?api_key=SEKRIT", "http://elsewhere.example/?api_key=SEKRIT"):
        client = _client(Script((302, b"", {"location": location}), (404, b"no SEKRIT here")))
        with pytest.raises(DeClassesError) as caught:
            client.get_json("orders", {"api_key": Secret("SEKRIT")})
        assert "SEKRIT" not in str(caught.value)


def test_a_nested_secret_stands_in_no_error() -> None:
    """Secrets deep in the body of a request are masked, too."""
    client = _client(Script((400, b"bad hush")))
    with pytest.raises(ApiStatusError) as caught:
        client.request("POST", "orders", json={"login": [{"password": Secret("hush")}]})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"auth": "hush"}, {"auth": BearerToken}, {"retry": 3}, {"rate_limit": "10/s"}, {"rate_limit": RateLimiter}],
)
def test_options_of_another_kind_are_refused(wrong: dict[str, Any]) -> None:
    """A token where an auth belongs is told without being shown."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))) as caught:
        ApiClient("https://api.example", **wrong)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[1e99999999999999999999]"])
def test_json_beyond_measure_is_an_invalid_answer(body: bytes) -> None:
    """Whatever is nested too deep or has a number that nothing holds is the API's fault, and told as such."""
    with pytest.raises(InvalidAnswer):
        _client(Script((200, body))).get_json("orders", exact=True)


class Expiring:
    """An API whose tokens last one second of its clock, and that lets nobody in without one."""

    def __init__(self, *busy: float) -> None:
        self.now = 0.0
        self.busy = list(busy)
        self.logins = 0

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self, request: Request) -> Response:
        if request.url.endswith("/login"):
            self.logins += 1
            return Response(request, 200, {}, b'{"access_token": "%d", "expires_in": 1}' % int(self.now * 10))
        sent = request.headers["Authorization"]
        assert isinstance(sent, Secret)
        if self.now - int(sent.reveal().removeprefix("Bearer ")) / 10 >= 1:
            return Response(request, 401, {}, b"expired")
        if self.busy:
            return Response(request, 429, {"retry-after": str(self.busy.pop(0))}, b"busy")
        return Response(request, 200, {}, b"[]")


class Simulated(RetryPolicy):
    """Waits in the time of the API."""

    def call(self, function: Callable[[], Any], **given: Any) -> Any:
        return super().call(function, **given, sleep=API.wait, clock=lambda: API.now)


API = Expiring()


def test_a_token_that_expires_while_it_waits_is_renewed() -> None:
    """Waiting longer than a token lasts, as Retry-After or the rate limit ask, leads to a new one and to no refusal."""
    API.busy = [2.0, 2.0]
    login = TokenLogin("/login", "ann", "secret", clock=lambda: API.now)
    limit = RateLimiter(1, 0.6, clock=lambda: round(API.now * 1e9), sleep=API.wait)
    client = ApiClient("https://api.example", auth=login, transport=API, rate_limit=limit, retry=Simulated(attempts=4))
    assert [client.get_json("orders"), client.get_json("orders")] == [[], []]
    assert API.logins > 2


def test_a_login_is_tried_again_for_a_request_that_may_not_be() -> None:
    """A POST is not repeated, but the login before it is."""
    script = Script((503, b""), (200, b'{"access_token": "t", "expires_in": 60}'), (201, b"{}"))
    client = _client(script, auth=TokenLogin("/login", "ann", "secret"))
    assert client.request("POST", "orders", json={}).status == 201
    script = Script((200, b'{"access_token": "t", "expires_in": 60}'), (503, b""))
    with pytest.raises(ApiStatusError):
        _client(script, auth=TokenLogin("/login", "ann", "secret")).request("POST", "orders", json={})


def test_pickles_without_its_observer() -> None:
    """A copy in a worker asks the same API; the observer stays where it is."""
    told: list[Event] = []
    client = ApiClient("http://api.example", auth=BearerToken("t"), rate_limit=RateLimiter(3), observer=told.append)
    copy = pickle.loads(pickle.dumps(client))
    assert copy.base_url == client.base_url
    with copy:
        pass


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example",
        "ftp://api.example",
        "http://",
        "http://[",
        "http://u:p@api.example",
        "http://a/?k=1",
        "http://a:x/",
    ],
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    """What is no URL of an API, or holds credentials, is the user's mistake, told without the password."""
    with pytest.raises(ConfigurationError) as caught:
        ApiClient(url)
    assert "u:p" not in str(caught.value)
