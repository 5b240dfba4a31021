from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import PostgresError, PostgresUnreachable
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.utils.retry import RetryPolicy

ORDERS = Stream("orders", ("id",))
Cut = Literal["before", "after", "half"]


def orders(first: int, count: int = 3) -> Batch:
    return Batch(pa.record_batch({"id": range(first, first + count)}), {"to": first + count})


class CuttingProxy:
    """Stands between client and server, and cuts the connection of the first load that says COMMIT.

    `before`: the COMMIT never arrives; `after`: it does, and its answer is lost; `half`: it does not arrive, and the
    server does not notice either that nobody is there any more.
    """

    def __init__(self, folder: Path, server: str, cut: Cut) -> None:
        self.url = make_conninfo(server, host=str(folder))
        self.cut: Cut | None = cut
        self.cuts = 0
        self._server = conninfo_to_dict(server)["host"]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self._server}/.s.PGSQL.5432")
                self._open += [client, server]
                silenced = threading.Event()
                threading.Thread(target=self._to_server, args=(client, server, silenced), daemon=True).start()
                threading.Thread(target=self._to_client, args=(client, server, silenced), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, silenced: threading.Event) -> None:
        loading = False
        with suppress(OSError):
            while data := client.recv(65536):
                loading = loading or b"epoch + 1" in data
                if loading and self.cut and b"COMMIT" in data:
                    cut, self.cut, self.cuts = self.cut, None, self.cuts + 1
                    silenced.set()
                    if cut == "after":
                        server.sendall(data)
                        return  # the answer is read, and then both are closed
                    client.shutdown(socket.SHUT_RDWR)
                    if cut == "half":
                        return
                    break
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _to_client(self, client: socket.socket, server: socket.socket, silenced: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if silenced.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    server.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxied(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(tmp_path_factory.mktemp("p"), postgres_url, request.param)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("proxied", ["after"], indirect=True)
def test_a_commit_whose_answer_is_lost_is_found_out(proxied: CuttingProxy, client: PostgresClient) -> None:
    """The connection breaks after COMMIT arrived: the load looks, finds its commit, and goes on."""
    destination = PostgresDestination(proxied.url)
    with destination.begin("test", ORDERS, Mode.APPEND) as load:
        load.commit([load.write("split", iter([orders(1)]))], {"to": 4})
    assert proxied.cuts == 1
    assert client.fetch("SELECT count(*) FROM orders") == [(3,)]
    assert PostgresDestination(client).position("test", ORDERS) == {"to": 4}


@pytest.mark.parametrize("proxied", ["before", "half"], indirect=True)
def test_a_commit_that_never_arrived_is_found_out(proxied: CuttingProxy, client: PostgresClient) -> None:
    """The connection breaks before COMMIT arrives: nothing is visible, the load says so, the next run takes over."""
    destination = PostgresDestination(proxied.url)
    with destination.begin("test", ORDERS, Mode.APPEND) as load:
        receipt = load.write("split", iter([orders(1)]))
        with pytest.raises(PostgresUnreachable):
            load.commit([receipt], {"to": 4})
    assert proxied.cuts == 1
    assert client.fetch("SELECT to_regclass('orders')") == [(None,)]
    assert destination.position("test", ORDERS) is None
    with destination.begin("test", ORDERS, Mode.APPEND) as load:
        load.commit([load.staged["split"]], {"to": 4})
    assert client.fetch("SELECT count(*) FROM orders") == [(3,)]


def test_an_error_while_reading_leaves_nothing(client: PostgresClient) -> None:
    """When the batches break off, the table that was being written is gone at once."""

    def breaks() -> Iterator[Batch]:
        yield orders(1)
        raise ConnectionResetError

    with PostgresDestination(client).begin("test", ORDERS, Mode.APPEND) as load:
        with pytest.raises(ConnectionResetError):
            load.write("split", breaks())
        assert client.fetch("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'staged\\_%'") == [(0,)]


def test_a_backend_that_is_ended_while_writing_is_told(client: PostgresClient) -> None:
    """The server ends the session in the middle of a split: one clear error, and nothing staged."""

    def ended() -> Iterator[Batch]:
        yield orders(1)
        client.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %'")
        while True:
            yield orders(4, 10_000)

    with PostgresDestination(client).begin("test", ORDERS, Mode.APPEND) as load, pytest.raises(PostgresUnreachable):
        load.write("split", ended())
    assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]


def test_what_a_crash_of_the_server_emptied_is_not_taken_over() -> None:
    """Staging tables are unlogged where the target is there already, so a server that recovers has emptied them."""
    with EmbeddedPostgres(settings={"synchronous_commit": "on"}) as server:
        destination = PostgresDestination(server.url)
        destination.client.run("CREATE TABLE orders (id bigint)")
        with destination.begin("test", ORDERS, Mode.APPEND) as load:
            load.write("lost", iter([orders(1)]))
            load.write("empty anyway", iter([Batch(pa.record_batch({"id": pa.array([], pa.int64())}))]))
        (started,) = destination.client.fetch("SELECT pg_postmaster_start_time()")
        with psycopg.connect(server.url) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
        staged = RetryPolicy(attempts=200, wait_seconds=0.05, max_wait_seconds=0.1).call(
            lambda: _staged(destination), on=(PostgresError,), name="begin"
        )
        assert destination.client.fetch("SELECT pg_postmaster_start_time()") == [started]
        assert staged == {"empty anyway"}
        assert destination.client.fetch("SELECT split_id FROM de_classes.staged") == [("empty anyway",)]
        with destination.begin("test", ORDERS, Mode.APPEND) as load:
            load.commit([load.write("lost", iter([orders(1)]))], {"to": 4})
        assert destination.client.fetch("SELECT count(*) FROM orders") == [(3,)]


def _staged(destination: PostgresDestination) -> set[str]:
    with destination.begin("test", ORDERS, Mode.APPEND) as load:
        return set(load.staged)
