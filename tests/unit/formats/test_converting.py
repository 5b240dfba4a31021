"""Columns that follow the pages of an API, and records that do not fit."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, Incremental, NextLink, Resource
from de_classes.api.messages import Response
from de_classes.errors import ConfigurationError, InvalidAnswer, SchemaMismatch, ValueNotHeld
from de_classes.utils.quarantine import REJECTED
from de_classes.utils.retry import RetryPolicy
from de_classes.utils.schemas import is_within_floats

BIG = 2**53 + 1
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("price", pa.decimal128(6, 2))])


class Api:
    """A transport that answers pages of records, given as JSON text, one after the other."""

    def __init__(self, *pages: str) -> None:
        self.pages = pages

    def __call__(self, request: Any) -> Response:
        """Answer a page, and the link to the next one."""
        n = int(request.full_url().partition("p=")[2] or 0)
        link = f'"?p={n + 1}"' if n + 1 < len(self.pages) else "null"
        return Response(request, 200, {}, f'{{"items": [{self.pages[n]}], "next": {link}}}'.encode())


def _batches(*pages: str, since: Any = None, **options: Any) -> list[Any]:
    client = ApiClient("http://api.example", transport=Api(*pages), retry=RetryPolicy(attempts=1))
    source = ApiSource(client, [Resource("orders", "/orders", paging=NextLink(), **options)])
    with source.plan(source.streams()[0], since) as plan:
        return [batch for split in plan.splits for batch in split.read()]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2"], "int64"),
        (["1", "null", "1.5"], "double"),
        (["0.5", str(2**53)], "double"),
        (["1", str(BIG), str(2**63)], "decimal128(38, 0)"),
        (["null", "true", "false"], "bool"),
        (["null", '"2026-01-02T03:04:05Z"'], "string"),
        (["[]", "[null]", "[1]", "[0.5]"], "list<item: double>"),
        (['{"x": 1}', "null", '{"y": "z"}', "{}"], "struct<x: int64, y: string>"),
        (["{}", '{"x": [{"y": null}]}'], "struct<x: list<item: struct<y: null>>>"),
    ],
    ids=str,
)
def test_columns_grow_where_nothing_is_lost(values: list[str], kind: str) -> None:
    """A column takes the next wider type, page by page or at once, and fields that come later."""
    records = [f'{{"a": {value}}}' for value in values]
    apart, together = _batches(*records), _batches(", ".join(records))
    assert str(apart[-1].records.schema.field("a").type) == kind
    assert str(together[-1].records.schema.field("a").type) == kind
    assert [batch.records.num_rows for batch in apart] == [1] * len(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", '"x"'),
        (str(BIG), "0.5"),
        (str(2**64), "0.5"),
        ("1", "0.12345678901234567890"),
        ("1", "1e400"),
        ("1", str(10**38)),
        ("true", "1"),
        ("[1]", "1"),
        ("{}", "[]"),
        ('[{"x": 1}]', '[{"x": "y"}]'),
        ("1", "[" * 80 + "]" * 80),
    ],
)
def test_values_without_a_type_in_common_fail_in_either_order(one: str, other: str) -> None:
    """What no type holds without a loss is an error that names record, page, column and remedies, on whatever page."""
    for pages in ([one, other], [other, one]):
        texts = [f'{{"a": {text}}}' for text in pages]
        for given in (texts, [", ".join(texts)]):
            with pytest.raises(SchemaMismatch) as caught:
                _batches(*given)
            assert caught.value.table == "orders"
            assert caught.value.column.startswith("a")
            assert "http://api.example/orders" in str(caught.value)
            assert all(word in caught.value.remedy for word in ("types=", "schema=", "quarantine"))


def test_the_error_names_the_record_that_does_not_fit_those_before() -> None:
    """Records are taken in order, so the third is to blame."""
    with pytest.raises(SchemaMismatch, match=r"record 2 \(counted from 0\).*text \(string\) where the column is int"):
        _batches('{"a": 1}, {"a": 2}, {"a": "x"}, {"a": 3}')


def test_whole_numbers_that_could_become_floats_are_marked() -> None:
    """The mark is there as long as all values lie within what floats hold, in lists and objects as well."""
    first, second = _batches('{"a": 1, "b": [{"c": 1}]}', f'{{"a": {BIG}}}')
    inner = [batch.records.schema.field("b").type.value_type.field("c") for batch in (first, second)]
    assert [is_within_floats(batch.records.schema.field("a")) for batch in (first, second)] == [True, False]
    assert all(map(is_within_floats, inner))


def test_the_position_tells_the_columns() -> None:
    """Its words are those that a person knows, and its JSON is all that a later run needs."""
    page = f'{{"i": 1, "l": {BIG}, "d": {2**64}, "f": 0.5, "s": "x", "n": null, "o": {{"b": [true]}}}}'
    position = _batches(page, '{"i": 2}', timestamps=True)[0].position
    words = {"i": "int", "l": "int64", "d": "decimal", "f": "double", "s": "string", "n": "null", "o": {"b": ["bool"]}}
    assert position["columns"] == words
    rest = _batches(page, '{"i": 2}', since=json.loads(json.dumps(position)))
    assert [batch.records.to_pylist() for batch in rest] == [[dict.fromkeys(words) | {"i": 2}]]


def test_positions_of_an_earlier_release_are_read() -> None:
    """Whole numbers of which nothing else is known are of 64 bits."""
    since = {"watermark": 1, "columns": {"a": "int64", "x": "double"}}
    incremental = Incremental(field="a")
    (batch,) = _batches('{"a": 2}', since=since, incremental=incremental)
    assert not is_within_floats(batch.records.schema.field("a"))
    assert batch.position == {"watermark": 2, "columns": since["columns"]}
    with pytest.raises(SchemaMismatch):
        _batches('{"a": 2.5}', since=since, incremental=incremental)


@pytest.mark.parametrize(
    ("record", "path"),
    [('{"a": 1.5}', "a"), ('{"a": 1, "new": 1}', None), ('{"o": {"new": 1}}', "o"), (f'{{"a": {2**63}}}', "a")],
)
def test_frozen_columns_stay(record: str, path: str | None) -> None:
    """New fields and wider values do not fit; a column that was only null takes the type of what comes."""
    pages = ['{"a": 1, "o": {"x": null}, "n": null}', '{"n": {"y": 1}}', f'{{"a": {BIG}, "n": null}}', record]
    *before, last = _batches(*pages, schema_changes="freeze", misfits="quarantine")
    assert [str(batch.records.schema.field("n").type) for batch in before] == ["null", *["struct<y: int64>"] * 2]
    assert [batch.records.num_rows for batch in before] == [1, 1, 1]
    assert [(row["record"], row["path"]) for row in last.rejected.to_pylist()] == [(record, path)]
    with pytest.raises(SchemaMismatch):
        _batches(*pages, schema_changes="freeze")


def test_a_declared_schema_may_evolve() -> None:
    """New fields are inferred and added; declared columns keep their types, and the position tells the others."""
    pages = ['{"id": 1, "price": "1.50"}', '{"id": 2, "new": 1}', '{"id": 3, "new": 0.5}']
    first, second, third = _batches(*pages, schema=SCHEMA, schema_changes="evolve")
    assert first.records.schema == SCHEMA
    assert second.position["columns"] == {"id": "declared", "price": "declared", "new": "int"}
    assert third.records.to_pylist() == [{"id": 3, "price": None, "new": 0.5}]
    assert third.records.schema.field("id") == SCHEMA.field("id")
    rest = _batches(*pages, schema=SCHEMA, schema_changes="evolve", since=second.position)
    assert rest[0].records.equals(third.records)
    with pytest.raises(ConfigurationError, match="declared"):
        _batches(*pages, since=second.position)


def test_a_declared_schema_is_frozen_otherwise() -> None:
    """A field that is not declared is an error, or sets its record aside, or is left out."""
    page = '{"id": 1, "new": 1}, {"price": 1}, {"id": 2, "price": 1.005}, {"id": 3}'
    with pytest.raises(SchemaMismatch, match="record 0"):
        _batches(page, schema=SCHEMA)
    with pytest.raises(ValueNotHeld, match="record 1"):
        _batches(page, schema=SCHEMA, extra_fields="ignore")
    (batch,) = _batches(page, schema=SCHEMA, misfits="quarantine")
    assert batch.records.column("id").to_pylist() == [3]
    assert [(row["row"], row["path"]) for row in batch.rejected.to_pylist()] == [(0, None), (1, "id"), (2, "price")]


def test_some_columns_may_be_declared() -> None:
    """A type holds at its path, through lists, whatever the values are; the other columns are inferred."""
    types = {"at": pa.timestamp("ms", "UTC"), "mixed": pa.json_(), "lines.price": pa.decimal128(6, 2)}
    pages = [
        '{"id": 1, "lines": [{"price": 1.5, "n": 1}]}, {"mixed": [1, "x"]}, {"mixed": {"x": 1}}',
        '{"at": "2026-01-02T03:04:05Z", "mixed": 7, "lines": [{"price": "2.25", "n": 0.5}]}',
    ]
    first, second = _batches(*pages, types=types)
    assert first.position["columns"]["lines"] == [{"price": "declared", "n": "int"}]
    assert [row["mixed"] for row in first.records.to_pylist()] == [None, '[1,"x"]', '{"x":1}']
    assert second.records.to_pylist() == [
        {
            "id": None,
            "lines": [{"price": Decimal("2.25"), "n": 0.5}],
            "mixed": "7",
            "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        }
    ]
    (again,) = _batches(*pages, types=types, since=first.position)
    assert again.records.equals(second.records)
    with pytest.raises(ValueNotHeld, match=r"1\.005"):
        _batches('{"lines": [{"price": 1.005}]}', types=types)


def test_texts_become_timestamps_where_asked_and_all_of_them_are() -> None:
    """The first page with texts decides: a column of timestamps stays one, and others never become one."""
    pages = [
        '{"a": null, "b": null}',
        '{"a": "2026-01-02T03:04:05Z", "b": "2026-01-02T03:04:05Z"}, {"a": "2026-01-02 05:04+02:00", "b": "soon"}',
        '{"a": "2026-01-02T03:04:05.123456Z", "b": "x"}',
        '{"a": "soon"}',
    ]
    batches = _batches(*pages, timestamps=True, misfits="quarantine")
    assert [str(batch.records.schema.field("a").type) for batch in batches] == ["null", *["timestamp[us, tz=UTC]"] * 3]
    assert [str(batch.records.schema.field("b").type) for batch in batches] == ["null", *["string"] * 3]
    assert batches[2].records.column("a").to_pylist() == [datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)]
    assert batches[3].rejected.column("path").to_pylist() == ["a"]
    assert str(_batches(pages[1])[0].records.schema.field("a").type) == "string"


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05.1234567Z", "2026-02-30T03:04:05Z", "7", ""),
        *("0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00", "0000-01-01T00:00:00Z", "2026-01-02T03Z"),
    ],
)
def test_other_texts_become_no_timestamps(text: str) -> None:
    """A date, a local time, digits that would be lost, days that are none and years that few systems have are texts.

    In a column that has become one of timestamps they do not fit.
    """
    (batch,) = _batches(json.dumps({"a": text}), timestamps=True)
    assert batch.records.to_pylist() == [{"a": text}]
    settled = '{"a": "2026-01-02T03:04:05Z"}'
    with pytest.raises(SchemaMismatch, match="no timestamp of the years 1 to 9999"):
        _batches(settled, json.dumps({"a": text}), timestamps=True)


def test_records_without_a_key_are_set_aside() -> None:
    """Where misfits go to quarantine, a null or missing primary key is one; else the destination decides."""
    pages = ['{"id": 1, "v": "a"}', '{"id": null, "v": "b"}, {"id": 2, "v": "c"}, {"v": "d"}', '{"id": 3, "v": "e"}']
    batches = _batches(*pages, primary_key=("id",), misfits="quarantine")
    assert [batch.records["id"].to_pylist() for batch in batches] == [[1], [2], [3]]
    assert [batch.rejected and batch.rejected["row"].to_pylist() for batch in batches] == [None, [0, 2], None]
    kept = _batches(*pages, primary_key=("id",))
    assert kept[1].records["id"].to_pylist() == [None, 2, None]


def test_misfits_are_kept_as_they_came() -> None:
    """A rejected record has its very text, why and where it does not fit, the page, and its number in it."""
    (batch,) = _batches(
        '{"a": 1},{"a" :  "x"},7,{"a": {"b": 1}},{},{"a": 1e999999999999999999999},{"a": 2}', misfits="quarantine"
    )
    assert batch.records.to_pylist() == [{"a": 1}, {"a": 2}]
    assert batch.rejected.schema == REJECTED
    rows = batch.rejected.to_pylist()
    assert [row["record"] for row in rows] == [
        *('{"a" :  "x"}', "7", '{"a": {"b": 1}}', "{}", '{"a": 1e999999999999999999999}'),
    ]
    assert [row["path"] for row in rows] == ["a", None, "a", None, None]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["place"] for row in rows} == {"http://api.example/orders"}
    assert rows[0]["reason"] == "text (string) where the column is int"


def test_a_page_of_misfits_alone_has_no_columns() -> None:
    """Where nothing fits before any columns are known, the rejected records travel with the position."""
    first, second = _batches('7, "x"', '{"a": 1}', misfits="quarantine")
    assert (first.records.num_columns, first.rejected.num_rows) == (0, 2)
    assert "columns" not in first.position
    assert second.records.to_pylist() == [{"a": 1}]


def test_records_without_the_watermark_are_misfits() -> None:
    """They are set aside with the reason where misfits are, and all others move the watermark, rejected ones too."""
    incremental = Incremental(field="at")
    page = '{"a": 1, "at": 5}, {"a": 2}, {"a": "x", "at": 9}, {"a": 3, "at": "soon"}, 7'
    (batch,) = _batches(page, incremental=incremental, misfits="quarantine")
    assert batch.position["watermark"] == 9
    assert batch.records.to_pylist() == [{"a": 1, "at": 5}]
    assert [(row["row"], row["path"]) for row in batch.rejected.to_pylist()] == [
        (1, "at"),
        (2, "a"),
        (3, "at"),
        (4, "at"),
    ]
    with pytest.raises(InvalidAnswer, match="record 1"):
        _batches(page, incremental=incremental)


@pytest.mark.parametrize("schema", [None, pa.schema([("id", pa.int64()), *((f"c{n}", pa.int64()) for n in range(20))])])
def test_many_misfits_take_no_time(schema: pa.Schema | None) -> None:
    """The time for a page of 1,000 records, every other of which does not fit, grows with their number alone."""
    rest = ", ".join(f'"c{n}": 1' for n in range(20))
    records = ", ".join(f'{{"id": {n if n % 2 == 0 else "true"}, {rest}}}' for n in range(1000))
    began = time.process_time()
    (batch,) = _batches(records, schema=schema, misfits="quarantine")
    assert (batch.records.num_rows, batch.rejected.num_rows) == (500, 500)
    assert time.process_time() - began < 2  # generous: 0.3 where it was written


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"schema_changes": "grow"}, "schema_changes"),
        ({"misfits": "drop"}, "misfits"),
        ({"types": {"a": pa.json_()}, "schema": SCHEMA}, "types= and schema="),
        ({"types": {"a": pa.json_(), "a.b": pa.string()}}, "lies within"),
        ({"types": {"a": pa.binary()}}, "not read from JSON"),
        ({"extra_fields": "ignore"}, "would add"),
        ({"extra_fields": "ignore", "schema": SCHEMA, "schema_changes": "evolve"}, "would add"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any], told: str) -> None:
    """What cannot be is told before anything is read."""
    with pytest.raises(ConfigurationError, match=told):
        Resource("orders", "/orders", **options)
