"""The pipelines that people look for by name take what their source and destination take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from de_classes.pipelines import ObjectStoreToPostgres, PostgresToObjectStore
from de_classes.storage.objects import DatasetDestination, LocalStore
from de_classes.storage.postgres import Index, PostgresClient, PostgresDestination, PostgresSource

ELSEWHERE = {"store", "client", "changes", "deletes"}
"""Named otherwise; and changes since a position, which no dataset can merge."""


def options(made: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(made).parameters.items()}


@pytest.mark.parametrize(
    ("pipeline", "parts"),
    [(ObjectStoreToPostgres, [PostgresDestination]), (PostgresToObjectStore, [PostgresSource, DatasetDestination])],
)
def test_no_option_of_the_parts_is_missing(pipeline: Callable[..., Any], parts: list[Callable[..., Any]]) -> None:
    """Each option of source and destination is the pipeline's, with the same default."""
    there = options(pipeline)
    for part in parts:
        wanted = {name: default for name, default in options(part).items() if name not in ELSEWHERE}
        assert {name: there[name] for name in wanted if name != "prefix"} == {
            name: default for name, default in wanted.items() if name != "prefix"
        }


def test_options_arrive(postgres_url: str, tmp_path: Path) -> None:
    """Sizes of files and the way to read shape the dataset; what is declared is made, and wrong rows are set aside."""
    client, store = PostgresClient(postgres_url), LocalStore(tmp_path)
    client.run("CREATE TABLE t (id int PRIMARY KEY, text text)")
    digits = "SELECT string_agg(md5(n * k || ''), '') FROM generate_series(1, 20) k"
    client.run(f"INSERT INTO t SELECT n, ({digits}) FROM generate_series(1, 2000) n")
    client.run("CREATE SCHEMA copies; CREATE TABLE copies.t (id int PRIMARY KEY, text varchar(640))")
    client.run("INSERT INTO t VALUES (0, repeat('x', 641))")
    out = PostgresToObjectStore(
        client, store, tables=["t"], strategy="copy_binary", target_file_bytes=1 << 18, row_group_bytes=1 << 16
    )
    assert out.run().rows == 2001
    assert len(list(tmp_path.glob("t/**/*.parquet"))) > 1
    back = ObjectStoreToPostgres(
        store, client, schema="copies", unfit="quarantine", declared={"t": [Index(["text"])]}, mode="replace"
    )
    report = back.run()
    assert (report.rows, report.rejected) == (2000, 1)
    assert len(client.fetch("SELECT FROM pg_indexes WHERE schemaname = 'copies' AND tablename = 't'")) == 2
