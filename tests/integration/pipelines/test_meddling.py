"""Somebody meddles with what was loaded: a dropped table, triggers that swallow rows, flipped bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from de_classes.errors import CountMismatch, DatasetError, DeClassesError
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.testing.memory import MemorySource

TABLE = pa.table({"id": pa.array(range(5), pa.int64())})

SWALLOW = """
    CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER swallow BEFORE {event} ON numbers FOR EACH ROW WHEN ({row}.id = 2) EXECUTE FUNCTION swallow()
"""


def test_a_dropped_table_is_loaded_from_the_beginning(postgres_url: str) -> None:
    """When the target is gone its position is worth nothing: the next run takes everything."""
    pipeline = Pipeline("p", MemorySource({"numbers": TABLE}, ("id",)), PostgresDestination(postgres_url), mode="merge")
    client = PostgresClient(postgres_url)
    assert [pipeline.run().rows, pipeline.run().rows] == [5, 0]
    client.run("DROP TABLE numbers")
    assert pipeline.run().rows == 5
    assert client.fetch("SELECT count(*) FROM numbers") == [(5,)]


@pytest.mark.parametrize(("mode", "event", "row"), [("merge", "INSERT", "NEW"), ("replace", "DELETE", "OLD")])
def test_a_trigger_that_swallows_rows_fails_the_load(postgres_url: str, mode: str, event: str, row: str) -> None:
    """Rows that do not arrive, or do not go, are noticed before the commit."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TABLE numbers (id bigint PRIMARY KEY)")
    client.run("INSERT INTO numbers VALUES (2)" if mode == "replace" else "SELECT 1")
    client.run(SWALLOW.format(event=event, row=row))
    before = client.fetch("SELECT id FROM numbers")
    source = ArrowSource({"numbers": TABLE}, primary_key=["id"])
    with pytest.raises(CountMismatch):
        Pipeline("p", source, PostgresDestination(postgres_url), mode=mode).run()
    assert client.fetch("SELECT id FROM numbers") == before


def test_a_flipped_bit_is_never_read_as_another_value(tmp_path: Path) -> None:
    """Wherever a bit of a file's pages flips, reading fails or gives what was written."""
    table = pa.table({"n": pa.array([n * 7919 for n in range(2000)], pa.int64())})
    store = LocalStore(tmp_path)
    Pipeline("p", ArrowSource({"numbers": table}), DatasetDestination(store)).run()
    (file,) = tmp_path.glob("numbers/data/**/*.parquet")
    written = file.read_bytes()
    refused = 0
    for at in range(4, len(written) - 1000, max(1, len(written) // 60)):
        file.write_bytes(written[:at] + bytes([written[at] ^ 4]) + written[at + 1 :])
        try:
            assert pa.table(Dataset(store, "numbers")) == table
        except (DatasetError, pa.ArrowException, OSError):
            refused += 1
    assert refused > 10


def test_a_target_that_was_altered_after_a_failure_is_loaded_anew(postgres_url: str) -> None:
    """Following the usual remedy, a wider column, must not leave the load stuck with what it had staged."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TABLE words (id bigint, word varchar(3))")
    words = pa.table({"id": [1, 2], "word": ["one", "three"]})
    pipeline = Pipeline("p", MemorySource({"words": words}, splits=2), PostgresDestination(postgres_url))
    with ThreadPoolExecutor(1) as one, pytest.raises(DeClassesError, match="3 characters"):
        pipeline.run(executor=one)
    client.run("ALTER TABLE words ALTER word TYPE varchar(10)")
    assert pipeline.run().rows == 2
    assert client.fetch("SELECT word FROM words ORDER BY id") == [("one",), ("three",)]
