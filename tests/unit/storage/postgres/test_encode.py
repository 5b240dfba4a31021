from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ValueNotHeld
from de_classes.storage.postgres.encode import CsvEncoder

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def refuse(column: str) -> Callable[[int, str], ValueNotHeld]:
    return lambda at, what: ValueNotHeld("t", f"{column} {what}", row=at)


def encoded(array: pa.Array[Any]) -> str:
    return CsvEncoder().encode(pa.RecordBatch.from_arrays([array], ["x"]), refuse).decode()


def reference(value: Any) -> str:
    """What COPY reads as the value, the plain way: one field of CSV."""
    if value is None:
        return "\n"
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"\n'
    if isinstance(value, bytes):
        return f'"\\x{value.hex()}"\n'
    if isinstance(value, list):
        return reference("{" + ",".join(element(one) for one in value) + "}")
    return f"{value}\n"


def element(value: Any) -> str:
    """What an array literal has for a value."""
    if value is None:
        return "NULL"
    if isinstance(value, str | bytes):
        told = value if isinstance(value, str) else f"\\x{value.hex()}"
        return '"' + told.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


VALUES = {
    pa.string(): text,
    pa.binary(): st.binary(max_size=12),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.decimal128(9, 2): st.integers(-(10**9) + 1, 10**9 - 1).map(
        lambda n: Decimal(n).scaleb(-2).quantize(Decimal("0.01"))
    ),
}


@pytest.mark.parametrize("type_", VALUES)
@given(data=st.data(), skipped=st.integers(0, 3))
def test_values_are_written_as_the_plain_way_writes_them(type_: pa.DataType, data: st.DataObject, skipped: int) -> None:
    """Whole columns, slices of them, and lists become the text that one value after the other becomes."""
    values = data.draw(st.lists(st.none() | VALUES[type_], max_size=8))
    lists = data.draw(st.lists(st.none() | st.lists(st.none() | VALUES[type_], max_size=3), max_size=6))
    assert encoded(pa.array(values, type_).slice(skipped)) == "".join(map(reference, values[skipped:]))
    assert encoded(pa.array(lists, pa.list_(type_)).slice(skipped)) == "".join(map(reference, lists[skipped:]))


@given(st.lists(st.none() | st.dates(), max_size=8), st.lists(st.none() | st.datetimes(), max_size=8))
def test_moments_of_four_digit_years_are_iso(days: list[date | None], moments: list[datetime | None]) -> None:
    """Dates and moments are written as everybody reads them."""
    told = [field.strip('"') for field in encoded(pa.array(days, pa.date32())).splitlines()]
    assert told == ["" if day is None else day.isoformat() for day in days]
    told = [field.strip('"') for field in encoded(pa.array(moments, pa.timestamp("us"))).splitlines()]
    assert told == ["" if one is None else one.isoformat(" ", "microseconds") for one in moments]


@given(st.integers(-700_000, 20_000_000), st.integers(0, 86_399_999_999))
def test_far_moments_are_the_near_ones_shifted(days: int, microseconds: int) -> None:
    """400 years are always as many days: a far day is a near one with another year."""
    near_days = days % 146_097
    near = datetime(2000, 3, 1, tzinfo=UTC) + timedelta(days=near_days, microseconds=microseconds)
    year = near.year + (days - near_days) // 146_097 * 400
    from_1970 = days + 11_017
    far = pa.array([from_1970 * 86_400_000_000 + microseconds, 0], pa.int64()).view(pa.timestamp("us"))
    era = " BC" if year < 1 else ""
    expected = f"{year if year > 0 else 1 - year:04}-{near:%m-%d %H:%M:%S.%f}{era}"
    assert encoded(far).splitlines()[0].strip('"') == expected


nested = st.fixed_dictionaries({"a": st.none() | text, "b": st.none() | st.lists(st.integers(-9, 9), max_size=2)})


@given(st.lists(st.none() | st.lists(st.none() | nested, max_size=3), max_size=5), st.integers(0, 2))
def test_nested_values_are_the_json_of_python(rows: list[Any], skipped: int) -> None:
    """Structs and lists, with NULLs anywhere, say in JSON what they are."""
    type_ = pa.list_(pa.struct({"a": pa.string(), "b": pa.list_(pa.int8())}))
    batch = pa.RecordBatch.from_arrays([pa.array(rows, type_).slice(skipped)], ["x"])
    fields = _fields(CsvEncoder().encode(batch, refuse).decode())
    assert [None if field is None else json.loads(field) for field in fields] == rows[skipped:]


def _fields(text: str) -> list[str | None]:
    """Take CSV of one column apart: a field is empty, or stands in quotes with quotes doubled."""
    fields: list[str | None] = []
    while text:
        if text[0] == "\n":
            fields.append(None)
            text = text[1:]
            continue
        end = 1
        while text[end] != '"' or text[end + 1] == '"':
            end += 2 if text[end] == '"' else 1
        fields.append(text[1:end].replace('""', '"'))
        text = text[end + 2 :]
    return fields


def test_nul_outside_of_a_slice_does_no_harm() -> None:
    """Only what the column shows is looked at."""
    array = pa.array(["\0", "fine", "\0"])
    assert encoded(array.slice(1, 1)) == '"fine"\n'
    with pytest.raises(ValueNotHeld) as told:
        encoded(array.slice(1))
    assert told.value.row == 1


def test_objects_without_fields_are_json_too() -> None:
    """An empty object is `{}`, a missing one NULL, in columns, in lists and in other objects."""
    nothing = pa.struct([])
    batch = pa.record_batch(
        {
            "o": pa.array([{}, None, {}], nothing),
            "l": pa.array([[{}, None], None, []], pa.list_(nothing)),
            "s": pa.array([{"o": {}}, {"o": None}, None], pa.struct({"o": nothing})),
        }
    )
    text = CsvEncoder().encode(batch, refuse).decode()
    fields = [next(csv.reader([line])) for line in text.splitlines()]
    assert fields == [["{}", "[{},null]", '{"o":{}}'], ["", "", '{"o":null}'], ["{}", "[]", ""]]
