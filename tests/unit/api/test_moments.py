from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api._walking.moments import check_format, floored, granule_of, moment_of, spelt

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants bounds without a zone
FORMATS = st.sampled_from([None, "unix", "unix_ms", "iso_date", "%Y%m%d%H%M", "%d/%m/%Y", "%Y-%m-%dT%H:%M:%S%z"])


def _read(sent: str | int, form: str | None) -> datetime:
    if isinstance(sent, int):
        return datetime(1970, 1, 1, tzinfo=UTC) + sent * granule_of(form)
    if form in {None, "iso_date"}:
        return moment_of(sent)
    read = datetime.strptime(sent, str(form))  # noqa: DTZ007 -- made UTC in the next line
    return read.replace(tzinfo=UTC)


@given(MOMENTS, FORMATS)
def test_what_is_sent_is_the_moment_rounded_down(moment: datetime, form: str | None) -> None:
    """In every format the moment that is read is the one that is meant, or less than a granule before it."""
    check_format(form)
    read = _read(spelt(moment, form), form)
    assert read == floored(moment, granule_of(form))
    assert timedelta(0) <= moment - read < granule_of(form)


@given(MOMENTS)
def test_texts_and_moments_are_one(moment: datetime) -> None:
    """What is spelt without a format is read as the same moment."""
    assert moment_of(str(spelt(moment, None))) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06", datetime(2024, 5, 6, tzinfo=UTC)),
        ("2024-05-06 07:08:09", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.1234567+02:00", datetime(2024, 5, 6, 5, 8, 9, 123456, tzinfo=UTC)),
    ],
)
def test_texts_of_iso_8601_are_moments(text: str, moment: datetime) -> None:
    """A date is its beginning, no zone is UTC, and digits beyond microseconds are left out, which rounds down."""
    assert moment_of(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2024-05", "1715000000", "2024-13-01"])
def test_other_texts_are_none(text: str) -> None:
    """What is no date and no timestamp is refused."""
    with pytest.raises(ValueError, match=r"ISO 8601|must be"):
        moment_of(text)


@pytest.mark.parametrize("form", ["iso", "%H:%M", "%Y-%m", "%I:%M %Y-%m-%d", "", "%d.%m.", "%Q"])
def test_formats_that_lose_the_moment_are_refused(form: str) -> None:
    """A pattern from which the day, or the half of the day, cannot be told is no format."""
    with pytest.raises(ValueError, match="neither"):
        check_format(form)


@pytest.mark.parametrize(
    ("form", "granule"),
    [("%Y%m%d%H%M", "minutes"), ("%d/%m/%Y", "days"), ("%Y-%m-%dT%HZ", "hours"), ("%Y%m%d%H%M%S%f", "microseconds")],
)
def test_granules_of_patterns(form: str, granule: str) -> None:
    """A pattern's granule is the smallest step that it tells."""
    assert granule_of(form) == timedelta(**{granule: 1})
