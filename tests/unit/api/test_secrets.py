"""Secrets stay where they belong, in whatever spelling others send them back."""

from __future__ import annotations

import base64
import functools
import json
import logging
import threading
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from de_classes.api import (
    ApiClient,
    ApiKey,
    ApiSource,
    Basic,
    BearerToken,
    LinkHeader,
    NextLink,
    OAuth2ClientCredentials,
    OAuth2RefreshToken,
    Recorder,
    Resource,
    Signed,
)
from de_classes.api._walking.ahead import Ahead
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiStatusError, ConfigurationError, DeClassesError, InvalidAnswer
from de_classes.testing.http import ScriptedServer, json_reply
from de_classes.utils.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)
KEY = "ab/cd+s3cret=="
HOME, ELSEWHERE = "https://api.example", "https://files.example"


class Network:
    """A transport that answers by path: a location, a body, or a status with a body and headers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        """Answer."""
        self.asked.append(request)
        path = request.full_url().partition("?")[0].rpartition("/")[2]
        answer = self.answers.get(path, b"[]")
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, str):
            return Response(request, 302, {"location": answer}, b"")
        status, body, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        return Response(request, status, headers, body)


def client(network: Network, auth: Any = None, **options: Any) -> ApiClient:
    return ApiClient(HOME, auth=auth, transport=network, retry=ONCE, **options)


@pytest.mark.parametrize(
    "location",
    [
        f"{ELSEWHERE}/login?return_to={quote(f'{HOME}/x?api_key={quote(KEY, safe=chr(32))}', safe='')}",
        f"{ELSEWHERE}/cb/{KEY.replace('/', '%2f').replace('+', '%2b').replace('=', '%3d')}",
        f"{ELSEWHERE}/cb?state={base64.urlsafe_b64encode(f'key {KEY}'.encode()).decode()}",
    ],
    ids=["twice encoded", "lower case", "base64"],
)
def test_no_spelling_of_a_secret_is_followed_elsewhere(location: str) -> None:
    """A redirect that takes the key along, however it writes it, is refused; nobody else is asked."""
    network = Network(x=location)
    with pytest.raises(InvalidAnswer, match="would take a secret"):
        client(network, ApiKey(KEY), follow_foreign_redirects=True).get_json("x")
    assert len(network.asked) == 1


def test_a_body_does_not_go_elsewhere() -> None:
    """A request that is redirected away is made anew, of its method and the new address alone."""
    network = Network(search=f"{ELSEWHERE}/result")
    asking = client(network, follow_foreign_redirects=True)
    asking.request("GET", "search", json={"password": Secret("s3cret")}, headers={"X-Mine": "1"})
    away = network.asked[-1]
    assert (away.json, away.form, dict(away.headers), dict(away.params)) == (None, None, {}, {})


def test_the_answer_of_another_origin_tells_credentials_nothing() -> None:
    """A 401 from elsewhere renews no token and is answered by none; the error says where it came from."""
    token = {"access_token": "a1", "expires_in": 3600}
    network = Network(token=json.dumps(token).encode(), file=f"{ELSEWHERE}/object", object=(401, b"", {}))
    auth = OAuth2ClientCredentials(f"{HOME}/token", "me", "pw")
    with pytest.raises(ApiStatusError, match="another origin, which says so"):
        client(network, auth, follow_foreign_redirects=True).get_json("file")
    assert [request.full_url().rpartition("/")[2] for request in network.asked] == ["token", "file", "object"]


@pytest.mark.parametrize("path", ["/orders/", "/orders?cursor=ab/", "/"])
def test_a_slash_at_the_end_is_part_of_the_path(path: str) -> None:
    """What is asked for is asked for, to the last character."""
    network = Network()
    client(network).get_json(path)
    assert network.asked[0].full_url() == HOME + path


def test_five_redirects_are_followed() -> None:
    """Five in a row lead to their end."""
    steps = {f"r{n}": f"{HOME}/r{n + 1}" for n in range(5)}
    network = Network(**steps)
    assert client(network).get_json("r0") == []
    assert len(network.asked) == 6


class TestRotation:
    """A new refresh token is kept, whatever else goes wrong."""

    @staticmethod
    def answers(*told: dict[str, Any]) -> Any:
        left = list(told)
        return lambda _: json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()

    def test_one_that_could_not_be_stored_is_handed_over_again(self) -> None:
        """When storing fails, so does the request; the next one stores it first, and asks with it."""
        stored: list[str] = []

        def store(token: Secret) -> None:
            stored.append(token.reveal())
            if len(stored) == 1:
                raise OSError("the disk is full")

        granted = [{"access_token": f"a{n}", "refresh_token": f"R{n}", "expires_in": 60} for n in (1, 2)]
        network = Network(token=self.answers(*granted))
        asking = client(network, OAuth2RefreshToken(f"{HOME}/token", "me", "R0", on_rotation=store))
        with pytest.raises(OSError, match="full"):
            asking.get_json("x")
        assert asking.get_json("x") == []
        assert stored == ["R1", "R1", "R2"]
        forms = [dict(request.form or {})["refresh_token"] for request in network.asked if request.purpose == "token"]
        assert [isinstance(sent, Secret) and sent.reveal() for sent in forms] == ["R0", "R1"]

    def test_one_in_an_answer_that_is_odd_otherwise_is_kept(self) -> None:
        """The old one is spent even if the answer has no access token."""
        stored: list[str] = []
        network = Network(token=self.answers({"refresh_token": "R1"}))
        auth = OAuth2RefreshToken(f"{HOME}/token", "me", "R0", on_rotation=lambda new: stored.append(new.reveal()))
        with pytest.raises(InvalidAnswer):
            client(network, auth).get_json("x")
        assert stored == ["R1"]

    def test_seconds_may_be_a_text_with_a_fraction(self) -> None:
        """Some servers write the life of a token as text."""
        network = Network(token=self.answers({"access_token": "a", "expires_in": "3600.5"}))
        assert client(network, OAuth2ClientCredentials(f"{HOME}/token", "me", "pw")).get_json("x") == []

    def test_storing_by_the_same_client_is_told(self) -> None:
        """Who stores the token through the client that waits for it would wait for ever."""
        network = Network(token=self.answers({"access_token": "a", "refresh_token": "R1"}))
        asking: list[ApiClient] = []
        auth = OAuth2RefreshToken(f"{HOME}/token", "me", "R0", on_rotation=lambda _: asking[0].get_json("vault"))
        asking.append(client(network, auth))
        with pytest.raises(ConfigurationError, match="waits for the token"):
            asking[0].get_json("x")


def test_names_of_secrets_are_known_wherever_they_stand(tmp_path: Path) -> None:
    """Fields, parameters and headers, of questions and answers, numbers among them, and links with parameters."""
    told = {"token": "hush1", "pin": 1, "password": 7654321, "next": "/x?access_token=hush2&page=2"}
    headers = {"x-auth-token": "hush3", "location": f"{HOME}/y?jwt=hush4"}
    network = Network(login=(200, json.dumps(told).encode(), headers))
    asking = ApiClient(HOME, transport=Recorder(tmp_path, network), headers={"X-JWT": "hush5"}, retry=ONCE)
    asking.request("POST", "login", json={"api_key": "hush6", "secret": "hush7"}, params={"token": "hush8"})
    (file,) = tmp_path.iterdir()
    written = file.read_text(encoding="utf-8")
    assert "hush" not in written
    assert "7654321" not in written
    assert "page=2" in written


@pytest.mark.parametrize("written", [KEY, quote(KEY, safe=""), KEY.replace("+", "%2b")])
def test_a_key_in_a_next_link_is_not_kept(written: str) -> None:
    """Servers repeat parameters as they please; no position has the key in it."""
    answer = json.dumps({"items": [{"id": 1}], "next": f"/orders?page=2&api_key={written}"}).encode()
    source = ApiSource(
        client(Network(orders=answer), ApiKey(KEY, name="api_key", place="query")),
        [Resource("orders", "/orders", paging=NextLink())],
    )
    with source.plan(source.streams()[0], None) as plan:
        position = next(iter(plan.splits[0].read())).position
    assert "s3cret" not in json.dumps(position)
    assert "page=2" in json.dumps(position)


def test_a_key_in_the_path_of_a_next_link_is_refused() -> None:
    """What cannot be taken out of a link keeps the link from being kept."""
    answer = json.dumps({"items": [{"id": 1}], "next": f"/k/{quote(KEY, safe='')}/orders?page=2"}).encode()
    source = ApiSource(client(Network(orders=answer), ApiKey(KEY)), [Resource("orders", "/orders", paging=NextLink())])
    with source.plan(source.streams()[0], None) as plan, pytest.raises(InvalidAnswer, match="has a secret") as caught:
        list(plan.splits[0].read())
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("paging", [NextLink(), LinkHeader()])
def test_a_key_that_is_a_word_of_the_url_leads_nowhere_else(paging: Any) -> None:
    """Links are relative to the page's own address, not to what is shown of it."""

    def page(request: Request) -> Any:
        last = "page=2" in request.full_url()
        answer = {"items": [{"id": 2 if last else 1}], "next": None if last else "?page=2"}
        return 200, json.dumps(answer).encode(), {} if last else {"link": '<?page=2>; rel="next"'}

    network = Network(orders=page)
    source = ApiSource(client(network, ApiKey("demo")), [Resource("orders", "/demo/orders", paging=paging)])
    with source.plan(source.streams()[0], None) as plan:
        assert sum(batch.records.num_rows for batch in plan.splits[0].read()) == 2
    assert [request.full_url() for request in network.asked] == [f"{HOME}/demo/orders", f"{HOME}/demo/orders?page=2"]


@pytest.mark.parametrize("body", [r'{"no": "a\/b-s3cr\u00C4t"}', '{"no": "a/b-s3crÄt"}', r'{"no": "a/b-s3cr\u00c4t"}'])
def test_errors_know_how_json_writes(body: str) -> None:
    """A key that the answer repeats is masked, be a slash escaped or a letter written by number."""
    with pytest.raises(ApiStatusError) as caught:
        client(Network(x=(400, body.encode(), {})), ApiKey("a/b-s3crÄt", name="k", place="query")).get_json("x")
    assert "s3cr" not in str(caught.value)


def test_an_answer_that_repeats_basic_credentials_is_masked() -> None:
    """Base64 of user and password is a secret without the word before it, too."""
    pair = base64.b64encode(b"ann:s3cret-pw").decode()
    with pytest.raises(DeClassesError) as caught:
        client(Network(x=(400, f"got {pair}".encode(), {})), Basic("ann", "s3cret-pw")).get_json("x")
    assert pair not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"access_token=s3cret&token_type=bearer", b"s3cret", b'{"access_token": "s3cret", "n": NaN}']
)
def test_a_token_that_cannot_be_read_is_not_shown(body: bytes) -> None:
    """The answer to a login is no text for errors, even where it is no JSON."""
    with pytest.raises(InvalidAnswer) as caught:
        client(Network(token=body), OAuth2ClientCredentials(f"{HOME}/token", "me", "pw")).get_json("x")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_the_log_has_no_urls_with_keys(caplog: pytest.LogCaptureFixture) -> None:
    """Who logs everything logs no key: the libraries below would write whole URLs."""
    with ScriptedServer([json_reply(1)]) as server, caplog.at_level(logging.INFO):
        with ApiClient(server.url, auth=ApiKey("s3cret", name="k", place="query")) as asking:
            asking.get_json("/x")
        assert server.asked[0].query["k"] == "s3cret"
    assert "s3cret" not in caplog.text


def test_what_is_shown_has_no_secrets() -> None:
    """Requests, responses, signing functions and whole URLs may be printed."""
    request = Request("GET", f"{HOME}/x?key=s3cret", hidden=(Secret("s3cret"),), headers={"X": Secret("hush")})
    for shown in (request, Response(request, 200, {}, b"s3cret")):
        assert "s3cret" not in repr(shown)
        assert "hush" not in repr(shown)
    assert "s3cret" not in repr(Signed(functools.partial(_signed, key="s3cret")))
    assert "s3cret" not in repr(OAuth2ClientCredentials(f"{HOME}/token?k=s3cret", "me", "pw"))
    with pytest.raises(InvalidAnswer) as caught:
        client(Network(), BearerToken("t")).get_json(f"{ELSEWHERE}/x?signature=s3cret")
    assert "s3cret" not in str(caught.value)


def _signed(request: Request, key: str) -> Request:
    return request.with_header("X-Signature", key)


def test_what_is_submitted_after_leaving_is_called_off() -> None:
    """A thread that is late to ask for more starts nothing, so that no thread stays behind."""
    with Ahead(2, "late") as ahead:
        assert ahead.submit(lambda: 1).result() == 1
    assert ahead.submit(lambda: 1).cancelled()
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("late-")]:
        thread.join(10)
        assert not thread.is_alive()
