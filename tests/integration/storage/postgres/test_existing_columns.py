"""Columns that are there already take values as they are, or refuse them aloud."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from de_classes.errors import SchemaMismatch, ValueNotHeld
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.transforms import Drop

TENTH = float(np.float32(0.1))
HALF_TENTH = float(np.float16(0.1))


def load(url: str, column: str, values: pa.Array[Any]) -> list[tuple[Any, ...]]:
    """Load one column into a table that is there; what the table then holds."""
    client = PostgresClient(url)
    client.run(f"CREATE TABLE things (v {column})")
    Pipeline("p", ArrowSource({"things": pa.table({"v": values})}), PostgresDestination(url)).run()
    return client.fetch(f"SELECT v::{column.replace('real', 'double precision')} FROM things")


@pytest.mark.parametrize(
    ("column", "values", "held"),
    [
        ("double precision", pa.array([0.1], pa.float32()), TENTH),
        ("double precision", pa.array(np.array([0.1], np.float16)), HALF_TENTH),
        ("real", pa.array(np.array([0.1], np.float16)), HALF_TENTH),
        ("double precision", pa.array([0.1], pa.float32()).dictionary_encode(), TENTH),
        ("double precision[]", pa.array([[0.1]], pa.list_(pa.float32())), [TENTH]),
    ],
    ids=["float32", "float16", "float16 to real", "dictionary", "list"],
)
def test_narrow_floats_keep_their_value(postgres_url: str, column: str, values: pa.Array[Any], held: Any) -> None:
    """A float of fewer bits than its column is the same number there, not the nearest short text."""
    assert load(postgres_url, column, values) == [(held,)]


def test_nothing_but_null_goes_into_any_column(postgres_url: str) -> None:
    """A column without a type of its own is NULL in an array as well."""
    assert load(postgres_url, "double precision[]", pa.nulls(1)) == [(None,)]


def test_text_that_is_too_long_is_refused_inside_lists(postgres_url: str) -> None:
    """Blanks beyond the length are refused, and not cut, in arrays as in plain columns; the row is named."""
    with pytest.raises(ValueNotHeld) as told:
        load(postgres_url, "varchar(3)[]", pa.array([["abc"], ["ab", "abc   "]]))
    assert told.value.row == 1


DICTIONARY = pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("varchar(3)[]", pa.array([["abc  "]], pa.list_(pa.large_string()))),
        ("varchar(3)[]", pa.array([["abc  "]], pa.list_(DICTIONARY))),
        ("char(5)[]", pa.array([["abc"]], pa.list_(pa.large_string()))),
        ("char(50)", pa.array([{"x": 1}])),
        ("timestamp(0)", pa.array([600_000], pa.timestamp("us"))),
        ("time(0)", pa.array([600_000], pa.time64("us"))),
        ("timestamp(0)[]", pa.array([[600_000]], pa.list_(pa.timestamp("us")))),
        ("numeric(2, -3)", pa.array([12345], pa.decimal128(5, 0))),
        ("timetz(0)", pa.array(["00:00:00.6+00"])),
        ("interval(1)", pa.array(["1 mon 00:00:00.15"])),
        ("interval(1)[]", pa.array([["1 mon 00:00:00.15"]])),
        ("interval year to month", pa.array(["1 mon 2 days"])),
        ("interval day", pa.array(["2 days 10:00:00"])),
        ("interval hour to minute", pa.array(["10:00:01"])),
    ],
    ids=str,
)
def test_what_a_column_would_change_is_refused(postgres_url: str, column: str, values: pa.Array[Any]) -> None:
    """Whatever the layout in Arrow, and whatever metadata claims, a value that would come back otherwise is refused."""
    client = PostgresClient(postgres_url)
    client.run(f"CREATE TABLE things (v {column})")
    told = {"de_classes.postgres_type": column.replace(", ", ",")}
    table = pa.table([values], schema=pa.schema([pa.field("v", values.type, metadata=told)]))
    with pytest.raises((ValueNotHeld, SchemaMismatch)) as error:
        Pipeline("p", ArrowSource({"things": table}), PostgresDestination(postgres_url)).run()
    assert "v" in str(error.value)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("numeric(3,1)", "1.05"),
        ("numeric(3,1)", "1e-5"),
        ("timestamp(0)", "2026-01-01 00:00:00.6"),
        ("time(3)[]", "{00:00:00.0001}"),
        ("timestamp", "2026-01-01 00:00:00.1234567"),
        ("timestamp", "2026-01-01 00:00:00+05"),
        ("timestamp[]", '{"2026-01-01 00:00:00 UTC"}'),
        ("time", "2026-01-01 12:00:00"),
        ("timetz", "12:00:00.1234567+00"),
        ("interval", "00:00:00.1234567"),
        ("date", "2026-01-01 12:34:56"),
        ("date[]", '{NULL,"2026-01-01 12:34:56"}'),
        ("name", "x" * 64),
        ("name", "ü" * 32),
        ("name", "{" + "," * 63),
        ("name[]", "{" + "x" * 64 + "}"),
        ('"char"', "ab"),
        ('"char"', "ü"),
    ],
)
def test_tagged_text_with_more_than_its_type_keeps_is_refused(postgres_url: str, column: str, text: str) -> None:
    """Text that says it is of a type, and would be rounded by a column of that type, is refused."""
    PostgresClient(postgres_url).run(f"CREATE TABLE things (v {column})")
    field = pa.field("v", pa.string(), metadata={"de_classes.postgres_type": f"{column} as text"})
    table = pa.table([pa.array([text])], schema=pa.schema([field]))
    with pytest.raises(ValueNotHeld, match="more than a column of"):
        Pipeline("p", ArrowSource({"things": table}), PostgresDestination(postgres_url)).run()


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("date", "0044-03-15 BC"),
        ("date[]", "[0:1]={infinity,2026-01-01}"),
        ("timestamp", "0044-03-15 00:00:00.123456 BC"),
        ("timestamp[]", '[10:12]={"0044-03-15 12:34:56 BC","2026-01-01 00:00:00.123456",NULL}'),
        ("time", "24:00:00"),
        ("timetz", "12:00:00.123456-05:30:15"),
        ("interval", "-1 years -2 mons -3 days -00:00:00.123456"),
        ("name", "x" * 61 + "ü"),
        ("name[]", '{"' + 'x\\"' * 31 + '",NULL}'),
        ('"char"', "\\377"),
        ('"char"', ""),
        ('"char"[]', "{a,NULL}"),
    ],
)
def test_tagged_text_of_the_servers_own_is_taken(postgres_url: str, column: str, text: str) -> None:
    """Text as the server itself spells values goes into a column of its type, and comes out as it was."""
    client = PostgresClient(postgres_url)
    client.run(f"CREATE TABLE things (v {column})")
    field = pa.field("v", pa.string(), metadata={"de_classes.postgres_type": f"{column} as text"})
    table = pa.table([pa.array([text])], schema=pa.schema([field]))
    Pipeline("p", ArrowSource({"things": table}), PostgresDestination(postgres_url)).run()
    assert client.fetch("SELECT v::text FROM things") == [(text,)]


@pytest.mark.parametrize("kind", [pa.decimal32(7, 2), pa.decimal64(15, 2)], ids=str)
@pytest.mark.parametrize("column", ["numeric(15,2)", "numeric", "text", "numeric[]"])
def test_narrow_decimals_keep_their_value(postgres_url: str, column: str, kind: pa.DataType) -> None:
    """Decimals of 32 and of 64 bits are the same numbers, in slices of longer columns and in lists."""
    numbers = [Decimal(n - 50) / 100 for n in range(100)]
    values = pa.array(numbers, kind).slice(10, 20)
    wanted: list[Any] = [f"{n:.2f}" if column == "text" else n for n in numbers[10:30]]
    if column.endswith("[]"):
        values = pa.ListArray.from_arrays(pa.array([0, 5, 20], pa.int32()), values)
        wanted = [wanted[:5], wanted[5:]]
    assert [held for (held,) in load(postgres_url, column, values)] == wanted


def test_decimals_are_text_digit_for_digit(postgres_url: str) -> None:
    """A small decimal in a column of text is written out, and not with an exponent."""
    values = pa.array([Decimal("0.0000001"), None, Decimal("-1.5000000")], pa.decimal128(20, 7))
    assert load(postgres_url, "text", values) == [("0.0000001",), (None,), ("-1.5000000",)]


def test_dictionaries_of_floats_in_lists_keep_their_value(postgres_url: str) -> None:
    """A narrow float in a dictionary in a list is the same number in a wider column."""
    inner = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([0.1], pa.float32()))
    lists = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inner)
    assert load(postgres_url, "double precision[]", lists) == [([TENTH],)]


@pytest.mark.parametrize("options", [{}, {"schema_changes": "evolve"}, {"schema_changes": "quarantine"}])
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_a_column_that_the_table_computes_takes_nothing(postgres_url: str, mode: str, options: Any) -> None:
    """It is refused by name before a row is copied, also where the source has the same one; without it rows go in."""
    client = PostgresClient(postgres_url)
    client.run("CREATE TABLE things (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)")
    client.run(
        "CREATE SCHEMA copies; CREATE TABLE copies.things (LIKE things INCLUDING ALL); INSERT INTO things VALUES (1)"
    )
    source = PostgresSource(client, tables=["things"])
    destination = PostgresDestination(client, schema="copies", **options)
    pipeline = Pipeline("p", source, destination, mode=mode)
    assert "twice is computed by the table" in str(pipeline.plan().streams[0].problem)
    with pytest.raises(SchemaMismatch, match="twice is computed by the table"):
        pipeline.run()
    assert Pipeline("p", source, destination, mode=mode, transforms=[Drop("twice")]).run().rows == 1
    assert client.fetch("SELECT * FROM copies.things") == [(1, 2)]


@pytest.mark.parametrize("name", ["ctid", "xmin", "tableoid"])
def test_a_column_that_every_table_has_is_refused(postgres_url: str, name: str) -> None:
    """A name of the server's own columns is told with what can be done, in the plan as well."""
    source = ArrowSource({"t": pa.table({"id": [1], name: [2]})})
    pipeline = Pipeline("p", source, PostgresDestination(postgres_url, schema_changes="evolve"))
    assert f"{name} is a name that every table has" in str(pipeline.plan().streams[0].problem)
    with pytest.raises(SchemaMismatch, match=f"{name} is a name that every table has.*\\n.*Rename"):
        pipeline.run()


def test_char_takes_what_it_does_not_fill_up(postgres_url: str) -> None:
    """A currency of three letters fits char(3); a shorter text would come back with blanks, so it is refused."""
    assert load(postgres_url, "char(3)", pa.array(["EUR"])) == [("EUR",)]
    with pytest.raises(ValueNotHeld, match="not exactly 3 characters"):
        Pipeline("q", ArrowSource({"things": pa.table({"v": ["E"]})}), PostgresDestination(postgres_url)).run()


def test_text_is_no_number(postgres_url: str) -> None:
    """Text goes into a numeric column by a Cast only: PostgreSQL would read 0x1F as 31."""
    with pytest.raises(SchemaMismatch):
        load(postgres_url, "numeric", pa.array(["0x1F"]))
