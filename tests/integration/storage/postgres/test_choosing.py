"""Tables that patterns find, and manners towards the server."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from de_classes.contracts import Batch, Stream
from de_classes.errors import ConfigurationError, PostgresError
from de_classes.storage.postgres import PostgresClient, PostgresSource, RowVersions
from de_classes.storage.postgres._slots import Slots
from de_classes.storage.postgres.read import AdbcReader, Selection

TABLES = """
CREATE SCHEMA sales; CREATE SCHEMA "Odd.Schema"; CREATE SCHEMA de_classes;
CREATE TABLE sales.orders (n int); CREATE TABLE sales.lines (n int); CREATE TABLE sales.lines_tmp (n int);
CREATE VIEW sales.paid AS SELECT * FROM sales.orders;
CREATE TABLE sales.days (n int) PARTITION BY RANGE (n);
CREATE TABLE sales.days_1 PARTITION OF sales.days FOR VALUES FROM (0) TO (10);
CREATE TABLE sales.mother (n int); CREATE TABLE sales.child () INHERITS (sales.mother);
CREATE TABLE public.things (n int); CREATE TABLE "Odd.Schema"."T.1" (n int); CREATE TABLE de_classes.loads (n int);
"""


def _streams(client: PostgresClient, **options: Any) -> list[str]:
    return [stream.name for stream in PostgresSource(client, **options).streams()]


def test_tables_are_found_by_patterns(client: PostgresClient) -> None:
    """Ordinary and partitioned tables, each once with what lies below it, without systems' and our own."""
    client.run(TABLES)
    everything = ["T.1", "things", "days", "lines", "lines_tmp", "mother", "orders"]
    assert _streams(client, include=["*.*"]) == everything
    chosen = _streams(client, include=["sales.*"], exclude=["*.*_tmp", "sales.m*"])
    assert chosen == ["child", "days", "lines", "orders"]
    assert _streams(client, include=["th?ngs"]) == ["things"]
    assert _streams(client, include=["de_classes.*"]) == ["loads"]
    assert _streams(client, include=["sales.l*"], tables={"l": "sales.lines"}) == ["l", "lines_tmp"]
    changes = PostgresSource(client, include=["sales.orders"], changes={"orders": RowVersions()})
    with changes.plan(Stream("orders"), None) as plan:
        assert len(plan.splits) == 1


def test_patterns_that_cannot_be_meant_are_told(client: PostgresClient) -> None:
    """A pattern without a table, streams of one name, and options for streams that are not there are mistakes."""
    client.run(TABLES)
    client.run("CREATE TABLE public.orders (n int)")
    for options, told in (
        ({"include": ["sale.*"]}, r"no table matches include 'sale\.\*'\n.*sales\.orders"),
        ({"include": ["sales.*"], "exclude": ["*_tmp"]}, r"no table matches exclude"),
        ({"include": ["*.orders"]}, r"public\.orders and sales\.orders"),
        ({"include": ["sales.*"], "changes": {"order": RowVersions()}}, "no stream"),
        ({"include": ["sales.*"], "queries": {"orders": "SELECT 1"}}, "given twice"),
        ({"include": "sales.*"}, "one text"),
        ({"tables": ["things"], "exclude": ["a"]}, "without include"),
        ({"tables": ["things"], "max_connections": 1}, "two are needed"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            _streams(client, **options)


def test_sessions_only_read_and_are_called_by_name(client: PostgresClient) -> None:
    """Whatever would write is refused by the server, who can tell who is asking."""
    source = PostgresSource(PostgresClient(client.conninfo, application_name="nightly"), queries={"q": _WHO})
    with source.plan(Stream("q"), None) as plan:
        (batch,) = plan.splits[0].read()
    assert batch.records.to_pylist() == [{"read_only": "on", "name": "nightly: q"}]
    with pytest.raises(PostgresError, match="read-only transaction"):
        source.client.run("CREATE TABLE t (n int)")


_WHO = """
SELECT current_setting('default_transaction_read_only') AS read_only, application_name AS name
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""


class Counting:
    """Reads, and counts how many read at once."""

    def __init__(self) -> None:
        self.inner, self.changing = AdbcReader(), threading.Lock()
        self.within = self.most = 0

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        with self.changing:
            self.within += 1
            self.most = max(self.most, self.within)
        yield from self.inner.read(client, selection)
        with self.changing:
            self.within -= 1


def test_connections_are_bounded(client: PostgresClient) -> None:
    """Beside the one that keeps the snapshot, no more read at once than the cap leaves, also with more threads."""
    client.run("CREATE TABLE t AS SELECT n, repeat('x', 500) AS x FROM generate_series(1, 2000) n")
    counting = Counting()
    source = PostgresSource(client, tables=["t"], split_bytes=50_000, max_connections=3, strategy=counting)
    with source.plan(Stream("t"), None) as plan, ThreadPoolExecutor(8) as threads:
        assert len(plan.splits) > 8
        rows = threads.map(lambda split: sum(batch.records.num_rows for batch in split.read()), plan.splits)
        assert sum(rows) == 2000
    assert counting.most <= 2
    assert pickle.loads(pickle.dumps(Slots(2))).count == 2
