from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ValueNotHeld
from de_classes.storage.postgres.copy_binary import decode
from de_classes.storage.postgres.numerics import MOST_DIGITS, decimals
from de_classes.storage.postgres.types import PgType


def sent(units: int, scale: int) -> bytes:
    """What PostgreSQL sends of so many units of the last decimal: without zeros at either end, as it keeps numbers."""
    after = -(-scale // 4)
    rest, digits = abs(units) * 10 ** (4 * after - scale), list[int]()
    while rest:
        rest, digit = divmod(rest, 10_000)
        digits.insert(0, digit)
    weight = len(digits) - after - 1 if digits else 0
    while digits and not digits[-1]:
        digits.pop()
    return struct.pack(f"!hhHH{len(digits)}H", len(digits), weight, 0x4000 if units < 0 else 0, scale, *digits)


def refuse(row: int, what: str) -> ValueNotHeld:
    return ValueNotHeld("t", what, "", table="t", column="c", row=row)


@st.composite
def columns(draw: st.DrawFn) -> tuple[int, int, list[int | None]]:
    """A precision, a scale, and values in units of the last decimal."""
    precision = draw(st.integers(1, MOST_DIGITS))
    most = 10**precision - 1
    units = st.integers(-most, most) | st.sampled_from([most, -most, 1, -1, 0, 10 ** (precision - 1)])
    return precision, draw(st.integers(0, precision)), draw(st.lists(st.none() | units, max_size=12))


@given(columns(), st.integers(0, 3))
def test_decimals_are_what_the_reference_reads(column: tuple[int, int, list[int | None]], skipped: int) -> None:
    """A whole column is what each of its values is by itself, NULL stays NULL, also in a slice."""
    precision, scale, units = column
    values = [None if unit is None else sent(unit, scale) for unit in units]
    made = decimals(pa.array(values, pa.binary()).slice(skipped), pa.decimal128(precision, scale), refuse)
    made.validate(full=True)
    type_ = PgType("numeric", (precision, scale))
    assert made.to_pylist() == [None if value is None else decode(value, type_) for value in values[skipped:]]
    assert made.to_pylist() == [None if unit is None else Decimal(unit).scaleb(-scale) for unit in units[skipped:]]


@pytest.mark.parametrize(
    ("odd", "told"),
    [(struct.pack("!hhHH", 0, 0, 0xC000, 0), "NaN"), (sent(12345, 3), "more than 2 decimals")],
)
def test_what_is_no_such_decimal_is_refused_by_its_row(odd: bytes, told: str) -> None:
    """Rows are counted with those that are NULL."""
    with pytest.raises(ValueNotHeld, match=told) as raised:
        decimals(pa.array([sent(1, 2), None, odd, odd], pa.binary()), pa.decimal128(9, 2), refuse)
    assert raised.value.row == 2
