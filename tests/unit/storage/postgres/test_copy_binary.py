from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.storage.postgres.copy_binary import decode, tuples
from de_classes.storage.postgres.types import PgType

rows = st.lists(st.lists(st.none() | st.binary(max_size=12), max_size=4), max_size=6)


def stream(given_rows: list[list[bytes | None]], extension: bytes = b"") -> bytes:
    encoded = b"PGCOPY\n\xff\r\n\0" + struct.pack("!iI", 0, len(extension)) + extension
    for row in given_rows:
        encoded += struct.pack("!h", len(row))
        for value in row:
            encoded += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return encoded + struct.pack("!h", -1)


@given(rows, st.binary(max_size=5), st.integers(1, 30))
def test_rows_are_found_wherever_the_stream_is_cut(
    given_rows: list[list[bytes | None]], extension: bytes, size: int
) -> None:
    """Chunks may end in the middle of anything."""
    encoded = stream(given_rows, extension)
    chunks = (encoded[at : at + size] for at in range(0, len(encoded), size))
    assert list(tuples(chunks)) == given_rows


def test_the_stream_is_seen_to_its_end() -> None:
    """What comes after the last row is taken too, since a connection is not free before."""
    chunks = iter([stream([[b"x"]]), b"", b"rest"])
    assert list(tuples(chunks)) == [[b"x"]]
    assert next(chunks, None) is None


def test_something_else_is_refused() -> None:
    """A stream without the signature is no COPY BINARY."""
    with pytest.raises(ValueError, match="no COPY BINARY"):
        list(tuples([b"id,name\n1,a\n" * 3]))


def numeric(number: Decimal) -> bytes:
    """Encode as numeric_send does, digit by digit."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    text = ("".join(map(str, digits)) + "0" * max(exponent, 0)).rjust(scale + 1, "0")
    whole, fraction = (text[: len(text) - scale], text[len(text) - scale :]) if scale else (text, "")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[at : at + 4]) for at in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups = groups[:-1]
    return struct.pack(f"!hhHh{len(groups)}h", len(groups), weight if groups else 0, 0x4000 * sign, scale, *groups)


@given(
    st.decimals(allow_nan=False, allow_infinity=False).filter(
        lambda n: abs(int(n.as_tuple().exponent)) < 300 and bool(n)
    )
)
def test_numerics_keep_every_digit(number: Decimal) -> None:
    """Digits to the base of ten thousand become the same number with the same decimals, as text and as Decimal."""
    assert decode(numeric(number), PgType("numeric")) == f"{number:f}"


@given(st.integers(-(10**20) + 1, 10**20 - 1).map(lambda number: Decimal(number).scaleb(-5)))
def test_declared_numerics_become_decimals(number: Decimal) -> None:
    """Where a decimal holds the declared type, the number is one."""
    assert decode(numeric(number), PgType("numeric", (20, 5))) == number


@pytest.mark.parametrize(("sign", "expected"), [(0xC000, "NaN"), (0xD000, "Infinity"), (0xF000, "-Infinity")])
def test_numerics_that_are_no_numbers_are_text(sign: int, expected: str) -> None:
    """A free numeric may be NaN or infinite."""
    assert decode(struct.pack("!hhHh", 0, 0, sign, 0), PgType("numeric")) == expected
