"""Crash tests: run a command, kill it at a named point, see where it has been.

The points stand in the code that ships, see `de_classes.utils.faults`. A crash test runs a command until it is killed
at a point, runs it again to its end, and then looks whether everything is there exactly once::

    run_until_killed([sys.executable, "load.py"], "dataset.commit.before")
    run_to_end([sys.executable, "load.py"])

Which points a command passes, and how often, `run_to_end(...).reached` tells; so a test can go through them all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError
from de_classes.utils.faults import ACTIONS, POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ACTIONS", "POINTS", "Ended", "fault_environment", "read_log", "run_to_end", "run_until_killed"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command came to its end."""

    code: int
    """The exit code; negative for the signal that ended it."""
    output: str
    """What it wrote to standard output and standard error."""
    reached: tuple[str, ...]
    """The points that it reached, in their order, as often as it reached them."""

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.code == -signal.SIGKILL


def fault_environment(
    point: str | None = None, nth: int = 1, log: Path | None = None, *, action: str = "kill"
) -> dict[str, str]:
    """The environment variables that kill a process at the nth time a point is reached, and log what it reaches.

    Other actions: "stop" lets it sleep there until it gets SIGCONT, and "full" takes its disk away: from there on, what
    it writes to files fails as on a full one.

    Raises:
        ConfigurationError: there is no such point, or no such action.

    """
    if action not in ACTIONS:
        raise ConfigurationError(f"fault {action!r}", "there is no such action", f"Choose from {', '.join(ACTIONS)}.")
    if point is not None and point not in POINTS:
        raise ConfigurationError(
            f"fault point {point!r}", "there is no such point", f"Choose from {', '.join(POINTS)}."
        )
    variables = {} if point is None else {"DE_CLASSES_FAULT": f"{point}:{nth}:{action}"}
    return variables if log is None else {**variables, "DE_CLASSES_FAULT_LOG": str(log)}


def read_log(log: Path) -> tuple[str, ...]:
    """The points that a log names, in their order; none where there is no log, since no point was reached."""
    return tuple(log.read_text(encoding="utf-8").split()) if log.exists() else ()


def run_until_killed(  # noqa: PLR0913 -- a command, a moment, and what any command may need
    command: Sequence[str],
    point: str,
    nth: int = 1,
    env: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    seconds: float = 300.0,
) -> Ended:
    """Run a command that dies when it reaches the point for the nth time; `env` is added to this process's environment.

    Raises:
        AssertionError: it did not die there.
        ConfigurationError: there is no such point.
        subprocess.TimeoutExpired: it did not end in time, and was killed.

    """
    ended = _run(command, point, nth, env or {}, cwd, seconds)
    if not ended.killed:
        raise AssertionError(
            f"the command ended with {ended.code}, and did not reach {point} {nth} times; "
            f"it reached {', '.join(dict.fromkeys(ended.reached)) or 'no point'} and wrote:\n{ended.output[-2000:]}"
        )
    return ended


def run_to_end(
    command: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: Path | None = None, seconds: float = 300.0
) -> Ended:
    """Run a command, and note which points it reaches; `env` is added to this process's environment.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was killed.

    """
    return _run(command, None, 1, env or {}, cwd, seconds)


def _run(  # noqa: PLR0913 -- what the two above have in common
    command: Sequence[str], point: str | None, nth: int, env: Mapping[str, str], cwd: Path | None, seconds: float
) -> Ended:
    with tempfile.TemporaryDirectory(prefix="de-classes-fault-") as folder:
        log, output = Path(folder, "reached"), Path(folder, "output")
        # Into a file: a pipe would be held open by servers that the command leaves running, and never come to its end.
        with output.open("wb") as written:
            process = subprocess.run(  # noqa: S603 -- the test's own command
                command,
                check=False,
                cwd=cwd,
                env={**os.environ, **env, **fault_environment(point, nth, log)},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            )
        return Ended(process.returncode, output.read_text(encoding="utf-8", errors="replace"), read_log(log))
