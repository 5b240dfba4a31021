"""Every version of a row is kept, with the moments between which it was the current one."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource, RowVersions
from tests.integration.storage.postgres.test_growing import load, once_before_commit

TABLE = """
CREATE TABLE t (id int, region text, n numeric, data json, place point, PRIMARY KEY (id, region));
INSERT INTO t SELECT n, 'r', n, '{"a": 1}', '(1,2)' FROM generate_series(1, 4) n;
"""
AS_OF = """
SELECT t::text FROM (SELECT id, region, n, data, place FROM history.t
                     WHERE valid_from <= %s AND (valid_to IS NULL OR valid_to > %s)) AS t ORDER BY 1
"""


def _pipeline(client: PostgresClient, **options: Any) -> Pipeline:
    source = PostgresSource(client, tables=["t"], **{"changes": {"t": RowVersions()}, "deletes": ["t"], **options})
    return Pipeline("p", source, PostgresDestination(client, schema="history"), mode="history")


def test_the_past_can_be_read(client: PostgresClient) -> None:
    """At each moment after a run the history shows the table as it was then, types without equality included."""
    client.run(TABLE)
    pipeline, seen = _pipeline(client), []
    for change in (
        "SELECT 1",
        "UPDATE t SET n = 'NaN' WHERE id = 1; INSERT INTO t VALUES (5, 'r', 5)",
        "UPDATE t SET data = '{\"a\":1}' WHERE id = 2; DELETE FROM t WHERE id = 3",
        "UPDATE t SET n = n; INSERT INTO t VALUES (3, 'r', 3)",
        "UPDATE t SET place = '(2,1)' WHERE id = 4; UPDATE t SET id = 9 WHERE id = 1",
    ):
        client.run(change)
        pipeline.run()
        ((moment,),) = client.fetch("SELECT clock_timestamp()")
        seen.append((moment, client.fetch("SELECT t::text FROM t ORDER BY 1")))
    for moment, rows in seen:
        assert client.fetch(AS_OF, (moment, moment)) == rows
    versions = client.fetch("SELECT id, count(*) FROM history.t GROUP BY 1 ORDER BY 1")
    assert versions == [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1), (9, 1)]


def test_one_version_of_a_key_is_current(client: PostgresClient) -> None:
    """The table itself sees to it, and versions of a key never begin at one moment, also when a clock is put back."""
    client.run(TABLE)
    _pipeline(client).run()
    with psycopg.connect(client.conninfo) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO history.t (id, region) VALUES (1, 'r')")
    client.run("UPDATE history.t SET valid_from = now() + interval '1 hour'; UPDATE t SET n = 0 WHERE id = 1")
    _pipeline(client).run()
    ((begins, ends), (following, still)) = client.fetch(
        "SELECT valid_from, valid_to FROM history.t WHERE id = 1 ORDER BY 1"
    )
    assert begins < ends == following
    assert still is None


def test_a_history_grows_by_columns(client: PostgresClient) -> None:
    """A column that comes later is NULL in the versions before it, and makes versions only where it has values."""
    destination = PostgresDestination(client, schema="history", schema_changes="evolve")
    for version, table in enumerate(
        (pa.table({"id": [1, 2]}), pa.table({"id": [1, 2], "note": pa.array([None, "x"])}), pa.table({"id": [1]}))
    ):
        source = ArrowSource({"t": table}, primary_key=["id"], version=version)
        Pipeline("p", source, destination, mode="history").run()
    rows = client.fetch("SELECT id, note, valid_to IS NULL FROM history.t ORDER BY id, valid_from")
    assert rows == [(1, None, True), (2, None, False), (2, "x", True)]


def test_what_keeps_no_history_is_refused(client: PostgresClient) -> None:
    """A table without the moments, and a stream that has columns of their names, change nothing."""
    client.run("CREATE SCHEMA history; CREATE TABLE history.t (id bigint PRIMARY KEY)")
    destination = PostgresDestination(client, schema="history")
    for table, name, error in (
        (pa.record_batch({"id": [1]}), "t", ConfigurationError),
        (pa.record_batch({"id": [1], "valid_to": [1]}), "u", SchemaMismatch),
    ):
        with destination.begin("p", Stream(name, ("id",)), Mode.HISTORY) as load:
            receipt = load.write("split", iter([Batch(table)]))
            with pytest.raises(error, match="valid_to"):
                load.commit([receipt], None)
    assert client.fetch("SELECT to_regclass('history.u')") == [(None,)]


def test_of_two_that_make_a_history_at_once_one_waits(client: PostgresClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds the table that the first has made, and adds its versions."""
    destination = PostgresDestination(client)
    failed: list[BaseException] = []
    others: list[threading.Thread] = []

    def second() -> None:
        try:
            load(destination, pa.record_batch({"id": [2]}), mode=Mode.HISTORY, key=("id",), pipeline="two")
        except BaseException as error:  # noqa: BLE001 -- told by the test
            failed.append(error)

    monkeypatch.setattr("de_classes.storage.postgres.load.reach", once_before_commit(client, second, others))
    load(destination, pa.record_batch({"id": [1]}), mode=Mode.HISTORY, key=("id",), pipeline="one")
    others[0].join(30)
    assert failed == []
    assert client.fetch("SELECT id FROM t WHERE valid_to IS NULL ORDER BY id") == [(1,), (2,)]


def test_a_key_that_is_there_again_begins_after_its_end(client: PostgresClient) -> None:
    """Where the clock was put back between, the new version follows the closed one, and no moment has both."""
    client.run(TABLE)
    _pipeline(client).run()
    client.run("UPDATE history.t SET valid_from = now() + interval '1 hour'; DELETE FROM t WHERE id = 1")
    _pipeline(client).run()
    client.run("INSERT INTO t VALUES (1, 'r', 7)")
    _pipeline(client).run()
    versions = "SELECT n, valid_from, valid_to FROM history.t WHERE id = 1 ORDER BY valid_from"
    ((first, _, ended), (again, begins, still)) = client.fetch(versions)
    assert (first, again, still) == (1, 7, None)
    assert ended == begins
