from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api.watermark import highest

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 -- hypothesis wants bounds without a zone


@given(
    moments=st.lists(MOMENTS, min_size=1, max_size=6),
    offsets=st.lists(st.integers(-12, 14), min_size=6, max_size=6),
    digits=st.lists(st.sampled_from(["", ".5", ".123456", ".1234567", ".500"]), min_size=6, max_size=6),
)
def test_timestamps_compare_as_instants(moments: list[datetime], offsets: list[int], digits: list[str]) -> None:
    """Whatever offset and number of digits they are written with, the latest instant is the highest."""
    texts, instants = [], []
    for moment, offset, fraction in zip(moments, offsets, digits, strict=False):
        whole = moment.replace(microsecond=0, tzinfo=UTC)
        local = whole.astimezone(timezone(timedelta(hours=offset)))
        zone = "Z" if offset == 0 else local.strftime("%z")
        texts.append(local.strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + fraction + zone)
        instants.append((whole, Decimal(f"0{fraction}")))
    found = highest(None, texts)
    assert instants[texts.index(found)] == max(instants)  # type: ignore[arg-type]  # texts in, text out
    assert highest(found, texts[::-1]) == found


def test_a_point_is_not_less_than_a_z() -> None:
    """Letter by letter this one would come out wrong."""
    assert highest("2026-01-01T00:00:00.5Z", ["2026-01-01T00:00:00Z"]) == "2026-01-01T00:00:00.5Z"


@given(st.lists(st.integers(-(10**18), 10**18) | st.decimals(-(10**15), 10**15, places=6), min_size=1))
def test_numbers_compare_as_numbers(numbers: list[Any]) -> None:
    """The highest number wins, is JSON, loses no digit, and stays the highest when it comes again."""
    found = highest(None, numbers)
    assert json.loads(json.dumps(found)) == found
    assert Decimal(found) == max(numbers)  # type: ignore[arg-type]  # not None here
    assert highest(found, numbers) == found
    assert highest(found, [max(numbers) + 1]) == highest(None, [max(numbers) + 1])


@pytest.mark.parametrize("watermark", [None, 5, "2026-01-01T00:00:00Z"])
def test_nothing_new_leaves_the_watermark(watermark: Any) -> None:
    """Records without a value do not move it."""
    assert highest(watermark, [None, None]) == watermark
    assert highest(watermark, []) == watermark


@pytest.mark.parametrize(
    ("watermark", "values"),
    [("2026-01-01T00:00:00Z", ["2025-12-31T23:59:59Z"]), (7, [6]), ("7.5", [7, Decimal("7.25")]), ("b", ["a"])],
)
def test_never_goes_back(watermark: Any, values: list[Any]) -> None:
    """Values below the watermark leave it where it is."""
    assert highest(watermark, values) == watermark


@pytest.mark.parametrize(
    ("watermark", "values"),
    [
        (None, ["a", 1]),
        (None, [True]),
        (None, [[1]]),
        (5, ["2026-01-01T00:00:00Z"]),
        ("2026-01-01T00:00:00Z", [5]),
        ("2026-01-01T00:00:00Z", ["2026-01-02T00:00:00"]),
        ("v2", ["2026-01-02T00:00:00Z"]),
        (None, ["2026-99-99T00:00:00Z"]),
    ],
)
def test_what_has_no_order_is_refused(watermark: Any, values: list[Any]) -> None:
    """Values that do not compare with each other, or with the watermark, are an error."""
    with pytest.raises(ValueError):  # noqa: PT011 -- each has a text of its own
        highest(watermark, values + values)
    if watermark is None and len(values) == 1 and isinstance(values[0], str):
        with pytest.raises(ValueError):  # noqa: PT011 -- same
            highest("2026-01-01T00:00:00.0Z", values)


def test_a_blank_between_date_and_time_is_no_shortcut() -> None:
    """Moments compare as moments, however each separates its date from its time."""
    assert highest(None, ["2024-01-01 23:00:00Z", "2024-01-01T01:00:00Z"]) == "2024-01-01 23:00:00Z"


def test_texts_of_digits_of_different_lengths_have_no_order() -> None:
    """By letters "1000" comes before "999", and as numbers after it: nobody knows which of them the API means."""
    assert highest("100", ["999"]) == "999"
    with pytest.raises(ValueError, match="digits"):
        highest("999", ["1000"])
