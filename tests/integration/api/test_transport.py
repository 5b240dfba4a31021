from __future__ import annotations

import multiprocessing
import pickle
import socket
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from de_classes.api import ApiClient
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiUnreachable, ConfigurationError, InvalidAnswer
from de_classes.testing.http import Reply, ScriptedServer, json_reply
from de_classes.utils.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, wait_seconds=0)


def test_sends_what_was_asked() -> None:
    """Method, path, query, headers and body arrive as they were given, secrets revealed."""
    with ScriptedServer([json_reply({"ok": True})]) as server, ApiClient(server.url) as client:
        response = client.request(
            "POST", "/things", params={"a": "ü b"}, headers={"X-Key": Secret("k")}, json={"p": Secret("s"), "n": 1}
        )
        assert response.json() == {"ok": True}
    (asked,) = server.asked
    assert (asked.method, asked.path, dict(asked.query)) == ("POST", "/things", {"a": "ü b"})
    assert asked.headers["x-key"] == "k"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json() == {"p": "s", "n": 1}


@pytest.mark.parametrize("value", ["s3cret\n", " s3cret", "s3cret\r\nX-Evil: 1", "s3crét", "s3cret\0", 3])
def test_a_header_that_cannot_be_sent_is_not_shown(value: Any) -> None:
    """A token read from a file with its line break is the user's mistake, and stands in no error, nor in its causes."""
    with ScriptedServer([json_reply(1)]) as server, ApiClient(server.url, headers={"X-Key": value}) as client:
        with pytest.raises(ConfigurationError, match="'X-Key' cannot be sent") as caught:
            client.get_json("/x")
        assert server.asked == []
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cut", ["before", "within"])
def test_broken_connections_are_tried_again(cut: str) -> None:
    """A connection that breaks before or in the middle of an answer leads to another attempt."""
    broken = Reply(200, b'{"half": "of it"}', cut=cut)  # type: ignore[arg-type]  # one of the two
    with ScriptedServer([broken, json_reply(1)]) as server, ApiClient(server.url, retry=TWICE) as client:
        assert client.get_json("/x") == 1
    with ScriptedServer([broken]) as server, ApiClient(server.url, retry=ONCE) as client:
        with pytest.raises(ApiUnreachable) as caught:
            client.get_json("/x")
        assert f"GET {server.url}/x" in str(caught.value)


def test_slow_answers_time_out() -> None:
    """An answer that does not come in time is unreachable, and says how long was waited."""
    gate = threading.Event()

    def late(_: object) -> Reply:
        gate.wait(10)
        return json_reply(1)

    with ScriptedServer([late]) as server, ApiClient(server.url, timeout_seconds=0.05, retry=ONCE) as client:
        with pytest.raises(ApiUnreachable, match=r"within 0\.05 s"):
            client.get_json("/x")
        gate.set()


def test_no_such_host() -> None:
    """A host that does not exist is one clear error that names the URL."""
    with ApiClient("http://no-such-host.invalid", retry=TWICE) as client, pytest.raises(ApiUnreachable) as caught:
        client.get_json("/orders")
    assert "GET http://no-such-host.invalid/orders" in str(caught.value)


def test_nobody_listens() -> None:
    """A port where nobody listens is one clear error."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with ApiClient(url, retry=ONCE) as client, pytest.raises(ApiUnreachable, match="refused"):
            client.get_json("/x")


def test_a_page_that_is_no_json() -> None:
    """A page of HTML in the API's place is shown with its URL, status, type and beginning."""
    page = Reply(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
    with ScriptedServer([page]) as server, ApiClient(server.url) as client, pytest.raises(InvalidAnswer) as caught:
        client.get_json("/orders")
    for part in (f"GET {client.base_url}/orders", "status 200", "text/html", "<html>Please log in"):
        assert part in str(caught.value)


def test_a_body_that_is_not_packed_as_it_says() -> None:
    """A body that cannot be unpacked is an invalid answer."""
    lie = Reply(200, b"no gzip at all", {"Content-Encoding": "gzip"})
    with (
        ScriptedServer([lie]) as server,
        ApiClient(server.url) as client,
        pytest.raises(InvalidAnswer, match="unpacked"),
    ):
        client.get_json("/x")


def test_redirects_go_nowhere_else() -> None:
    """A redirect to another server is refused and never followed, one within the server is."""
    with ScriptedServer([json_reply("stolen")]) as evil, ScriptedServer([]) as server:
        server._script = [
            Reply(302, headers={"Location": f"{evil.url}/x"}),
            Reply(307, headers={"Location": "/y?z=1"}),
            json_reply("ours"),
        ]
        with ApiClient(server.url, headers={"Authorization": Secret("s")}, retry=ONCE) as client:
            with pytest.raises(InvalidAnswer, match="another origin"):
                client.get_json("/x")
            assert client.get_json("/x") == "ours"
        assert evil.asked == []
        assert server.asked[-1].target == "GET /y?[('z', '1')]"
        assert server.asked[-1].headers["authorization"] == "s"


def test_threads_share_a_client() -> None:
    """Many threads ask through one client."""
    with ScriptedServer([json_reply(n) for n in range(40)]) as server, ApiClient(server.url) as client:
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.extend(client.get_json("/x") for _ in range(5))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == list(range(40))


def _ask(client: ApiClient) -> int:
    with client:
        return int(client.get_json("/x"))


@pytest.mark.parametrize("method", ["spawn"])
def test_a_used_client_goes_to_a_process(method: str) -> None:
    """A client that has connections open already works in another process, with connections of its own."""
    with ScriptedServer([json_reply(1), json_reply(2), json_reply(3)]) as server, ApiClient(server.url) as client:
        assert client.get_json("/x") == 1
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            assert pool.submit(_ask, client).result() == 2
        assert client.get_json("/x") == 3


def test_closing_twice_and_opening_again() -> None:
    """A closed client opens its connections again when it is asked."""
    with ScriptedServer([json_reply(1), json_reply(2)]) as server:
        client = pickle.loads(pickle.dumps(ApiClient(server.url)))
        client.close()
        assert client.get_json("/x") == 1
        client.close()
        client.close()
        assert client.get_json("/x") == 2
        client.close()
