"""Numbers with many digits in files: read as they are written, or refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from de_classes.errors import ValueNotHeld
from de_classes.formats import Csv, Ndjson

FILES = [(Csv(), "a\n1\n{}\n"), (Ndjson(), '{{"a":1}}\n{{"a":{}}}\n'), (Ndjson(), '{{"a":"1"}}\n{{"a":"{}"}}\n')]
IDS = ["csv", "number", "text"]
NARROW, WHOLE, FRACTION = pa.decimal128(10, 2), pa.decimal128(38, 0), pa.decimal128(38, 38)


def value(form: Any, text: str, kind: Any) -> Any:
    (batch,) = form.batches(iter([text.encode()]), pa.schema({"a": kind}), 1 << 20, table="t", where="f")
    return batch.records.column(0)[1].as_py()


@pytest.mark.parametrize(("form", "text"), FILES, ids=IDS)
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        *((NARROW, number) for number in ("1e-41", "1e-77", "1e-1000000000", "0." + "0" * 45 + "5", "-7.001", "1e8")),
        *((WHOLE, number) for number in ("3753561895115205835667818560734714570424", "1" * 69, "-5.5e39", "1e38")),
        (pa.decimal128(38, 10), "1" + "0" * 30),
    ],
)
def test_what_a_column_cannot_hold_is_refused(form: Any, text: str, kind: Any, number: str) -> None:
    """A number with more digits than the column holds becomes no other number, however many they are."""
    with pytest.raises(ValueNotHeld):
        value(form, text.format(number), kind)


@pytest.mark.parametrize(("form", "text"), FILES, ids=IDS)
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        *((NARROW, number) for number in ("0e-77", "0.01" + "0" * 60, "10000000000e-12", "12e2", "99999999.99")),
        *((WHOLE, number) for number in ("9" * 38, "-1e37", "1" + "0" * 40 + "e-5")),
        (pa.decimal128(38, 10), "9" * 28 + "." + "9" * 10),
    ],
)
def test_what_a_column_holds_is_held_however_it_is_written(form: Any, text: str, kind: Any, number: str) -> None:
    """Zeros are no digits more, and exponents add none."""
    assert value(form, text.format(number), kind) == Decimal(number)


@pytest.mark.parametrize("number", ["906", "1", "-1.5"])
def test_no_room_before_the_point(number: str) -> None:
    """A column of fractions alone takes no other numbers."""
    with pytest.raises(ValueNotHeld):
        next(
            iter(
                Csv().batches(
                    iter([f"a\n{number}\n".encode()]), pa.schema({"a": FRACTION}), 1 << 20, table="t", where="f"
                )
            )
        )
