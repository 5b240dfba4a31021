"""When what came into being and when it changed: a history that is computed, not kept.

The rows of a table are numbered from 0 in the order of their creation, and so are all changes of the table: a creation
or an update is one change. Day 0 creates `first` rows; each later day updates `updated` of the rows there are and
creates `created` more, interleaved. Which rows a day updates is an arithmetic progression, so all questions ("which
row is change k about", "when was row n changed last") are arithmetic, too. The moments of changes rise strictly with
their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ._random import below

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["History"]

_DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)
"""The end of day 0. Its changes are spread over the days before, each later day's over one day more."""
_HISTORY_DAYS = 90
_DAY = 86_400_000_000
_EPOCH = int(_DAY_ZERO.timestamp()) * 1_000_000
_JITTER, _START = 1, 2


@dataclass(frozen=True, slots=True)
class History:
    """The history of one table. Moments are microseconds since 1970, UTC."""

    seed: int
    first: int
    created: int
    updated: int

    def rows(self, day: int) -> int:
        """How many rows there are at the end of the day."""
        return self.first + day * self.created

    def changes(self, day: int) -> int:
        """How many changes there have been up to the end of the day."""
        return self.first + day * (self.created + self.updated)

    def day_of(self, change: NDArray[np.int64]) -> NDArray[np.int64]:
        """The day on which a change happened."""
        return np.where(change < self.first, 0, (change - self.first) // (self.created + self.updated) + 1)

    def row_of(self, change: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row that a change is about."""
        day, place = self._place(change)
        update = self._updates_before(place)
        is_update = self._updates_before(place + 1) > update
        updated = self._offset(day) + update * self._stride(day)
        created = self.rows(0) + (day - 1) * self.created + place - update
        return np.where(day == 0, change, np.where(is_update, updated, created))

    def last_change(self, row: NDArray[np.int64], day: int) -> NDArray[np.int64]:
        """The number of the last change of each row up to the end of the day."""
        last = self.created_by(row)
        for d in range(1, day + 1):
            touched, nth = self._touched(row, d)
            last = np.where(touched, self._update_number(d, nth), last)
        return last

    def versions(self, change: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often the row had been updated when the change was done, the change included."""
        days, versions = self.day_of(change), np.zeros(len(row), np.int64)
        for d in range(1, int(days.max(initial=0)) + 1):
            versions += (days >= d) & self._touched(row, d)[0]
        return versions

    def _touched(self, row: NDArray[np.int64], day: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether the day updates each row, and as its how manieth."""
        nth, rest = np.divmod(row - self._offset(np.int64(day)), self._stride(np.int64(day)))
        touched: NDArray[np.bool_] = (nth >= 0) & (rest == 0) & (nth < self.updated)
        return touched, nth

    def created_by(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the change that created each row."""
        later = row - self.first
        day = later // self.created + 1
        nth = later % self.created
        # The nth creation of a day stands after nth creations and the updates that are interleaved before it.
        place = nth + self._updates_before_creation(nth)
        return np.where(row < self.first, row, self._day_start(day) + place)

    def moment(self, change: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the change was done."""
        day, place = self._place(change)
        step = self._step(day)
        start = np.where(day == 0, _EPOCH - _HISTORY_DAYS * _DAY, _EPOCH + (day - 1) * _DAY)
        moments: NDArray[np.int64] = start + place * step + below(step, self.seed, _JITTER, change)
        return moments

    def changes_until(self, moment: int, day: int) -> int:
        """How many changes up to the end of the day were done at the moment or before it."""
        low, high = 0, self.changes(day)
        while low < high:
            middle = (low + high) // 2
            if int(self.moment(np.array([middle]))[0]) <= moment:
                low = middle + 1
            else:
                high = middle
        return low

    def nth_in_feed(self, day: int, start: int, count: int) -> NDArray[np.int64]:
        """The changes at the places from `start` on in the feed of the day: every row once, at its last change."""
        places = np.arange(start, min(start + count, self.rows(day)), dtype=np.int64)
        gaps = _overtaken(self, day)
        return places + np.searchsorted(gaps - np.arange(len(gaps)), places, side="right")

    def feed_length(self, day: int, changes: int) -> int:
        """How many of the first so many changes are in the feed of the day."""
        return changes - int(np.searchsorted(_overtaken(self, day), changes))

    def _place(self, change: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        day = self.day_of(change)
        return day, np.where(day == 0, change, change - self._day_start(day))

    def _day_start(self, day: Any) -> Any:
        return self.first + (day - 1) * (self.created + self.updated)

    def _step(self, day: Any) -> Any:
        return np.where(day == 0, _HISTORY_DAYS * _DAY // self.first, _DAY // (self.created + self.updated))

    def _stride(self, day: Any) -> Any:
        return np.maximum(self.rows(0) + (day - 1) * self.created, 1) // self.updated

    def _offset(self, day: Any) -> Any:
        return below(np.maximum(self._stride(day), 1), self.seed, _START, day)

    def _updates_before(self, place: Any) -> Any:
        return place * self.updated // (self.created + self.updated)

    def _updates_before_creation(self, nth: Any) -> Any:
        return nth * self.updated // self.created

    def _update_number(self, day: int, nth: NDArray[np.int64]) -> NDArray[np.int64]:
        # The place p of the nth update is the last one with nth updates before it.
        both = self.created + self.updated
        place = ((nth + 1) * both + self.updated - 1) // self.updated - 1
        number: NDArray[np.int64] = self._day_start(day) + place
        return number


@lru_cache(maxsize=8)
def _overtaken(history: History, day: int) -> NDArray[np.int64]:
    """The changes that are not their row's last one by the end of the day, sorted: 8 bytes per update there was."""
    overtaken = []
    for d in range(1, day + 1):
        steps = np.arange(history.updated, dtype=np.int64)
        rows = history._offset(np.int64(d)) + steps * history._stride(np.int64(d))  # noqa: SLF001 -- part of it
        overtaken.append(history.last_change(rows, d - 1))
    return np.sort(np.concatenate(overtaken)) if overtaken else np.empty(0, np.int64)
