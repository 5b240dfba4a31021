"""Files that others wrote, into PostgreSQL: each once, in the transaction of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Mode, Stream
from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.formats import Csv
from de_classes.pipelines import ObjectStoreToPostgres, Pipeline
from de_classes.storage.objects import Files, FileSource, LocalStore
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.transforms import Drop

if TYPE_CHECKING:
    from pathlib import Path

    from de_classes.storage.objects import ObjectStore

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.string())])
RELOADED = Files("in/*.csv", Csv(), SCHEMA, ("id",), changed="reload", file_column="file")


def put(store: ObjectStore, **files: str) -> None:
    for name, data in files.items():
        store.put(f"in/{name}.csv", data.encode())


def pipeline(store: ObjectStore, url: str, what: Files = RELOADED, **settings: Any) -> Pipeline:
    settings = {"mode": "append", **settings}
    return Pipeline("p", FileSource(store, {"t": what}, split_bytes=20), PostgresDestination(url), **settings)


def rows(url: str) -> list[tuple[Any, ...]]:
    return PostgresClient(url).fetch("SELECT * FROM t ORDER BY id")


@pytest.mark.parametrize("mode", ["append", "merge"])
def test_each_file_is_loaded_once_and_a_changed_one_replaces_its_rows(
    tmp_path: Path, postgres_url: str, mode: str
) -> None:
    """Runs take what is new, whatever its name; rows that a changed file lacks are gone with the new ones' commit."""
    store = LocalStore(tmp_path)
    put(store, b="id,x\n3,c\n", c="id,x\n")
    assert pipeline(store, postgres_url, mode=mode).run().rows == 1
    put(store, a="id,x\n1,a\n2,b\n")
    assert pipeline(store, postgres_url, mode=mode).run().rows == 2
    put(store, a="id,x\n1,A\n4,d\n")
    assert pipeline(store, postgres_url, mode=mode).run().rows == 2
    assert pipeline(store, postgres_url, mode=mode).run().rows == 0
    assert rows(postgres_url) == [(1, "A", "in/a.csv"), (3, "c", "in/b.csv"), (4, "d", "in/a.csv")]


def test_what_a_changed_file_had_set_aside_goes_with_its_rows(tmp_path: Path, postgres_url: str) -> None:
    """The quarantine has what does not fit of the files as they are; of others, and of other pipelines, all stays."""
    store = LocalStore(tmp_path)
    files = Files("in/*", Csv(), SCHEMA, changed="reload", file_column="file", allowed_misfits=0.9)
    put(store, a="id,x\n1,a\nno,b\nno,c\n", **{"a.csv, line 2": "id,x\n5,a\nodd,b\n"})
    assert pipeline(store, postgres_url, files).run().rejected == 3
    PostgresClient(postgres_url).run(
        "INSERT INTO t_quarantine SELECT 'another', at, record, reason, path, place, row FROM t_quarantine"
    )
    put(store, a="id,x\n1,a\n2,b\nnever,c\n")
    assert pipeline(store, postgres_url, files).run().rejected == 1
    there = PostgresClient(postgres_url).fetch("SELECT pipeline, record FROM t_quarantine ORDER BY 1, 2")
    assert there == [("another", text) for text in ("no,b", "no,c", "odd,b")] + [("p", "never,c"), ("p", "odd,b")]
    put(store, a="id,x\n")
    assert pipeline(store, postgres_url, files).run().rejected == 0
    there = PostgresClient(postgres_url).fetch("SELECT record FROM t_quarantine WHERE pipeline = 'p'")
    assert there == [("odd,b",)]


def test_on_s3(s3_store: ObjectStore, postgres_url: str) -> None:
    """Etags tell a changed object from one that is there since the last run."""
    put(s3_store, a="id,x\n1,a\n", b="id,x\n2,b\n")
    assert pipeline(s3_store, postgres_url).run().rows == 2
    put(s3_store, a="id,x\n1,z\n")
    assert pipeline(s3_store, postgres_url).run().rows == 1
    assert rows(postgres_url) == [(1, "z", "in/a.csv"), (2, "b", "in/b.csv")]


def test_a_table_that_was_dropped_is_loaded_anew(tmp_path: Path, postgres_url: str) -> None:
    """What is gone is not taken for loaded."""
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n")
    pipeline(store, postgres_url).run()
    PostgresDestination(postgres_url).execute(["DROP TABLE t"])
    assert pipeline(store, postgres_url).run().rows == 1
    assert len(rows(postgres_url)) == 1


def test_what_an_earlier_version_left_is_built_upon(tmp_path: Path, postgres_url: str) -> None:
    """A state schema without the table of items gets it."""
    destination = PostgresDestination(postgres_url)
    with destination.begin("another", Stream("another"), Mode.APPEND):
        pass
    destination.execute(["DROP TABLE de_classes.loaded"])
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n")
    pipeline(store, postgres_url).plan()
    assert pipeline(store, postgres_url).run().rows == 1


def test_a_column_that_a_transform_drops_finds_no_rows(tmp_path: Path, postgres_url: str) -> None:
    """Rows of a changed file that cannot be found are not left beside the new ones."""
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n")
    pipeline(store, postgres_url, transforms=[Drop("file")]).run()
    put(store, a="id,x\n1,b\n")
    with pytest.raises(SchemaMismatch, match="no column file"):
        pipeline(store, postgres_url, transforms=[Drop("file")]).run()
    assert rows(postgres_url) == [(1, "a")]


def test_rows_that_came_before_the_column_are_not_doubled(tmp_path: Path, postgres_url: str) -> None:
    """A file whose rows do not name it yet is told when it changes; one that had no rows is in nobody's way."""
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n", b="id,x\n")
    pipeline(store, postgres_url, Files("in/*.csv", Csv(), SCHEMA)).run()
    naming = Pipeline(
        "p",
        FileSource(store, {"t": RELOADED}),
        PostgresDestination(postgres_url, schema_changes="evolve"),
        mode="append",
    )
    put(store, c="id,x\n3,c\n")
    naming.run()
    put(store, a="id,x\n1,A\n", b="id,x\n2,b\n")
    with pytest.raises(SchemaMismatch, match=r"no rows of 2 changed items.*rows without a file"):
        naming.run()
    PostgresClient(postgres_url).run("UPDATE t SET file = 'in/a.csv' WHERE file IS NULL")
    assert naming.run().rows == 2
    assert rows(postgres_url) == [(1, "A", "in/a.csv"), (2, "b", "in/b.csv"), (3, "c", "in/c.csv")]


def test_a_history_takes_no_changed_file(tmp_path: Path, postgres_url: str) -> None:
    """New files close and add versions; one that changes is refused."""
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n")
    pipeline(store, postgres_url, mode="history").run()
    put(store, a="id,x\n1,b\n")
    with pytest.raises(ConfigurationError, match="a history"):
        pipeline(store, postgres_url, mode="history").run()


def test_the_named_pipeline_takes_files_too(tmp_path: Path, postgres_url: str) -> None:
    """ObjectStoreToPostgres(files=...) merges them, each once."""
    store = LocalStore(tmp_path)
    put(store, a="id,x\n1,a\n")
    loading = ObjectStoreToPostgres(store, postgres_url, files={"t": RELOADED})
    assert [loading.run().rows, loading.run().rows] == [1, 0]
    put(store, b="id,x\n1,b\n")
    assert loading.run().rows == 1
    assert rows(postgres_url) == [(1, "b", "in/b.csv")]
