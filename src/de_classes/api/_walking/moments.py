"""Moments as APIs want to be asked for them: `unix`, `unix_ms`, `iso_date`, or a pattern of strftime, all in UTC.

A moment is sent in the granules of its format, and rounded down: what is asked "since" may be earlier than what is
meant, never later, or something would be skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from de_classes.api.watermark import instant_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_format", "floored", "granule_of", "moment_of", "rounded_up", "spelt"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROBE = datetime(2021, 11, 23, 13, 47, 58, 123456, tzinfo=UTC)
_GRANULES: Mapping[str | None, timedelta] = {
    None: timedelta(microseconds=1),
    "unix": timedelta(seconds=1),
    "unix_ms": timedelta(milliseconds=1),
    "iso_date": timedelta(days=1),
}
_STEPS = [timedelta(**{unit: 1}) for unit in ("microseconds", "milliseconds", "seconds", "minutes", "hours", "days")]


def check_format(form: str | None) -> None:
    """See that a format tells the whole of a moment, at least its day.

    Raises:
        ValueError: it does not.

    """
    if form in _GRANULES:
        return
    try:
        # Asked first, since Python reads a day without its year, and only warns.
        tells_year = spelt(_PROBE, form) != spelt(_PROBE.replace(year=_PROBE.year + 1), form)
        whole = tells_year and _read(form) == floored(_PROBE, granule_of(form))
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(
            f"{form!r} is neither 'unix', 'unix_ms' nor 'iso_date', nor a pattern that tells the whole of a moment"
        )


def _read(form: str | None) -> datetime:
    """The probe, as the format gives it back."""
    read = datetime.strptime(str(spelt(_PROBE, form)), str(form))  # noqa: DTZ007 -- made UTC in the next line
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def granule_of(form: str | None) -> timedelta:
    """The smallest step that a format can tell.

    Raises:
        ValueError: it cannot even tell a day.

    """
    if form in _GRANULES:
        return _GRANULES[form]
    for step in _STEPS:
        if spelt(_PROBE, form) != spelt(_PROBE + step, form):
            return step
    raise ValueError(f"{form!r} does not tell one day from the next")


def floored(moment: datetime, granule: timedelta) -> datetime:
    """The moment, or the last granule before it, counted from 1970 on."""
    return moment - (moment - _EPOCH) % granule


def rounded_up(moment: datetime, granule: timedelta) -> datetime:
    """The moment, or the first granule after it."""
    return moment + (_EPOCH - moment) % granule


def moment_of(value: str | datetime) -> datetime:
    """The moment that an ISO 8601 text names, down to its microsecond, in UTC.

    A date is its beginning, and a time without a zone is taken to be UTC.

    Raises:
        ValueError: it is none.

    """
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{value.isoformat()} is outside the years 1 to 9999") from None
    found = instant_of(f"{value}T00:00:00Z" if value[10:] == "" else value)
    if found is None:
        raise ValueError(f"{value!r} is no date or timestamp of ISO 8601")
    instant, fraction = found
    return moment_of(instant) + timedelta(microseconds=int(fraction[:6].ljust(6, "0")))


def spelt(moment: datetime, form: str | None) -> str | int:
    """The moment as it is sent, in whole granules of its format; ISO 8601 with a Z where the format is None."""
    if form is None:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if form in {"unix", "unix_ms"}:
        return (moment - _EPOCH) // _GRANULES[form]
    return moment.astimezone(UTC).strftime("%Y-%m-%d" if form == "iso_date" else form)
