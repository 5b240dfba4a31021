from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import CountMismatch, SchemaMismatch
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.testing.contract.growing import reject, rejects
from de_classes.testing.faults import run_until_killed
from de_classes.utils.quarantine import REJECTED

ORDERS = Stream("orders", ("id",))


@pytest.fixture
def destination(client: PostgresClient) -> PostgresDestination:
    return PostgresDestination(client)


def staging_tables(client: PostgresClient) -> int:
    ((count,),) = client.fetch("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'staged\\_%'")
    return int(count)


def records(client: PostgresClient, table: str = "orders_quarantine") -> list[str]:
    return [record for (record,) in client.fetch(f"SELECT record FROM {table} ORDER BY record")]


def test_the_table_says_whose_records_they_are_and_since_when(destination: PostgresDestination) -> None:
    """Pipeline and moment stand before what was rejected, in columns of plain types."""
    began = datetime.now(UTC)
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([reject(load, "x")], {"day": 1})
    client = destination.client
    ((pipeline, at, *rest),) = client.fetch("SELECT * FROM orders_quarantine")
    assert (pipeline, rest) == ("p", ["x", "is no order", "id", "page 1", 0])
    assert began <= at <= datetime.now(UTC)
    assert client.fetch("SELECT to_regclass('orders')") == [(None,)]
    assert str(destination.quarantine("orders")) == "public.orders_quarantine"


@pytest.mark.parametrize(
    ("record", "held"),
    [
        ("a\0b", r"a\u0000b"),
        (r'{"a": "\u0000"}', r'{"a": "\u0000"}'),
        ('\\.\n"\r\n,', '\\.\n"\r\n,'),
        ("", ""),
    ],
)
def test_no_text_of_a_record_fails_a_load(destination: PostgresDestination, record: str, held: str) -> None:
    """What a column of text cannot hold is escaped where it is seen, and all else is as it came."""
    odd = pa.RecordBatch.from_pylist(
        [{"record": record, "reason": record, "path": record, "place": record, "row": None}], schema=REJECTED
    )
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([load.write("a", iter([Batch(pa.record_batch({"id": [1]}), None, odd)]))], None)
    found = destination.client.fetch('SELECT record, reason, path, place, "row" FROM orders_quarantine')
    assert found == [(held, held, held, held, None)]


def test_bytes_that_are_no_text_are_told(destination: PostgresDestination) -> None:
    """A text of Arrow's that is no UTF-8, as a careless source may give it, is kept with its bytes in digits."""
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb"))
    columns: list[pa.Array[Any]] = [broken, *(pa.array([value]) for value in ("why", None, "here")), pa.array([0])]
    odd = pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, REJECTED, strict=True)], schema=REJECTED)
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([load.write("a", iter([Batch(pa.record_batch({"id": [1]}), None, odd)]))], None)
    assert records(destination.client) == [r"a\xffb"]


def test_another_encoding_does_not_fail_a_load(latin_client: PostgresClient) -> None:
    """A database that lacks a character of a record has its escape instead, as JSON has it."""
    destination, record = PostgresDestination(latin_client), '{"a": "żółć € 😀"}'
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([reject(load, record)], None)
    (kept,) = records(destination.client)
    assert kept.isascii()
    assert json.loads(kept) == json.loads(record)


def test_more_than_memory_takes_waits_in_a_file(destination: PostgresDestination) -> None:
    """Rows and rejected records of many batches arrive all, whatever their sizes."""
    long = "x" * 100_000

    def batches() -> Iterator[Batch]:
        for n in range(80):
            yield Batch(pa.record_batch({"id": [n]}), {"to": n}, rejects(f"{n} {long}"))

    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipt = load.write("a", batches())
        assert (receipt.rows, receipt.rejected, receipt.position) == (80, 80, {"to": 79})
        assert receipt.bytes > 80 * len(long)
        load.commit([receipt], receipt.position)
    client = destination.client
    assert client.fetch("SELECT count(DISTINCT record), sum(length(record)) FROM orders_quarantine") == [
        (80, sum(len(f"{n} {long}") for n in range(80)))
    ]
    assert staging_tables(client) == 0


def test_names_that_are_too_long_are_shortened(destination: PostgresDestination) -> None:
    """The quarantine of a long name is not the table of that name, nor that of another one."""
    streams = [Stream("s" * 60 + end, ("id",)) for end in ("1", "2")]
    for stream in streams:
        with destination.begin("p", stream, Mode.APPEND) as load:
            piece = load.write("a", iter([Batch(pa.record_batch({"id": [1]}), None, rejects(stream.name))]))
            load.commit([piece], None)
    for stream in streams:
        assert records(destination.client, destination.quarantine(stream.name).sql) == [stream.name]
    assert len(destination.client.fetch("SELECT FROM pg_tables WHERE schemaname = 'public'")) == 4


def test_a_load_that_was_left_shows_nothing_and_is_taken_over(destination: PostgresDestination) -> None:
    """Without a commit nothing is seen; the next load is offered it, and its commit leaves nothing behind."""
    client = destination.client
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        both = load.write("both", iter([Batch(pa.record_batch({"id": [1]}), None, rejects("x"))]))
        alone = reject(load, "y", "z")
    assert client.fetch("SELECT to_regclass('orders_quarantine')") == [(None,)]
    assert staging_tables(client) == 3
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        assert dict(load.staged) == {"both": both, "rejects": alone}
        load.commit([load.staged["rejects"]], {"day": 1})
    assert records(client) == ["y", "z"]
    assert staging_tables(client) == 0
    assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]


@pytest.mark.parametrize("lost", ["TRUNCATE", "DROP TABLE"])
def test_what_is_staged_no_more_is_not_taken_over(destination: PostgresDestination, lost: str) -> None:
    """A piece whose rejected records are gone is written again, as one whose rows are; a commit of it fails."""
    client = destination.client
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipt = load.write("a", iter([Batch(pa.record_batch({"id": [1]}), None, rejects("x"))]))
        client.run(f"{lost} de_classes.{receipt.details['rejected']}")
        with pytest.raises(CountMismatch, match="rejected records"):
            load.commit([receipt], None)
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        assert load.staged == {}
    assert staging_tables(client) == 0


def test_an_error_while_reading_leaves_nothing(destination: PostgresDestination) -> None:
    """When the batches break off, neither rows nor rejected records stay."""

    def breaks() -> Iterator[Batch]:
        yield Batch(pa.record_batch({"id": [1]}), None, rejects("x"))
        raise ConnectionResetError

    with destination.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(ConnectionResetError):
        load.write("a", breaks())
    assert staging_tables(destination.client) == 0


def test_a_table_of_that_name_that_is_none_is_left_alone(destination: PostgresDestination) -> None:
    """A table that happens to be called so is no quarantine, and one with columns of the user's own is."""
    client = destination.client
    client.run("CREATE TABLE orders_quarantine (record text, note text)")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        piece = reject(load, "x")
        with pytest.raises(SchemaMismatch, match="lacks the columns pipeline, at, reason, path, place, row"):
            load.commit([piece], None)
    with destination.begin("another", ORDERS, Mode.REPLACE) as load:
        load.commit([], {"day": 1})
    assert client.fetch("SELECT count(*) FROM orders_quarantine") == [(0,)]
    client.run("DROP TABLE orders_quarantine")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([load.staged["rejects"]], None)
        client.run("ALTER TABLE orders_quarantine ADD done boolean DEFAULT false")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([reject(load, "y")], None)
    assert client.fetch("SELECT record, done FROM orders_quarantine ORDER BY 1") == [("x", False), ("y", False)]


def test_columns_may_come_after_records_that_do_not_fit(destination: PostgresDestination) -> None:
    """A split whose first batches have nothing else is staged with the rows that follow."""
    nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    batches = [Batch(nothing, {"page": 1}, rejects("x")), Batch(pa.record_batch({"id": [1]})), Batch(nothing)]
    with destination.begin("p", ORDERS, Mode.MERGE) as load:
        receipt = load.write("a", iter(batches))
        assert (receipt.rows, receipt.rejected, receipt.position) == (1, 1, {"page": 1})
        load.commit([receipt], receipt.position)
    assert destination.client.fetch("SELECT id FROM orders") == [(1,)]


def test_a_position_alone_stages_nothing(destination: PostgresDestination) -> None:
    """A split without rows, columns or rejected records has a position at most."""
    nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipt = load.write("a", iter([Batch(nothing, {"page": 1})]))
        assert (receipt.schema, receipt.position, receipt.details) == (None, {"page": 1}, {})
        assert staging_tables(destination.client) == 0
        load.commit([receipt], receipt.position)
    assert destination.position("p", ORDERS) == {"page": 1}


KILLED = """
import sys
import pyarrow as pa
from de_classes.contracts import Batch, Mode, Stream
from de_classes.storage.postgres import PostgresDestination
from de_classes.testing.contract.growing import rejects

destination = PostgresDestination(sys.argv[1], schema_changes="evolve")
with destination.begin("p", Stream("orders", ("id",)), Mode.REPLACE) as load:
    piece = load.staged.get("a")
    piece = piece or load.write("a", iter([Batch(pa.record_batch({"id": [2**40], "n": [1]}), None, rejects("new"))]))
    load.commit([piece], {"day": 2})
"""


@pytest.mark.parametrize(
    "point", ["postgres.write.after_copy", "postgres.commit.before_move", "postgres.commit.after_move"]
)
def test_killed_anywhere_nothing_has_changed(client: PostgresClient, postgres_url: str, point: str) -> None:
    """SIGKILL while rejected records are staged or moved, or a table grows, leaves all as it was; the next run ends."""
    client.run("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
    with PostgresDestination(client).begin("p", ORDERS, Mode.APPEND) as load:
        load.commit([reject(load, "old")], {"day": 1})
    command = [sys.executable, "-c", KILLED, postgres_url]
    assert run_until_killed(command, point).killed
    assert client.fetch("SELECT * FROM orders") == [(1,)]
    assert records(client) == ["old"]
    subprocess.run(command, check=True, timeout=60)
    assert client.fetch("SELECT id, n FROM orders") == [(2**40, 1)]
    assert records(client) == ["new"]
    assert staging_tables(client) == 0
