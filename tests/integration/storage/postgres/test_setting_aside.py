"""Rows that a table cannot hold go to its quarantine, where that is asked for, and their neighbours are loaded."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ConfigurationError, PostgresError, SchemaMismatch, ValueNotHeld
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource

INTS = pa.schema([("id", pa.int32()), ("n", pa.int32())])
TABLE = "CREATE TABLE t (id int PRIMARY KEY, code varchar(3), mark uuid, n int NOT NULL DEFAULT 7)"
MARK = "00000000-0000-0000-0000-000000000001"


def loaded(client: PostgresClient, table: pa.Table, mode: str = "append", **options: Any) -> Any:
    """Load a table by a pipeline into `t`."""
    return Pipeline("p", ArrowSource({"t": table}), PostgresDestination(client, **options), mode=mode).run()


def kept(client: PostgresClient) -> list[tuple[Any, ...]]:
    rows = client.fetch('SELECT "row", path, reason, record, place FROM t_quarantine ORDER BY 1')
    return [(row, path, reason, json.loads(record), place) for row, path, reason, record, place in rows]


def test_columns_without_a_place_cost_the_rows_that_need_them(client: PostgresClient) -> None:
    """Rows with a value in a column that is unknown, or of another kind, are set aside; the others are loaded."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 7)")
    table = pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 2**40], pa.int64()),
            "n": [None, 2.5, None, None, None],
            "note": [None, None, "x", None, None],
        }
    )
    destination = PostgresDestination(client, schema_changes="quarantine")
    assert destination.preview(Stream("t", (), table.schema), Mode.APPEND) == [
        "-- column 'n' is integer, and double precision comes: rows with a value there go to public.t_quarantine",
        "-- column 'note' is not in the table: rows with a value there go to public.t_quarantine",
        "-- column 'id' is integer, and bigint comes: rows whose value it refuses go to public.t_quarantine",
    ]
    report = loaded(client, table, schema_changes="quarantine")
    assert (report.rows, report.rejected) == (2, 3)
    assert client.fetch("SELECT * FROM t ORDER BY id") == [(1, None), (4, None)]
    (first, second, third) = kept(client)
    assert first == (
        1,
        None,
        "column 'n' is integer, and double precision comes: the row was left out",
        {"id": 2, "n": 2.5, "note": None},
        "public.t",
    )
    assert second[:3] == (2, None, "column 'note' is not in the table: the row was left out")
    assert third[:2] == (4, "id")


def test_nothing_is_loaded_without_its_key(client: PostgresClient) -> None:
    """A column of another kind in the key, or one that must not be NULL and does not come, fails as ever."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
    with pytest.raises(SchemaMismatch, match="n must not be NULL and does not come"):
        loaded(client, pa.table({"id": [1], "m": [1]}), schema_changes="quarantine")
    report = loaded(client, pa.table({"id": ["a"], "n": [1]}), schema_changes="quarantine")
    assert (report.rows, report.rejected) == (0, 1)


def wrong_values() -> pa.Table:
    """Row by row: right; too long; NUL; no uuid; NULL where it must not be; two wrong values; right."""
    return pa.table(
        {
            "id": pa.array(range(7), pa.int32()),
            "code": ["abc", "abcd", "a\0", None, "x", "a\0", "xyz"],
            "mark": [MARK, None, None, "no uuid", None, "neither", None],
            "n": pa.array([1, 1, 1, 1, None, 1, 1], pa.int32()),
        }
    )


def test_values_that_fit_no_column_are_left_out_or_null(client: PostgresClient) -> None:
    """To fail names the row; else it is kept as it came, and its neighbours are loaded, with nulls if so asked."""
    client.run(TABLE)
    with pytest.raises(ValueNotHeld, match="'code' is given more than 3 characters in row 1"):
        loaded(client, wrong_values())
    report = loaded(client, wrong_values(), unfit="quarantine")
    assert (report.rows, report.rejected) == (2, 5)
    assert client.fetch("SELECT id, code, mark::text FROM t ORDER BY id") == [(0, "abc", MARK), (6, "xyz", None)]
    assert [(row, path) for row, path, *_ in kept(client)][:4] == [(1, "code"), (2, "code"), (3, "mark"), (4, "n")]
    assert kept(client)[1][2:] == (
        "column 'code': the character NUL: the row was left out",
        {"id": 2, "code": "a\0", "mark": None, "n": 1},
        "public.t",
    )
    report = loaded(client, wrong_values(), mode="replace", unfit="null")
    assert (report.rows, report.rejected) == (6, 5)
    assert client.fetch("SELECT * FROM t WHERE id IN (1, 3, 5) ORDER BY id") == [
        (1, None, None, 1),
        (3, None, None, 1),
        (5, None, None, 1),
    ]
    reasons = {row: reason for row, _, reason, *_ in kept(client)}
    assert "code" in reasons[5]
    assert "mark" in reasons[5]
    assert reasons[4].endswith("the row was left out")
    assert reasons[5].endswith("null was loaded in its place")


@pytest.mark.parametrize("every", [1, 2, 7, 5000])
def test_many_wrong_rows_leave_all_the_right_ones(client: PostgresClient, every: int) -> None:
    """However dense they are, no row is lost or doubled, and each is counted as what it is."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, text text)")
    texts = ["a\0" if n % every == every - 1 else f"line\n{n}" for n in range(700)]
    report = loaded(client, pa.table({"id": pa.array(range(700), pa.int32()), "text": texts}), unfit="quarantine")
    wrong = 700 // every
    assert (report.rows, report.rejected) == (700 - wrong, wrong)
    held = {n: text for n, text in enumerate(texts) if "\0" not in text}
    assert dict(client.fetch("SELECT id, text FROM t")) == held
    numbers = client.fetch('SELECT "row" FROM t_quarantine') if wrong else []
    assert {n for (n,) in numbers} == set(range(700)) - set(held)


def test_from_one_postgres_to_another_rows_are_set_aside_too(client: PostgresClient) -> None:
    """Bytes are handed on only where every column has its place; else rows are looked at."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, NULL), (2, 'x')")
    client.run("CREATE SCHEMA copies; CREATE TABLE copies.t (id int PRIMARY KEY)")
    destination = PostgresDestination(client, schema="copies", schema_changes="quarantine")
    report = Pipeline("p", PostgresSource(client, tables=["t"]), destination, mode="replace").run()
    assert (report.rows, report.rejected) == (1, 1)
    assert client.fetch("SELECT id FROM copies.t") == [(1,)]


def test_what_was_staged_is_taken_over_with_its_counts(client: PostgresClient) -> None:
    """An interrupted load's receipt says the same to the next one."""
    client.run(TABLE)
    destination, stream = PostgresDestination(client, unfit="null"), Stream("t", ("id",))
    (batch,) = wrong_values().to_batches()
    with destination.begin("p", stream, Mode.MERGE) as load:
        piece = load.write("a", iter([Batch(batch)]))
    with destination.begin("p", stream, Mode.MERGE) as load:
        assert load.staged["a"] == piece
        assert (piece.rows, piece.rejected, piece.left_out, piece.replaced) == (6, 5, 1, 4)
        load.commit([piece], None)
    assert client.fetch("SELECT count(*) FROM t") == [(6,)]


def test_what_cannot_be_had_is_told(client: PostgresClient) -> None:
    """Sums of values differ where some are left out, and other words are none of the policies."""
    client.run(TABLE)
    destination = PostgresDestination(client, unfit="null")
    with pytest.raises(ConfigurationError, match="so the sums differ"):
        Pipeline("p", ArrowSource({"t": wrong_values()}), destination, verify="values").run()
    with pytest.raises(ConfigurationError, match="unfit='drop' is none of them"):
        PostgresDestination(client, unfit="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_a_check_of_the_table_is_held_against_each_row(client: PostgresClient, mode: str) -> None:
    """A row that a check constraint refuses is named, or set aside; what is checked of other columns waits."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, n int, m int DEFAULT 1, CHECK (n < id), CHECK (m < 9))")
    source = ArrowSource({"t": pa.table([[1, 2, 3], [0, 5, None]], schema=INTS)}, primary_key=["id"])
    with pytest.raises(ValueNotHeld, match="row 1: it violates check constraint 't_check'") as error:
        Pipeline("p", source, PostgresDestination(client), mode=mode).run()
    assert (error.value.column, error.value.row) == (None, 1)
    report = Pipeline("p", source, PostgresDestination(client, unfit="null"), mode=mode).run()
    assert (report.rows, report.rejected) == (2, 1)
    assert client.fetch("SELECT id, n, m FROM t ORDER BY id") == [(1, 0, 1), (3, None, 1)]
    assert kept(client)[0][:3] == (1, None, "it violates check constraint 't_check': the row was left out")


def test_a_check_from_one_postgres_to_another_sets_rows_aside(client: PostgresClient) -> None:
    """Bytes are not handed on where rows may be set aside, and a trigger that mends rows comes before a check."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 5)")
    client.run("CREATE SCHEMA copies; CREATE TABLE copies.t (id int PRIMARY KEY, n int CHECK (n < 3))")
    source = PostgresSource(client, tables=["t"])
    with pytest.raises(PostgresError, match="violates check constraint"):
        Pipeline("p", source, PostgresDestination(client, schema="copies")).run()
    destination = PostgresDestination(client, schema="copies", unfit="quarantine")
    report = Pipeline("p", source, destination, mode="replace").run()
    assert (report.rows, report.rejected) == (1, 1)
    client.run("CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := 0; RETURN NEW; END $$")
    client.run("CREATE TRIGGER mend BEFORE INSERT ON copies.t FOR EACH ROW EXECUTE FUNCTION mend()")
    assert Pipeline("p", source, destination, mode="replace").run().rows == 2


DEEP = "[" * 100_000


@pytest.mark.parametrize("there", [True, False], ids=["there", "new"])
@pytest.mark.parametrize(
    ("told", "right", "wrong"),
    [
        ("regclass", "pg_catalog.pg_class", "public.nowhere"),
        ("regtype", "integer", "no_such_type"),
        ("regproc", "pg_catalog.now", "no_such_function"),
        ("regoperator", "+(integer,integer)", "+(integer"),
        ("regrole", "postgres", "nobody at all"),
        ("json", "[]", DEEP),
        ("tsvector", "'a'", " ".join(f"w{n}" for n in range(200_000))),
        ("enum \"mood\" ('ok')", "ok", "bad"),
        ('domain "felt" (enum "mood" (\'ok\'))', "ok", "bad"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_the_server_cannot_read_is_a_value_too(
    client: PostgresClient, told: str, right: str, wrong: str, there: bool
) -> None:
    """Names of objects that are not there, what is too deep or too long, and other labels are told and set aside."""
    client.run("CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN felt AS mood")
    if there:
        named = told.split('"')[1] if '"' in told else told
        client.run(f"CREATE TABLE t (id int, v {named})")
    field = pa.field("v", pa.string(), metadata={"de_classes.postgres_type": told})
    schema = pa.schema([pa.field("id", pa.int32()), field])
    table = pa.table([[1, 2, 3], [right, wrong, None]], schema=schema)
    with pytest.raises(ValueNotHeld, match=r"'v'.*row 1") as error:
        loaded(client, table)
    assert (error.value.column, error.value.row) == ("v", 1)
    report = loaded(client, table, unfit="null")
    assert (report.rows, report.rejected) == (3, 1)
    assert client.fetch("SELECT id, v IS NULL FROM t ORDER BY id") == [(1, False), (2, True), (3, True)]


@pytest.mark.parametrize("unfit", ["null", "quarantine"])
def test_the_last_row_of_a_key_still_wins(client: PostgresClient, unfit: Any) -> None:
    """However many pieces a split is copied in, and however long its rows are, a merge takes them in their order."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, n int, text text)")
    rows = [{"id": n % 40, "n": n, "text": "\0" if n % 97 == 0 else "x" * (n * 7919 % 6000)} for n in range(4000)]
    schema = pa.schema([("id", pa.int32()), ("n", pa.int32()), ("text", pa.string())])
    table = pa.Table.from_pylist(rows, schema)
    source = ArrowSource({"t": table}, primary_key=["id"])
    report = Pipeline("p", source, PostgresDestination(client, unfit=unfit), mode="merge").run()
    assert report.rejected == 42
    taken = [row for row in rows if unfit == "null" or row["text"] != "\0"]
    assert dict(client.fetch("SELECT id, n FROM t")) == {row["id"]: row["n"] for row in taken}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pa.array([b"\xde\xad"]), "\\xdead"),
        (pa.array([[b"ab", None]], pa.list_(pa.binary(2))), ["\\x6162", None]),
        (pa.array([pa.MonthDayNano([1, -2, 3000])]), "1 months -2 days 3 microseconds"),
        (pa.array([-63_549_619_200_000_000], pa.timestamp("us", "UTC")), "0045-03-12 00:00:00.000000Z BC"),
        (pa.array(['ü"\\'], pa.string_view()), 'ü"\\'),
        (pa.array([{"a": "x"}], pa.struct([("a", pa.string_view())])), {"a": "x"}),
        (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])), "a"),
    ],
    ids=["bytes", "list of bytes", "interval", "BC", "view", "struct of views", "run-end"],
)
def test_a_record_is_json_whatever_it_holds(client: PostgresClient, values: pa.Array[Any], told: Any) -> None:
    """Bytes, times and whatever layout Arrow has for a value are set aside as JSON that can be read again."""
    client.run("CREATE TABLE t (id int)")
    report = loaded(client, pa.table({"id": ["none"], "v": values}), schema_changes="quarantine")
    assert (report.rows, report.rejected) == (0, 1)
    ((*_, record, _),) = kept(client)
    assert record == {"id": "none", "v": told}
