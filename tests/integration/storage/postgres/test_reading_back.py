"""verify="values" with PostgreSQL: what is staged is read back, and is what was given."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ValuesDiffer
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore
from de_classes.storage.postgres import PostgresDestination, PostgresSource
from de_classes.testing.memory import MemorySource
from de_classes.utils.checksum import checksum

if TYPE_CHECKING:
    from pathlib import Path

    from de_classes.storage.postgres import PostgresClient

TABLE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "small": pa.array([-1, None, 7], pa.int8()),
        "big": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "price": pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(38, 2)),
        "share": pa.array([0.1, float("nan"), float("-inf")], pa.float64()),
        "single": pa.array([0.1, -0.0, None], pa.float32()),
        "yes": pa.array([True, False, None]),
        "text": pa.array(["ü\n\t\\", "", None]),
        "words": pa.array(["a", "b", "a"]).dictionary_encode(),
        "bytes": pa.array([b"\0\xff", b"", None]),
        "at": pa.array(
            [dt.datetime(1, 1, 1, tzinfo=dt.UTC), None, dt.datetime.max.replace(tzinfo=dt.UTC)],
            pa.timestamp("us", "UTC"),
        ),
        "wall": pa.array([1709164800123, None, None], pa.timestamp("ms")),
        "day": pa.array([dt.date(2024, 2, 29), None, dt.date.max]),
        "time": pa.array([dt.time(23, 59, 59, 999999), None, None], pa.time64("us")),
        "uuid": pa.array([uuid.UUID(int=5).bytes, None, None], pa.uuid()),
        "list": pa.array([[1, None], [], None], pa.list_(pa.int32())),
        "view": pa.array(["long enough to lie elsewhere", "", None], pa.string_view()),
        "raw view": pa.array([b"\0", b"", None], pa.binary_view()),
        "fixed": pa.array([b"ab", b"\0\0", None], pa.binary(2)),
        "run": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None])),
        "list view": pa.array([["a", None], [], None], pa.list_view(pa.string_view())),
        "pair": pa.array([[1, 2], [3, None], None], pa.list_(pa.int16(), 2)),
        "half": pa.array([0.5, -0.0, None], pa.float16()),
        "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([2, 0, None], pa.int8())),
        "nothing": pa.nulls(3),
        "nested": pa.array([{"a": 1}, None, {"a": None}]),
    }
)


def test_every_kind_of_value_comes_back(postgres_url: str, tmp_path: Path) -> None:
    """Values of all plain types are the same on both sides; what the server spells its own way is left out."""
    source = MemorySource({"t": TABLE}, primary_key=("id",))
    destination = PostgresDestination(postgres_url)
    with destination.begin("q", Stream("t"), Mode.APPEND) as load:
        compared = load.checkable(TABLE.schema)
    assert set(TABLE.schema.names) - set(compared) == {"nested"}
    for mode in ("append", "merge"):
        (stream,) = Pipeline(mode, source, destination, mode=mode, verify="values").run().streams
        assert stream.checksum == str(checksum(TABLE, compared))
        assert stream.unverified == ("nested",)
    there = PostgresSource(postgres_url, tables=["t"])
    into = DatasetDestination(LocalStore(tmp_path))
    (stream,) = Pipeline("back", there, into, mode="replace", verify="values").run().streams
    assert (stream.rows, stream.unverified) == (3, ())
    assert stream.checksum is not None


def test_from_server_to_server_values_are_verified(postgres_url: str) -> None:
    """Bytes that could be handed on go as rows then, and numbers without a precision are compared by their value."""
    PostgresDestination(postgres_url).execute(
        ["CREATE TABLE n (id int PRIMARY KEY, x numeric)", "INSERT INTO n VALUES (1, 1.50), (2, 1e-30)"]
    )
    source = PostgresSource(postgres_url, tables=["n"])
    into = PostgresDestination(postgres_url, schema="copy")
    (stream,) = Pipeline("p", source, into, mode="merge", verify="values").run().streams
    assert (stream.rows, stream.checksum is not None) == (2, True)


def test_a_row_that_is_changed_while_it_is_staged_is_found(client: PostgresClient) -> None:
    """Whoever meddles with a staging table, or a server that returns other bytes, ends the run before its commit."""
    destination = PostgresDestination(client)
    (batch,) = TABLE.select(["id", "text"]).to_batches()
    digest = str(checksum([batch]))
    with destination.begin("p", Stream("t"), Mode.APPEND) as load:
        receipt = load.write("s", iter([Batch(batch, checksum=digest)]))
        assert load.checksum(receipt, ["id", "text"]) == digest == receipt.checksum
        destination.execute([f"UPDATE de_classes.{receipt.details['table']} SET text = 'x' WHERE id = 1"])
        assert load.checksum(receipt, ["id", "text"]) != digest


def test_a_piece_that_was_staged_and_changed_is_not_taken_over(client: PostgresClient) -> None:
    """What an interrupted run left is read back before it is committed."""
    destination, source = PostgresDestination(client), MemorySource({"t": TABLE.select(["id", "text"])}, splits=1)
    with source.plan(Stream("t"), None) as plan, destination.begin("p", Stream("t"), Mode.APPEND) as load:
        (split,) = plan.splits
        batches = list(split.read())
        digest = str(checksum([batch.records for batch in batches]))
        way = next(iter(_ids(source, destination)))
        # Of a new table the server knows which rows are whose, and changed ones are nobody's: they are copied again.
        destination.execute(["CREATE TABLE t (id bigint, text text)"])
        receipt = load.write(way, iter([Batch(batches[0].records, checksum=digest)]))
    destination.execute([f"UPDATE de_classes.{receipt.details['table']} SET text = 'x' WHERE id = 1"])
    with pytest.raises(ValuesDiffer):
        Pipeline("p", source, destination, verify="values").run()


def _ids(source: MemorySource, destination: PostgresDestination) -> list[str]:
    """Under which ids a pipeline writes the splits."""
    told: list[Any] = []
    Pipeline("other", source, destination, routes=None).run(observers=[told.append])
    destination.execute(["DROP TABLE t"])
    return [event.split_id for event in told if type(event).__name__ == "SplitFinished"]
