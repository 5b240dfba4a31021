"""The tour as a command, run as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from de_classes.testing.faults import read_log

ROOT = Path(__file__).parents[3]


@dataclass
class Tour:
    """A tour in a folder of its own."""

    folder: Path
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        """The words of the command line."""
        main = str(ROOT / "src" / "main.py")
        return [sys.executable, "-W", "error", main, "--folder", str(self.folder), *self.options, *arguments]

    def run(self, *arguments: str, expect: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    def result(self, *arguments: str) -> dict[str, Any]:
        """Run it to its end, and read what it says to programs; the proof must hold."""
        found: dict[str, Any] = json.loads(self.run("--json", *arguments).stdout)
        assert found["holds"] is True
        return found


def wait_for(log: Path, point: str, times: int = 1) -> None:
    """Wait until a process has reached a point so often."""
    deadline = time.monotonic() + 60
    while read_log(log).count(point) < times:
        assert time.monotonic() < deadline, f"{point} was not reached"
        time.sleep(0.01)


def rows(result: dict[str, Any]) -> dict[str, int]:
    """Rows by pipeline."""
    return {pipeline["name"]: pipeline["rows"] for pipeline in result["pipelines"]}


@pytest.fixture
def tour(tmp_path: Path, postgres_url: str) -> Tour:
    """A tour over the tests' PostgreSQL, which saves starting one each time."""
    return Tour(tmp_path / "tour", ["--postgres-url", postgres_url])
