from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import PostgresError, PostgresUnreachable
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.storage.postgres.state import State
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.proxy import Cut, CuttingProxy
from de_classes.utils.retry import RetryPolicy

ORDERS = Stream("orders", ("id",))


def orders(first: int, count: int = 3) -> Batch:
    return Batch(pa.record_batch({"id": range(first, first + count)}), {"to": first + count})


@pytest.fixture
def proxied(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[CuttingProxy]:
    """Before the server; the first load that says COMMIT meets what the test asks for."""
    folder = str(conninfo_to_dict(postgres_url)["host"])
    with CuttingProxy(f"{folder}/.s.PGSQL.5432") as proxy:
        proxy.cut(Cut(b"COMMIT", after=b"epoch + 1", when=request.param))
        yield proxy


def through(proxy: CuttingProxy, postgres_url: str) -> str:
    host, _, port = proxy.address.partition(":")
    return make_conninfo(postgres_url, host=host, port=port)


@pytest.mark.parametrize("proxied", ["answered"], indirect=True)
def test_a_commit_whose_answer_is_lost_is_found_out(
    proxied: CuttingProxy, postgres_url: str, client: PostgresClient
) -> None:
    """The connection breaks after COMMIT arrived: the load looks, finds its commit, and goes on."""
    destination = PostgresDestination(through(proxied, postgres_url))
    with destination.begin("test", ORDERS, Mode.APPEND) as load:
        load.commit([load.write("split", iter([orders(1)]))], {"to": 4})
    assert proxied.cuts == 1
    assert client.fetch("SELECT count(*) FROM orders") == [(3,)]
    assert PostgresDestination(client).position("test", ORDERS) == {"to": 4}


@pytest.mark.parametrize("proxied", ["sent", "unnoticed"], indirect=True)
def test_a_commit_that_never_arrived_is_found_out(
    proxied: CuttingProxy, postgres_url: str, client: PostgresClient
) -> None:
    """The connection breaks before COMMIT arrives: nothing is visible, the load says so, the next run takes over."""
    destination = PostgresDestination(through(proxied, postgres_url))
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


def test_a_session_that_may_not_write_is_told_what_can(client: PostgresClient, postgres_url: str) -> None:
    """On a standby, or where a database only reads by default, the error says where to connect instead."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_read_only TO on".encode())
    with (
        pytest.raises(PostgresError, match="primary"),
        PostgresDestination(client).begin("test", Stream("orders"), Mode.APPEND),
    ):
        pass


def test_what_came_of_a_commit_is_known_until_others_follow(client: PostgresClient) -> None:
    """The last commit is known by its id; whether one before it was made, is said of neither."""
    state = State("de_classes", "p", "orders", "public.orders")
    with client.connect() as connection:
        state.ensure(connection)
        assert state.was_committed(connection, 0, "mine") is False
        state.advance(connection, None, "mine", has_table=True)
        assert state.was_committed(connection, 0, "mine") is True
        assert state.was_committed(connection, 0, "another") is False
        state.advance(connection, None, "later", has_table=True)
        assert state.was_committed(connection, 0, "mine") is None
        assert state.was_committed(connection, 1, "later") is True
