from __future__ import annotations

import logging
import pickle
import threading
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from de_classes.api.auth import OAuth2ClientCredentials, OAuth2RefreshToken
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiStatusError, AuthenticationFailed, ConfigurationError, InvalidAnswer

TOKEN_URL = "https://login.example/oauth/token"
ASKED = Request("GET", "https://api.example/x")


def _form(request: Request) -> dict[str, str]:
    assert (request.method, request.url, request.purpose) == ("POST", TOKEN_URL, "token")
    return dict(parse_qsl((request.body() or b"").decode()))


def _revealed(request: Request, name: str = "Authorization") -> str:
    value = request.headers[name]
    assert isinstance(value, Secret)
    return value.reveal()


def _token(request: Request, status: int = 200, **answer: Any) -> Response:
    return Response(request, status, {}, msgspec.json.encode(answer))


def _credentials(**options: Any) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(TOKEN_URL, "my id", "s:cr/t", **options)


def test_a_token_for_the_client_itself() -> None:
    """Grant, scope and extra parameters go as a form, id and secret as Basic, each encoded first (RFC 6749, 2.3.1)."""
    flow = _credentials(scope="read write", extra={"audience": "a"}).flow(ASKED)
    asked = next(flow)
    assert _form(asked) == {"grant_type": "client_credentials", "scope": "read write", "audience": "a"}
    assert asked.content_type() == "application/x-www-form-urlencoded"
    assert _revealed(asked) == "Basic bXkraWQ6cyUzQWNyJTJGdA=="
    sent = flow.send(_token(asked, access_token="t1", token_type="Bearer", expires_in=60))
    assert (sent.url, _revealed(sent)) == (ASKED.url, "Bearer t1")


def test_id_and_secret_in_the_body() -> None:
    """Where the server wants them there, id and secret are part of the form, and there is no header."""
    asked = next(_credentials(client_auth="body").flow(ASKED))
    assert _form(asked) == {"grant_type": "client_credentials", "client_id": "my id", "client_secret": "s:cr/t"}
    assert "Authorization" not in asked.headers
    assert Response(asked, 400, {}, b"s:cr/t?").excerpt() == "***?"


@pytest.mark.parametrize(("life", "good_for"), [(100, 90), (3600, 3570), ("200", 180), (None, float("inf"))])
def test_tokens_are_renewed_before_their_end(life: Any, good_for: float) -> None:
    """A token serves until a tenth of its life, at most 30 seconds, is left; without a life, until it is refused."""
    now = [0.0]
    auth = _credentials(clock=lambda: now[0])
    flow = auth.flow(ASKED)
    flow.send(_token(next(flow), access_token="t1", expires_in=life))
    now[0] = min(good_for, 1e9) - 1
    assert next(auth.flow(ASKED)).purpose == "ask"
    now[0] += 1
    assert (next(auth.flow(ASKED)).purpose == "token") is (life is not None)


def test_a_refused_token_leads_to_one_more() -> None:
    """A 401 leads to one new token and one repetition; a second 401 is the answer."""
    flow = _credentials().flow(ASKED)
    first = flow.send(_token(next(flow), access_token="t1"))
    again = flow.send(Response(first, 401, {}, b""))
    second = flow.send(_token(again, access_token="t2"))
    assert (again.purpose, _revealed(second)) == ("token", "Bearer t2")
    with pytest.raises(StopIteration):
        flow.send(Response(second, 401, {}, b""))


class Announcing:
    """A lock that says when somebody comes to it."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.came = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_refused_credentials_are_tried_by_one_for_all() -> None:
    """Requests that wait for a token fail with the one whose credentials are refused, and do not try them again."""
    auth = _credentials()
    lock: Any = Announcing(threading.Lock())
    auth._token._lock = lock
    flow = auth.flow(ASKED)
    asked = next(flow)
    outcomes: list[str] = []

    def wait() -> None:
        try:
            outcomes.append(next(auth.flow(ASKED)).purpose)
        except AuthenticationFailed as error:
            outcomes.append(str(error.status))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert lock.came.acquire(timeout=10)
    with pytest.raises(AuthenticationFailed, match="'my id' is refused with status 401"):
        flow.send(_token(asked, 401, error="invalid_client"))
    for thread in threads:
        thread.join()
    assert outcomes == ["401"] * 4
    assert next(auth.flow(ASKED)).purpose == "token"


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": "invalid_scope"}, AuthenticationFailed),
        (404, {}, ApiStatusError),
        (200, {}, InvalidAnswer),
        (200, {"access_token": 1}, InvalidAnswer),
        (200, {"access_token": "t", "token_type": "mac"}, InvalidAnswer),
        (200, {"access_token": "t", "expires_in": "soon"}, InvalidAnswer),
        (200, {"access_token": "t", "expires_in": True}, InvalidAnswer),
    ],
)
def test_answers_without_a_token_are_told(status: int, answer: dict[str, Any], kind: type[Exception]) -> None:
    """What the token endpoint says instead of a token is an error that names it and shows no secret."""
    flow = _credentials().flow(ASKED)
    with pytest.raises(kind) as caught:
        flow.send(_token(next(flow), status, **answer))
    assert TOKEN_URL in str(caught.value)
    assert "s:cr/t" not in str(caught.value)


def test_a_refresh_token_that_rotates_is_handed_on_before_it_is_used() -> None:
    """The new refresh token is handed over first, and when that fails again before it is used."""
    stored: list[str] = []
    full = [True]

    def store(token: Secret) -> None:
        if full[0]:
            raise OSError("no space")
        stored.append(token.reveal())

    auth = OAuth2RefreshToken(TOKEN_URL, "id", "r1", client_secret="s", on_rotation=store)
    flow = auth.flow(ASKED)
    asked = next(flow)
    assert _form(asked) == {"grant_type": "refresh_token", "refresh_token": "r1"}
    with pytest.raises(OSError, match="no space"):
        flow.send(_token(asked, access_token="t1", refresh_token="r2"))
    full[0] = False
    flow = auth.flow(ASKED)
    asked = next(flow)
    assert stored == ["r2"]
    assert _form(asked)["refresh_token"] == "r2"
    sent = flow.send(_token(asked, access_token="t1", refresh_token="r3"))
    assert stored == ["r2", "r3"]
    again = flow.send(Response(sent, 401, {}, b""))
    assert _form(again)["refresh_token"] == "r3"


def test_a_refresh_token_that_nobody_stores_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Without a callback the new refresh token is used, and the log says that the next run will not have it."""
    auth = OAuth2RefreshToken(TOKEN_URL, "id", "r1")
    flow = auth.flow(ASKED)
    asked = next(flow)
    assert _form(asked) == {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "id"}
    with caplog.at_level(logging.WARNING, "de_classes"):
        sent = flow.send(_token(asked, access_token="t1", refresh_token="r2-hush"))
    assert "on_rotation" in caplog.text
    assert "r2-hush" not in caplog.text + repr(auth)
    assert _form(flow.send(Response(sent, 401, {}, b"")))["refresh_token"] == "r2-hush"


def test_copies_ask_for_themselves() -> None:
    """A copy in another process has no access token, and what it is made of."""
    auth = _credentials()
    flow = auth.flow(ASKED)
    flow.send(_token(next(flow), access_token="t1-hush"))
    pickled = pickle.dumps(auth)
    assert b"t1-hush" not in pickled
    assert next(pickle.loads(pickled).flow(ASKED)).purpose == "token"
    assert "s:cr/t" not in repr(auth)


def test_a_client_that_is_none_is_refused() -> None:
    """Empty ids and secrets, and places that are none, are the user's mistake."""
    for made in (
        lambda: OAuth2ClientCredentials(TOKEN_URL, "", "s"),
        lambda: OAuth2ClientCredentials(TOKEN_URL, "id", ""),
        lambda: OAuth2ClientCredentials(TOKEN_URL, "id", "s", client_auth="post"),  # type: ignore[arg-type]  # as said
        lambda: OAuth2RefreshToken(TOKEN_URL, "id", ""),
        lambda: OAuth2RefreshToken("login.example/token", "id", "r"),
    ):
        with pytest.raises(ConfigurationError):
            made()
