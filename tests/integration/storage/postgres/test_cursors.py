"""Changes are found by a column of timestamps, and none is missed, however late it is committed."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from de_classes.contracts import Position
from de_classes.errors import ConfigurationError
from de_classes.pipelines import Pipeline
from de_classes.storage.postgres import CursorColumn, PostgresClient, PostgresDestination, PostgresSource, cursors


class Reader:
    """Reads the table `t` run by run, as a pipeline does, and remembers how far it came."""

    def __init__(self, url: str, changes: CursorColumn) -> None:
        self.source = PostgresSource(url, tables=["t"], changes={"t": changes})
        self.position: Position | None = None

    def new(self) -> list[int]:
        """The ids of the rows that a run gives, and go on from there."""
        (stream,) = self.source.streams()
        with self.source.plan(stream, self.position) as plan:
            rows = [row["id"] for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]
            self.position = json.loads(json.dumps(plan.position))
        return sorted(rows)


@pytest.fixture
def url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cursors, "_UNREPORTED_SECONDS", 0)  # the rule itself is tested, without what is added to it
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), day date)")
        local = "local timestamp DEFAULT (now() AT TIME ZONE 'Asia/Tokyo')"
        connection.execute(f"ALTER TABLE t ADD number bigint, ADD {local}".encode())
        connection.execute("INSERT INTO t SELECT generate_series(1, 3)")
    return postgres_url


@pytest.fixture
def writer(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_gives_what_was_written_since(url: str, writer: psycopg.Connection[Any]) -> None:
    """Rows from the bound on come, those without a value in every run, and those of the future until it is past."""
    reader = Reader(url, CursorColumn("at"))
    assert reader.new() == [1, 2, 3]
    before = reader.position
    assert reader.new() == []
    assert reader.position == before
    writer.execute("INSERT INTO t VALUES (4, DEFAULT), (5, NULL), (6, '3000-01-01')")
    writer.execute("UPDATE t SET at = DEFAULT WHERE id = 2")
    assert reader.new() == [2, 4, 5, 6]
    assert reader.new() == [5, 6]


@pytest.mark.parametrize("column", ["at", "local"])
def test_what_is_committed_late_is_not_missed(url: str, writer: psycopg.Connection[Any], column: str) -> None:
    """While a transaction is open the bound stays at its beginning, so that its rows come once it has committed."""
    reader = Reader(url, CursorColumn(column, zone="Asia/Tokyo"))
    assert reader.new() == [1, 2, 3]
    with psycopg.connect(url) as late:
        late.execute("INSERT INTO t VALUES (10)")
        writer.execute("INSERT INTO t VALUES (11)")
        assert 11 in reader.new()
        assert 10 not in reader.new()
    assert {10, 11} <= set(reader.new())


def test_a_transaction_that_has_written_nothing_yet_counts(url: str, writer: psycopg.Connection[Any]) -> None:
    """Its now() is the moment at which it began, although it has no number yet."""
    writer.execute("ALTER TABLE t ALTER at SET DEFAULT now()")
    reader = Reader(url, CursorColumn("at"))
    with psycopg.connect(url) as late:
        late.execute("SELECT 1")
        reader.new()
        writer.execute("INSERT INTO t VALUES (11)")
        assert 11 in reader.new()
        late.execute("INSERT INTO t VALUES (10)")
    assert 10 in reader.new()


def test_prepared_transactions_are_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """A prepared transaction does not tell when it began: until it ends the bound stays where it was."""
    reader = Reader(url, CursorColumn("at"))
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO t VALUES (10)")
        other.execute("PREPARE TRANSACTION 'late'")
    assert reader.new() == [1, 2, 3]
    assert reader.position is not None
    assert reader.position["from"] is None
    assert reader.new() == [1, 2, 3]
    writer.execute("COMMIT PREPARED 'late'")
    assert reader.new() == [1, 2, 3, 10]
    assert reader.new() == []


def test_what_is_prepared_while_it_is_looked_is_not_missed(url: str, writer: psycopg.Connection[Any]) -> None:
    """A transaction that turns from an open one into a prepared one is seen as one or the other."""

    class Meanwhile:
        """A connection on which somebody else prepares a transaction after the first statement."""

        def execute(self, *statement: Any) -> Any:
            found = writer.execute(*statement)
            if late.info.transaction_status is TransactionStatus.INTRANS:
                late.execute("PREPARE TRANSACTION 'meanwhile'")
            return found

    with psycopg.connect(url, autocommit=True) as late:
        late.execute("BEGIN")
        late.execute("INSERT INTO t VALUES (10)")
        connection: Any = Meanwhile()
        looked = CursorColumn("at").look(connection)
        late.execute("ROLLBACK PREPARED 'meanwhile'")
    assert looked.held


def test_sessions_that_tell_nothing_are_refused(url: str, writer: psycopg.Connection[Any]) -> None:
    """With track_activities off nobody sees when a transaction began, not even a superuser."""
    reader = Reader(url, CursorColumn("at"))
    with psycopg.connect(url, autocommit=True) as late:
        late.execute("SET track_activities TO off")
        late.execute("BEGIN")
        late.execute("INSERT INTO t VALUES (10)")
        with pytest.raises(ConfigurationError, match=r"track_activities.*\n.*lag="):
            reader.new()
        late.execute("SET track_activities TO on")
        assert reader.new() == [1, 2, 3]
        assert reader.position is not None
        assert reader.position["from"] is None  # it tells again, and not yet when it began
        late.execute("COMMIT")
    assert reader.new() == [1, 2, 3, 10]


@pytest.mark.parametrize("seed", range(4))
def test_writers_in_any_order_lose_nothing(url: str, seed: int) -> None:
    """Whatever order transactions begin, write, commit and roll back in, the runs together give every row."""
    dice, reader, seen, written = random.Random(seed), Reader(url, CursorColumn("at")), set[int](), {1, 2, 3}
    with ExitStack() as opened:
        sessions = [opened.enter_context(psycopg.connect(url)) for _ in range(4)]
        pending: list[set[int]] = [set() for _ in sessions]
        for number in range(100, 180):
            at = dice.randrange(4)
            if dice.random() < 0.4:
                sessions[at].execute("INSERT INTO t VALUES (%s)", (number,))
                pending[at].add(number)
            elif dice.random() < 0.7:
                sessions[at].commit()
                written |= pending[at]
                pending[at] = set()
            elif dice.random() < 0.5:
                sessions[at].rollback()
                pending[at] = set()
            else:
                seen |= set(reader.new())
        for session in sessions:
            session.rollback()
    assert seen | set(reader.new()) == written


def test_a_date_is_read_from_its_day_on(url: str, writer: psycopg.Connection[Any]) -> None:
    """A column of days gives all rows of the day of the bound again."""
    writer.execute("UPDATE t SET day = CASE id WHEN 1 THEN current_date - 7 ELSE current_date + 1 END")
    reader = Reader(url, CursorColumn("day"))
    assert reader.new() == [1, 2, 3]
    assert reader.new() == [2, 3]


def test_other_columns_make_all_rows_come_again(url: str, writer: psycopg.Connection[Any]) -> None:
    """A column that was added may have values in rows whose cursor did not move."""
    reader = Reader(url, CursorColumn("at"))
    assert reader.new() == [1, 2, 3]
    writer.execute("ALTER TABLE t ADD note text DEFAULT 'x'")
    assert reader.new() == [1, 2, 3]
    assert reader.new() == []


@pytest.mark.parametrize("viewed", [True, False])
def test_another_query_makes_all_rows_come_again(url: str, writer: psycopg.Connection[Any], viewed: bool) -> None:
    """What it left out before was written before the bound, and comes now."""
    reader, few = Reader(url, CursorColumn("at")), "SELECT * FROM t WHERE id < 3"

    def ask(query: str) -> None:
        if viewed:
            writer.execute(f"CREATE OR REPLACE VIEW v AS {query}".encode())
        given: dict[str, Any] = {"tables": {"t": "v"}} if viewed else {"queries": {"t": query}}
        reader.source = PostgresSource(url, changes={"t": CursorColumn("at")}, **given)

    ask(few)
    assert reader.new() == [1, 2]
    assert reader.new() == []
    ask("SELECT * FROM t")
    assert reader.new() == [1, 2, 3]


def test_rows_of_a_child_that_is_added_come(url: str, writer: psycopg.Connection[Any]) -> None:
    """They have moments before the bound, and are among the table's since."""
    writer.execute("CREATE TABLE child (LIKE t)")
    writer.execute("INSERT INTO child VALUES (9, now())")
    reader = Reader(url, CursorColumn("at"))
    assert reader.new() == [1, 2, 3]
    writer.execute("ALTER TABLE child INHERIT t")
    assert reader.new() == [9]
    assert reader.new() == []


def test_an_unknown_zone_is_told_in_the_first_run(url: str) -> None:
    """Not in the second one, which is the first to need it."""
    with pytest.raises(ConfigurationError, match=r"(?s)'Nowhere/City'.*Name it as pg_timezone_names does"):
        Reader(url, CursorColumn("local", zone="Nowhere/City")).new()


def test_with_a_lag_nothing_is_looked_at(url: str, writer: psycopg.Connection[Any]) -> None:
    """What lies within the lag comes again in every run, and open transactions hold nothing back."""
    reader = Reader(url, CursorColumn("at", lag=timedelta(hours=1)))
    writer.execute("UPDATE t SET at = now() - interval '2 hours' WHERE id = 1")
    with psycopg.connect(url) as late:
        late.execute("INSERT INTO t VALUES (10, now() - interval '30 minutes')")
        assert reader.new() == [1, 2, 3]
        assert reader.new() == [2, 3]
    assert reader.new() == [2, 3, 10]


def test_what_cannot_be_safe_says_so(url: str, writer: psycopg.Connection[Any]) -> None:
    """A number, a column that is not there, and a user who sees no other sessions are refused with the remedy."""
    for changes, told in (
        (CursorColumn("number"), "bigint.*\n.*RowVersions"),
        (CursorColumn("updated"), "no column.*\n.*id, at"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            Reader(url, changes).new()
    role = f"reader_{uuid.uuid4().hex[:8]}"
    writer.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON t TO {role}")
    try:
        limited = make_conninfo(url, user=role)
        with pytest.raises(ConfigurationError, match=r"may not see.*\n.*lag=.*pg_read_all_stats"):
            Reader(limited, CursorColumn("at")).new()
        assert Reader(limited, CursorColumn("at", lag=timedelta(hours=1))).new() == [1, 2, 3]
        writer.execute(f"GRANT pg_read_all_stats TO {role}")
        assert Reader(limited, CursorColumn("at")).new() == [1, 2, 3]
    finally:
        writer.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("position", [{"xmin": 5}, {"from": 5, "of": "x"}, {"snapshot": "x"}])
def test_positions_of_another_reading_are_refused(url: str, position: Any) -> None:
    """A position that a whole reading or RowVersions left is no bound."""
    reader = Reader(url, CursorColumn("at"))
    reader.position = position
    with pytest.raises(ConfigurationError, match="none of CursorColumn"):
        reader.new()


def test_a_pipeline_follows_a_table(url: str, writer: psycopg.Connection[Any]) -> None:
    """Runs that merge what has changed make the copy equal to the table."""
    client = PostgresClient(url)
    source = PostgresSource(client, tables=["t"], changes={"t": CursorColumn("at")})
    pipeline = Pipeline("p", source, PostgresDestination(client, schema="copies"), mode="merge")
    assert pipeline.run().rows == 3
    writer.execute("INSERT INTO t VALUES (4); UPDATE t SET at = clock_timestamp(), number = 7 WHERE id = 1")
    assert pipeline.run().rows == 2
    assert client.fetch("TABLE copies.t ORDER BY id") == client.fetch("TABLE t ORDER BY id")


@pytest.mark.parametrize("lag", [timedelta(seconds=-1), timedelta.max, 5])
def test_a_lag_is_a_time_span(lag: Any) -> None:
    """A number, or a span below 0 or beyond any clock, is the user's mistake."""
    with pytest.raises(ConfigurationError, match="timedelta"):
        CursorColumn("at", lag=lag)
