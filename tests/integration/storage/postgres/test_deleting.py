"""Rows that were deleted at the source are deleted or marked, and never more than is allowed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Stream
from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch, TooManyDeletes
from de_classes.pipelines import Pipeline, Route
from de_classes.storage.postgres import CursorColumn, PostgresClient, PostgresDestination, PostgresSource, RowVersions
from de_classes.transforms import Cast, Rename

COMPOSITE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE t (region varchar(8), number numeric, feeling mood, at timestamptz DEFAULT clock_timestamp(), note text,
                PRIMARY KEY (region, number, feeling));
INSERT INTO t SELECT 'r' || n % 3, n + 0.5, 'sad', now(), 'x' FROM generate_series(1, 40) n;
"""


KEY = "region::text, number, feeling::text"


def _pipeline(client: PostgresClient, *, to: dict[str, Any] | None = None, **options: Any) -> Pipeline:
    source = PostgresSource(client, **{"tables": ["t"], "deletes": ["t"], **options})
    destination = PostgresDestination(client, schema="copies", **(to or {}))
    return Pipeline("p", source, destination, mode="merge")


def _same(client: PostgresClient) -> bool:
    ours, theirs = (client.fetch(f"SELECT t::text FROM {name} AS t ORDER BY 1") for name in ("copies.t", "public.t"))
    return ours == theirs


@pytest.mark.parametrize("changes", [None, RowVersions(), CursorColumn("at")])
def test_a_copy_follows_inserts_updates_and_deletes(client: PostgresClient, changes: Any) -> None:
    """With a key of several columns of odd types the copy equals the table after every run."""
    client.run(COMPOSITE)
    pipeline = _pipeline(client, split_bytes=8192, **({} if changes is None else {"changes": {"t": changes}}))
    pipeline.run()
    assert _same(client)
    for change in (
        "DELETE FROM t WHERE number < 10",
        "INSERT INTO t VALUES ('new', 'NaN', 'glad')",
        "UPDATE t SET feeling = 'glad', at = clock_timestamp() WHERE region = 'r1'",
        "UPDATE t SET note = NULL, at = clock_timestamp() WHERE number = 20.5; DELETE FROM t WHERE region = 'r2'",
        "SELECT 1",
    ):
        client.run(change)
        ((gone,),) = client.fetch(
            f"SELECT count(*) FROM (SELECT {KEY} FROM copies.t EXCEPT SELECT {KEY} FROM t) AS gone"
        )
        assert pipeline.run().deleted == gone
        assert _same(client), change


def test_deleted_rows_may_be_marked(client: PostgresClient) -> None:
    """A mark has the moment of the commit, is set once, and is taken back when the row is there again."""
    client.run(
        "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT n, 'x' FROM generate_series(1, 6) n"
    )
    pipeline = _pipeline(client, to={"mark_deleted": "deleted_at"}, changes={"t": RowVersions()})
    pipeline.run()
    client.run("DELETE FROM t WHERE id IN (2, 3)")
    pipeline.run()
    first = client.fetch("SELECT id, deleted_at FROM copies.t WHERE deleted_at IS NOT NULL ORDER BY 1")
    assert [key for key, _ in first] == [2, 3]
    client.run("INSERT INTO t VALUES (3, 'again'); DELETE FROM t WHERE id = 5")
    pipeline.run()
    second = dict(client.fetch("SELECT id, deleted_at FROM copies.t WHERE deleted_at IS NOT NULL ORDER BY 1"))
    assert sorted(second) == [2, 5]
    assert second[2] == dict(first)[2] < second[5]
    assert client.fetch("SELECT note FROM copies.t WHERE id = 3") == [("again",)]
    client.run("ALTER TABLE copies.t DROP COLUMN deleted_at; ALTER TABLE copies.t ADD COLUMN deleted_at int")
    with pytest.raises(SchemaMismatch, match=r"'deleted_at'.*integer"):
        pipeline.run()


def test_a_source_that_lost_its_rows_deletes_nothing(client: PostgresClient) -> None:
    """An emptied table fails the run, and the copy and its position stay; told that it may, it goes."""
    client.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 6)")
    _pipeline(client).run()
    client.run("TRUNCATE t")
    with pytest.raises(TooManyDeletes, match=r"6 of its 6 rows.*\n.*max_deleted_share=1"):
        _pipeline(client).run()
    assert len(client.fetch("TABLE copies.t")) == 6
    _pipeline(client, to={"max_deleted_share": 1}).run()
    assert client.fetch("TABLE copies.t") == []


def test_rows_that_a_trigger_keeps_fail_the_run(client: PostgresClient) -> None:
    """Deletes are counted: where one is swallowed, nothing of the run is committed."""
    client.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 6)")
    _pipeline(client).run()
    client.run("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    client.run("CREATE TRIGGER keep BEFORE DELETE ON copies.t FOR EACH ROW EXECUTE FUNCTION keep()")
    client.run("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (7)")
    with pytest.raises(CountMismatch, match="trigger"):
        _pipeline(client).run()
    assert len(client.fetch("TABLE copies.t")) == 6


def test_what_cannot_delete_is_the_users_mistake(client: PostgresClient) -> None:
    """No key, a mode that does not merge, transforms that change the key, odd shares: told before anything moves."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE keyless (n int)")
    source, destination = PostgresSource(client, tables=["t"], deletes=["t"]), PostgresDestination(client, schema="c")
    with pytest.raises(ConfigurationError, match="appending deletes none"):
        Pipeline("p", source, destination).run()
    renamed = Route("t", transforms=(Rename({"id": "key"}),), primary_key=("key",))
    cast = Route("t", transforms=(Cast({"id": pa.string()}),))
    for route in (renamed, cast):
        with pytest.raises(ConfigurationError, match="another key"):
            Pipeline("p", source, destination, routes=[route], mode="merge").run()
    keyless = PostgresSource(client, tables=["keyless"], deletes=["keyless"])
    with pytest.raises(ConfigurationError, match="no primary key"), keyless.plan(Stream("keyless"), None):
        pass
    for options in ({"deletes": ["x"]}, {"deletes": "t"}):
        with pytest.raises(ConfigurationError):
            PostgresSource(client, tables=["t"], **options)
    for share in (-0.1, 1.1, "all"):
        with pytest.raises(ConfigurationError, match="max_deleted_share"):
            PostgresDestination(client, max_deleted_share=share)  # type: ignore[arg-type]


def test_replacing_takes_no_keys(client: PostgresClient) -> None:
    """A replacement has all the rows, and the keys beside them are not written anywhere."""
    client.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 6)")
    source, destination = PostgresSource(client, tables=["t"], deletes=["t"]), PostgresDestination(client, schema="c")
    pipeline = Pipeline("p", source, destination, mode="replace")
    assert (pipeline.run().rows, pipeline.run().rows) == (6, 6)
    assert len(client.fetch("TABLE c.t")) == 6


def test_deletes_take_no_other_rows_along(client: PostgresClient) -> None:
    """Whoever refers to a deleted row, in another table or the same, is not deleted by ON DELETE CASCADE."""
    client.run("CREATE TABLE t (id int PRIMARY KEY, parent int)")
    client.run("INSERT INTO t VALUES (1, 1), (2, 2), (3, 2), (4, 4), (5, 5), (6, 6)")
    pipeline = _pipeline(client)
    pipeline.run()
    client.run("ALTER TABLE copies.t ADD CONSTRAINT family FOREIGN KEY (parent) REFERENCES copies.t ON DELETE CASCADE")
    client.run("CREATE TABLE notes (of int REFERENCES copies.t ON DELETE CASCADE); INSERT INTO notes VALUES (1), (4)")
    client.run("DELETE FROM t WHERE id = 1")
    with pytest.raises(ConfigurationError, match="1 rows of notes that refer"):
        pipeline.run()
    client.run("DELETE FROM notes WHERE of = 1")
    pipeline.run()
    assert _same(client)
    client.run("DELETE FROM t WHERE id = 2")
    with pytest.raises(ConfigurationError, match=r"1 rows of copies\.t that refer.*family"):
        pipeline.run()
    client.run("DELETE FROM t WHERE id = 3")
    pipeline.run()
    assert _same(client)
    assert client.fetch("TABLE notes") == [(4,)]
