from __future__ import annotations

import pickle
import threading
from typing import Any

import msgspec
import pytest

from de_classes.api import ApiClient, BearerToken, TokenLogin
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiStatusError, AuthenticationFailed, ConfigurationError, InvalidAnswer
from de_classes.utils.retry import RetryPolicy


def _json(request: Request, status: int, answer: Any) -> Response:
    return Response(request, status, {"content-type": "application/json"}, msgspec.json.encode(answer))


class PretendApi:
    """A transport with a login; tokens are t1, t2, ... and only the newest is good."""

    def __init__(self, expires_in: Any = 100, login_status: int = 200) -> None:
        self.expires_in = expires_in
        self.login_status = login_status
        self.logins = 0
        self.sent: list[Request] = []
        self.revoked: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        """Answer a login or anything else."""
        with self.lock:
            self.sent.append(request)
            if request.url.endswith("/login"):
                given = msgspec.json.decode(request.body() or b"")
                assert given == {"user": "ann", "password": "s3cret"}
                self.logins += 1
                answer = {"access_token": f"t{self.logins}", "expires_in": self.expires_in}
                return _json(request, self.login_status, answer if self.login_status < 400 else {"said": "s3cret no"})
            token = request.headers["Authorization"]
            assert isinstance(token, Secret)
            good = token.reveal() == f"Bearer t{self.logins}" and token.reveal() not in self.revoked
            return _json(request, 200 if good else 401, {"ok": good})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Say what time it is."""
        return self.now


def _client(api: PretendApi, **options: Any) -> tuple[ApiClient, Clock]:
    clock = Clock()
    auth = TokenLogin("/login", "ann", "s3cret", clock=clock, **options)
    return ApiClient("http://api.example", auth=auth, transport=api, retry=RetryPolicy(attempts=1)), clock


def test_a_bearer_token_is_sent_and_not_shown() -> None:
    """The token goes out as the Authorization header and stands in no repr of the request."""
    request = next(BearerToken("t0ken").flow(Request("GET", "http://api.example/x")))
    assert request.headers["Authorization"] == Secret("Bearer t0ken")
    assert "t0ken" not in repr(request)


def test_logs_in_once_for_many_requests() -> None:
    """The first request logs in; the following ones use the token."""
    api = PretendApi()
    client, _ = _client(api)
    for _ in range(3):
        assert client.get_json("/orders") == {"ok": True}
    assert api.logins == 1


@pytest.mark.parametrize(("life", "good_until"), [(100, 90), (1000, 970)])
def test_renews_shortly_before_the_end(life: int, good_until: int) -> None:
    """A token is renewed when a tenth of its life is left, at most 30 seconds before its end."""
    api = PretendApi(expires_in=life)
    client, clock = _client(api)
    client.get_json("/orders")
    clock.now += good_until - 1
    client.get_json("/orders")
    assert api.logins == 1
    clock.now += 1
    client.get_json("/orders")
    assert api.logins == 2


def test_a_refused_token_leads_to_one_login_and_one_repetition() -> None:
    """On 401 the client logs in again and repeats the request, once."""
    api = PretendApi()
    client, _ = _client(api)
    client.get_json("/orders")
    api.revoked.add("Bearer t1")
    assert client.get_json("/orders") == {"ok": True}
    assert api.logins == 2


def test_gives_up_when_the_new_token_is_refused_too() -> None:
    """A second 401 in a row is an error of authentication, not an endless loop."""
    api = PretendApi()
    api.revoked |= {"Bearer t1", "Bearer t2"}
    client, _ = _client(api)
    with pytest.raises(AuthenticationFailed) as caught:
        client.get_json("/orders")
    assert caught.value.status == 401
    assert api.logins == 2


def test_many_threads_log_in_once() -> None:
    """However many threads find the token refused at once, one of them logs in and all use the new token."""
    api = PretendApi()
    client, _ = _client(api)
    client.get_json("/orders")
    api.revoked.add("Bearer t1")
    barrier = threading.Barrier(8)
    answers: list[Any] = []

    def work() -> None:
        barrier.wait()
        answers.append(client.get_json("/orders"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"ok": True}] * 8
    assert api.logins == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_wrong_credentials_are_named_without_the_password(status: int) -> None:
    """A refused login says which user at which URL, and shows no password even if the answer does."""
    client, _ = _client(PretendApi(login_status=status))
    with pytest.raises(AuthenticationFailed) as caught:
        client.get_json("/orders")
    assert "'ann'" in str(caught.value)
    assert "http://api.example/login" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.status == status


def test_a_login_that_is_not_there_is_no_matter_of_credentials() -> None:
    """Another status of the login is told as that status."""
    client, _ = _client(PretendApi(login_status=404))
    with pytest.raises(ApiStatusError, match="404") as caught:
        client.get_json("/orders")
    assert not isinstance(caught.value, AuthenticationFailed)


@pytest.mark.parametrize(
    ("options", "expires_in"), [({"token_at": "data.token"}, 5), ({}, "soon"), ({"expires_in_at": "life"}, 5)]
)
def test_a_login_answer_without_its_parts_is_refused(options: dict[str, str], expires_in: Any) -> None:
    """A login that gives no token, or no seconds where some are expected, is an invalid answer."""
    client, _ = _client(PretendApi(expires_in=expires_in), **options)
    with pytest.raises(InvalidAnswer, match="has no"):
        client.get_json("/orders")


def test_a_token_without_an_end_is_kept_until_it_is_refused() -> None:
    """Where the API does not say how long a token lasts, it is used until it fails."""
    api = PretendApi(expires_in=None)
    client, clock = _client(api, expires_in_at=None)
    client.get_json("/orders")
    clock.now += 1e9
    client.get_json("/orders")
    assert api.logins == 1


def test_pickles_without_the_token() -> None:
    """A copy in another process logs in for itself."""
    api = PretendApi()
    auth = TokenLogin("/login", "ann", Secret("s3cret"))
    ApiClient("http://api.example", auth=auth, transport=api).get_json("/orders")
    pickled = pickle.dumps(auth)
    assert b"t1" not in pickled
    copy = pickle.loads(pickled)
    ApiClient("http://api.example", auth=copy, transport=api).get_json("/orders")
    assert api.logins == 2
    assert "s3cret" not in repr(copy)


def test_an_empty_password_is_refused() -> None:
    """Credentials that are empty are the user's mistake, told before anything is sent."""
    with pytest.raises(ConfigurationError, match="password"):
        TokenLogin("/login", "ann", "")
    with pytest.raises(ConfigurationError, match="token"):
        BearerToken("")
