from __future__ import annotations

import gzip
import pickle
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, TokenLogin
from de_classes.api.messages import Request, Response
from de_classes.api.transport import HttpTransport
from de_classes.errors import ApiStatusError, ApiUnreachable, ConfigurationError, InvalidAnswer
from de_classes.testing.http import Asked, Reply, ScriptedServer, json_reply
from de_classes.utils.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)
MEBIBYTE = 1024 * 1024


@contextmanager
def _dripping(begin: bytes, drop: bytes) -> Iterator[str]:
    """A server that answers with a beginning and then drop by drop, until its client goes or the context ends."""
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(begin)
            try:
                while not over.wait(0.01):
                    connection.sendall(drop)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Many: x\r\n"),
    ],
    ids=["body", "chunks", "header", "headers"],
)
def test_answers_that_drip_are_cut_at_the_deadline(begin: bytes, drop: bytes) -> None:
    """A body, or headers, that come byte by byte meet no timeout for one wait; the deadline ends them."""
    transport = HttpTransport(timeout_seconds=10, deadline_seconds=0.15)
    with (
        _dripping(begin, drop) as url,
        ApiClient(url, transport=transport, retry=ONCE) as client,
        pytest.raises(ApiUnreachable, match=r"not whole after 0\.15 s"),
    ):
        client.get_json("/x")


def test_a_stream_that_drips_takes_its_time_unless_told_otherwise() -> None:
    """A stream has no deadline of its own; one that is given cuts it in the middle."""
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with (
        _dripping(begin, b"x") as url,
        ApiClient(url, transport=HttpTransport(deadline_seconds=0.01)) as client,
        client.stream("GET", "/x") as answer,
    ):
        assert next(answer.pieces)[:1] == b"x"
        assert sum(len(next(answer.pieces)) for _ in range(9)) >= 9
    with (
        _dripping(begin, b"x") as url,
        ApiClient(url, retry=ONCE) as client,
        client.stream("GET", "/x", deadline_seconds=0.15) as answer,
        pytest.raises(ApiUnreachable, match="whole"),
    ):
        answer.read()


def test_a_server_that_says_nothing_meets_the_shorter_of_both() -> None:
    """Silence ends at the timeout or the deadline, whichever comes first, and the error says which."""
    for options, said in (
        ({"timeout_seconds": 0.05}, r"within 0\.05 s"),
        ({"deadline_seconds": 0.05}, r"after 0\.05 s"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            transport = HttpTransport(**options)  # type: ignore[arg-type]  # each is a float
            client = ApiClient(url, transport=transport, retry=ONCE)
            with client, pytest.raises(ApiUnreachable, match=said):
                client.get_json("/x")


def test_waiting_for_a_free_connection_ends() -> None:
    """When all connections are in use, waiting for one ends at its own timeout, and says so."""
    transport = HttpTransport(max_connections=1, pool_timeout_seconds=0.05)
    replies = [Reply(200, b"x" * MEBIBYTE), json_reply(2)]
    with ScriptedServer(replies) as server, ApiClient(server.url, transport=transport, retry=ONCE) as client:
        with client.stream("GET", "/x") as answer:
            next(answer.pieces)
            with pytest.raises(ApiUnreachable, match="no connection was free within"):
                client.get_json("/y")
        assert client.get_json("/y") == 2


def _packed(codec: Any, data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("coding", "codec"), [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd"), ("GZIP", "gzip")])
def test_packed_bodies_are_unpacked(coding: str, codec: str) -> None:
    """Bodies by gzip, br and zstd are asked for and come unpacked, with requests and streams alike."""
    text = b"[" + b", ".join(b'"%d"' % n for n in range(100_000)) + b"]"
    reply = Reply(200, _packed(codec, text), {"Content-Encoding": coding})
    with ScriptedServer([reply, reply]) as server, ApiClient(server.url) as client:
        assert client.request("GET", "/x").body == text
        with client.stream("GET", "/x") as answer:
            assert answer.read() == text
    assert server.asked[0].headers["accept-encoding"] == "gzip, br, zstd"


def test_gzip_of_several_members_is_whole() -> None:
    """Members that follow each other are one body; an empty body is none, whatever it says to be packed as."""
    parts = Reply(200, gzip.compress(b"[1,") + gzip.compress(b" 2]"), {"Content-Encoding": "gzip"})
    empty = Reply(204, b"", {"Content-Encoding": "gzip"})
    with ScriptedServer([parts, empty, empty]) as server, ApiClient(server.url) as client:
        assert client.get_json("/x") == [1, 2]
        assert client.request("GET", "/x").body == b""
        assert client.request("HEAD", "/x").body == b""


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"[1, 2]" * 1000)[:-12]),
        ("gzip", b"no gzip at all"),
        ("br", b"\xff" * 40),
        ("zstd", b"no zstd at all"),
        ("compress", b"[]"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"[]"))),
    ],
    ids=["broken off", "no gzip", "no br", "no zstd", "not asked for", "twice"],
)
def test_bodies_that_are_not_packed_as_asked_are_refused(coding: str, body: bytes) -> None:
    """A packed body that breaks off, is packed otherwise than it says, or in a way nobody asked for, is refused."""
    reply = Reply(200, body, {"Content-Encoding": coding})
    with (
        ScriptedServer([reply]) as server,
        ApiClient(server.url, retry=ONCE) as client,
        pytest.raises(InvalidAnswer, match="packed as"),
    ):
        client.request("GET", "/x")


def test_a_packed_body_whose_connection_breaks_is_asked_for_again() -> None:
    """A connection that breaks within a packed body is no wrong answer: it is tried again."""
    half: Any = Reply(200, gzip.compress(b"[1]" * 1000), {"Content-Encoding": "gzip"}, cut="within")
    patient = RetryPolicy(attempts=2, wait_seconds=0)
    with ScriptedServer([half, json_reply(1)]) as server, ApiClient(server.url, retry=patient) as client:
        assert client.get_json("/x") == 1


def test_a_stream_of_nothing_has_no_pieces() -> None:
    """An answer without a body streams as nothing at all."""
    with ScriptedServer([Reply(204)]) as server, ApiClient(server.url) as client, client.stream("GET", "/x") as answer:
        assert (answer.status, list(answer.pieces)) == (204, [])


@pytest.mark.parametrize(("coding", "codec"), [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd")])
def test_a_bomb_is_refused_while_it_unpacks(coding: str, codec: str) -> None:
    """A small body that would grow beyond measure is refused early, in little memory, also when streamed."""
    bomb = Reply(200, _packed(codec, bytes(192 * MEBIBYTE)), {"Content-Encoding": coding})
    with ScriptedServer([bomb, bomb]) as server, ApiClient(server.url, retry=ONCE) as client:
        tracemalloc.start()
        try:
            with pytest.raises(InvalidAnswer, match="bytes grew to"):
                client.request("GET", "/x")
            with client.stream("GET", "/x") as answer, pytest.raises(InvalidAnswer, match="grew"):
                assert sum(map(len, answer.pieces)) > 0
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64 * MEBIBYTE


def test_large_bodies_are_for_streams() -> None:
    """A body beyond the cap is refused when read whole; a stream has a cap only when one is given."""
    large = Reply(200, b"x" * 300_000)
    transport = HttpTransport(max_body_bytes=200_000)
    with ScriptedServer([large] * 3) as server, ApiClient(server.url, transport=transport, retry=ONCE) as client:
        with pytest.raises(InvalidAnswer, match="more than 200000 bytes"):
            client.request("GET", "/x")
        with client.stream("GET", "/x") as answer:
            assert sum(map(len, answer.pieces)) == 300_000
        with client.stream("GET", "/x", max_body_bytes=250_000) as answer, pytest.raises(InvalidAnswer, match="250000"):
            answer.read()


def test_the_environment_is_asked_only_on_demand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies of the environment are used with trust_env alone, and netrc never."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with ScriptedServer([json_reply(1), json_reply(2)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        with ApiClient("http://no-such-host.invalid", retry=ONCE) as client, pytest.raises(ApiUnreachable):
            client.get_json("/x")
        transport = HttpTransport(trust_env=True)
        with ApiClient("http://no-such-host.invalid", transport=transport, retry=ONCE) as client:
            assert client.get_json("/x") == 1
        assert [asked.headers["host"] for asked in proxy.asked] == ["no-such-host.invalid"]
        with ApiClient(proxy.url, retry=ONCE) as client:
            assert client.get_json("/x") == 2
        assert all("authorization" not in asked.headers for asked in proxy.asked)


def test_no_cookies_are_kept() -> None:
    """A cookie that an answer sets is not sent with the next request: cookies know nothing of ports and threads."""
    reply = Reply(200, b"1", {"Set-Cookie": "session=s; Path=/"})
    with ScriptedServer([reply, reply]) as server, ApiClient(server.url) as client:
        assert [client.get_json("/x"), client.get_json("/x")] == [1, 1]
    assert "cookie" not in server.asked[1].headers


def test_foreign_redirects_are_followed_bare_over_the_network() -> None:
    """A download that an API leaves to a store on another port is asked for with nothing of the client's."""
    with ScriptedServer([Reply(200, b"the file")] * 2) as store, ScriptedServer([]) as api:
        signed = f"{store.url}/file?signature=abc"
        api._script = [Reply(302, headers={"Location": signed, "Set-Cookie": "session=s"})] * 2
        headers = {"Authorization": "Bearer t0ken", "X-Plain": "p", "Cookie": "a=b"}
        with ApiClient(api.url, headers=headers, follow_foreign_redirects=True, retry=ONCE) as client:
            assert client.request("GET", "/x").body == b"the file"
            with client.stream("GET", "/x") as answer:
                assert answer.read() == b"the file"
    for asked in store.asked:
        assert asked.target == "GET /file?[('signature', 'abc')]"
        assert set(asked.headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}


def test_a_url_that_is_read_in_two_ways_is_not_sent() -> None:
    """A transport sends nothing to a host other than the one that was checked."""
    transport = HttpTransport()
    for url in ("http://api.example\\@127.0.0.1:1/", "http://u:p@127.0.0.1:1/", "http://127.0.0.1:x/"):
        with pytest.raises(ConfigurationError, match="cannot be sent"):
            transport(Request("GET", url))


def test_settings_travel_and_are_checked() -> None:
    """A copy has every setting; one that is not above 0 is refused by name."""
    options: dict[str, Any] = {"deadline_seconds": 3, "max_expansion": 9, "trust_env": True, "max_body_bytes": 5}
    copy = pickle.loads(pickle.dumps(HttpTransport(**options)))
    assert {name: getattr(copy, name) for name in options} == options
    with pytest.raises(ConfigurationError, match=r"deadline_seconds=0, max_expansion=-1"):
        HttpTransport(deadline_seconds=0, max_expansion=-1)
    with pytest.raises(ConfigurationError, match="ca_file"):
        HttpTransport(ca_file="/no/such/file.pem")(Request("GET", "http://127.0.0.1:1/"))


def test_streams_are_tried_again_until_their_first_byte() -> None:
    """Refusals and connections that break before the body lead to another attempt; later breaks are told."""
    lost: Any = Reply(200, b"x" * 10, cut="before")
    half: Any = Reply(200, b"x" * 4 * MEBIBYTE, cut="within")
    script = [Reply(503), lost, Reply(200, b"whole"), half]
    with ScriptedServer(script) as server, ApiClient(server.url, retry=RetryPolicy(wait_seconds=0)) as client:
        with client.stream("GET", "/x") as answer:
            assert (answer.status, b"".join(answer.pieces)) == (200, b"whole")
        with client.stream("GET", "/x") as answer, pytest.raises(ApiUnreachable):
            answer.read()
    assert len(server.asked) == 4


def test_streams_log_in_and_are_refused_like_requests() -> None:
    """Logins before a stream are read whole, a 401 leads to a new one, and a refusal says what the API says."""
    token = json_reply({"access_token": "t", "expires_in": 60})
    script: list[Any] = [token, Reply(401), token, _echo, Reply(404, b"no such file")]
    with ScriptedServer(script) as server, ApiClient(server.url, auth=TokenLogin("/login", "a", "p")) as client:
        with client.stream("POST", "/x", json={"a": 1}) as answer:
            assert answer.read() == b'Bearer t {"a":1}'
        with pytest.raises(ApiStatusError, match="no such file"), client.stream("GET", "/y"):
            pass


def _echo(asked: Asked) -> Reply:
    return Reply(200, asked.headers["authorization"].encode() + b" " + asked.body)


def test_streams_of_a_pretend_api_come_whole() -> None:
    """A transport that is a plain function gives its answer as one piece."""

    def pretend(request: Request) -> Response:
        return Response(request, 200, {}, b"all of it")

    with ApiClient("https://api.example", transport=pretend).stream("GET", "/x") as answer:
        assert list(answer.pieces) == [b"all of it"]
