"""Windows of time: what is to be read cut into pieces, and the records of a page that belong to one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError

from .moments import floored, granule_of, moment_of, rounded_up, spelt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from de_classes.api.incremental import Incremental

__all__ = ["Window", "cut", "kept", "moment_in"]

MOST_WINDOWS = 100_000
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_SCALES: Mapping[str | None, int] = {"unix": 10**6, "unix_ms": 10**3}
_EPOCH = moment_of("1970-01-01")


@dataclass(frozen=True, slots=True)
class Window:
    """The moments from `since` on, and before `until`; both in UTC."""

    since: datetime
    until: datetime
    closed: bool = False
    """Whether it ends with the last moment that is wanted at all, one microsecond before `until`."""

    def asked(self, incremental: Incremental) -> Mapping[str, str | int]:
        """The parameters that ask for at least all of it, whatever bounds the API counts in."""
        form = incremental.format
        since, until = self._sent(incremental)
        return {incremental.param: spelt(since, form), str(incremental.end_param): spelt(until, form)}

    def reach(self, incremental: Incremental) -> tuple[datetime, datetime]:
        """From where and up to where the answers to this may go: an API that counts in days gives the whole day."""
        since, until = self._sent(incremental)
        return since, until + max(granule_of(incremental.format), _SECOND)

    def _sent(self, incremental: Incremental) -> tuple[datetime, datetime]:
        granule = granule_of(incremental.format)
        step = timedelta(0) if incremental.inclusive else max(granule, _SECOND)
        until = self.until - _MICROSECOND if self.closed else self.until
        return floored(self.since - step, granule), rounded_up(until, granule)


def cut(incremental: Incremental, since: datetime | None, now: datetime) -> list[Window]:
    """What comes after `since` (None: everything) in windows, up to the end or to what may be asked for `now`.

    Raises:
        ConfigurationError: there would be more windows than anybody wants.

    """
    windows = incremental.windows
    if windows is None:
        return []
    start, (until, closed) = moment_of(str(incremental.start)), _upper(incremental, now)
    begin = start if since is None else max(start, since - _overlap(incremental))
    if until <= (start if since is None else since):
        return []
    if (until - begin) / windows.step > MOST_WINDOWS:
        raise ConfigurationError(
            "Windows", f"step={windows.step} gives more than {MOST_WINDOWS} windows at once", "Give a longer step."
        )
    bounds = [begin]
    while bounds[-1] < until:
        # On one grid, wherever a run begins: a window that was interrupted is found again.
        following = start + ((bounds[-1] - start) // windows.step + 1) * windows.step
        bounds.append(until if following >= until - _MICROSECOND * closed else following)
    cut_up = [Window(*pair) for pair in pairwise(bounds)]
    return [*cut_up[:-1], replace(cut_up[-1], closed=closed)]


def _upper(incremental: Incremental, now: datetime) -> tuple[datetime, bool]:
    """Before which moment records are wanted, and whether that is since the end, itself wanted, is the one before."""
    lag = timedelta(seconds=incremental.windows.lag_seconds if incremental.windows else 0)
    upper = floored(now - lag, max(granule_of(incremental.format), _SECOND))
    end = None if incremental.end is None else moment_of(str(incremental.end))
    return (upper, False) if end is None or upper <= end else (end + _MICROSECOND, True)


def _overlap(incremental: Incremental) -> timedelta:
    return incremental.overlap if isinstance(incremental.overlap, timedelta) else timedelta(0)


def kept(values: Sequence[Any], window: Window, incremental: Incremental) -> list[int] | None:
    """Which of a page's records, by the values of their field, belong to the window; None for all of them.

    Raises:
        ValueError: a value is no moment, or further from the window than rounding and bounds explain.

    """
    extremes = _extremes(values)
    moments = [moment_in(value, incremental.format) for value in (values if extremes is None else extremes)]
    lowest, highest = window.reach(incremental)
    for moment in moments:
        if not lowest <= moment <= highest:
            raise ValueError(
                f"{spelt(moment, None)} was given where {spelt(window.since, None)} to {spelt(window.until, None)} was "
                "asked for: the API does not keep to the parameters"
            )
    if all(window.since <= moment < window.until for moment in moments):
        return None
    if extremes is not None:
        moments = [moment_in(value, incremental.format) for value in values]
    return [at for at, moment in enumerate(moments) if window.since <= moment < window.until]


def _extremes(values: Sequence[Any]) -> list[Any] | None:
    """The lowest and the highest, where they can be told without a look at the moments."""
    kinds = set(map(type, values))
    if kinds and kinds <= {int, Decimal}:
        return [min(values), max(values)]
    # UTC timestamps of one length compare rightly as they are.
    if kinds == {str} and len(set(map(len, values))) == 1 and all(text[-1:] == "Z" for text in values):
        alike = len({(text[4:5], text[10:11], text[19:20]) for text in values}) == 1
        return [min(values), max(values)] if alike else None
    return None


def moment_in(value: Any, form: str | None) -> datetime:
    """The moment that a value tells, a number as the format says.

    Raises:
        ValueError: it tells none.

    """
    if isinstance(value, str):
        return moment_of(value)
    scale = _SCALES.get(form)
    if scale is None or type(value) not in {int, Decimal}:
        raise ValueError(f"{value!r} is no moment (a number is one with format='unix' or 'unix_ms')")
    microseconds = int((Decimal(value) * scale).to_integral_value(ROUND_FLOOR))
    return _EPOCH + timedelta(microseconds=microseconds)
