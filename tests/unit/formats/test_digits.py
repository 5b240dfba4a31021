from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.formats.json_columns.digits import floats_hold

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,17})([.][0-9]{1,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True, alphabet="0123456789.eE+-"
    ),
)


@given(st.lists(NUMBERS, max_size=5), st.sampled_from(["[", '{"a" : [\n', '["1", ']))
def test_only_numbers_that_floats_hold_are_taken_for_such(numbers: list[str], begin: str) -> None:
    """Where it says so, each fraction is what its float is written as."""
    text = f"{begin}{', '.join(numbers)}]"
    if floats_hold(text.encode()):
        fractions = [number for number in numbers if not number.lstrip("-").isdigit()]
        assert all(Decimal(repr(float(number))) == Decimal(number) for number in fractions)


@given(st.lists(st.floats(-1e15, 1e15).filter(lambda n: n == 0 or abs(n) > 1e-99), min_size=1))
def test_floats_as_they_are_usually_written_are_held(numbers: list[float]) -> None:
    """Floats of a usual size, written in full by whoever made the page, are known as such."""
    assert floats_hold(str(numbers).encode())


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('{"a":0.12345678901234567}', False),
        ('{"a":12345678901.2345678}', False),
        ('{"a": 0.10000000000000001}', False),
        ('{"a":-0.30000000000000004}', True),
        ('{"a":0.50000000000000000000}', True),
        ('{"a":175928847299117063}', True),
        ('{"a":"6f9619ff-8b86-d011-b42d-123456789012345678","b":"1e-300"}', True),
        ('{"a":"0.123456789012345678"}', True),
        ('{"a":5e-324}', False),
        ('{"a":0.' + "1" * 50 + "}", False),
        ('{"a":-0}', False),
        ('{"a": [1.5, -0, -0.5]}', False),
        ('{"a":-0.0,"b":-0e0}', True),
    ],
)
def test_numbers_at_the_edges(text: str, held: bool) -> None:
    """17 digits may be too many; whole numbers and digits in texts are none of its business."""
    assert floats_hold(text.encode()) == held
