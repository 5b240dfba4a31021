"""Every type goes in and comes back as it was, by both ways of reading, and keeps its DDL."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from de_classes.contracts import Batch, Mode, Stream
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres.types import Column, PgType, arrow_type

COLUMNS = {
    "small": "smallint",
    "plain": "integer",
    "big": "bigint",
    "single": "real",
    "double": "double precision",
    "money": "numeric(12,2)",
    "tiny": "numeric(3,7)",
    "round": "numeric(5,-3)",
    "long": "numeric(38,19)",
    "longer": "numeric(76,38)",
    "longest": "numeric(120,10)",
    "free": "numeric",
    "words": "text",
    "some": "varchar(40)",
    "padded": "char(7)",
    "yes": "boolean",
    "bytes": "bytea",
    "day": "date",
    "local": "timestamp",
    "coarse": "timestamp(3)",
    "moment": "timestamptz",
    "hour": "time",
    "id": "uuid",
    "document": "json",
    "binary_document": "jsonb",
    "mood": "mood",
}
MOODS = ("sad", 'it\'s "ok"', "ñ, {so} \\so")

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
nasty = st.sampled_from(
    ["", " ", "\\.", "\\N", "NULL", '"', '""', "\r\n", "\n", "\\", "{}", "{NULL}", "a,b", "\t", "'", "é𝄞"]
)
floats = st.floats().map(lambda number: math.nan if math.isnan(number) else number)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
).map(json.dumps)


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    limit = 10**digits - 1
    return st.integers(-limit, limit).map(lambda number: Decimal((int(number < 0), _digits(number), -places)))


def _digits(number: int) -> tuple[int, ...]:
    return tuple(map(int, str(abs(number))))


DAY, MICROSECOND = (-2_440_588, 2_145_042_905), (-210_866_803_200_000_000, 2**63 - 1)
integers_in = st.integers
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "plain": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "single": st.floats(width=32).map(lambda number: math.nan if math.isnan(number) else number),
    "double": floats,
    "money": decimals(12, 2),
    "tiny": decimals(3, 7),
    "round": st.integers(-99999, 99999).map(lambda n: Decimal(n * 1000)),
    "long": decimals(38, 19),
    "longer": decimals(76, 38),
    "longest": decimals(120, 10).map(lambda number: f"{number:f}"),
    "free": st.one_of(
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: f"{n:f}").filter(lambda t: len(t) < 500),
        st.sampled_from(["NaN", "Infinity", "-Infinity", "0.000", "-1.50", "1" + "0" * 300, "0." + "0" * 200 + "7"]),
    ).map(lambda told: "0" + told[2:] if told.startswith("-0") and not told.strip("-0.") else told),
    "words": nasty | text,
    "some": nasty | text,
    "padded": text.map(lambda told: told[:7].ljust(7)),
    "yes": st.booleans(),
    "bytes": st.binary(max_size=40),
    "day": st.integers(*DAY) | st.integers(-40_000, 40_000),
    "local": st.integers(*MICROSECOND) | st.integers(-(10**15), 10**15),
    "coarse": st.integers(-(10**12), 10**12).map(lambda milliseconds: milliseconds * 1000),
    "moment": st.integers(*MICROSECOND) | st.integers(-(10**15), 10**15),
    "hour": st.integers(0, 86_399_999_999),
    "id": st.uuids().map(str),
    "document": documents,
    "binary_document": documents,
    "mood": st.sampled_from(MOODS),
}


def type_of(name: str) -> PgType:
    declared = COLUMNS[name]
    found = PgType("enum", enum="mood", labels=MOODS) if declared == "mood" else PgType.parse(declared)
    assert found is not None
    return found


def column(name: str, values: list[Any], *, array: bool) -> pa.Array[Any]:
    """Values as the type table has them; moments are made of integers, since Python's end with the year 9999."""
    wanted = arrow_type(type_of(name))
    raw = pa.int32() if pa.types.is_date(wanted) else pa.int64() if pa.types.is_temporal(wanted) else wanted
    if not array:
        made = pa.array(values, raw)
        return made if raw == wanted else made.view(wanted)
    lists = pa.array(values, pa.list_(raw))
    if raw == wanted:
        return lists
    return pa.ListArray.from_arrays(lists.offsets, lists.values.view(wanted), mask=lists.is_null())


@st.composite
def batches(draw: st.DrawFn, *, array: bool) -> pa.RecordBatch:
    rows = draw(st.integers(1, 4))
    arrays, fields = [pa.array(range(rows), pa.int32())], [pa.field("row", pa.int32())]
    for name, values in VALUES.items():
        value = st.lists(st.none() | values, max_size=3) if array else values
        arrays.append(column(name, draw(st.lists(st.none() | value, min_size=rows, max_size=rows)), array=array))
        fields.append(Column(name, replace(type_of(name), array=array)).field)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def comparable(batch: pa.RecordBatch | pa.Table) -> dict[str, list[str]]:
    """The values as text that tells -0.0 from 0.0 and takes NaN for NaN."""
    found = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        found[name] = [_told(value, name) for value in _plain(values).to_pylist()]
    return found


def _plain(values: Any) -> Any:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_list(values.type):
        return pa.ListArray.from_arrays(values.offsets, _plain(values.values), mask=values.is_null())
    if pa.types.is_temporal(values.type):
        return values.view(pa.int32() if pa.types.is_date(values.type) else pa.int64())
    return values


def _told(value: Any, name: str) -> str:
    if isinstance(value, list):
        return repr([_told(one, name) for one in value])
    return json.dumps(json.loads(value), sort_keys=True) if "document" in name and value is not None else repr(value)


def read(client: PostgresClient, table: str, strategy: Any) -> pa.Table:
    source = PostgresSource(client, tables={"stream": table}, strategy=strategy)
    (stream,) = source.streams()
    with source.plan(stream, None) as plan:
        return pa.Table.from_batches([batch.records for split in plan.splits for batch in split.read()]).sort_by("row")


@pytest.fixture(scope="module")
def tables(module_client: PostgresClient) -> PostgresClient:
    labels = ", ".join("'" + mood.replace("'", "''") + "'" for mood in MOODS)
    module_client.run(f"CREATE TYPE mood AS ENUM ({labels})")
    for table, suffix in (("scalars", ""), ("arrays", "[]")):
        declared = ", ".join(f'"{name}" {type_}{suffix}' for name, type_ in COLUMNS.items())
        module_client.run(f'CREATE TABLE {table} ("row" int, {declared})')
    return module_client


@pytest.mark.parametrize("table", ["scalars", "arrays"])
def test_values_come_back_as_they_went(tables: PostgresClient, table: str) -> None:
    """Whatever values of every type are loaded, both strategies read the same ones."""

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(batches(array=table == "arrays"))
    def holds(batch: pa.RecordBatch) -> None:
        with PostgresDestination(tables).begin("round trip", Stream(table), Mode.REPLACE) as load:
            load.commit([load.write("all", iter([Batch(batch)]))], None)
        fast, plain = read(tables, table, "adbc"), read(tables, table, "copy_binary")
        fast.validate(full=True)
        assert comparable(fast) == comparable(batch)
        assert comparable(plain) == comparable(batch)
        assert fast.schema.equals(plain.schema, check_metadata=True)

    holds()


@pytest.mark.parametrize("table", ["scalars", "arrays"])
def test_a_table_copied_has_the_same_ddl(tables: PostgresClient, table: str) -> None:
    """A table that is read and loaded elsewhere has the same columns of the same types, enum and NOT NULL included."""
    tables.run(f'DROP TABLE IF EXISTS original; CREATE TABLE original (LIKE {table}, PRIMARY KEY ("row"))')
    source = PostgresSource(tables, tables=["original"])
    (stream,) = source.streams()
    destination = PostgresDestination(tables, schema=f"copied_{table}")
    with source.plan(stream, None) as plan, destination.begin("copy", stream, Mode.REPLACE) as load:
        load.commit([load.write(split.id, split.read()) for split in plan.splits], plan.position)
    declared = (
        "SELECT attname, replace(format_type(atttypid, atttypmod), %s, ''), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
    )
    original = tables.fetch(declared, ("", "original"))
    assert tables.fetch(declared, (f"copied_{table}.", f"copied_{table}.original")) == original


def test_the_schema_survives_parquet(tables: PostgresClient, tmp_path: Any) -> None:
    """What is read, written to Parquet and read from there still knows its PostgreSQL types."""
    import pyarrow.parquet as pq

    tables.run('INSERT INTO arrays ("row") VALUES (1)')
    table = read(tables, "arrays", "adbc")
    pq.write_table(table, tmp_path / "t.parquet")
    back = pq.read_table(tmp_path / "t.parquet")
    destination = PostgresDestination(tables, schema="from_parquet")
    with destination.begin("parquet", Stream("arrays"), Mode.APPEND) as load:
        load.commit([load.write("all", (Batch(batch) for batch in back.to_batches()))], None)
    (types,) = zip(
        *tables.fetch(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'from_parquet.arrays'::regclass AND attnum > 1 ORDER BY attnum"
        ),
        strict=True,
    )
    assert types[5] == "numeric(12,2)[]"
    assert types[-1] == "from_parquet.mood[]"


ARROW = {
    "int8": pa.array([-128, None], pa.int8()),
    "uint8": pa.array([255, None], pa.uint8()),
    "uint16": pa.array([65535, None], pa.uint16()),
    "uint32": pa.array([2**32 - 1, None], pa.uint32()),
    "uint64": pa.array([2**64 - 1, None], pa.uint64()),
    "half": pa.array(np.array([0.1, -0.0], np.float16)),
    "large": pa.array(["a", None], pa.large_string()),
    "view": pa.array(["a", None], pa.string_view()),
    "fixed": pa.array([b"\0\xff", None], pa.binary(2)),
    "words": pa.array(["x", None]).dictionary_encode(),
    "seconds": pa.array([0, None], pa.timestamp("s")),
    "nanoseconds": pa.array([1000, None], pa.timestamp("ns", "Asia/Tokyo")),
    "date64": pa.array([86_400_000, None], pa.date64()),
    "time32": pa.array([1, None], pa.time32("ms")),
    "decimal256": pa.array([Decimal("1.5"), None], pa.decimal256(60, 5)),
    "nothing": pa.nulls(2),
    "fixed_list": pa.array([[1, 2], None], pa.list_(pa.int64(), 2)),
    "large_list": pa.array([["x", None], None], pa.large_list(pa.large_string())),
}
EXPECTED = {
    "int8": ("smallint", -128),
    "uint8": ("smallint", 255),
    "uint16": ("integer", 65535),
    "uint32": ("bigint", 2**32 - 1),
    "uint64": ("numeric(20,0)", Decimal(2**64 - 1)),
    "half": ("real", 0.099975586),
    "large": ("text", "a"),
    "view": ("text", "a"),
    "fixed": ("bytea", b"\0\xff"),
    "words": ("text", "x"),
    "seconds": ("timestamp without time zone", datetime(1970, 1, 1)),  # noqa: DTZ001 -- it has none
    "nanoseconds": ("timestamp with time zone", datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)),
    "date64": ("date", datetime(1970, 1, 2, tzinfo=UTC).date()),
    "time32": ("time without time zone", datetime(1970, 1, 1, microsecond=1000).time()),  # noqa: DTZ001 -- same
    "decimal256": ("numeric(60,5)", Decimal("1.50000")),
    "nothing": ("text", None),
    "fixed_list": ("bigint[]", [1, 2]),
    "large_list": ("text[]", ["x", None]),
}


def test_arrow_types_without_a_postgres_type_get_one_that_holds_them(client: PostgresClient) -> None:
    """Columns that never were in PostgreSQL become columns that hold all their values."""
    batch = pa.RecordBatch.from_arrays(list(ARROW.values()), list(ARROW))
    with PostgresDestination(client).begin("arrow", Stream("t"), Mode.APPEND) as load:
        load.commit([load.write("all", iter([Batch(batch)]))], None)
    types = dict(
        client.fetch(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 't'::regclass AND attnum > 0"
        )
    )
    (row, _) = client.fetch('SELECT * FROM t ORDER BY "int8"')
    assert {name: (types[name], value) for name, value in zip(ARROW, row, strict=True)} == EXPECTED


def test_nested_values_become_jsonb_exactly(client: PostgresClient) -> None:
    """Structs and lists of them are jsonb with the same numbers, text, moments and NULLs."""
    lines = [
        {
            "sku": 'a"\\\n\x01é',
            "price": Decimal("12345678901234567890.10"),
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "n": [1],
        },
        {"sku": None, "price": None, "at": None, "n": []},
        None,
    ]
    type_ = pa.list_(
        pa.struct(
            {
                "sku": pa.string(),
                "price": pa.decimal128(38, 2),
                "at": pa.timestamp("us", "UTC"),
                "n": pa.list_(pa.int8()),
            }
        )
    )
    batch = pa.record_batch({"id": [1, 2, 3], "lines": pa.array([lines, [], None], type_)})
    with PostgresDestination(client).begin("nested", Stream("t"), Mode.APPEND) as load:
        load.commit([load.write("all", iter([Batch(batch.slice(0, 1)), Batch(batch.slice(1))]))], None)
    (first,), (second,), (third,) = client.fetch("SELECT lines::text FROM t ORDER BY id")
    told = json.loads(first, parse_float=Decimal)
    assert told[0] == {
        "sku": lines[0]["sku"],
        "price": lines[0]["price"],
        "at": "2026-01-02 00:00:00.000000Z",
        "n": [1],
    }
    assert told[1:] == [lines[1], None]
    assert (second, third) == ("[]", None)
