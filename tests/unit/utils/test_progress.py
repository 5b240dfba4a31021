from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.contracts import (
    Committed,
    Event,
    Mode,
    Retried,
    RunFailed,
    RunFinished,
    RunStarted,
    SplitFinished,
    SplitProgressed,
    SplitStarted,
    StreamFailed,
    StreamFinished,
    StreamStarted,
)
from de_classes.errors import ConfigurationError
from de_classes.utils.progress import ProgressDisplay

BEGAN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
STREAM = {"run_id": "r1", "pipeline": "shop", "stream": "orders"}
OTHER = {**STREAM, "stream": "customers"}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def started(seconds: float = 0, splits: int = 1, staged: int = 0, **stream: Any) -> StreamStarted:
    return StreamStarted(at=at(seconds), since=None, splits=splits, staged=staged, **(stream or STREAM))


def progressed(seconds: float, rows: int = 1000, split: str = "s1", **stream: Any) -> SplitProgressed:
    return SplitProgressed(at=at(seconds), split_id=split, rows=rows, **(stream or STREAM))


def ended(seconds: float, rows: int, split: str = "s1", **stream: Any) -> SplitFinished:
    return SplitFinished(at=at(seconds), split_id=split, rows=rows, bytes=rows * 10, seconds=1, **(stream or STREAM))


def committed(seconds: float, rows: int, **stream: Any) -> Committed:
    return Committed(at=at(seconds), position=None, rows=rows, bytes=rows * 10, **(stream or STREAM))


def finished(seconds: float, rows: int, **stream: Any) -> StreamFinished:
    return StreamFinished(
        at=at(seconds), position=None, rows=rows, bytes=rows * 10, seconds=seconds, **(stream or STREAM)
    )


def retried(seconds: float, cause: str = "status 503") -> Retried:
    return Retried(at=at(seconds), name="GET /orders", attempt=1, wait_seconds=0.5, cause=cause)


def plain(*events: Event, every_seconds: float = 5.0) -> list[str]:
    """The lines that are written where there is no terminal."""
    out = io.StringIO()
    with ProgressDisplay(out, every_seconds=every_seconds) as display:
        for event in events:
            display(event)
    return out.getvalue().splitlines()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(*events: Event) -> str:
    """What a terminal is sent, without its control sequences, last drawing last."""
    out = Terminal()
    with ProgressDisplay(out) as display:
        for event in events:
            display(event)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", out.getvalue())


class TestPlainLines:
    def test_a_stream_from_start_to_end(self) -> None:
        """A line when it starts, when it commits and when it ends, each with what it has reached."""
        assert plain(started(splits=2, staged=1), ended(1, 1500), committed(2, 2500), finished(2, 2500)) == [
            "shop orders: started, 2 splits, 1 written before",
            "shop orders: committed 2,500 rows, 25.0 kB",
            "shop orders: finished, 2,500 rows, 25.0 kB in 2.0 s, 1,250 rows/s",
        ]

    def test_at_most_one_line_every_few_seconds(self) -> None:
        """Between its milestones a stream has a line each five seconds of the events' clock, whatever comes."""
        batches = [progressed(tenth / 10, 100) for tenth in range(1, 121)]
        assert plain(started(), *batches) == [
            "shop orders: started, 1 split",
            "shop orders: under way, 5,000 rows, 1,000 rows/s, 0 B",
            "shop orders: under way, 10,000 rows, 1,000 rows/s, 0 B",
        ]

    def test_streams_that_interleave(self) -> None:
        """Each stream counts its own rows and has its own pace of lines."""
        events: list[Event] = [started(**STREAM), started(**OTHER)]
        for second in range(1, 7):
            events += [progressed(second, 10), progressed(second, 20_000, **OTHER)]
        assert plain(*events)[2:] == [
            "shop orders: under way, 50 rows, 10 rows/s, 0 B",
            "shop customers: under way, 100,000 rows, 20,000 rows/s, 0 B",
        ]

    def test_splits_that_interleave(self) -> None:
        """Rows of several splits add up, and what a finished split tells corrects what was counted on the way."""
        lines = plain(
            started(splits=3),
            progressed(1, 10, "a"),
            progressed(2, 20, "b"),
            ended(3, 15, "a"),
            progressed(9, 1, "b"),
        )
        assert lines[-1] == "shop orders: 1 of 3 splits, 36 rows, 4 rows/s, 150 B"

    def test_a_split_that_is_started_again_counts_once(self) -> None:
        """A worker that was lost leaves no rows behind in the count."""
        again = SplitStarted(at=at(2), split_id="s1", **STREAM)
        assert "7 rows" in plain(started(), progressed(1, 100), again, progressed(9, 7))[-1]

    def test_records_in_quarantine_are_told(self) -> None:
        """With the commit that set them aside, and at the end with all of them."""
        set_aside = [replace(committed(n, 10), rejected=n) for n in (1, 2)]
        assert plain(started(), *set_aside, finished(2, 20))[1:] == [
            "shop orders: committed 10 rows, 100 B, 1 record in quarantine",
            "shop orders: committed 10 rows, 100 B, 2 records in quarantine",
            "shop orders: finished, 20 rows, 200 B in 2.0 s, 10 rows/s, 3 records in quarantine",
        ]

    def test_commits_on_the_way_add_up(self) -> None:
        """A stream that commits several times shows all its rows."""
        events = [started(), progressed(1, 10), committed(1, 10), progressed(2, 5), committed(2, 5), progressed(9, 1)]
        assert plain(*events)[-1] == "shop orders: under way, 16 rows, 2 rows/s, 150 B"

    def test_a_failure_is_told_in_a_line(self) -> None:
        """The first line of the error, and nothing in it that a terminal would obey."""
        failed = StreamFailed(at=at(1.5), error="orders: \x1b[31mgone\n  Look there.", seconds=1.5, **STREAM)
        assert plain(started(), failed)[-1] == "shop orders: failed after 1.5 s: orders: ?[31mgone"

    def test_retries_are_counted(self) -> None:
        """Many retries are not many lines: at most one every few seconds, with their number."""
        assert plain(*(retried(tenth / 10) for tenth in range(61))) == [
            "1 retry, the last: GET /orders: status 503, again in 0.5 s",
            "51 retries, the last: GET /orders: status 503, again in 0.5 s",
        ]

    def test_two_runs_with_streams_of_one_name(self) -> None:
        """Streams are told apart by their run, and by their pipeline in the line."""
        other = {**STREAM, "run_id": "r2", "pipeline": "lake"}
        lines = plain(started(**STREAM), started(**other), progressed(9, 1), progressed(9, 2, **other))
        assert [line.split(",")[0:2] for line in lines[2:]] == [
            ["shop orders: under way", " 1 row"],
            ["lake orders: under way", " 2 rows"],
        ]

    def test_standard_error_is_the_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a stream of its own the display writes to standard error, as it is at that moment."""
        ProgressDisplay()(started())
        assert capsys.readouterr() == ("", "shop orders: started, 1 split\n")


class TestTerminal:
    def test_running_streams_have_a_line_each(self) -> None:
        """Each running stream shows rows, rate, bytes and state; retries are shown together."""
        shown = drawn(
            started(splits=2, **STREAM),
            started(**OTHER),
            ended(2, 2000, **STREAM),
            progressed(4, 100, **OTHER),
            retried(4),
        )
        assert re.search(r"shop orders +2,000 rows +1,000 rows/s +20.0 kB +1 of 2 splits", shown)
        assert re.search(r"shop customers +100 rows +25 rows/s +0 B +under way", shown)
        assert "1 retry, the last: GET /orders: status 503" in shown

    def test_finished_streams_leave_a_line(self) -> None:
        """What a stream came to stays on the screen, and it is drawn no more."""
        shown = drawn(started(), ended(2, 2000), committed(2, 2000), finished(2, 2000))
        assert shown.count("shop orders: finished, 2,000 rows, 20.0 kB in 2.0 s, 1,000 rows/s\n") == 1
        assert "under way" not in shown
        assert "committed" not in shown

    def test_names_are_not_markup(self) -> None:
        """A name in brackets is shown as it is."""
        strange = {**STREAM, "stream": "[red]x[/nope]"}
        assert "shop [red]x[/nope]" in drawn(started(**strange), progressed(1, **strange))
        assert "shop [red]x[/nope]: finished" in drawn(finished(1, 1, **strange))

    def test_the_terminal_is_given_back(self) -> None:
        """After an error inside the `with` the cursor is shown again, and events are told as plain lines."""
        out = Terminal()
        display = ProgressDisplay(out)
        with pytest.raises(KeyError), display:
            raise KeyError
        assert out.getvalue().rstrip("\r\n").endswith("\x1b[?25h")
        display(started())
        assert out.getvalue().endswith("shop orders: started, 1 split\n")

    def test_a_terminal_may_be_refused(self) -> None:
        """`live=False` gives plain lines on a terminal."""
        out = Terminal()
        with ProgressDisplay(out, live=False) as display:
            display(started())
        assert out.getvalue() == "shop orders: started, 1 split\n"


moments = st.floats(-100, 100).map(at)
streams = st.sampled_from([STREAM, OTHER, {"run_id": "", "pipeline": "", "stream": "\x00\n"}])
counts = st.integers(-10, 10**15)
splits = st.sampled_from(["a", "b"])
texts = st.text(max_size=3)


def odd(kind: type[Event], **facts: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.builds(
        lambda at, stream, rest: kind(at=at, **stream, **rest), moments, streams, st.fixed_dictionaries(facts)
    )


def odd_of_run(kind: type[Event], **facts: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.builds(kind, at=moments, run_id=st.just("r1"), pipeline=st.just(""), **facts)


odd_events = st.one_of(
    odd(StreamStarted, since=st.none(), splits=counts, staged=counts),
    odd(SplitStarted, split_id=splits),
    odd(SplitProgressed, split_id=splits, rows=counts),
    odd(SplitFinished, split_id=splits, rows=counts, bytes=counts, seconds=st.just(0.0)),
    odd(Committed, position=st.none(), rows=counts, bytes=counts),
    odd(StreamFinished, position=st.none(), rows=counts, bytes=counts, seconds=st.floats(0, 9)),
    odd(StreamFailed, error=st.text(max_size=9), seconds=st.floats(0, 9)),
    odd_of_run(RunStarted, streams=st.just(()), mode=st.just(Mode.APPEND)),
    odd_of_run(RunFinished, rows=counts, bytes=counts, seconds=st.just(1.0)),
    odd_of_run(RunFailed, error=st.just(""), seconds=st.just(1.0)),
    st.builds(Retried, at=moments, name=texts, attempt=counts, wait_seconds=st.floats(0, 9), cause=texts),
    st.builds(Event, at=moments),
)


class TestOddEvents:
    @given(st.lists(odd_events, max_size=20))
    def test_no_order_of_events_is_a_problem(self, events: list[Event]) -> None:
        """Events out of order, of unknown streams, with strange numbers or going back in time do no harm."""
        for line in plain(*events, every_seconds=0):
            assert line.isprintable()

    @given(st.lists(odd_events, max_size=8))
    def test_nor_on_a_terminal(self, events: list[Event]) -> None:
        """The same holds for the live display."""
        assert drawn(*events) is not None


def test_refuses_a_negative_pace() -> None:
    """An interval below nothing is a mistake."""
    with pytest.raises(ConfigurationError, match="every_seconds=-1 is negative"):
        ProgressDisplay(every_seconds=-1)
