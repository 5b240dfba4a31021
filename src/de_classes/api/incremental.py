"""How an API is asked for what is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError
from de_classes.utils.kinds import odd_kinds

from ._walking.moments import check_format, granule_of, moment_of, rounded_up, spelt
from .watermark import highest, instant_of, number_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .watermark import Watermark

__all__ = ["Incremental", "Windows"]

_UNITS: Mapping[str | None, int] = {"unix": 1, "unix_ms": 1000}
_MILLISECONDS_FROM = 10**11
"""As seconds this is the year 5138, as milliseconds 1973: a number on the other side of it is of the other kind."""
_MICROSECOND = timedelta(microseconds=1)
_DOWN = Context(prec=100, rounding=ROUND_FLOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What is new is read in windows of time, each a split of its own, so that a backfill runs in parallel.

    What a run takes is cut at `start`, `start + step`, `start + 2 * step` ..., up to `end`, or to what is now
    `lag_seconds` ago. Every record belongs to the one window that its `field` lies in, whether the API counts a bound
    in or not: what it gives of a neighbour is left to the neighbour, and what lies further off fails the run, since
    such an API does not keep to its parameters. A time without a zone is taken to be UTC, a number as `format` says.

    The position is `{"until": U}`: everything before U has been given.

    Raises:
        ConfigurationError: a length that is none; all of them are told at once.

    """

    step: timedelta
    lag_seconds: float = 0.0
    """How long the API may still add records to what is past, or change them with an old value of `field`; younger
    windows are not read yet. What comes later still is missed, unless an `overlap` finds it."""
    settled_seconds: float | None = None
    """How long after its end a window no longer changes. An interrupted run is then resumed without reading again what
    it had written of such windows. None: never."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigurationError("Windows", "; ".join(problems), "Give lengths of time above 0.")

    def _problems(self) -> Iterator[str]:
        step: Any = self.step
        if not isinstance(step, timedelta):
            yield f"step={step!r} is no timedelta: write timedelta(days=1)"
        elif step <= timedelta(0):
            yield f"step={step!r} is not above 0"
        for name in ("lag_seconds", "settled_seconds"):
            seconds: Any = getattr(self, name)
            if seconds is None and name == "settled_seconds":
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                yield f"{name}={seconds!r} is no number of seconds"
            elif not 0 <= seconds < float("inf"):
                yield f"{name}={seconds!r} is no length of time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """How an API tells what is new: `?param=W` gives the records whose `field` is above (or at) W.

    The values must never go down over time: timestamps of one clock, numbers of versions. See the docstring of
    `de_classes.api.source` for what happens at W itself. The walk must see each change: an API that lets records move
    between pages while they are read needs a pin (see PageNumber), or must sort by `field`.

    Raises:
        ConfigurationError: options that contradict each other; all of them are told at once.

    """

    param: str = "updated_since"
    field: str = "updated_at"
    """A dotted path in a record."""
    start: str | int | None = None
    """W for the first run; None leaves the parameter out and takes everything. A date is its first moment, in UTC;
    Python's dates and moments are taken as texts."""
    end: str | int | None = None
    """Ask only up to this value, itself included, as `end_param`; once it is reached, later runs do nothing. Where
    there are windows, a date is its first moment."""
    end_param: str | None = None
    format: str | None = None
    """How W is sent: None as it came; `unix` (seconds) or `unix_ms`, as numbers in the field are then taken to be;
    `iso_date`; or a pattern of strftime, in UTC. What such a format cannot tell is rounded down, so rows come again."""
    overlap: timedelta | int | None = None
    """Ask again for what is that much older than W (a time, or of numbers an amount), never for what is before `start`:
    for changes that become visible late. It needs the resource's primary key; load it with the mode `merge`, which
    replaces rows by themselves. Within a walk nothing is held in memory to find what comes twice."""
    inclusive: bool = False
    """Whether the API's `param` means "at or above": then rows at W come again, and none that is given W late is
    missed. Load such a resource with the mode `merge`."""
    windows: Windows | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            given: Any = getattr(self, name)
            if isinstance(given, date):
                object.__setattr__(self, name, given.isoformat())
        problems = list(self._of_other_kinds())
        problems = problems or [*self._problems(), *self._window_problems()]
        if problems:
            raise ConfigurationError("Incremental", "; ".join(problems), "Correct the options.")

    @property
    def repeats(self) -> bool:
        """Whether a run may be given rows that an earlier one was given."""
        if self.windows is not None:
            return self.overlap is not None
        return self.inclusive or self.overlap is not None or self.format is not None

    def asked(self, watermark: Watermark) -> Mapping[str, str | int]:
        """The parameters that ask for what is newer than a watermark.

        Raises:
            ConfigurationError: the watermark is of a kind that cannot be sent as the options say.

        """
        try:
            asked = {} if watermark is None else {self.param: self._sent(self._lowered(watermark))}
            return asked if self.end is None else {**asked, str(self.end_param): self._sent(self.end, up=True)}
        except (ValueError, OverflowError) as error:
            fact = f"{watermark!r} of {self.field!r} cannot be sent: {error}"
        raise ConfigurationError("Incremental", fact, "Correct format=... or overlap=... to what the field holds.")

    def ended(self, watermark: Watermark, end: Watermark) -> bool:
        """Whether a position that has reached `watermark`, of a walk that asked up to `end`, is at the end."""
        if self.end is None:
            return False
        return end == self.end or (watermark is not None and highest(watermark, [self.end]) == watermark)

    def beyond_end(self, value: Watermark) -> bool:
        """Whether a value lies further beyond the end than rounding explains.

        Raises:
            ValueError: it does not compare with the end.

        """
        if self.end is None or value is None or highest(self.end, [value]) == self.end:
            return False
        if isinstance(value, str) and instant_of(value) and self.format is not None:
            return moment_of(value) > rounded_up(moment_of(str(self.end)), granule_of(self.format))
        return True

    def _lowered(self, watermark: str | int) -> str | int:
        """The watermark less the overlap."""
        if self.overlap is None:
            return watermark
        lowered = self._less(watermark, self.overlap)
        return lowered if self.start is None or highest(self.start, [lowered]) == lowered else self.start

    def _less(self, watermark: str | int, overlap: timedelta | int) -> str | int:
        number = number_in(watermark)
        if number is not None:
            amount = (
                Decimal(overlap // _MICROSECOND * self._unit()).scaleb(-6)
                if isinstance(overlap, timedelta)
                else overlap
            )
            less = _DOWN.subtract(Decimal(number), Decimal(amount))
            return (
                int(less.to_integral_value(ROUND_FLOOR)) if isinstance(watermark, int) else f"{less.normalize(_DOWN):f}"
            )
        if not isinstance(overlap, timedelta):
            raise ValueError("a number cannot be taken off it; give overlap=timedelta(...)")  # noqa: TRY004 -- it is the watermark's value that does not suit
        moment = moment_of(str(watermark)) - overlap
        if str(watermark)[10:] == "":
            return str(spelt(moment, "iso_date"))
        found = instant_of(str(watermark))
        zoned = found is not None and found[0].tzinfo is not None
        return str(spelt(moment, None)) if zoned else moment.replace(tzinfo=None).isoformat()

    def _unit(self) -> int:
        unit = _UNITS.get(self.format)
        if unit is None:
            raise ValueError("it is a number; give format='unix' or 'unix_ms' to say of what, or overlap as a number")
        return unit

    def _sent(self, value: str | int, *, up: bool = False) -> str | int:
        if self.format is None:
            return value
        number = number_in(value)
        if number is not None:
            milliseconds = self._unit() != 1
            if number and milliseconds != (not -_MILLISECONDS_FROM < number < _MILLISECONDS_FROM):
                raise ValueError(f"as a moment in the format {self.format!r} it is out of any reason")
            return value
        moment = moment_of(str(value))
        return spelt(rounded_up(moment, granule_of(self.format)) if up else moment, self.format)

    def _of_other_kinds(self) -> Iterator[str]:
        """What is not the kind of thing that it should be."""
        given: Any = self
        yield from odd_kinds(self, "param", "field", "end_param", "format", "inclusive")
        for name in ("start", "end"):
            value = getattr(given, name)
            if isinstance(value, bool) or not isinstance(value, str | int | None):
                yield f"{name}={value!r} is no text, whole number, date or moment"
        if not isinstance(given.windows, Windows | None):
            yield f"windows={given.windows!r} are none: write Windows(step=timedelta(days=1))"
        if isinstance(given.overlap, bool) or not isinstance(given.overlap, timedelta | int | None):
            yield f"overlap={given.overlap!r} is neither a timedelta nor a whole number"

    def like(self, values: Sequence[Any]) -> Watermark:
        """The start in the kind that the field's values have, where it can be told.

        A date stands for its first moment beside timestamps, and a moment for its number beside numbers.
        """
        start = self.start
        value = next((value for value in values if value is not None), None)
        if not isinstance(start, str) or value is None:
            return self.start
        try:
            if not isinstance(value, str) and number_in(start) is None:
                return spelt(moment_of(start), "unix" if self._unit() == 1 else "unix_ms")
            if isinstance(value, str) and start[10:] == "" and (found := instant_of(value)) is not None:
                moment = moment_of(start)
                return str(spelt(moment, None)) if found[0].tzinfo else moment.replace(tzinfo=None).isoformat()
        except ValueError:
            pass  # what does not compare is told where it is compared
        return self.start

    def _problems(self) -> Iterator[str]:
        if self.end is not None and not self.end_param:
            yield "end=... needs the parameter that sends it: end_param=..."
        if self.end_param and self.end is None and self.windows is None:
            yield "end_param=... without an end"
        if self.overlap is not None and not _is_positive(self.overlap):
            yield f"overlap={self.overlap!r} is not above 0"
        try:
            check_format(self.format)
            for value in (self.start, self.end):
                if value is not None:
                    self._sent(value)
            if self.start is not None and self.end is not None and self._is_before(self.end, self.start):
                yield f"end={self.end!r} is before start={self.start!r}"
        except ValueError as error:
            yield str(error)

    def _is_before(self, value: str | int, other: str | int) -> bool:
        if self.windows is not None:
            return moment_of(str(value)) < moment_of(str(other))
        return highest(value, [other]) != value

    def _window_problems(self) -> Iterator[str]:
        if self.windows is None:
            return
        if self.start is None or not self.end_param:
            yield "windows need start=... and end_param=..., from where and by which parameter to ask"
        if isinstance(self.overlap, int):
            yield f"overlap={self.overlap!r} must be a timedelta where there are windows"
        if isinstance(self.start, int) or isinstance(self.end, int):
            yield "windows are of time: give start=... and end=... as texts of ISO 8601"


def _is_positive(overlap: timedelta | int) -> bool:
    return overlap > timedelta(0) if isinstance(overlap, timedelta) else overlap > 0


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.incremental")
