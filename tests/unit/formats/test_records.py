from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, SchemaMismatch, ValueNotHeld
from de_classes.formats.records import RecordConverter, infer_schema

WHERE = "http://api.example/x"
DECODER = msgspec.json.Decoder(float_hook=Decimal)


def _column(arrow: Any, json: str, *, nullable: bool = True) -> list[Any]:
    """The values of one column, read from a JSON array of the column's values."""
    schema = pa.schema([pa.field("x", arrow, nullable=nullable)])
    records = [{"x": value} for value in DECODER.decode(json)]
    batch = RecordConverter("t", schema).batch(records, WHERE)
    batch.validate(full=True)
    assert batch.schema == schema
    values: list[Any] = batch.column(0).to_pylist()
    return values


@pytest.mark.parametrize(
    ("arrow", "json", "values"),
    [
        (pa.bool_(), "[true, false, null]", [True, False, None]),
        (pa.int8(), "[-128, 127, null]", [-128, 127, None]),
        (pa.int64(), "[9223372036854775807, 1.0, 1e3]", [2**63 - 1, 1, 1000]),
        (pa.uint64(), "[18446744073709551615]", [2**64 - 1]),
        (pa.float64(), "[0.1, 1, -2.5e-10, null]", [0.1, 1.0, -2.5e-10, None]),
        (pa.float32(), "[0.5, 3]", [0.5, 3.0]),
        (
            pa.decimal128(10, 2),
            '[1.10, 2, "3.4", null, 1e2]',
            [Decimal(t) for t in ("1.10", "2.00", "3.40")] + [None, 100],
        ),
        (pa.decimal128(38, 0), "[12345678901234567890123456789012345678]", [12345678901234567890123456789012345678]),
        (pa.decimal256(60, 30), "[0.000000000000000000000000000001, 5]", [Decimal("1e-30"), Decimal(5)]),
        (pa.string(), '["", "\\u0000", "😀\\n\\"", null]', ["", "\0", '😀\n"', None]),
        (pa.large_string(), '["a"]', ["a"]),
        (
            pa.timestamp("us", "UTC"),
            '["2026-01-02T03:04:05.000001Z", "2026-01-02T05:04:05+02:00", null]',
            [datetime(2026, 1, 2, 3, 4, 5, 1, UTC), datetime(2026, 1, 2, 3, 4, 5, 0, UTC), None],
        ),
        (pa.timestamp("us"), '["2026-01-02T03:04:05.5"]', [datetime(2026, 1, 2, 3, 4, 5, 500000)]),  # noqa: DTZ001 -- meant
        (pa.date32(), '["2024-02-29", null]', [date(2024, 2, 29), None]),
        (pa.time64("us"), '["23:59:59.999999", null]', [time(23, 59, 59, 999999), None]),
        (pa.null(), "[null]", [None]),
        (pa.uuid(), f'["{uuid.UUID(int=7)}", null]', [uuid.UUID(int=7), None]),
        (pa.list_(pa.int64()), "[[1, 2], [], null, [null]]", [[1, 2], [], None, [None]]),
        (pa.large_list(pa.string()), '[["a"], null]', [["a"], None]),
        (pa.list_(pa.list_(pa.bool_())), "[[[true], null, []], null]", [[[True], None, []], None]),
        (pa.map_(pa.string(), pa.int64()), '[{"a": 1, "b": null}, {}, null]', [[("a", 1), ("b", None)], [], None]),
        (
            pa.struct([pa.field("a", pa.int64()), pa.field("b", pa.struct([pa.field("c", pa.string())]))]),
            '[{"a": 1, "b": {"c": "x"}}, {"a": 2}, {"b": null}, null, {}]',
            [
                {"a": 1, "b": {"c": "x"}},
                {"a": 2, "b": None},
                {"a": None, "b": None},
                None,
                {"a": None, "b": None},
            ],
        ),
        (
            pa.struct([pa.field("a", pa.int64(), nullable=False)]),
            '[null, {"a": 1}]',
            [None, {"a": 1}],
        ),
    ],
)
def test_holds_values_exactly(arrow: Any, json: str, values: list[Any]) -> None:
    """Each declared type holds what JSON says, null and missing included."""
    assert _column(arrow, json) == values


def test_keeps_json_as_json() -> None:
    """A json column takes anything, and keeps numbers as they are written."""
    assert _column(pa.json_(), '[{"a": [1.10, null]}, "x", 5, null]') == ['{"a":[1.10,null]}', '"x"', "5", None]


@pytest.mark.parametrize(
    ("arrow", "json"),
    [
        (pa.bool_(), "[1]"),
        (pa.int8(), "[128]"),
        (pa.int64(), "[9223372036854775808]"),
        (pa.int64(), "[1.5]"),
        (pa.int64(), "[1e999999]"),
        (pa.int64(), "[true]"),
        (pa.int64(), '["1"]'),
        (pa.uint8(), "[-1]"),
        (pa.float64(), "[1e400]"),
        (pa.float64(), "[9007199254740993]"),
        (pa.float32(), "[1e39]"),
        (pa.float32(), "[16777217]"),
        (pa.float16(), "[2049]"),
        (pa.float64(), '["1.5"]'),
        (pa.decimal128(10, 2), "[1.005]"),
        (pa.decimal128(3, 2), "[10]"),
        (pa.decimal128(10, 2), "[1e999999]"),
        (pa.decimal128(10, 2), '["NaN"]'),
        (pa.decimal128(10, 2), '["1_0"]'),
        (pa.decimal128(10, 2), '[" 1"]'),
        (pa.decimal128(10, 2), "[true]"),
        (pa.string(), "[1]"),
        (pa.timestamp("us", "UTC"), '["2026-01-02T03:04:05"]'),
        (pa.timestamp("us", "UTC"), '["2026-01-02T03:04:05.1234567Z"]'),
        (pa.timestamp("us", "UTC"), '["2026-02-30T00:00:00Z"]'),
        (pa.timestamp("us", "UTC"), "[1767225600]"),
        (pa.timestamp("us"), '["2026-01-02T03:04:05Z"]'),
        (pa.timestamp("ns", "UTC"), '["9999-01-01T00:00:00Z"]'),
        (pa.date32(), '["2026-01-02T00:00:00"]'),
        (pa.time64("us"), '["25:00:00"]'),
        (pa.time64("us"), '["03:04:05.1234567"]'),
        (pa.uuid(), '["nonsense"]'),
        (pa.null(), "[1]"),
        (pa.list_(pa.int64()), "[1]"),
        (pa.list_(pa.int64()), '[{"a": 1}]'),
        (pa.list_(pa.field("item", pa.int64(), nullable=False)), "[[1, null]]"),
        (pa.struct([pa.field("a", pa.int64())]), "[[1]]"),
        (pa.struct([pa.field("a", pa.int64(), nullable=False)]), '[{"a": 1}, {}]'),
        (pa.struct([pa.field("a", pa.int64())]), '[{"a": "x"}]'),
        (pa.map_(pa.string(), pa.int64()), '[{"a": "x"}]'),
    ],
)
def test_refuses_what_a_type_cannot_hold(arrow: Any, json: str) -> None:
    """A value that would have to be changed is refused, with table, column and row."""
    json = f"{json[:-1]}]" if json.startswith("[null") else f"[null, null, {json[1:]}"
    with pytest.raises(ValueNotHeld) as caught:
        _column(arrow, json)
    assert caught.value.table == "t"
    assert caught.value.column.startswith("x")
    assert caught.value.row == len(DECODER.decode(json)) - 1
    assert WHERE in str(caught.value)


def test_a_missing_value_where_one_must_be_is_refused() -> None:
    """null, and a missing name, do not fit a column that may not be null."""
    converter = RecordConverter("t", pa.schema([pa.field("x", pa.int64(), nullable=False)]))
    for record in ({"x": None}, {}):
        with pytest.raises(ValueNotHeld, match="missing or null") as caught:
            converter.batch([{"x": 1}, record], WHERE)
        assert caught.value.row == 1


def test_names_where_in_a_nested_record() -> None:
    """The path leads to the nested value, and the value is shown."""
    lines = pa.list_(pa.struct([pa.field("price", pa.decimal128(6, 2))]))
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("lines", lines)])
    records = DECODER.decode('[{"id": 1, "lines": [{"price": 1.5}]}, {"id": 2, "lines": [{"price": 1.005}]}]')
    with pytest.raises(ValueNotHeld) as caught:
        RecordConverter("orders", schema).batch(records, WHERE)
    assert (caught.value.column, caught.value.row) == ("lines.price", 1)
    assert "1.005" in str(caught.value)


@pytest.mark.parametrize("record", [{"a": 1, "b": 2}, {"b": 2}, {"a": 1, "\u0000": 1}])
def test_undeclared_fields_are_refused_or_ignored(record: dict[str, int]) -> None:
    """A field that is not declared is an error that names it, unless such fields are to be left out."""
    schema = pa.schema([pa.field("a", pa.int64())])
    with pytest.raises(SchemaMismatch, match="not declared") as caught:
        RecordConverter("t", schema).batch([{"a": 0}, record], WHERE)
    assert caught.value.row == 1
    batch = RecordConverter("t", schema, "ignore").batch([{"a": 0}, record], WHERE)
    assert batch.column(0).to_pylist() == [0, record.get("a")]


def test_undeclared_nested_fields_are_refused_or_ignored() -> None:
    """The same holds within objects."""
    schema = pa.schema([pa.field("a", pa.struct([pa.field("b", pa.int64())]))])
    records = [{"a": {"b": 1, "c": 2}}, {"a": None}]
    with pytest.raises(SchemaMismatch, match="'c'") as caught:
        RecordConverter("t", schema).batch(records, WHERE)
    assert caught.value.column == "a"
    assert RecordConverter("t", schema, "ignore").batch(records, WHERE).to_pylist() == [{"a": {"b": 1}}, {"a": None}]


@pytest.mark.parametrize("record", [None, 1, [1], "x"])
def test_a_record_that_is_no_object_is_refused(record: Any) -> None:
    """A list of anything but objects is no table."""
    with pytest.raises(SchemaMismatch, match="not an object"):
        RecordConverter("t", pa.schema([pa.field("a", pa.int64())])).batch([{"a": 1}, record], WHERE)
    with pytest.raises(SchemaMismatch):
        infer_schema("t", [{"a": 1}, record] if record is not None else [record], WHERE)


def test_no_records_make_an_empty_batch() -> None:
    """An empty page has the declared columns, extension types included."""
    schema = pa.schema([("a", pa.uuid()), ("b", pa.list_(pa.struct([("c", pa.json_())])))])
    batch = RecordConverter("t", schema).batch([], WHERE)
    assert (batch.num_rows, batch.schema) == (0, schema)


@pytest.mark.parametrize(
    "arrow", [pa.binary(), pa.duration("us"), pa.list_(pa.binary()), pa.struct([("a", pa.date64())])]
)
def test_types_without_json_values_are_refused(arrow: Any) -> None:
    """A type that no JSON value stands for is the user's mistake, before anything is read."""
    with pytest.raises(ConfigurationError, match="not read from JSON"):
        RecordConverter("t", pa.schema([pa.field("x", arrow)]))


NAMES = st.sampled_from(["id", "ünï", "a b", "c"])
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.decimal128(20, 4): st.decimals(-(10**15), 10**15, places=4),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
}


@st.composite
def _types(draw: st.DrawFn, depth: int = 3) -> Any:
    kind = draw(st.sampled_from(["leaf", "struct", "list"])) if depth else "leaf"
    if kind == "list":
        return pa.list_(draw(_types(depth=depth - 1)))
    if kind == "struct":
        names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        return pa.struct([pa.field(name, draw(_types(depth=depth - 1))) for name in names])
    return draw(st.sampled_from(list(LEAVES)))


def _values(arrow: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_list(arrow):
        return st.none() | st.lists(_values(arrow.value_type), max_size=3)
    if pa.types.is_struct(arrow):
        return st.none() | st.fixed_dictionaries({field.name: _values(field.type) for field in arrow})
    return st.none() | LEAVES[arrow]


@given(data=st.data())
def test_any_nesting_comes_back_as_it_was(data: st.DataObject) -> None:
    """Any values of any nested type, written as JSON and read back, are the same values."""
    names = data.draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    schema = pa.schema([pa.field(name, data.draw(_types())) for name in names])
    record = st.fixed_dictionaries({field.name: _values(field.type) for field in schema})
    records = data.draw(st.lists(record, min_size=1, max_size=5))
    encoded = msgspec.json.Encoder(decimal_format="number").encode(records)
    batch = RecordConverter("t", schema).batch(DECODER.decode(encoded), WHERE)
    batch.validate(full=True)
    assert batch.to_pylist() == records


def test_infers_a_schema_in_the_order_of_the_names() -> None:
    """A page shows bool, int64, float64, string, list, struct and null columns."""
    records = DECODER.decode('[{"i": 1, "f": 1}, {"f": 2.5, "s": "x", "l": [{"b": true}, {"n": null}]}]')
    line = pa.struct([("b", pa.bool_()), ("n", pa.null())])
    expected = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("l", pa.list_(line))])
    assert infer_schema("t", records, WHERE) == expected


@pytest.mark.parametrize("json", ['[{"a": 1}, {"a": "x"}]', '[{"a": [1, "x"]}]', '[{"a": {}}, {"a": []}]'])
def test_columns_of_several_kinds_are_not_inferred(json: str) -> None:
    """Where a column has values of several kinds, the user is asked to declare it."""
    with pytest.raises(SchemaMismatch, match="several kinds") as caught:
        infer_schema("t", DECODER.decode(json), WHERE)
    assert "schema=" in caught.value.remedy


def test_an_inferred_float_holds_the_number_as_written() -> None:
    """A number with more digits than a float holds is not rounded because nobody declared it."""
    with pytest.raises(SchemaMismatch, match="more digits") as caught:
        infer_schema("t", DECODER.decode('[{"a": 0.1}, {"a": 0.12345678901234567890}]'), WHERE)
    assert "schema=" in caught.value.remedy
