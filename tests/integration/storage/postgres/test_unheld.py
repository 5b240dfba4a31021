"""What a source does with values that Arrow has no place for, as far as the target."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from de_classes.errors import ConfigurationError, ValueNotHeld
from de_classes.pipelines import Pipeline
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.testing.memory import MemoryDestination


@pytest.fixture
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, day date NOT NULL, tags int[])")
        connection.execute("INSERT INTO t VALUES (1, '2026-01-01', '{1}'), (2, 'infinity', '{2}')")
        connection.execute("INSERT INTO t VALUES (3, '2026-01-03', '[0:0]={3}')")
    return postgres_url


def loaded(
    url: str, unheld: Any, columns: str = "id, day::text, tags::text", **options: Any
) -> tuple[Any, list[tuple[Any, ...]]]:
    """The report of a load, and the rows that it made."""
    source = PostgresSource(url, tables=["t"], unheld=unheld, **options)
    report = Pipeline(f"by {unheld}", source, PostgresDestination(url, schema="copy"), mode="replace").run()
    return report, PostgresClient(url).fetch(f"SELECT {columns} FROM copy.t ORDER BY 1")


@pytest.mark.parametrize("strategy", ["adbc", "copy_binary"])
def test_values_without_a_place_fail_by_name(url: str, strategy: str) -> None:
    """The error names table, column and the key of the row; where bytes are handed on, every value has its place."""
    source = PostgresSource(url, tables=["t"], strategy=strategy)  # type: ignore[arg-type]
    with pytest.raises(ValueNotHeld, match=r"public\.t: column '(day|tags)' .*id=[23]"):
        Pipeline("p", source, MemoryDestination()).run()
    _, rows = loaded(url, "fail", strategy=strategy)
    assert rows == [(1, "2026-01-01", "{1}"), (2, "infinity", "{2}"), (3, "2026-01-03", "[0:0]={3}")]


@pytest.mark.parametrize("strategy", ["adbc", "copy_binary"])
def test_as_text_all_values_come_back(url: str, strategy: str) -> None:
    """Columns that may hold such values travel as text, and are of their own type again in the end."""
    report, rows = loaded(url, "text", strategy=strategy)
    assert rows == [(1, "2026-01-01", "{1}"), (2, "infinity", "{2}"), (3, "2026-01-03", "[0:0]={3}")]
    assert report.rows == 3
    types = (
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'copy.t'::regclass AND attnum > 0"
    )
    assert PostgresClient(url).fetch(types) == [("integer",), ("date",), ("integer[]",)]


@pytest.mark.parametrize("strategy", ["adbc", "copy_binary"])
def test_what_becomes_null_or_is_left_out_is_kept_beside(url: str, strategy: str) -> None:
    """The rows as they were lie in quarantine, and the report counts them."""
    report, rows = loaded(url, "null", strategy=strategy)
    assert rows == [(1, "2026-01-01", "{1}"), (2, None, "{2}"), (3, "2026-01-03", None)]
    assert report.rejected == 2
    report, rows = loaded(url, "quarantine", strategy=strategy)
    assert rows == [(1, "2026-01-01", "{1}")]
    assert report.rejected == 2
    kept = PostgresClient(url).fetch("SELECT record::text FROM copy.t_quarantine")
    assert sum("infinity" in text for (text,) in kept) == 2


@pytest.mark.parametrize("strategy", ["adbc", "copy_binary"])
def test_a_key_is_never_null_instead(postgres_url: str, strategy: str) -> None:
    """A row whose key has no place is left out where others get a null: without its key it is no row."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TABLE t (day date PRIMARY KEY, until date)")
    client.run("INSERT INTO t VALUES ('infinity', 'infinity'), ('2026-01-01', 'infinity'), ('2026-01-02', NULL)")
    report, rows = loaded(postgres_url, "null", columns="day::text, until, until", strategy=strategy)
    assert rows == [("2026-01-01", None, None), ("2026-01-02", None, None)]
    assert (report.rows, report.rejected) == (2, 2)
    reasons = [why for (why,) in client.fetch("SELECT reason FROM copy.t_quarantine ORDER BY row")]
    assert [why.rpartition(": ")[2] for why in reasons] == ["the row was left out", "null was loaded in its place"]


@pytest.mark.parametrize("kind", ["int", "pair"])
def test_a_row_is_kept_whole_whatever_its_columns_are_called(postgres_url: str, kind: str) -> None:
    """A column that has the name by which a query calls the row is a column like any other."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TYPE pair AS (a int, b int)")
    client.run(f"CREATE TABLE t (id int PRIMARY KEY, day date, r {kind}, e date[], v date[])")
    client.run("INSERT INTO t (id, day, e, v) VALUES (1, 'infinity', '{infinity}', '{2026-01-01}')")
    _, rows = loaded(postgres_url, "null", columns="id, e::text, v::text")
    assert rows == [(1, None, "{2026-01-01}")]
    ((record,),) = client.fetch("SELECT record FROM copy.t_quarantine")
    assert json.loads(record) == {"id": 1, "day": "infinity", "r": None, "e": "{infinity}", "v": "{2026-01-01}"}


def test_a_policy_that_is_none_is_refused() -> None:
    """Those there are, are told."""
    unheld: Any = "skip"
    with pytest.raises(ConfigurationError, match="fail, text, null, quarantine"):
        PostgresSource("postgresql://x", tables=["t"], unheld=unheld)
