"""Auths against servers that check them for themselves, over the network."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest

from de_classes.api import ApiClient, ApiKey, Basic, Digest, OAuth2ClientCredentials, OAuth2RefreshToken
from de_classes.api.auth.digest import challenges
from de_classes.errors import AuthenticationFailed
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply
from de_classes.utils.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)


class DigestServer:
    """Checks digests as RFC 7616, 3.4 says; each nonce serves for a few requests, each count once."""

    def __init__(self, algorithm: str, *, uses: int = 3) -> None:
        self.algorithm = algorithm
        self.uses = uses
        self.nonces = 0
        self.seen: set[str] = set()
        self.lock = threading.Lock()
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        """Challenge, or let in."""
        with self.lock:
            self.asked.append(asked)
            said = dict(next(challenges(asked.headers.get("authorization", "None")))[1])
            if said.get("nonce") == f"n{self.nonces}" and said["nc"] not in self.seen:
                if int(said["nc"], 16) <= self.uses:
                    self.seen.add(said["nc"])
                    good = said["response"] == self._expected(asked.method, said)
                    good = good and said["uri"].partition("?")[0] == asked.path
                    return json_reply(1) if good else self._challenge("")
                return self._challenge(", stale=true", new=True)
            return self._challenge(", stale=true" if "nc" in said else "", new="nc" not in said)

    def _challenge(self, more: str, *, new: bool = False) -> Reply:
        if new:
            self.nonces += 1
            self.seen.clear()
        digest = f'Digest realm="r", nonce="n{self.nonces}", qop="auth", algorithm={self.algorithm}{more}'
        return Reply(401, b"", {"WWW-Authenticate": digest})

    def _expected(self, method: str, said: dict[str, str]) -> str:
        name = "sha256" if "SHA-256" in self.algorithm else "md5"

        def h(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        key = h("ann:r:pw")
        if self.algorithm.endswith("-sess"):
            key = h(f"{key}:{said['nonce']}:{said['cnonce']}")
        mixed = ":".join((said["nonce"], said["nc"], said["cnonce"], said["qop"]))
        return h(f"{key}:{mixed}:{h(method + ':' + said['uri'])}")


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
def test_a_digest_is_accepted_until_the_nonce_is_stale_and_after(algorithm: str) -> None:
    """Ten requests on nonces that serve three each are all let in, with one challenge per nonce."""
    serving = DigestServer(algorithm)
    with LoopbackServer(serving) as server, ApiClient(server.url, auth=Digest("ann", "pw"), retry=ONCE) as client:
        assert [client.get_json("/ü x", {"q": "ä ~'("}) for _ in range(10)] == [1] * 10
        assert client.request("POST", "/p", json=[1]).json() == 1
    assert serving.nonces == 4
    assert len(serving.asked) == 11 + 4


def test_a_wrong_password_is_refused_after_one_answer() -> None:
    """A wrong password costs the challenge and one answer, however often the server says no."""
    serving = DigestServer("SHA-256")
    with (
        LoopbackServer(serving) as server,
        ApiClient(server.url, auth=Digest("ann", "no"), retry=ONCE) as client,
        pytest.raises(AuthenticationFailed),
    ):
        client.get_json("/x")
    assert len(serving.asked) == 2


class TokenServer:
    """A token endpoint that rotates refresh tokens, and takes each of them once."""

    def __init__(self) -> None:
        self.given = 0
        self.good = "r0"
        self.lock = threading.Lock()
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        """Grant a token."""
        with self.lock:
            self.asked.append(asked)
            form = dict(parse_qsl(asked.body.decode()))
            known = b64encode(b"id:secret").decode()
            if asked.headers.get("authorization") != f"Basic {known}":
                return json_reply({"error": "invalid_client"}, 401)
            if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.good:
                return json_reply({"error": "invalid_grant"}, 400)
            self.given += 1
            self.good = f"r{self.given}"
            return json_reply({"access_token": f"t{self.given}", "token_type": "Bearer", "refresh_token": self.good})


@pytest.mark.parametrize("rotating", [False, True], ids=["credentials", "refresh token"])
def test_many_threads_share_tokens_of_another_origin(*, rotating: bool) -> None:
    """However many requests find their token refused at once, one token is asked for, with its credentials alone."""
    login = TokenServer()
    stored: list[str] = []
    arrived = threading.Barrier(6)

    def api(asked: Asked) -> Reply:
        if asked.headers["authorization"] == "Bearer t1" and asked.path != "/first":
            arrived.wait(10)  # all are refused only once all are there
            return Reply(401)
        return json_reply(1)

    with LoopbackServer(login) as tokens, LoopbackServer(api) as server:
        auth: Any = OAuth2ClientCredentials(f"{tokens.url}/token", "id", "secret")
        if rotating:
            auth = OAuth2RefreshToken(
                f"{tokens.url}/token",
                "id",
                "r0",
                client_secret="secret",
                on_rotation=lambda t: stored.append(t.reveal()),
            )
        with ApiClient(server.url, auth=auth, headers={"X-Hush": "h"}, retry=ONCE) as client:
            assert client.get_json("/first") == 1
            answers = _at_once(6, lambda: client.get_json("/x"))
    assert answers == [1] * 6
    assert login.given == len(login.asked) == 2
    assert stored == (["r1", "r2"] if rotating else [])
    for asked in login.asked:
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert "x-hush" not in asked.headers


def _at_once(count: int, ask: Callable[[], Any]) -> list[Any]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (ApiKey("k"), "x-api-key", "k"),
        (Basic("ann", "pü"), "authorization", "Basic " + b64encode("ann:pü".encode()).decode()),
    ],
)
def test_known_credentials_arrive(auth: Any, name: str, value: str) -> None:
    """Keys, users and passwords arrive as they are."""
    echoing = LoopbackServer(lambda asked: json_reply(asked.headers[name]))
    with echoing as server, ApiClient(server.url, auth=auth) as client:
        assert client.get_json("/x") == value
