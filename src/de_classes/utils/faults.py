"""Named points at which a test may kill the process, stop it, or make it fail.

`reach("dataset.commit.before")` does nothing, in a few nanoseconds, unless the environment says otherwise when this
module is first imported. `de_classes.testing.faults` drives it: a crash matrix is only worth something when the points
sit in the code that ships, at the instants between two lasting effects.

    DE_CLASSES_FAULT=dataset.commit.before:2     SIGKILL when that point is reached for the second time
    DE_CLASSES_FAULT_LOG=/some/file              append the name of every point that is reached, a line each
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from threading import Lock

__all__ = ["POINTS", "reach"]

POINTS = (
    "api.page.read",
    "dataset.write.before_upload",
    "dataset.write.after_upload",
    "dataset.commit.before",
    "dataset.commit.after",
    "dataset.cleanup.before",
    "postgres.write.before_copy",
    "postgres.write.in_copy",
    "postgres.write.after_copy",
    "postgres.commit.before_move",
    "postgres.commit.after_move",
    "postgres.commit.before",
    "postgres.commit.after",
    "runner.before_plan",
    "runner.after_begin",
    "runner.before_commit",
    "runner.after_commit",
)
"""All the points there are; `reach` of any other name is a programming error, and a test sees that each is reached."""

_wanted, _, _count = os.environ.get("DE_CLASSES_FAULT", "").partition(":")
_nth = int(_count or 1)
_log = os.environ.get("DE_CLASSES_FAULT_LOG", "")
_armed = bool(_wanted or _log)
_seen: Counter[str] = Counter()
_lock = Lock()


def reach(point: str) -> None:
    """Say that the point is reached, and die if the environment asked for that."""
    if not _armed:
        return
    with _lock:
        _seen[point] += 1
        if _log:
            with Path(_log).open("a", encoding="utf-8") as log:
                log.write(f"{point}\n")
        if point == _wanted and _seen[point] == _nth:
            os.kill(os.getpid(), signal.SIGKILL)
