"""The progress of runs, for people who wait."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TextIO

from de_classes.contracts import (
    Committed,
    Retried,
    RunFailed,
    RunFinished,
    SplitFinished,
    SplitProgressed,
    SplitStarted,
    StreamFailed,
    StreamFinished,
    StreamStarted,
)
from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from de_classes.contracts import Event

__all__ = ["ProgressDisplay"]


class ProgressDisplay:
    """An observer that shows how far each stream is; use it in a `with`.

    On a terminal there is a line per running stream that is written over as things move on, and one that stays for each
    stream that ended. Anywhere else, such as a log of a CI system or a pipe, there are plain lines: when a stream
    starts, commits and ends, and in between at most one each `every_seconds`, by the time of the events.

    It writes to standard error unless given a stream; `live` decides for or against the terminal's kind of display
    where a look at the stream would decide wrongly. Retries are told by clients, which know of no stream, so they are
    counted together.
    """

    def __init__(self, file: TextIO | None = None, *, live: bool | None = None, every_seconds: float = 5.0) -> None:
        if every_seconds < 0:
            raise ConfigurationError("ProgressDisplay", f"every_seconds={every_seconds} is negative", "Pass 0 or more.")
        self._file = file
        self._wants_live = live
        self._every_seconds = every_seconds
        self._passages: dict[tuple[str, str], _Passage] = {}
        self._retries = _Retries()
        self._lock = threading.Lock()  # a live display is drawn by a thread of its own
        self._live: Any = None

    def __enter__(self) -> Self:
        """Take over the terminal, if it is one."""
        out = self._out()
        if out.isatty() if self._wants_live is None else self._wants_live:
            self._live = _live(out, self._drawn)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Take note of an event; one that is unknown, or comes out of order, does no harm."""
        with self._lock:
            line = self._noted(event)
        if line is not None:
            self._say(line)

    def _noted(self, event: Event) -> str | None:
        """Take note of an event, and give the line that is due, if any."""
        if isinstance(event, Retried):
            return self._retried(event)
        if isinstance(event, RunFinished | RunFailed):
            self._passages = {key: kept for key, kept in self._passages.items() if key[0] != event.run_id}
        told = _TOLD.get(type(event))
        return None if told is None else self._moved(told, event)

    def _moved(self, told: Callable[[_Passage, Any], str | None], event: Any) -> str | None:
        key = (event.run_id, event.stream)
        passage = self._passages.get(key)
        if passage is None:
            label = _one_line(f"{event.pipeline} {event.stream}")
            passage = self._passages[key] = _Passage(label, event.at, event.at)
        line = told(passage, event)
        if isinstance(event, StreamFinished | StreamFailed):
            del self._passages[key]
            return line
        return self._due(passage, event, line)

    def _due(self, passage: _Passage, event: Event, line: str | None) -> str | None:
        """The line, or from time to time the state, of a stream under way; on a terminal that is drawn, not said."""
        if self._live is not None:
            return None
        if line is None and _seconds(passage.said_at, event.at) < self._every_seconds:
            return None
        passage.said_at = event.at
        return line or passage.told(passage.state)

    def _retried(self, event: Retried) -> str | None:
        self._retries.note(event)
        if self._live is not None or not self._retries.due(event.at, self._every_seconds):
            return None
        return self._retries.told

    def _say(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._out(), flush=True)

    def _out(self) -> TextIO:
        return sys.stderr if self._file is None else self._file

    def _drawn(self) -> Any:
        from rich.console import Group  # noqa: PLC0415 -- importing this module stays light
        from rich.table import Table  # noqa: PLC0415 -- likewise
        from rich.text import Text  # noqa: PLC0415 -- likewise

        table = Table.grid(padding=(0, 2))
        for column in range(5):
            table.add_column(justify="left" if column in {0, 4} else "right", no_wrap=True)
        with self._lock:
            for passage in self._passages.values():
                table.add_row(*map(Text, passage.cells))
            retries = [Text(self._retries.told, style="yellow", no_wrap=True)] if self._retries.count else []
        return Group(table, *retries)


@dataclass(slots=True)
class _Passage:
    """What is known of one stream of one run.

    Rows are counted as they come, and corrected when a split or a commit tells how many they were.
    """

    label: str
    began: datetime
    said_at: datetime
    now: datetime | None = None
    splits: int = 0
    splits_done: int = 0
    committed: tuple[int, int] = (0, 0)
    """Rows and bytes."""
    written: tuple[int, int] = (0, 0)
    """Rows and bytes of finished splits that are not committed yet."""
    under_way: dict[str, int] = field(default_factory=dict)
    """Rows by split."""
    rejected: int = 0
    """Records that went to quarantine."""
    deleted: int = 0
    """Rows that were deleted."""

    @property
    def rows(self) -> int:
        return self.committed[0] + self.written[0] + sum(self.under_way.values())

    @property
    def bytes(self) -> int:
        return self.committed[1] + self.written[1]

    @property
    def rate(self) -> float:
        """Rows per second."""
        seconds = _seconds(self.began, self.now or self.began)
        return self.rows / seconds if seconds else 0.0

    @property
    def state(self) -> str:
        if self.splits > 1:
            return f"{self.splits_done} of {self.splits} splits"
        return "under way"

    @property
    def cells(self) -> tuple[str, ...]:
        return self.label, _many(self.rows, "row"), f"{self.rate:,.0f} rows/s", _size(self.bytes), self.state

    def told(self, state: str) -> str:
        return f"{self.label}: {state}, {_many(self.rows, 'row')}, {self.rate:,.0f} rows/s, {_size(self.bytes)}"

    def started(self, event: StreamStarted) -> str:
        self.splits, self.splits_done = event.splits, event.staged
        staged = f", {event.staged} written before" if event.staged else ""
        return f"{self.label}: started, {event.splits} split{'s' * (event.splits != 1)}{staged}"

    def split_started(self, event: SplitStarted) -> None:
        self.now = event.at
        self.under_way[event.split_id] = 0

    def split_progressed(self, event: SplitProgressed) -> None:
        self.now = event.at
        self.under_way[event.split_id] = self.under_way.get(event.split_id, 0) + event.rows

    def split_finished(self, event: SplitFinished) -> None:
        self.now = event.at
        self.under_way.pop(event.split_id, None)
        self.splits_done += 1
        self.written = self.written[0] + event.rows, self.written[1] + event.bytes

    def has_committed(self, event: Committed) -> str:
        self.now = event.at
        self.committed = self.committed[0] + event.rows, self.committed[1] + event.bytes
        self.written = 0, 0
        self.under_way.clear()
        self.rejected += event.rejected
        self.deleted += event.deleted
        besides = _besides(event.deleted, event.rejected)
        return f"{self.label}: committed {_many(event.rows, 'row')}, {_size(event.bytes)}{besides}"

    def finished(self, event: StreamFinished) -> str:
        rate = f", {event.rows / event.seconds:,.0f} rows/s" if event.rows and event.seconds > 0 else ""
        size = f"{_size(event.bytes)} in {event.seconds:.1f} s{rate}{_besides(self.deleted, self.rejected)}"
        return f"{self.label}: finished, {_many(event.rows, 'row')}, {size}"

    def failed(self, event: StreamFailed) -> str:
        return f"{self.label}: failed after {event.seconds:.1f} s: {_one_line(event.error)}"


_TOLD: dict[type[Event], Callable[[_Passage, Any], str | None]] = {
    StreamStarted: _Passage.started,
    SplitStarted: _Passage.split_started,
    SplitProgressed: _Passage.split_progressed,
    SplitFinished: _Passage.split_finished,
    Committed: _Passage.has_committed,
    StreamFinished: _Passage.finished,
    StreamFailed: _Passage.failed,
}


@dataclass(slots=True)
class _Retries:
    count: int = 0
    last: str = ""
    said_at: datetime | None = None

    def note(self, event: Retried) -> None:
        self.count += 1
        self.last = _one_line(f"{event.name}: {event.cause}, again in {event.wait_seconds:.1f} s")

    def due(self, now: datetime, every_seconds: float) -> bool:
        if self.said_at is not None and _seconds(self.said_at, now) < every_seconds:
            return False
        self.said_at = now
        return True

    @property
    def told(self) -> str:
        return f"{self.count:,} retr{'y' if self.count == 1 else 'ies'}, the last: {self.last}"


def _live(out: TextIO, drawn: Any) -> Any:
    from rich.console import Console  # noqa: PLC0415 -- importing this module stays light
    from rich.live import Live  # noqa: PLC0415 -- likewise

    console = Console(file=out, force_terminal=True)
    return Live(get_renderable=drawn, console=console, transient=True, refresh_per_second=4)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())


def _besides(deleted: int, rejected: int) -> str:
    gone = f", {_many(deleted, 'row')} deleted" if deleted else ""
    aside = f", {_many(rejected, 'record')} in quarantine" if rejected else ""
    return f"{gone}{aside}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _one_line(text: str) -> str:
    """The first line, with nothing in it that a terminal would obey."""
    first = next(iter(text.splitlines()), "")
    return "".join(letter if letter.isprintable() else "?" for letter in first)


def _size(count: float) -> str:
    """Bytes, in powers of 1000."""
    units = ["B", "kB", "MB", "GB", "TB"]
    step = 1000
    while count >= step and len(units) > 1:
        count /= step
        del units[0]
    return f"{count:,.0f} B" if units[0] == "B" else f"{count:,.1f} {units[0]}"
