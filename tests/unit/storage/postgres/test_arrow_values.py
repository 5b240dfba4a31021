from __future__ import annotations

import uuid

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from de_classes.storage.postgres.arrow_values import first_outside, relisted, row_of_value, uuid_text


@given(st.lists(st.none() | st.uuids(), max_size=20), st.integers(0, 5))
def test_uuids_are_written_as_everybody_writes_them(ids: list[uuid.UUID | None], skipped: int) -> None:
    """Sixteen bytes become lower-case text with dashes, NULL stays NULL, also in a slice."""
    array = pa.array([None if one is None else one.bytes for one in ids], pa.binary(16)).slice(skipped)
    text = uuid_text(array)
    text.validate(full=True)
    assert text.to_pylist() == [None if one is None else str(one) for one in ids[skipped:]]


@given(st.lists(st.none() | st.integers(-5, 5), max_size=10), st.integers(0, 3))
def test_the_first_place_outside_is_found(numbers: list[int | None], skipped: int) -> None:
    """Limits are inside, NULL is nowhere, and places are counted in the slice."""
    dates = pa.array(numbers, pa.int32()).view(pa.date32()).slice(skipped)
    outside = [at for at, n in enumerate(numbers[skipped:]) if n is not None and not -2 <= n <= 3]
    assert first_outside(dates, -2, 3) == (outside[0] if outside else None)


@given(st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), max_size=8), st.integers(0, 3))
def test_values_are_put_back_into_their_lists(lists: list[list[int] | None], skipped: int) -> None:
    """Lists made of other values keep their lengths and NULLs, and every value knows its row."""
    array = pa.array(lists, pa.list_(pa.int64())).slice(skipped)
    kept = lists[skipped:]
    doubled = pa.array([2 * n for row in kept for n in row or []], pa.int64())
    again = relisted(array, doubled)
    again.validate(full=True)
    assert again.to_pylist() == [None if row is None else [2 * n for n in row] for row in kept]
    rows = [at for at, row in enumerate(kept) for _ in row or []]
    assert [row_of_value(array, at) for at in range(len(rows))] == rows


def test_what_lies_behind_a_null_list_is_not_counted() -> None:
    """A NULL that still covers values in memory has none."""
    lists = pa.ListArray.from_arrays([0, 2, 4], pa.array([1, 2, 3, 4]), mask=pa.array([True, False]))
    assert row_of_value(lists, 0) == 1
    assert relisted(lists, pa.array([7, 8])).to_pylist() == [None, [7, 8]]
