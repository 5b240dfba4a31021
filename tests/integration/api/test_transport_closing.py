from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from de_classes.api import ApiClient
from de_classes.api.messages import Request, Response
from de_classes.api.transport import HttpTransport
from de_classes.errors import ApiUnreachable
from de_classes.utils.retry import RetryPolicy


@contextmanager
def _stalling(begin: bytes) -> Iterator[tuple[str, threading.Semaphore]]:
    """A server that begins its answers and says no more; the semaphore tells of each that has begun."""
    begun, over = threading.Semaphore(0), threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(begin)
            begun.release()
            over.wait(20)

    def serve(listening: socket.socket, pool: ThreadPoolExecutor) -> None:
        while True:
            connection, _ = listening.accept()
            if over.is_set():
                connection.close()
                return
            pool.submit(answer, connection)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        serving = pool.submit(serve, listening, pool)
        port = listening.getsockname()[1]
        yield f"http://127.0.0.1:{port}", begun
        over.set()
        socket.create_connection(("127.0.0.1", port)).close()
        serving.result(10)


def _ended(asked: Future[Response]) -> None:
    with pytest.raises(ApiUnreachable, match=r"closed by close\(\) while it was on its way") as error:
        asked.result(5)
    assert error.value.for_good


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", b"HTTP/1.0 200 OK\r\n\r\n[1]"],
    ids=["silence", "headers", "body", "a body that would end with the connection"],
)
def test_closing_ends_what_other_threads_ask(begin: bytes) -> None:
    """Threads that wait for an answer, however far it has come, are told at once; what came is not taken for whole."""
    with _stalling(begin) as (url, begun), ThreadPoolExecutor() as pool:
        client = ApiClient(url, retry=RetryPolicy(attempts=9))
        asking = [pool.submit(client.request, "GET", "/x") for _ in range(3)]
        for _ in asking:
            assert begun.acquire(timeout=10)
        client.close()
        for asked in asking:
            _ended(asked)


class _Telling(Mapping[str, str]):
    """Headers that tell when they are about to be sent: the request has the pool that it goes through by then."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell = tell

    def __getitem__(self, name: str) -> str:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        self._tell()
        return iter(())

    def __len__(self) -> int:
        return 0


def test_closing_ends_the_wait_for_a_free_connection() -> None:
    """Threads that wait for a connection are told, though whoever has it does nothing; so is he, when he reads on."""
    transport = HttpTransport(max_connections=1)
    stalling = _stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")
    with stalling as (url, begun), ThreadPoolExecutor() as pool, transport.stream(Request("GET", url)) as answer:
        assert begun.acquire(timeout=10)
        waits = threading.Event()
        asked = pool.submit(transport, Request("GET", url, headers=_Telling(waits.set)))
        assert waits.wait(10)
        transport.close()
        _ended(asked)
        with pytest.raises(ApiUnreachable, match=r"closed by close\(\)"):
            answer.read()
