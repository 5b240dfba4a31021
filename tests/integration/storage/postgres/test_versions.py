"""Changes are found by the versions of rows, and none is missed, however late it is committed."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from de_classes.contracts import Plan, Position
from de_classes.errors import ConfigurationError
from de_classes.pipelines import Pipeline
from de_classes.storage.postgres import CursorColumn, PostgresClient, PostgresDestination, PostgresSource, RowVersions
from de_classes.storage.postgres.catalogue import table_in_catalogue
from de_classes.storage.postgres.described import Described, Snapshot
from de_classes.storage.postgres.identifiers import TableName
from de_classes.storage.postgres.pieces import Leaf
from de_classes.storage.postgres.versions import Changes


class Reader:
    """Reads the table `t` run by run, as a pipeline does, and remembers how far it came."""

    def __init__(self, url: str, **options: Any) -> None:
        self.source = PostgresSource(url, **{"tables": ["t"], "changes": {"t": RowVersions()}, **options})
        self.position: Position | None = None

    @contextmanager
    def plan(self) -> Iterator[Plan]:
        """What is new."""
        (stream,) = self.source.streams()
        with self.source.plan(stream, self.position) as plan:
            yield plan

    def new(self) -> list[int]:
        """The ids of the rows that a run gives, and go on from there."""
        with self.plan() as plan:
            rows = [row["id"] for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]
            self.position = json.loads(json.dumps(plan.position))
        return sorted(rows)


@pytest.fixture
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, note text)")
        connection.execute("INSERT INTO t SELECT n, now() FROM generate_series(1, 3) n")
    return postgres_url


@pytest.fixture
def writer(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_gives_what_was_inserted_or_updated(url: str, writer: psycopg.Connection[Any]) -> None:
    """Each run gives what has been written since, nulls and values of the future included; then there is nothing."""
    reader = Reader(url)
    assert reader.new() == [1, 2, 3]
    assert reader.new() == []
    writer.execute("INSERT INTO t VALUES (4, NULL), (5, '3000-01-01')")
    writer.execute("UPDATE t SET note = 'x', at = '1900-01-01' WHERE id = 2")
    assert reader.new() == [2, 4, 5]
    assert reader.new() == []


def test_when_nothing_is_new_the_position_stays(url: str, writer: psycopg.Connection[Any]) -> None:
    """What is written elsewhere moves no position, so that no run commits for nothing; and no split is read."""
    reader = Reader(url)
    reader.new()
    before = reader.position
    writer.execute("CREATE TABLE other (id int)")
    writer.execute("INSERT INTO other VALUES (1)")
    with reader.plan() as plan:
        assert (plan.splits, plan.position) == ([], before)


def test_a_transaction_that_commits_late_is_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """It began first, and its row has the lowest id and time; it commits after two runs have read what came later."""
    reader = Reader(url)
    reader.new()
    with psycopg.connect(url) as late:
        late.execute("INSERT INTO t VALUES (10, now())")
        writer.execute("INSERT INTO t VALUES (11, now())")
        assert reader.new() == [11]
        writer.execute("INSERT INTO t VALUES (12, now())")
        assert 10 not in reader.new()
    assert 10 in reader.new()
    assert reader.new() == []


def test_a_transaction_without_a_number_yet_is_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """It has begun and has its time, but has written nothing when others are read."""
    reader = Reader(url)
    reader.new()
    with psycopg.connect(url) as late:
        late.execute("SELECT now()")
        writer.execute("INSERT INTO t VALUES (11, now())")
        assert reader.new() == [11]
        late.execute("INSERT INTO t VALUES (10, now())")
    assert 10 in reader.new()


def test_subtransactions_are_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """Rows behind a savepoint have numbers of their own, above that of what they belong to."""
    reader = Reader(url)
    reader.new()
    with psycopg.connect(url) as late:
        late.execute("INSERT INTO t VALUES (10)")
        with late.transaction():
            late.execute("INSERT INTO t VALUES (20)")
        writer.execute("INSERT INTO t VALUES (11)")
        assert reader.new() == [11]
        with late.transaction():
            late.execute("INSERT INTO t VALUES (30)")
    assert {10, 20, 30} <= set(reader.new())


def test_prepared_transactions_are_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """What waits for the second phase of its commit is open, though no session has it."""
    reader = Reader(url)
    reader.new()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO t VALUES (10)")
        other.execute("PREPARE TRANSACTION 'late'")
    writer.execute("INSERT INTO t VALUES (11)")
    assert reader.new() == [11]
    writer.execute("COMMIT PREPARED 'late'")
    assert 10 in reader.new()


@pytest.mark.parametrize("seed", range(3))
def test_writers_in_any_order_lose_nothing(url: str, seed: int) -> None:
    """Sessions begin, write, set savepoints, commit and roll back as chance has it: what they committed has come."""
    dice = random.Random(seed)
    reader = Reader(url)
    seen = set(reader.new())
    with ExitStack() as opened:
        connections = [opened.enter_context(psycopg.connect(url)) for _ in range(4)]
        seen |= written_by_chance(connections, reader, dice)
    seen |= set(reader.new())
    with psycopg.connect(url) as connection:
        assert seen == {number for (number,) in connection.execute("SELECT id FROM t")}


def written_by_chance(connections: list[psycopg.Connection[Any]], reader: Reader, dice: random.Random) -> set[int]:
    """What a reader has seen while sessions wrote in any order; what is still open commits when they close."""
    seen: set[int] = set()
    for n in range(100, 160):
        chosen = dice.choice(connections)
        chosen.execute(f"INSERT INTO t VALUES ({n})")
        if dice.random() < 0.3:
            chosen.execute("SAVEPOINT s")
        if dice.random() < 0.3:
            chosen.commit() if dice.random() < 0.7 else chosen.rollback()
        if dice.random() < 0.3:
            seen |= set(reader.new())
    return seen


def test_a_partitioned_table_tells_its_changes(url: str, writer: psycopg.Connection[Any]) -> None:
    """Rows of partitions have versions, and one that moves to another partition comes again."""
    writer.execute("DROP TABLE t")
    writer.execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)")
    writer.execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)")
    writer.execute("CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20)")
    writer.execute("INSERT INTO t VALUES (1), (2), (11)")
    reader = Reader(url)
    assert reader.new() == [1, 2, 11]
    writer.execute("UPDATE t SET id = 12 WHERE id = 1")
    assert reader.new() == [12]


@pytest.mark.parametrize("parts", [1, 3])
def test_rows_of_a_partition_that_is_attached_come(url: str, writer: psycopg.Connection[Any], parts: int) -> None:
    """They were written before the last run, and are among the table's since: all of them come, and others do not."""
    writer.execute("DROP TABLE t")
    writer.execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)")
    for n in range(parts):
        there = f"CREATE TABLE t_{n} PARTITION OF t FOR VALUES FROM ({n * 10}) TO ({n * 10 + 10})"
        writer.execute(there.encode())
    writer.execute("CREATE TABLE more (id int) PARTITION BY RANGE (id)")
    writer.execute("CREATE TABLE below PARTITION OF more FOR VALUES FROM (100) TO (200)")
    writer.execute("INSERT INTO t VALUES (1)")
    writer.execute("INSERT INTO more VALUES (150)")
    reader = Reader(url)
    assert reader.new() == [1]
    writer.execute("ALTER TABLE t ATTACH PARTITION more FOR VALUES FROM (100) TO (200)")
    assert reader.new() == [150]
    writer.execute("INSERT INTO t VALUES (2)")
    assert reader.new() == [2]


def test_rows_of_a_child_that_is_added_come(url: str, writer: psycopg.Connection[Any]) -> None:
    """Also where the transaction that adds it is open while a run reads."""
    writer.execute("CREATE TABLE child (LIKE t)")
    writer.execute("INSERT INTO child VALUES (9)")
    reader = Reader(url)
    assert reader.new() == [1, 2, 3]
    with psycopg.connect(url) as late:
        late.execute("SELECT pg_current_xact_id()")
        writer.execute("INSERT INTO t VALUES (4)")
        assert reader.new() == [4]
        late.execute("ALTER TABLE child INHERIT t")
    assert 9 in reader.new()


@pytest.mark.parametrize(
    ("changes", "told"), [(RowVersions(), r"public\.other have no versions"), (CursorColumn("at"), "foreign table")]
)
def test_partitions_elsewhere_are_refused(url: str, changes: Changes, told: str) -> None:
    """Of a foreign table among the partitions nothing tells what is committed late."""
    with psycopg.connect(url, autocommit=True) as connection:
        table = table_in_catalogue(connection, TableName("public", "t"))
        assert table is not None
        other = Leaf(1, TableName("public", "other"), "f", 0, 0, plain=True)
        described = Described("t", "public.t", "public.t", table.columns, table, leaves=(other,))
        looked = changes.look(connection)
        with pytest.raises(ConfigurationError, match=told):
            changes.since(connection, described, Snapshot.export(connection), None, looked)


def test_pages_and_versions_go_together(url: str, writer: psycopg.Connection[Any]) -> None:
    """A table is cut into pieces for its changes, too."""
    writer.execute("INSERT INTO t SELECT n, now(), repeat('x', 200) FROM generate_series(10, 3000) n")
    reader = Reader(url, split_bytes=65_536)
    assert len(reader.new()) == 2994
    writer.execute("UPDATE t SET note = 'y' WHERE id IN (1, 1500, 2999)")
    with reader.plan() as plan:
        assert len(plan.splits) > 2
    assert reader.new() == [1, 1500, 2999]


@pytest.mark.parametrize(
    "change", ["ALTER TABLE t ADD COLUMN more int DEFAULT 7", "ALTER TABLE t RENAME COLUMN note TO remark"]
)
def test_other_columns_make_all_rows_come_again(url: str, writer: psycopg.Connection[Any], change: str) -> None:
    """Values of a column that came, or is another one now, have changed without a new version of any row."""
    reader = Reader(url)
    reader.new()
    writer.execute(change)
    assert reader.new() == [1, 2, 3]


def test_another_table_or_server_makes_all_rows_come_again(url: str, writer: psycopg.Connection[Any]) -> None:
    """Numbers of another history say nothing: a position that is not of this one is no watermark."""
    reader = Reader(url)
    reader.new()
    writer.execute("DROP TABLE t")
    writer.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, note text)")
    writer.execute("INSERT INTO t VALUES (1)")
    assert reader.new() == [1]
    reader.position = {**(reader.position or {}), "of": "another server"}
    assert reader.new() == [1]


def test_a_position_that_is_too_old_is_none(url: str) -> None:
    """Numbers that may have come round make all rows come again, and a position that grows old moves on by itself."""
    reader = Reader(url)
    reader.new()
    here = dict(reader.position or {})
    reader.position = {**here, "xmin": here["xmin"] - 2**31}
    assert reader.new() == [1, 2, 3]
    reader.position = {**here, "xmin": here["xmin"] - 2**30 - 10}
    reader.new()
    assert (reader.position or {})["xmin"] == here["xmin"]


@pytest.mark.parametrize("position", [{"snapshot": "1:1:"}, {"xmin": "7", "of": "x"}, {}])
def test_positions_of_another_reading_are_refused(url: str, position: Position) -> None:
    """A stream that was read whole before has no number to go on from."""
    reader = Reader(url)
    reader.position = position
    with pytest.raises(ConfigurationError, match="none of RowVersions"):
        reader.new()


def test_what_has_no_versions_is_refused(url: str, writer: psycopg.Connection[Any]) -> None:
    """Views and queries compute their rows; a stream that is not there is told when the source is made."""
    writer.execute("CREATE VIEW v AS SELECT * FROM t")
    for options in ({"tables": {"t": "v"}}, {"tables": [], "queries": {"t": "SELECT * FROM t"}}):
        with pytest.raises(ConfigurationError, match="no versions"):
            Reader(url, **options).new()
    with pytest.raises(ConfigurationError, match=r"'u'.+no stream"):
        PostgresSource(url, tables=["t"], changes={"u": RowVersions()})


def test_after_a_restart_it_goes_on_where_nothing_was_lost(url: str, writer: psycopg.Connection[Any]) -> None:
    """A crash may take commits back and give their numbers again, so a server that was started since is asked for more.

    What it is asked for is all, until a number has been true for a minute.
    """
    reader = Reader(url)
    reader.new()
    writer.execute("INSERT INTO t VALUES (4)")
    reader.position = {**(reader.position or {}), "start": "before a crash"}
    assert reader.new() == [1, 2, 3, 4]
    reader.position = {**(reader.position or {}), "at": 0}
    assert reader.new() == []
    assert (reader.position or {})["safe"] == (reader.position or {})["xmin"]
    reader.position = {**(reader.position or {}), "start": "before another crash"}
    writer.execute("INSERT INTO t VALUES (5)")
    assert reader.new() == [5]


def test_a_pipeline_mirrors_a_table_that_changes(url: str, writer: psycopg.Connection[Any]) -> None:
    """Merged run by run, the copy has every row once, as it is now; a run without changes writes nothing."""
    source = PostgresSource(url, tables=["t"], changes={"t": RowVersions()})
    pipeline = Pipeline("mirror", source, PostgresDestination(url, schema="copy"), mode="merge")
    assert pipeline.run().rows == 3
    writer.execute("UPDATE t SET note = 'changed' WHERE id = 1")
    writer.execute("INSERT INTO t VALUES (4, now(), 'new')")
    assert pipeline.run().rows == 2
    assert pipeline.run().rows == 0
    client = PostgresClient(url)
    assert client.fetch("TABLE copy.t EXCEPT TABLE t") == client.fetch("TABLE t EXCEPT TABLE copy.t") == []


def test_travels_with_its_source(url: str) -> None:
    """A source with changes is picklable, as workers in other processes need it."""
    source = pickle.loads(pickle.dumps(PostgresSource(url, tables=["t"], changes={"t": RowVersions()})))
    assert source.changes == {"t": RowVersions()}
