"""A pipeline tells beforehand what it would do, and does that."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest

from de_classes.errors import ConfigurationError
from de_classes.pipelines import ArrowSource, Pipeline, Route
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource, RowVersions
from de_classes.testing.memory import MemoryDestination, MemorySource

COLUMNS = """
SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'copies' ORDER BY 1, 2
"""


def test_the_ddl_that_would_run_is_told(postgres_url: str) -> None:
    """Run by hand, the statements leave the pipeline nothing to make; nothing was changed by telling."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int PRIMARY KEY, feeling mood[], n numeric(5, 2))")
    source = PostgresSource(client, tables=["t"])
    pipeline = Pipeline(
        "p", source, PostgresDestination(client, schema="copies", schema_changes="evolve"), mode="merge"
    )
    (stream,) = pipeline.plan().streams
    assert (stream.since, stream.splits, stream.problem) == (None, 1, None)
    assert client.fetch(COLUMNS) == []
    with psycopg.connect(postgres_url) as connection:
        for statement in stream.statements:
            connection.execute(statement.encode())
    made = client.fetch(COLUMNS)
    assert len(made) == 3
    assert pipeline.plan().streams[0].statements == ()
    pipeline.run()
    assert client.fetch(COLUMNS) == made
    client.run("ALTER TABLE t ADD COLUMN note text, ALTER n TYPE numeric")
    told = str(pipeline.plan())
    assert 'ADD COLUMN "note" text' in told
    assert "t -> t (merge): since {" in told


def test_what_would_fail_is_told_with_its_stream(postgres_url: str) -> None:
    """Columns that a frozen table lacks, and a view whose changes nobody knows, are problems of their streams alone."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TABLE t (id int); CREATE TABLE u (id int, note text); CREATE VIEW v AS TABLE u")
    client.run("CREATE SCHEMA copies; CREATE TABLE copies.u (id int)")
    source = PostgresSource(client, tables=["t", "u", "v"], changes={"v": RowVersions()})
    plan = Pipeline("p", source, PostgresDestination(client, schema="copies")).plan()
    problems = {stream.stream: stream.problem for stream in plan.streams}
    assert problems["t"] is None
    assert "note" in str(problems["u"])
    assert "no versions" in str(problems["v"])
    assert str(plan).count("would fail") == 2


def test_other_destinations_tell_what_they_can() -> None:
    """Where nothing is known of DDL, positions and splits are told; a replacement begins anew."""
    source, destination = MemorySource({"numbers": pa.table({"id": [1, 2, 3]})}, splits=3), MemoryDestination()
    pipeline = Pipeline("p", source, destination, routes=[Route("numbers", into="copy")])
    assert str(pipeline.plan()) == "pipeline 'p'\nnumbers -> copy (append): from the beginning, 3 splits"
    pipeline.run()
    (stream,) = pipeline.plan().streams
    assert (stream.since, stream.splits) == ({"rows": 3}, 0)
    (anew,) = Pipeline("p", source, destination, mode="replace").plan().streams
    assert (anew.since, anew.splits) == (None, 3)
    with pytest.raises(ConfigurationError, match="no stream"):
        Pipeline("p", ArrowSource({"a": pa.table({"n": [1]})}), destination, routes=["b"]).plan()
