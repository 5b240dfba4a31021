from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import (
    ConfigurationError,
    CountMismatch,
    Overtaken,
    PostgresError,
    SchemaMismatch,
    UnknownType,
    ValueNotHeld,
)
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource


@pytest.fixture
def destination(client: PostgresClient) -> PostgresDestination:
    return PostgresDestination(client)


def load(
    destination: PostgresDestination,
    mode: Mode,
    *pieces: pa.RecordBatch,
    key: tuple[str, ...] = (),
    stream: str = "t",
) -> None:
    with destination.begin("test", Stream(stream, key), mode) as open_load:
        receipts = [open_load.write(f"split {n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]
        open_load.commit(receipts, None)


def test_a_missing_table_is_created_with_its_primary_key(destination: PostgresDestination) -> None:
    """The first load creates the table, and the stream's key becomes the table's."""
    batch = pa.record_batch({"b": ["x"], "a": [1], "c": [1.5]})
    load(destination, Mode.APPEND, batch, key=("a", "b"))
    (stream,) = PostgresSource(destination.client, tables=["t"]).streams()
    assert stream.primary_key == ("a", "b")


def test_replacing_keeps_what_depends_on_the_table(destination: PostgresDestination) -> None:
    """Views over a replaced table live on and show the new rows."""
    client = destination.client
    load(destination, Mode.APPEND, pa.record_batch({"a": [1, 2]}))
    client.run("CREATE VIEW v AS SELECT sum(a) AS total FROM t; CREATE INDEX named ON t (a)")
    load(destination, Mode.REPLACE, pa.record_batch({"a": [30]}))
    assert client.fetch("SELECT total FROM v") == [(Decimal(30),)]
    assert client.fetch("SELECT to_regclass('named') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("truncate", [False, True], ids=["delete", "truncate"])
def test_replacing_leaves_tables_that_inherit_alone(client: PostgresClient, truncate: bool) -> None:
    """The rows of a table that inherits from the target are not the target's; those of its partitions are."""
    client.run("CREATE TABLE t (a bigint); CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES (7)")
    load(PostgresDestination(client, truncate=truncate), Mode.REPLACE, pa.record_batch({"a": [30]}))
    assert client.fetch("SELECT a FROM t ORDER BY a") == [(7,), (30,)]
    client.run("DROP TABLE t CASCADE; CREATE TABLE t (a bigint) PARTITION BY LIST (a)")
    client.run("CREATE TABLE part PARTITION OF t DEFAULT; INSERT INTO t VALUES (7)")
    load(PostgresDestination(client, truncate=truncate), Mode.REPLACE, pa.record_batch({"a": [30]}))
    assert client.fetch("SELECT a FROM t") == [(30,)]


def test_readers_with_an_older_snapshot_keep_the_old_rows(destination: PostgresDestination) -> None:
    """A transaction that began before a replacement sees the rows of before, to its end."""
    load(destination, Mode.APPEND, pa.record_batch({"a": [1, 2]}))
    with destination.client.connect() as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        load(destination, Mode.REPLACE, pa.record_batch({"a": [30]}))
        assert reader.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]


def test_merging_leaves_other_columns_and_equal_rows_alone(destination: PostgresDestination) -> None:
    """A merge changes the columns that come; a row that is the same already is not written again."""
    client = destination.client
    client.run("CREATE TABLE t (id int PRIMARY KEY, status text, note text DEFAULT 'new', doc json)")
    client.run("""INSERT INTO t VALUES (1, 'same', 'mine', '{"a": 1}'), (2, 'old', 'mine', NULL)""")
    before = client.fetch("SELECT xmin::text FROM t WHERE id = 1")
    batch = pa.record_batch({"id": [1, 2, 3], "status": ["same", "new", "added"], "doc": ['{"a": 1}', None, "[]"]})
    load(destination, Mode.MERGE, batch, key=("id",))
    assert client.fetch("SELECT id, status, note FROM t ORDER BY id") == [
        (1, "same", "mine"),
        (2, "new", "mine"),
        (3, "added", "new"),
    ]
    assert client.fetch("SELECT xmin::text FROM t WHERE id = 1") == before


def test_a_table_of_keys_only_can_be_merged(destination: PostgresDestination) -> None:
    """With nothing but keys to merge, known keys stay and new ones come."""
    for ids in ([1, 2, 2], [2, 3]):
        load(destination, Mode.MERGE, pa.record_batch({"id": ids}), key=("id",))
    assert destination.client.fetch("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]


def test_the_last_of_many_rows_wins(destination: PostgresDestination) -> None:
    """The order of rows within a split is kept over many pages and batches."""
    rows = 60_000
    batches = [
        pa.record_batch({"id": pa.array([n % 5 for n in range(start, start + 5000)]), "n": range(start, start + 5000)})
        for start in range(0, rows, 5000)
    ]
    with destination.begin("test", Stream("t", ("id",)), Mode.MERGE) as open_load:
        open_load.commit([open_load.write("all", map(Batch, batches))], None)
    assert destination.client.fetch("SELECT id, n FROM t ORDER BY id") == [(n, rows - 5 + n) for n in range(5)]


def test_merging_needs_a_key(destination: PostgresDestination) -> None:
    """Without a key in the stream, or something unique in the table, a merge is refused before it moves a row."""
    with pytest.raises(ConfigurationError, match="no primary key"):
        load(destination, Mode.MERGE, pa.record_batch({"id": [1]}))
    destination.client.run("CREATE TABLE t (id int, other int UNIQUE)")
    with pytest.raises(ConfigurationError, match=r"no primary key or unique index on \(id\)"):
        load(destination, Mode.MERGE, pa.record_batch({"id": [1], "other": [1]}), key=("id",))


def test_a_key_without_a_value_is_refused(destination: PostgresDestination) -> None:
    """NULL in a primary key names column and row."""
    with pytest.raises(ValueNotHeld, match="NULL in row 2") as told:
        load(destination, Mode.MERGE, pa.record_batch({"id": [1, 2, None], "v": [1, 2, 3]}), key=("id",))
    assert (told.value.table, told.value.column, told.value.row) == ("public.t", "id", 2)


def test_a_key_that_is_there_already_cannot_be_appended(destination: PostgresDestination) -> None:
    """Appending a row twice fails whole and says what to do."""
    load(destination, Mode.APPEND, pa.record_batch({"id": [1]}), key=("id",))
    with pytest.raises(PostgresError, match="Merge instead of appending") as told:
        load(destination, Mode.APPEND, pa.record_batch({"id": [2, 1]}), key=("id",))
    assert told.value.sqlstate == "23505"
    assert destination.client.fetch("SELECT id FROM t") == [(1,)]


def test_a_column_may_be_narrower_if_it_refuses_aloud(destination: PostgresDestination) -> None:
    """Text goes into uuid, jsonb, varchar and enum columns, numbers into other ones; what fits arrives unchanged."""
    client = destination.client
    client.run("CREATE TYPE mood AS ENUM ('ok')")
    client.run("CREATE TABLE t (u uuid, j jsonb, v varchar(3), m mood, n numeric(20,4), s smallint, i inet, f float8)")
    batch = pa.record_batch(
        {
            "u": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
            "j": ['{"a":1}'],
            "v": ["abc"],
            "m": ["ok"],
            "n": pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
            "s": pa.array([7], pa.int64()),
            "i": ["10.0.0.1"],
            "f": pa.array([0.1], pa.float32()),
        }
    )
    load(destination, Mode.APPEND, batch)
    assert client.fetch("SELECT u::text, j::text, v, m::text, n::text, s, i::text, f FROM t") == [
        (
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            '{"a": 1}',
            "abc",
            "ok",
            "1.5000",
            7,
            "10.0.0.1/32",
            0.10000000149011612,
        )
    ]


@pytest.mark.parametrize(
    ("declared", "values", "told"),
    [
        ("uuid", pa.array(["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None, "line\nbreak"]), "no UUID"),
        ("jsonb", pa.array(["[]", None, "{"]), "invalid input syntax"),
        ("smallint", pa.array([1, None, 2**20]), "out of range"),
        ("varchar(3)", pa.array(["abc", None, "ab   "]), "more than 3 characters"),
        ("char(3)", pa.array(["abc", None, "abcd"]), "not exactly 3 characters"),
        ("int NOT NULL", pa.array([1, 2, None], pa.int32()), "NULL"),
        ("timestamptz", pa.array([0, 1000, 1001], pa.timestamp("ns", "UTC")), "nanoseconds"),
        ("text", pa.array(["a", "b\n", "c\0"]), "NUL"),
        ("text[]", pa.array([["a"], [], ["b", "c\0"]]), "NUL"),
        ("date", pa.array([0, None, 2**31 - 1], pa.date32()), "too far away"),
        ("date", pa.array([0, None, 1], pa.date64()), "time of day"),
        ("timestamp", pa.array([0, None, -(2**62)], pa.timestamp("us")), "too far away"),
        ("timestamp", pa.array([0, None, 2**62], pa.timestamp("s")), "too far away"),
        ("time", pa.array([0, None, 86_400_000_000], pa.int64()).view(pa.time64("us")), "outside of the day"),
        ("jsonb", pa.array([{"a": 1.5}, None, {"a": float("nan")}]), "NaN"),
    ],
)
def test_a_value_that_does_not_fit_names_its_row(
    destination: PostgresDestination, declared: str, values: Any, told: str
) -> None:
    """What a column cannot hold fails the load before anything is visible, and names table, column and row."""
    destination.client.run(f"CREATE TABLE t (first text, x {declared})")
    batch = pa.record_batch({"first": pa.array(["\r\n\n", "", None]), "x": values})
    batches = iter([Batch(batch.slice(0, 0)), Batch(batch.slice(0, 1)), Batch(batch.slice(1))])
    with (
        destination.begin("test", Stream("t"), Mode.APPEND) as open_load,
        pytest.raises(ValueNotHeld, match=told) as error,
    ):
        open_load.write("split", batches)
    assert (error.value.table, error.value.column, error.value.row) == ("public.t", "x", 2)
    assert destination.client.fetch("SELECT count(*) FROM t, de_classes.staged") == [(0,)]


def test_the_row_is_found_far_into_a_load(destination: PostgresDestination) -> None:
    """The server counts lines; the error counts rows, whatever line breaks the text has."""
    destination.client.run("CREATE TABLE t (words text, n int)")

    def batches() -> Iterator[Batch]:
        for start in range(0, 50_000, 1000):
            numbers = [2**40 if n == 41_234 else n for n in range(start, start + 1000)]
            yield Batch(pa.record_batch({"words": ["a\nb" * (n % 3) for n in range(1000)], "n": numbers}))

    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load, pytest.raises(ValueNotHeld) as told:
        open_load.write("split", batches())
    assert (told.value.column, told.value.row) == ("n", 41_234)


@pytest.mark.parametrize(
    ("declared", "comes"),
    [
        ("numeric(10,2)", pa.decimal128(10, 3)),
        ("numeric(10,2)", pa.string()),
        ("real", pa.float64()),
        ("double precision", pa.int64()),
        ("integer", pa.float64()),
        ("date", pa.timestamp("us")),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("timestamptz(0)", pa.timestamp("us", "UTC")),
        ("integer", pa.list_(pa.int32())),
        ("text", pa.binary()),
        ("name", pa.string()),
    ],
)
def test_a_column_that_would_round_or_cut_is_refused(
    destination: PostgresDestination, declared: str, comes: pa.DataType
) -> None:
    """PostgreSQL would take these values and change them in silence, so the columns do not match."""
    destination.client.run(f"CREATE TABLE t (x {declared})")
    with pytest.raises(SchemaMismatch, match="does not hold every"):
        load(destination, Mode.APPEND, pa.record_batch({"x": pa.array([None], comes)}))


def test_all_differences_of_columns_are_told_at_once(destination: PostgresDestination) -> None:
    """Columns that are new, of another type, missing or double are told in one error."""
    destination.client.run("CREATE TABLE t (a int, needed text NOT NULL, filled int NOT NULL DEFAULT 1, optional int)")
    batch = pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array([1]), pa.array([1])], ["a", "surprise", "surprise"])
    with pytest.raises(SchemaMismatch) as told:
        load(destination, Mode.APPEND, batch)
    assert told.value.differences == [
        "surprise comes 2 times",
        "a integer does not hold every text",
        "surprise bigint is not in the table",
        "surprise bigint is not in the table",
        "needed must not be NULL and does not come",
    ]


def test_types_that_cannot_be_stored_are_told_at_once(destination: PostgresDestination) -> None:
    """Columns of Arrow types without a place in PostgreSQL are all named."""
    batch = pa.record_batch(
        {"a": pa.array([{"s": b"x"}]), "b": pa.array([[(1, b"2")]], pa.map_(pa.int8(), pa.binary()))}
    )
    with pytest.raises(UnknownType, match=r"a struct.*b map"):
        load(destination, Mode.APPEND, batch)


def test_batches_of_different_schemas_are_refused(destination: PostgresDestination) -> None:
    """A split has one schema."""
    batches = [pa.record_batch({"a": [1]}), pa.record_batch({"a": ["x"]})]
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load, pytest.raises(SchemaMismatch, match="same"):
        open_load.write("split", map(Batch, batches))


def test_rows_that_a_trigger_swallows_are_missed(destination: PostgresDestination) -> None:
    """What became visible is counted, not what was sent."""
    client = destination.client
    client.run("CREATE TABLE t (a int)")
    client.run("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    client.run("CREATE TRIGGER swallows BEFORE INSERT ON t FOR EACH ROW WHEN (new.a = 2) EXECUTE FUNCTION swallow()")
    with pytest.raises(CountMismatch, match="promised 3 rows and 2"):
        load(destination, Mode.APPEND, pa.record_batch({"a": [1, 2, 3]}))
    assert client.fetch("SELECT count(*) FROM t") == [(0,)]


def test_a_table_altered_during_the_load_is_noticed(destination: PostgresDestination) -> None:
    """Staged rows are not pressed into a column whose type was changed meanwhile."""
    destination.client.run("CREATE TABLE t (a text)")
    batch = pa.record_batch({"a": pa.array([Decimal("1.25")], pa.decimal128(10, 2))})
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load:
        receipt = open_load.write("split", iter([Batch(batch)]))
        destination.client.run("ALTER TABLE t ALTER a TYPE numeric(12,3) USING a::numeric")
        with pytest.raises(SchemaMismatch, match="altered during the load"):
            open_load.commit([receipt], None)
    assert destination.client.fetch("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize("declared", ["varchar(3)", "char(3)", "varchar(3)[]"])
def test_text_is_not_cut_by_a_table_that_came_during_the_load(destination: PostgresDestination, declared: str) -> None:
    """Where somebody makes the table, with shorter text, after a split was written, nothing is cut to fit."""
    text = pa.array([["longer"]] if declared.endswith("]") else ["longer"])
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load:
        receipt = open_load.write("split", iter([Batch(pa.record_batch({"a": text}))]))
        destination.client.run(f"CREATE TABLE t (a {declared})")
        with pytest.raises(SchemaMismatch, match="altered during the load"):
            open_load.commit([receipt], None)
    assert destination.client.fetch("SELECT count(*) FROM t") == [(0,)]


def test_a_column_without_values_fits_the_first_split(destination: PostgresDestination) -> None:
    """Where the first split makes the table, another one whose column is all null goes in."""
    load(destination, Mode.APPEND, pa.record_batch({"a": [1]}), pa.record_batch({"a": pa.nulls(2)}))
    assert destination.client.fetch("SELECT a FROM t ORDER BY a") == [(1,), (None,), (None,)]


def test_an_enum_may_be_merged_by(client: PostgresClient) -> None:
    """The first merge into a table that is not there finds its rows by a key that is an enum."""
    client.run("CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (m mood PRIMARY KEY, n int)")
    client.run("INSERT INTO t VALUES ('a', 1), ('b', 2)")
    source, destination = PostgresSource(client, tables=["t"]), PostgresDestination(client, schema="other")
    (stream,) = source.streams()
    for _ in range(2):
        with source.plan(stream, None) as plan, destination.begin("test", stream, Mode.MERGE) as open_load:
            open_load.commit([open_load.write(split.id, split.read()) for split in plan.splits], plan.position)
    assert client.fetch("SELECT m::text, n FROM other.t ORDER BY m") == [("a", 1), ("b", 2)]


def test_splits_of_a_first_load_may_be_narrower_than_others(destination: PostgresDestination) -> None:
    """Where the first split makes the table, another whose values fit goes in; one that lacks a column does not."""
    wide, narrow = pa.record_batch({"a": [1]}), pa.record_batch({"a": pa.array([2], pa.int32())})
    load(destination, Mode.APPEND, wide, narrow)
    assert destination.client.fetch("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
    with pytest.raises(SchemaMismatch, match="different columns"):
        load(destination, Mode.APPEND, pa.record_batch({"a": [1], "b": [2]}), wide, stream="another")


def test_of_two_pipelines_that_replace_at_once_one_is_seen(
    destination: PostgresDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another pipeline puts into the table while this one replaces it does not stay beside the new rows."""
    destination.client.run("CREATE TABLE t (a bigint)")

    def replace(pipeline: str, number: int) -> None:
        with destination.begin(pipeline, Stream("t"), Mode.REPLACE) as open_load:
            receipt = open_load.write("a", iter([Batch(pa.record_batch({"a": [number]}))]))
            open_load.commit([receipt], None)

    moved, others = threading.Event(), []

    def at(point: str) -> None:
        if point == "postgres.commit.before" and not moved.is_set():
            moved.set()
            others.append(threading.Thread(target=replace, args=("two", 2)))
            others[0].start()
            wait_until(lambda: waits_for_a_lock(destination.client))

    monkeypatch.setattr("de_classes.storage.postgres.load.reach", at)
    replace("one", 1)
    others[0].join(30)
    assert destination.client.fetch("SELECT a FROM t") == [(2,)]


def waits_for_a_lock(client: PostgresClient) -> bool:
    return bool(client.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_over_long_names_are_shortened_and_kept_apart(destination: PostgresDestination) -> None:
    """Tables and columns whose names differ after the 63rd byte stay two."""
    columns = {"c" * 70 + "1": [1], "c" * 70 + "2": [2]}
    for name in ("t" * 70 + "1", "t" * 70 + "2"):
        with destination.begin("test", Stream(name, ("c" * 70 + "1",)), Mode.MERGE) as open_load:
            open_load.commit([open_load.write("split", iter([Batch(pa.record_batch(columns))]))], None)
    assert destination.client.fetch("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(2,)]
    with destination.begin("test", Stream("t" * 70 + "1", ("c" * 70 + "1",)), Mode.MERGE) as open_load:
        open_load.commit([open_load.write("again", iter([Batch(pa.record_batch(columns))]))], None)


def test_statements_run_in_one_transaction(destination: PostgresDestination) -> None:
    """SQL after loading gives its row counts, and is undone as a whole when a statement fails."""
    statements = ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE a = 1"]
    assert destination.execute(statements) == [-1, 2, 1]
    with pytest.raises(PostgresError, match="division by zero"):
        destination.execute(["DELETE FROM t", "SELECT 1 / 0"])
    assert destination.client.fetch("SELECT '100%', a FROM t") == [("100%", 2)]


def test_a_statement_that_fails_is_named(destination: PostgresDestination) -> None:
    """Of several statements the error shows the one that failed, shortened."""
    statements = ["CREATE TABLE made (a int)", f"SELECT 1 / 0 AS {'long' * 40}"]
    with pytest.raises(PostgresError, match=r"statement 'SELECT 1 / 0 AS long.*\.\.\.'"):
        destination.execute(statements)
    assert destination.client.fetch("SELECT to_regclass('made')") == [(None,)]


def test_an_existing_enum_must_have_the_labels(client: PostgresClient) -> None:
    """An enum of the same name and other labels is a mismatch, not a surprise during the load."""
    client.run("CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE other.mood AS ENUM ('a')")
    client.run("CREATE TABLE t (m mood); INSERT INTO t VALUES ('a')")
    source = PostgresSource(client, tables=["t"])
    (stream,) = source.streams()
    destination = PostgresDestination(client, schema="other")
    with source.plan(stream, None) as plan, destination.begin("test", stream, Mode.APPEND) as open_load:
        receipts = [open_load.write(split.id, split.read()) for split in plan.splits]
        with pytest.raises(SchemaMismatch, match="labels"):
            open_load.commit(receipts, plan.position)


def test_two_loads_at_once_never_touch_each_others_tables(destination: PostgresDestination) -> None:
    """Until one has committed both have what they wrote; then the other is overtaken and its tables are removed."""
    client = destination.client
    stream = Stream("t")
    batch = pa.record_batch({"a": [1]})
    with destination.begin("test", stream, Mode.APPEND) as one:
        first = one.write("split", iter([Batch(batch)]))
        with destination.begin("test", stream, Mode.APPEND) as other:
            second = other.write("another", iter([Batch(batch)]))
            assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(2,)]
            one.commit([first], {"by": "one"})
            late = other.write("late", iter([Batch(batch)]))
            with pytest.raises(Overtaken):
                other.commit([second, late], {"by": "other"})
    assert destination.position("test", stream) == {"by": "one"}
    assert client.fetch("SELECT split_id FROM de_classes.staged") == [("late",)]
    with destination.begin("test", stream, Mode.APPEND) as next_load:
        assert next_load.staged == {}
        assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]
        assert client.fetch("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'staged\\_%'") == [(0,)]


def test_many_may_begin_at_once(destination: PostgresDestination) -> None:
    """The tables for state are created once, whoever comes first."""
    from concurrent.futures import ThreadPoolExecutor

    def begin(n: int) -> int:
        with destination.begin(f"pipeline {n}", Stream("t"), Mode.APPEND) as open_load:
            return open_load.epoch

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(begin, range(16))) == [0] * 16


def test_a_missing_state_is_no_position(destination: PostgresDestination) -> None:
    """Asking for a position creates nothing."""
    assert destination.position("test", Stream("t")) is None
    assert destination.client.fetch("SELECT to_regnamespace('de_classes')") == [(None,)]


def test_the_state_may_be_removed_while_a_load_runs(destination: PostgresDestination) -> None:
    """A load whose row is gone cannot know that it is the only one, so it fails."""
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load:
        receipt = open_load.write("split", iter([Batch(pa.record_batch({"a": [1]}))]))
        destination.client.run("DELETE FROM de_classes.positions")
        with pytest.raises(Overtaken):
            open_load.commit([receipt], None)


def test_a_position_without_a_table_is_kept(destination: PostgresDestination) -> None:
    """Rows that a filter drops, of columns nobody knew, leave no table, and yet the next run goes on behind them."""
    stream = Stream("t")
    with destination.begin("test", stream, Mode.APPEND) as open_load:
        open_load.commit([], {"page": 2})
    assert destination.position("test", stream) == {"page": 2}
    with destination.begin("test", stream, Mode.APPEND) as open_load:
        receipt = open_load.write("a", iter([Batch(pa.record_batch({"a": [1]}))]))
        open_load.commit([receipt], {"page": 3})
    assert destination.position("test", stream) == {"page": 3}
    destination.client.run("DROP TABLE t")
    assert destination.position("test", stream) is None


def test_a_load_without_rows_creates_the_table_that_the_stream_promises(destination: PostgresDestination) -> None:
    """A stream whose columns are known becomes a table even when nothing comes."""
    schema = pa.schema({"a": pa.int32(), "b": pa.string()})
    with destination.begin("test", Stream("t", ("a",), schema), Mode.REPLACE) as open_load:
        open_load.commit([], {"n": 1})
    (stream,) = PostgresSource(destination.client, tables=["t"]).streams()
    assert stream.schema is not None
    assert stream.schema.names == ["a", "b"]


def test_the_password_is_in_no_error(destination: PostgresDestination) -> None:
    """What errors call the database leaves the password out."""
    client = PostgresClient(destination.client.conninfo + " password=sesame")
    with pytest.raises(PostgresError) as told:
        client.run("SELECT 1 / 0")
    assert "sesame" not in str(told.value) + repr(client) + repr(PostgresDestination(client))
    assert isinstance(told.value.__cause__, psycopg.Error)
