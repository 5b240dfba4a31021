from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from de_classes.configs import Secret
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
from de_classes.utils.workflow_log import WorkflowLog

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
RUN: dict[str, Any] = {"at": AT, "run_id": "r1", "pipeline": "shop"}
STREAM = {**RUN, "stream": "orders"}
SPLIT = {**STREAM, "split_id": "orders:0-99"}

EVENTS: list[tuple[Event, str, str]] = [
    (RunStarted(**RUN, streams=("orders",), mode=Mode.MERGE), "run_started", "info"),
    (StreamStarted(**STREAM, since={"page": 3}, splits=2, staged=1), "stream_started", "info"),
    (SplitStarted(**SPLIT), "split_started", "debug"),
    (SplitProgressed(**SPLIT, rows=10), "split_progressed", "debug"),
    (Retried(at=AT, name="GET /orders", attempt=2, wait_seconds=0.5, cause="status 503"), "retried", "warning"),
    (SplitFinished(**SPLIT, rows=10, bytes=99, seconds=0.1), "split_finished", "info"),
    (Committed(**STREAM, position={"page": 4}, rows=10, bytes=99), "committed", "info"),
    (StreamFinished(**STREAM, position={"page": 4}, rows=10, bytes=99, seconds=0.2), "stream_finished", "info"),
    (StreamFailed(**STREAM, error="orders: gone\n  Look.", seconds=0.2), "stream_failed", "error"),
    (RunFinished(**RUN, rows=10, bytes=99, seconds=0.3), "run_finished", "info"),
    (RunFailed(**RUN, error="gone", seconds=0.3), "run_failed", "error"),
]


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


class TestJson:
    @pytest.mark.parametrize(
        ("event", "name", "level"), EVENTS, ids=lambda value: value if isinstance(value, str) else ""
    )
    def test_each_event_is_a_line(self, event: Event, name: str, level: str) -> None:
        """A line holds the event's time, level and name, the run, pipeline, stream and split, and all its facts."""
        out = io.StringIO()
        WorkflowLog(out, level="DEBUG")(event)
        (line,) = lines(out)
        assert line.pop("timestamp") == "2026-02-03T04:05:06.789000+00:00"
        assert (line.pop("event"), line.pop("level")) == (name, level)
        if hasattr(event, "split_id"):
            assert line.pop("split") == event.split_id
        facts = {
            field: getattr(event, field) for field in event.__dataclass_fields__ if field not in {"at", "split_id"}
        }
        assert line == json.loads(json.dumps(facts))

    def test_lines_begin_alike(self) -> None:
        """What tells when, how bad, what and where comes first."""
        out = io.StringIO()
        WorkflowLog(out, level="DEBUG")(SplitProgressed(**SPLIT, rows=1))
        keys = ["timestamp", "level", "event", "run_id", "pipeline", "stream", "split", "rows"]
        assert list(lines(out)[0]) == keys

    def test_what_is_below_the_level_is_left_out(self) -> None:
        """Unless it is asked for, single splits starting and batches are not told."""
        out = io.StringIO()
        log = WorkflowLog(out)
        for event, _, _ in EVENTS:
            log(event)
        assert [line["event"] for line in lines(out)] == [name for _, name, level in EVENTS if level != "debug"]

    def test_secrets_are_masked(self) -> None:
        """A secret, however deep in a structure, is shown as it shows itself, in both forms."""
        position: Any = {"login": {"token": Secret("s3cr3t")}, "list": [Secret("s3cr3t")], "at": AT}
        for form in ("json", "logfmt"):
            out = io.StringIO()
            WorkflowLog(out, form=form)(Committed(**STREAM, position=position, rows=0, bytes=0))
            assert "s3cr3t" not in out.getvalue()
            assert "Secret('***')" in out.getvalue()


class TestLogfmt:
    def test_an_event_is_one_line_of_pairs(self) -> None:
        """Each fact is a key=value pair; line ends and quotes inside a value do not break the line."""
        out = io.StringIO()
        WorkflowLog(out, form="logfmt")(StreamFailed(**STREAM, error='no "x"\n  Look 100%.', seconds=0.5))
        assert out.getvalue() == (
            "timestamp=2026-02-03T04:05:06.789000+00:00 level=error event=stream_failed run_id=r1 pipeline=shop "
            'stream=orders error="no \\"x\\"\\n  Look 100%." seconds=0.5\n'
        )

    def test_structures_are_json(self) -> None:
        """A position is shown as JSON inside its value."""
        out = io.StringIO()
        WorkflowLog(out, form="logfmt")(Committed(**STREAM, position={"page": 3}, rows=0, bytes=0))
        assert r'position="{\"page\": 3}"' in out.getvalue()


class TestTargets:
    def test_a_logger_by_name(self, caplog: pytest.LogCaptureFixture) -> None:
        """The standard library's logger of that name gets the lines, and decides itself what it lets through."""
        log = WorkflowLog("shop.loads", level="ERROR")
        with caplog.at_level(logging.WARNING, "shop.loads"):
            for event, _, _ in EVENTS:
                log(event)
        told = [(record.name, record.levelno, json.loads(record.getMessage())["event"]) for record in caplog.records]
        assert told == [
            ("shop.loads", logging.WARNING, "retried"),
            ("shop.loads", logging.ERROR, "stream_failed"),
            ("shop.loads", logging.ERROR, "run_failed"),
        ]

    def test_a_file_is_appended_to(self, tmp_path: Path) -> None:
        """Two runs one after the other leave their lines in one file, which the end of a `with` closes."""
        path = tmp_path / "workflow.jsonl"
        for _ in range(2):
            with WorkflowLog(path) as log:
                log(RunFinished(**RUN, rows=1, bytes=2, seconds=3))
        assert [json.loads(line)["event"] for line in path.read_text(encoding="utf-8").splitlines()] == [
            "run_finished"
        ] * 2

    def test_a_log_can_be_used_again(self, tmp_path: Path) -> None:
        """After its `with` a log opens its file again when it is used."""
        log = WorkflowLog(tmp_path / "workflow.jsonl")
        for _ in range(2):
            with log:
                log(RunFinished(**RUN, rows=1, bytes=2, seconds=3))
        assert len((tmp_path / "workflow.jsonl").read_text(encoding="utf-8").splitlines()) == 2

    def test_a_stream_stays_open(self) -> None:
        """A stream is somebody else's to close."""
        out = io.StringIO()
        with WorkflowLog(out):
            pass
        assert not out.closed

    def test_a_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        """It is the user's mistake, and told at the beginning of the `with`."""
        with (
            pytest.raises(ConfigurationError, match="cannot be opened: No such file"),
            WorkflowLog(tmp_path / "a" / "b"),
        ):
            pass

    def test_constructing_touches_nothing(self, tmp_path: Path) -> None:
        """No file is there before the log is used."""
        WorkflowLog(tmp_path / "workflow.jsonl")
        assert list(tmp_path.iterdir()) == []

    def test_everything_that_is_wrong_is_told(self) -> None:
        """One error tells of all arguments that cannot be."""
        with pytest.raises(ConfigurationError, match=r"form is 'xml'.*level is 'LOUD'.*3 is neither"):
            WorkflowLog(3, form="xml", level="LOUD")  # type: ignore[arg-type]


def test_logging_stays_as_the_program_configured_it() -> None:
    """Writing to a stream leaves no handler and no level behind, and nothing leaks into the program's own log."""
    code = """
import io, logging, structlog
from datetime import UTC, datetime
from de_classes.contracts import RunFailed
from de_classes.utils.workflow_log import WorkflowLog
own = io.StringIO()
logging.basicConfig(stream=own, level=logging.DEBUG)
before = list(logging.root.handlers), dict(structlog.get_config()), sorted(logging.root.manager.loggerDict)
out = io.StringIO()
with WorkflowLog(out) as log:
    log(RunFailed(at=datetime.now(UTC), run_id="r", pipeline="p", error="e", seconds=1.0))
after = list(logging.root.handlers), dict(structlog.get_config()), sorted(logging.root.manager.loggerDict)
assert before == after, (before, after)
assert out.getvalue() and not own.getvalue()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
