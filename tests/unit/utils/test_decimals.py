"""Texts and numbers to decimals: the very number, or an error."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from de_classes.utils.decimals import decimals_of_numbers, decimals_of_texts

KINDS = [
    *(pa.decimal128(10, 2), pa.decimal128(38, 0), pa.decimal128(38, 10), pa.decimal128(38, 38), pa.decimal128(1, 0)),
    *(pa.decimal128(10, -3), pa.decimal128(38, -3), pa.decimal32(9, 2), pa.decimal64(18, 18), pa.decimal64(3, 1)),
    *(pa.decimal256(76, 0), pa.decimal256(76, 38), pa.decimal256(76, 76), pa.decimal256(40, -40), pa.decimal256(5, 5)),
]
_DIGITS = st.integers(0, 80).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n) | st.just("0" * n))
_EXPONENTS = st.just("") | st.builds("{}{}".format, st.sampled_from("eE"), st.integers(-90, 90))
NUMBERS = st.builds("{}{}{}{}".format, st.sampled_from(["", "-", "+"]), _DIGITS, _DIGITS.map(".{}".format), _EXPONENTS)
WHOLE = st.builds("{}{}{}".format, st.sampled_from(["", "-"]), _DIGITS, _EXPONENTS)
STRANGE = [
    *("", ".", "-", "+.", "e1", ".e1", "1e", "1e+", "1.2.3", " 1", "1 ", "1\n", "1_0", "0x10"),
    *("٣", "NaN", "inf", "-Infinity"),
]


def _wanted(text: str, kind: Any) -> Decimal | None:
    """The number, if the type holds it, told by whole numbers of Python alone."""
    digits, _, exponent = text.lower().partition("e")
    whole, _, behind = digits.lstrip("+-").partition(".")
    if not whole + behind:
        return None
    shift = int(exponent or 0) - len(behind) + kind.scale
    number = int(whole + behind)
    unscaled, rest = (number * 10**shift, 0) if shift >= 0 else divmod(number, 10**-shift)
    return None if rest or unscaled >= 10**kind.precision else Decimal(text)


@given(text=NUMBERS | WHOLE | st.sampled_from(STRANGE), kind=st.sampled_from(KINDS))
@example("906.", pa.decimal128(38, 38))
@example("-5.5e39", pa.decimal128(38, 0))
@example("1e-41", pa.decimal128(10, 2))
@example("1e-77", pa.decimal128(10, 2))
@example("3753561895115205835667818560734714570424", pa.decimal128(38, 0))
@example("0." + "0" * 45 + "5", pa.decimal128(10, 2))
@example("0e-77", pa.decimal128(10, 2))
@example("0.01" + "0" * 60, pa.decimal128(10, 2))
def test_a_text_is_its_very_number_or_refused(text: str, kind: Any) -> None:
    """Whatever is written, it is that number; what is no number or does not fit is an error, and nothing is rounded."""
    wanted = None if text in STRANGE else _wanted(text, kind)
    texts: Any = pa.array([None, text, "0"])
    if wanted is None:
        with pytest.raises(ValueError, match=r"digits (before|behind) the point|is no number"):
            decimals_of_texts(texts, kind)
        return
    array = decimals_of_texts(texts, kind)
    assert array.type == kind
    assert array.to_pylist() == [None, wanted, 0]
    assert decimals_of_numbers([None, Decimal(text), Decimal(0)], kind) == array


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary()], ids=str)
def test_any_column_of_texts_is_taken(kind: Any) -> None:
    """Texts with an exponent among them, nulls, and no texts at all: as any type of text."""
    for texts, numbers in (["1.5", None, "25e-1"], [Decimal("1.5"), None, Decimal("2.5")]), ([None], [None]), ([], []):
        column: Any = pa.array(texts, pa.string()).cast(kind)
        assert decimals_of_texts(column, pa.decimal128(10, 2)).to_pylist() == numbers


@pytest.mark.parametrize(
    ("number", "fact"),
    [
        ("1.234", "it has more than 2 digits behind the point"),
        ("12345.5", "it has more than 3 digits before the point"),
        ("1e999999999999999999", "it has more than 3 digits before the point"),
        ("1e-999999999999999999", "it has more than 2 digits behind the point"),
        ("1e99999999999999999999", "'1e99999999999999999999' is no number"),
        ("one", "'one' is no number"),
    ],
)
def test_errors_tell_what_there_is_too_much_of(number: str, fact: str) -> None:
    """One reads which of the digits are too many."""
    with pytest.raises(ValueError, match=f"^{fact}$"):
        decimals_of_texts(pa.array([number]), pa.decimal128(5, 2))


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity"])
def test_what_is_no_finite_number_is_no_decimal(number: str) -> None:
    """Numbers of Python that Arrow has no decimals for are refused."""
    with pytest.raises(ValueError, match="is no finite number"):
        decimals_of_numbers([Decimal(number)], pa.decimal128(5, 2))
