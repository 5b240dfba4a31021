"""What a database's owner sees of sessions, and how long they wait for whom."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ConfigurationError, PostgresError
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource, _waiting


def test_whoever_would_hold_up_everybody_gives_up(client: PostgresClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that somebody reads is waited for, to alter or truncate it, for a while; then nothing has changed."""
    monkeypatch.setattr(_waiting, "DDL_LOCK_SECONDS", 1)
    client.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    for options, mode in (({"schema_changes": "evolve"}, Mode.APPEND), ({"truncate": True}, Mode.REPLACE)):
        destination = PostgresDestination(client, **options)  # type: ignore[arg-type]
        wider = pa.record_batch({"id": pa.array([2], pa.int32())} | ({} if "truncate" in options else {"n": [1]}))
        with psycopg.connect(client.conninfo) as reader, destination.begin(str(mode), Stream("t"), mode) as load:
            reader.execute("SELECT FROM t")
            piece = load.write("a", iter([Batch(wider)]))
            with pytest.raises(PostgresError, match="lock timeout"):
                load.commit([piece], None)
            reader.rollback()
            assert client.fetch("TABLE t") == [(1,)]
            if mode is Mode.REPLACE:
                load.commit([piece], None)
    assert client.fetch("TABLE t") == [(2,)]


def test_a_lock_timeout_of_the_session_is_left_alone(client: PostgresClient) -> None:
    """What client or server say stays; without, only the locks of DDL are bounded."""
    for seconds, within, after in ((None, "30s", "0"), (7, "7s", "7s")):
        impatient = PostgresClient(client.conninfo, lock_timeout_seconds=seconds)
        with impatient.connect() as connection:
            with _waiting.not_for_long(connection):
                assert connection.execute("SHOW lock_timeout").fetchone() == (within,)
            assert connection.execute("SHOW lock_timeout").fetchone() == (after,)


def test_a_session_that_stands_idle_is_ended(client: PostgresClient) -> None:
    """Where it is asked for, the server ends what has stopped within its transaction; a snapshot's keeper may idle."""
    limited = PostgresClient(client.conninfo, idle_in_transaction_timeout_seconds=0.05)
    with pytest.raises(PostgresError, match="slower than the server allows"):
        _idles(limited, client)
    client.run("CREATE TABLE t (id int)")
    with PostgresSource(limited, tables=["t"]).plan(Stream("t"), None) as plan:
        client.run("SELECT pg_sleep(0.2)")
        assert [batch.records.num_rows for split in plan.splits for batch in split.read()] in ([], [0])
    with pytest.raises(ConfigurationError, match="idle_in_transaction_timeout_seconds=0"):
        PostgresClient(client.conninfo, idle_in_transaction_timeout_seconds=0)


def _idles(limited: PostgresClient, client: PostgresClient) -> None:
    with limited.connect() as connection:
        connection.execute("SELECT 1")
        client.run("SELECT pg_sleep(0.4)")
        connection.execute("SELECT 1")
