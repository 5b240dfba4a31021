from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.formats.json_columns.arrow_json import ArrowJson
from de_classes.formats.json_columns.pages import Records
from de_classes.formats.records import RecordConverter
from de_classes.utils.schemas import within_floats

EXACT = msgspec.json.Decoder(float_hook=Decimal)
NAMES = ["a", "b", "ü", 'q"']
SCALARS = [
    pa.bool_(),
    pa.int8(),
    pa.int64(),
    pa.uint64(),
    pa.float64(),
    pa.string(),
    pa.null(),
    pa.decimal128(10, 2),
    pa.decimal128(38, 0),
    pa.decimal128(38, 10),
    pa.decimal128(38, 19),
    pa.decimal128(38, 38),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ms"),
    pa.date32(),
]
NUMBERS = [
    *(
        "0",
        "-0",
        "-0.0",
        "1",
        "-1",
        "1.0",
        "1e3",
        "1E+2",
        "1.5",
        "12.34",
        "12.345",
        "127",
        "128",
        "-129",
        "9007199254740993",
    ),
    *("9007199254740993.0", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e400", "-1e400"),
    *("1e-400", "0.1234567890123456789", "0.03639203761148579", "123456789012345678901234567890", "4.9e-324", "1e22"),
    *("1e-41", "1e-77", "0e-77", "906.5", "1e30", "-5.5e39", "123456789012345678901234567890123456789012345678"),
    *("1" * 39, "1" * 38, "1" * 29, "1" * 28, "1" * 20, "9" * 19, "1" * 15 + ".5", "0." + "0" * 24 + "5", "12e-09"),
    *("5e-324", "99999999.99", "100000000.00", "0.30000000000000004", "17976931348623157e292"),
]
TEXTS = [
    *("1" * 45, "906", "1e-41", "9" * 38, "0." + "0" * 45 + "5", "0.1" + "0" * 60),
    *("", "x", "1", "1.50", "-3.4", " 1", "1_0", "NaN", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
    *("2026-01-02T03:04:05.1234567Z", "2026-01-02T05:04:05.5+02:00", "2026-02-30", "😀", "\u0000", "\ud800", "\\n"),
]


def _structs(depth: int = 2) -> st.SearchStrategy[Any]:
    field = st.tuples(st.sampled_from(NAMES), _kinds(depth - 1), st.booleans())
    return st.lists(field, min_size=1, max_size=3, unique_by=lambda f: f[0]).map(
        lambda fields: pa.struct(
            [pa.field(name, kind, nullable=maybe or pa.types.is_null(kind)) for name, kind, maybe in fields]
        )
    )


def _kinds(depth: int) -> st.SearchStrategy[Any]:
    scalars = st.sampled_from(SCALARS)
    return scalars | _structs(depth) | _kinds(depth - 1).map(pa.list_) if depth else scalars


@st.composite
def _texts_of(draw: st.DrawFn, kind: Any) -> str:
    """JSON for a type: mostly what it takes, sometimes anything."""
    if draw(st.integers(0, 14)) == 0:
        return draw(st.sampled_from(["null", "{}", "[]", "true", *NUMBERS, *map(json.dumps, TEXTS)]))
    if pa.types.is_struct(kind):
        members = [f"{json.dumps(f.name)}: {draw(_texts_of(f.type))}" for f in kind if draw(st.integers(0, 9))]
        if draw(st.integers(0, 19)) == 0:
            members.append('"extra": 1')
        return "{" + ",\n ".join(draw(st.permutations(members))) + "}"
    if pa.types.is_list(kind):
        return f"[{', '.join(draw(st.lists(_texts_of(kind.value_type), max_size=3)))}]"
    return draw(st.sampled_from(_leaves_of(kind)))


def _leaves_of(kind: Any) -> list[str]:
    texts = list(map(json.dumps, TEXTS))
    if pa.types.is_boolean(kind):
        return ["true", "false", "null"]
    if pa.types.is_null(kind):
        return ["null"]
    if pa.types.is_decimal(kind):
        return [*NUMBERS, *texts]
    return texts if pa.types.is_string(kind) or pa.types.is_temporal(kind) else NUMBERS


@given(data=st.data(), ignore=st.booleans(), as_written=st.booleans())
def test_what_it_gives_is_what_the_converter_gives(data: st.DataObject, ignore: bool, as_written: bool) -> None:
    """Whenever Arrow's parser is trusted, the exact converter gives the same batch, bit for bit but for minus zero."""
    kind = data.draw(_structs())
    texts = [data.draw(_texts_of(kind)).encode() for _ in range(data.draw(st.integers(1, 4)))]
    schema = pa.schema(list(kind))
    batch = ArrowJson(schema, ignore_extra=ignore, as_written=as_written).read(Records(list(map(msgspec.Raw, texts))))
    if batch is None:
        return
    records = list(map(EXACT.decode, texts))
    wanted = RecordConverter("t", schema, "ignore" if ignore else "refuse").batch(records, "a page")
    batch.validate(full=True)
    assert batch.schema == wanted.schema
    assert batch.to_pylist() == wanted.to_pylist()
    assert not as_written or all(_is_as_written(record, kind) for record in records)


_DIGITS = st.integers(0, 45).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n) | st.just("9" * n))
_EXPONENTS = st.builds("{}{}{}".format, st.sampled_from(["e", "E"]), st.sampled_from(["", "+", "-", "-0"]), _DIGITS)


@given(
    number=st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        _DIGITS.map(lambda digits: digits.lstrip("0") or "0"),
        st.just("") | _DIGITS.filter(bool).map(".{}".format),
        st.just("") | _EXPONENTS.filter(lambda text: text[-1].isdigit() and len(text) < 6),
    ),
    scale=st.integers(0, 38),
    as_text=st.booleans(),
)
def test_a_decimal_is_the_very_number(number: str, scale: int, as_text: bool) -> None:
    """However many digits a number has, before or behind the point: if it is read, it is that number."""
    told = json.dumps(number) if as_text else number
    batch = _read(pa.schema([("x", pa.decimal128(38, scale))]), f'{{"x": {told}}}')
    assert batch is None or batch.to_pylist() == [{"x": Decimal(number)}]


def _is_as_written(value: Any, kind: Any) -> bool:
    """Whether floats give back what is written, and decimals of 38 digits are written as whole numbers."""
    if pa.types.is_struct(kind) and value is not None:
        return all(_is_as_written(value.get(field.name), field.type) for field in kind)
    if pa.types.is_list(kind):
        return all(_is_as_written(item, kind.value_type) for item in value or ())
    if pa.types.is_float64(kind) and type(value) is Decimal:
        return Decimal(repr(float(value))) == value
    return kind != pa.decimal128(38, 0) or type(value) in {int, type(None)}


def _read(schema: pa.Schema, *records: str, as_written: bool = False) -> pa.RecordBatch | None:
    page = Records([msgspec.Raw(record.encode()) for record in records])
    return ArrowJson(schema, ignore_extra=False, as_written=as_written).read(page)


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (pa.int64(), "7", 7),
        (pa.float64(), "0.1", 0.1),
        (pa.decimal128(10, 2), "1.5", Decimal("1.50")),
        (pa.decimal128(10, 2), '"1.5"', Decimal("1.50")),
        (pa.decimal128(38, 0), "9" * 38, Decimal("9" * 38)),
        (pa.decimal128(38, 10), f"{'9' * 14}.{'9' * 10}", Decimal(f"{'9' * 14}.{'9' * 10}")),
        (pa.decimal128(38, 19), "9" * 19, Decimal("9" * 19)),
        (pa.decimal128(10, 2), "125e-2", Decimal("1.25")),
        (pa.list_(pa.struct([("a", pa.string())])), '[{"a": "x"}, {}]', [{"a": "x"}, {"a": None}]),
    ],
    ids=str,
)
def test_usual_values_are_read(kind: Any, value: str, held: Any) -> None:
    """Pages as APIs give them go the fast way."""
    batch = _read(pa.schema([("x", kind)]), f'{{"x": {value}}}', '{"x": null}')
    assert batch is not None
    assert batch.to_pylist() == [{"x": held}, {"x": None}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.float64(), "9007199254740993"),
        (pa.float64(), "1e400"),
        (pa.int64(), "1.0"),
        (pa.int64(), "9223372036854775808"),
        (pa.uuid(), '"00000000-0000-0000-0000-000000000007"'),
        (pa.decimal128(10, 2), "1.005"),
        (pa.decimal128(10, 2), '"1\\u0065-41"'),
        (pa.decimal128(38, 20), "1"),
        (pa.decimal128(5, -2), "100"),
        (pa.string(), "1"),
        (pa.string(), '"\\ud800"'),
    ],
    ids=str,
)
def test_what_is_not_certain_is_left_to_the_converter(kind: Any, value: str) -> None:
    """Anything that could be changed, and any type that is read otherwise, goes the exact way."""
    assert _read(pa.schema([("x", kind)]), f'{{"x": {value}}}') is None


def test_more_digits_than_a_float_has_are_left_to_the_converter() -> None:
    """Where floats must hold the number as it is written, 18 digits are not taken for certain; 17 are."""
    schema = pa.schema([("x", pa.float64())])
    assert _read(schema, '{"x": 0.123456789012345678}', as_written=True) is None
    assert _read(schema, '{"x": 0.03639203761148579}', as_written=True) is not None


@pytest.mark.parametrize("value", ["1.0", "1e3", '"7"', '"1.5"'])
@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.list_(pa.struct([("y", pa.decimal128(38, 0))]))], ids=str)
def test_whole_numbers_that_nobody_declared_are_written_as_such(kind: Any, value: str) -> None:
    """A decimal that was inferred takes whole numbers alone: fractions would make it another column, texts none."""
    nested = pa.types.is_list(kind)

    def read(value: str) -> pa.RecordBatch | None:
        value = f'[{{"y": {value}}}, {{}}, null]' if nested else value
        return _read(pa.schema([("x", kind)]), f'{{"x": {value}}}', '{"x": null}', "{}", as_written=True)

    assert read("123456789012345678901234567890") is not None
    assert read(value) is None


def test_whole_numbers_under_a_name_with_quotes_are_left_to_the_converter() -> None:
    """Where it cannot be seen how numbers are written, nothing is certain."""
    assert _read(pa.schema([('q"', pa.decimal128(38, 0))]), '{"q\\"": 7}', as_written=True) is None


def test_whole_numbers_beyond_floats_are_left_to_the_converter_where_none_were() -> None:
    """A column that is marked as within floats takes 2 ** 53 and its negative, and nothing beyond."""
    schema = pa.schema([within_floats(pa.field("x", pa.int64()))])
    assert _read(schema, f'{{"x": {2**53}}}', f'{{"x": -{2**53}}}', '{"x": null}') is not None
    for value in (2**53 + 1, -(2**53) - 1, -(2**63)):
        assert _read(schema, f'{{"x": {value}}}', '{"x": 0}') is None


def test_bytes_that_are_no_text_are_left_to_the_converter() -> None:
    """Arrow's parser would let bytes through that are no UTF-8."""
    records = Records([msgspec.Raw(b'{"x": "\xff"}')])
    assert ArrowJson(pa.schema([("x", pa.string())]), ignore_extra=False, as_written=False).read(records) is None


@pytest.mark.parametrize("record", ["null", "1", "[]", '"x"', "true"])
def test_records_that_are_no_objects_never_get_to_the_parser(record: str) -> None:
    """A null in the place of a record would end the process there."""
    schema = pa.schema([("x", pa.int64())])
    assert _read(schema, record) is None
    assert _read(schema, '{"x": 1}', record, '{"x": 2}') is None


@pytest.mark.parametrize(
    "record",
    ['{"x": 1, "x": 2}', '{"x": 1, "\\u0078": 2}', '{"x": 1} {"x": 2}', '{"x": 1', '{"x": 1}}', "{} {}", '{"x": [1}]'],
)
def test_names_given_twice_and_broken_texts_are_left_to_the_converter(record: str) -> None:
    """Which of two values counts, and what is no JSON, is not for Arrow's parser to say."""
    assert _read(pa.schema([("x", pa.int64())]), record) is None


def test_any_depth_is_borne_in_fields_that_are_left_out() -> None:
    """Nesting that nobody reads takes no stack."""
    lists, objects = "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000
    page = Records([msgspec.Raw(f'{{"x": 1, "y": {lists}, "z": {objects}}}'.encode())])
    batch = ArrowJson(pa.schema([("x", pa.int64())]), ignore_extra=True, as_written=False).read(page)
    assert batch is not None
    assert batch.to_pylist() == [{"x": 1}]


def test_a_schema_with_a_name_twice_is_left_to_the_converter() -> None:
    """Arrow's parser knows columns by their names."""
    assert _read(pa.schema([("x", pa.int64()), ("x", pa.string())]), '{"x": 1}') is None
