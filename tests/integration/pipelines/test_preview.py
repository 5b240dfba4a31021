"""A pipeline tells beforehand what it would do, and does that."""

from __future__ import annotations

from typing import Any

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


NOTED = """
CREATE TABLE public.noted (n serial, statement text);
CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.noted (statement) SELECT current_query() FROM pg_event_trigger_ddl_commands()
    WHERE schema_name NOT IN ('de_classes', 'pg_temp') OR object_type = 'schema' AND object_identity <> 'de_classes'
    LIMIT 1;
END $$;
CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION public.note();
"""


@pytest.mark.parametrize("mode", ["append", "replace", "merge", "history"])
@pytest.mark.parametrize("before", ["", "CREATE TABLE t (id int PRIMARY KEY, a date, v varchar(3)){history}"])
def test_what_is_told_is_what_runs(postgres_url: str, mode: str, before: str) -> None:
    """In every mode the statements that the server meets are those that were told, one by one."""
    client = PostgresClient(postgres_url)
    if before:
        moments = "; ALTER TABLE t ADD valid_from timestamptz NOT NULL DEFAULT now(), ADD valid_to timestamptz"
        client.run(before.format(history=moments * (mode == "history")))
        client.run("INSERT INTO t VALUES (7, NULL, 'old')")
    if before and mode == "replace":  # any type may come then
        client.run("UPDATE t SET a = now()")
    client.run(NOTED)
    source = MemorySource({"t": pa.table({"id": [2**40], "a": [1.5], "v": ["long"], "new": [1]})}, primary_key=("id",))
    pipeline = Pipeline("p", source, PostgresDestination(client, schema_changes="evolve"), mode=mode)
    (told,) = pipeline.plan().streams
    assert told.problem is None
    pipeline.run()
    ran = [statement for (statement,) in client.fetch("SELECT statement FROM noted ORDER BY n")]
    assert list(told.statements) == ran
    assert pipeline.plan().streams[0].statements == ()


@pytest.mark.parametrize(
    ("before", "mode", "options", "problem"),
    [
        ("CREATE TABLE t (id bigint)", "merge", {}, "no primary key or unique index"),
        ("CREATE TABLE t (id bigint PRIMARY KEY)", "history", {}, "it keeps no history"),
        (
            "CREATE TABLE t (id bigint UNIQUE); CREATE TABLE u (n bigint REFERENCES t (id))",
            "replace",
            {},
            "refer to them",
        ),
        ("CREATE TABLE t (id int); CREATE VIEW v AS TABLE t", "replace", {"schema_changes": "evolve"}, "on view v"),
        ("CREATE TABLE t (id bigint PRIMARY KEY, gone int)", "merge", {"mark_deleted": "gone"}, "not timestamptz"),
    ],
    ids=["merge", "history", "referred", "view", "mark"],
)
def test_what_keeps_a_table_from_being_loaded_is_told(
    postgres_url: str, before: str, mode: str, options: Any, problem: str
) -> None:
    """What a commit would refuse of a table, whatever the rows, is a problem of the plan."""
    client = PostgresClient(postgres_url)
    client.run(before)
    key = () if mode == "replace" else ("id",)
    source = MemorySource({"t": pa.table({"id": [1]})}, primary_key=key)
    (told,) = Pipeline("p", source, PostgresDestination(client, **options), mode=mode).plan().streams
    assert problem in str(told.problem)


def test_a_mark_is_told_as_what_may_come(postgres_url: str) -> None:
    """Whether a source tells which keys are alive is not known before it is read."""
    source = MemorySource({"t": pa.table({"id": [1]})}, primary_key=("id",))
    destination = PostgresDestination(postgres_url, mark_deleted="gone")
    told = Pipeline("p", source, destination, mode="merge").plan().streams[0].statements
    assert told[1:] == (
        '-- if the source tells which keys are alive: ALTER TABLE "public"."t" ADD COLUMN "gone" timestamptz',
    )


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
