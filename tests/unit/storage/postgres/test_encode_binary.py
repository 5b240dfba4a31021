from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from de_classes.errors import ValueNotHeld
from de_classes.storage.postgres.copy_binary import decode, tuples
from de_classes.storage.postgres.encode_binary import BinaryEncoder
from de_classes.storage.postgres.types import PgType

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def refuse(column: str) -> Callable[[int, str], ValueNotHeld]:
    return lambda at, what: ValueNotHeld("t", f"{column} {what}", row=at)


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**digits - 1
    return st.integers(-most, most).map(lambda units: Decimal(f"{units}E-{scale}"))


def micros(moment: datetime) -> int:
    return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def same(value: Any) -> Any:
    return value


number = st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{0,9})?", fullmatch=True, alphabet="-.0123456789")
FORMS: list[tuple[str, Any, st.SearchStrategy[Any], Callable[[Any], Any]]] = [
    ("smallint", pa.int8(), st.integers(-(2**7), 2**7 - 1), same),
    ("smallint", pa.uint64(), st.integers(0, 2**15 - 1), same),
    ("bigint", pa.int64(), st.integers(-(2**63), 2**63 - 1), same),
    ("real", pa.float32(), st.floats(width=32, allow_nan=False), same),
    ("double precision", pa.float64(), st.floats(allow_nan=False), same),
    ("boolean", pa.bool_(), st.booleans(), same),
    ("text", pa.string(), text, same),
    ("jsonb", pa.string(), text, same),
    ("jsonb", pa.struct([("a", pa.int8())]), st.fixed_dictionaries({"a": st.integers(0, 9)}),
     lambda value: json.dumps(value, separators=(",", ":"))),
    ("bytea", pa.binary(), st.binary(max_size=12), same),
    ("uuid", pa.string(), st.uuids().map(str), same),
    ("date", pa.date32(), st.dates(), lambda day: (day - date(1970, 1, 1)).days),
    ("timestamptz", pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC)), micros),
    ("timestamp", pa.timestamp("us"), st.datetimes(), micros),
    ("time", pa.time64("us"), st.times(), lambda at: micros(datetime.combine(date(1970, 1, 1), at))),
    ("numeric(9,2)", pa.decimal128(9, 2), decimals(9, 2), same),
    ("numeric(18,5)", pa.decimal128(18, 5), decimals(18, 5), same),
    ("numeric(30,10)", pa.decimal128(30, 10), decimals(30, 10), same),
    ("numeric", pa.string(), number, lambda told: f"{Decimal(told):f}" if Decimal(told) else None),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
@pytest.mark.parametrize("lists", [False, True], ids=["plain", "lists"])
def test_the_reference_reads_what_was_given(form: tuple[Any, ...], lists: bool) -> None:
    """Every value comes out of the bytes as it went in, NULL is NULL, lists keep theirs, also in a slice."""
    name, kind, values, told = form
    element = PgType.parse(name)
    assert element is not None
    type_ = PgType.parse(f"{name}[]") if lists else element
    assert type_ is not None
    kind, drawn = (pa.list_(kind), st.lists(st.none() | values, max_size=3)) if lists else (kind, values)

    def known(value: Any) -> Any:
        if isinstance(value, list):
            return [known(one) for one in value]
        return None if value is None else told(value)

    def plain(value: Any) -> Any:
        """Whether zero came with a minus is not kept."""
        if isinstance(value, list):
            return [plain(one) for one in value]
        return None if name == "numeric" and value is not None and not Decimal(value) else value

    @given(st.lists(st.none() | drawn, max_size=8), st.integers(0, 2))
    def come_back(given_values: list[Any], skipped: int) -> None:
        array = pa.array(given_values, kind).slice(skipped)
        records = pa.RecordBatch.from_arrays([array, pa.array(range(len(array)), pa.int32())], ["x", "n"])
        encoder = BinaryEncoder.fitting([type_, PgType("integer")], records)
        assert encoder is not None
        stream = encoder.header + encoder.encode(records, refuse) + b"\xff\xff"
        rows = [
            [None if x is None else decode(x, type_), decode(n or b"", PgType("integer"))] for x, n in tuples([stream])
        ]
        assert [[plain(x), n] for x, n in rows] == [[known(x), n] for n, x in enumerate(given_values[skipped:])]

    come_back()


@pytest.mark.parametrize("number", [2**15, 2**63])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    """An integer that the column is too narrow for is told with its row, whatever type it comes in."""
    records = pa.RecordBatch.from_arrays([pa.array([2**15 - 1, None, number], pa.uint64())], ["x"])
    with pytest.raises(ValueNotHeld, match="out of range") as raised:
        BinaryEncoder([PgType("smallint")]).encode(records, refuse)
    assert raised.value.row == 2


@given(st.text(st.sampled_from(" 0123456789.+-eE"), max_size=12))
def test_numbers_of_any_spelling_are_those_that_python_reads(spelled: str) -> None:
    """Exponents, signs and blanks as PostgreSQL takes them; what is no number is refused with its row."""
    told = spelled.strip()
    try:
        number = Decimal(told)
    except ArithmeticError:
        number = None
    records = pa.RecordBatch.from_arrays([pa.array(["1", None, spelled])], ["x"])
    encoder = BinaryEncoder([PgType("numeric")])
    assume(number is None or abs(number.adjusted()) < 4000)  # Python writes no longer integers
    if number is None:
        with pytest.raises(ValueNotHeld) as raised:
            encoder.encode(records, refuse)
        assert raised.value.row == 2
        return
    *_, last = tuples([encoder.header + encoder.encode(records, refuse) + b"\xff\xff"])
    assert Decimal(str(decode(last[0] or b"", PgType("numeric")))) == number


@pytest.mark.parametrize(
    ("spelled", "usual"),
    [
        ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", True),
        ("{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", True),
        ("a0eebc999c0b4ef8bb6d6bb9bd380a11", True),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", False),
        ("a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11", False),
        ("", False),
    ],
)
def test_uuids_are_taken_in_the_spellings_of_postgresql(spelled: str, usual: bool) -> None:
    """Capitals, braces and dashes after any four digits; anything else is refused with its row."""
    ids = pa.array([str(uuid.UUID(int=1)), None, spelled])
    encoder, records = BinaryEncoder([PgType("uuid")]), pa.RecordBatch.from_arrays([ids], ["x"])
    if not usual:
        with pytest.raises(ValueNotHeld, match="no UUID") as raised:
            encoder.encode(records, refuse)
        assert raised.value.row == 2
        return
    *_, last = tuples([encoder.header + encoder.encode(records, refuse) + b"\xff\xff"])
    assert decode(last[0] or b"", PgType("uuid")) == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("integer", pa.array(["1"])),
        ("text", pa.array([1])),
        ("interval", pa.array(["1 day"])),
        ("text", pa.array([{"a": 1}])),
    ],
)
def test_what_needs_reading_is_left_to_text(type_: str, values: pa.Array[Any]) -> None:
    """Where the server has to convert, there is no binary form."""
    assert BinaryEncoder.fitting([PgType(type_)], pa.RecordBatch.from_arrays([values], ["x"])) is None


def test_nothing_but_nulls_is_written() -> None:
    """A column without a type is NULL in any other; no rows are no bytes."""
    encoder, records = BinaryEncoder([PgType("interval")]), pa.RecordBatch.from_arrays([pa.nulls(2)], ["x"])
    assert list(tuples([encoder.header + encoder.encode(records, refuse) + b"\xff\xff"])) == [[None], [None]]
    assert encoder.encode(records.slice(0, 0), refuse) == b""
