"""How a tour ends when somebody ends it, and what it says to programs when it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from de_classes.testing.faults import fault_environment
from tests.integration.cli.conftest import Tour, wait_for


@contextmanager
def running(tour: Tour, stdout: int = -3) -> Iterator[subprocess.Popen[str]]:
    """A tour that is reading pages."""
    log = tour.folder.parent / "reached"
    env = {**os.environ, **fault_environment(log=log)}
    command = tour.command("--orders", "30000")
    with subprocess.Popen(command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True) as process:
        wait_for(log, "api.page.read", times=5)
        yield process


def test_ctrl_c_says_that_nothing_is_lost(tour: Tour) -> None:
    """An interrupted tour ends at once with 130 and one line; the next one ends with the same proof."""
    with running(tour) as process:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.count("Interrupted") == 1
    assert "Traceback" not in told
    tour.result()


def test_ctrl_c_again_ends_at_once(tour: Tour) -> None:
    """A second Ctrl-C waits for nothing, and is no more harm than a kill."""
    with running(tour) as process:
        for _ in range(100):
            process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    tour.result()


def test_a_report_that_cannot_be_written_is_one_error(tour: Tour) -> None:
    """A full disk behind standard output ends with 1 and one message."""
    tour.result("--orders", "200")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(tour.command(), stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "standard output: the report cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("orders", "kind", "code"), [("5", "PostgresUnreachable", 1), ("0", "ConfigurationError", 2)])
def test_programs_are_told_why_there_is_no_report(tmp_path: Path, orders: str, kind: str, code: int) -> None:
    """With --json, a failure is an object on standard output, beside the message for people."""
    tour = Tour(tmp_path / "tour", ["--postgres-url", "postgresql://127.0.0.1:1/shop", "--orders", orders])
    done = tour.run("--json", expect=code)
    told = json.loads(done.stdout)
    assert told["holds"] is False
    assert told["error"]["kind"] == kind
    assert told["error"]["fact"] in done.stderr
