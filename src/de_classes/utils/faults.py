"""Named points at which a test may kill the process, stop it, or take its disk away.

`reach("dataset.commit.before")` does nothing, in a few nanoseconds, unless the environment says otherwise when this
module is first imported, or `arm` does. `de_classes.testing.faults` drives it: a crash matrix is only worth something
when the points sit in the code that ships, at the instants between two lasting effects.

    DE_CLASSES_FAULT=dataset.commit.before:2     SIGKILL when that point is reached for the second time
    DE_CLASSES_FAULT=dataset.commit.before:1:stop    SIGSTOP instead: the process sleeps until somebody sends SIGCONT
    DE_CLASSES_FAULT=dataset.commit.before:1:full    from here on, the kernel refuses every write of it to a file
    DE_CLASSES_FAULT_LOG=/some/file              append the name of every point that is reached, a line each
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

__all__ = ["ACTIONS", "POINTS", "arm", "reach"]

POINTS = (
    "api.page.read",
    "dataset.read.batch",
    "files.read.batch",
    "dataset.probe.between",
    "dataset.write.before_upload",
    "dataset.write.in_upload",
    "dataset.write.after_upload",
    "dataset.write.after_receipt",
    "dataset.commit.before",
    "dataset.commit.before_put",
    "dataset.commit.after_put",
    "dataset.commit.after",
    "dataset.cleanup.before",
    "dataset.cleanup.before_ledger",
    "dataset.cleanup.before_marker",
    "dataset.checkpoint.before_put",
    "dataset.vacuum.before_delete",
    "dataset.vacuum.before_sweep",
    "local.write.before_publish",
    "local.write.after_link",
    "local.write.after_rename",
    "local.delete.before",
    "postgres.begin.before",
    "postgres.begin.after",
    "postgres.plan.made",
    "postgres.read.before",
    "postgres.write.before_copy",
    "postgres.write.after_create",
    "postgres.write.in_copy",
    "postgres.write.after_copy",
    "postgres.write.before_commit",
    "postgres.write.after_commit",
    "postgres.commit.after_adopting",
    "postgres.commit.before_move",
    "postgres.commit.after_replacing_items",
    "postgres.commit.after_emptying",
    "postgres.commit.after_closing",
    "postgres.commit.after_deleting",
    "postgres.commit.after_declaring",
    "postgres.commit.after_move",
    "postgres.commit.after_position",
    "postgres.commit.before",
    "postgres.commit.after",
    "runner.before_plan",
    "runner.after_begin",
    "runner.before_commit",
    "runner.after_commit",
    "s3.upload.part",
    "s3.upload.before_completion",
    "s3.upload.after_completion",
)
"""All the points there are; `reach` of any other name is a programming error, and a test sees that each is reached."""

ACTIONS = ("kill", "stop", "full")


@dataclass(slots=True)
class _Armed:
    """What is to happen where, and what was reached."""

    point: str = ""
    nth: int = 1
    action: str = "kill"
    log: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def reach(self, point: str) -> None:
        with self.lock:
            self.seen[point] += 1
            if self.log:
                with Path(self.log).open("a", encoding="utf-8") as log:
                    log.write(f"{point}\n")
            if point == self.point and self.seen[point] == self.nth:
                _act(self.action)


def arm(fault: str = "", log: str = "") -> None:
    """Say what is to happen in this process, as the environment says it: `point`, `point:nth` or `point:nth:action`."""
    global _armed  # noqa: PLW0603 -- a point must cost nothing, so there is one switch for the process
    point, nth, action = (*fault.split(":"), "", "")[:3]
    _armed = _Armed(point, int(nth or 1), action or "kill", log) if point or log else None


def reach(point: str) -> None:
    """Say that the point is reached, and die, sleep or lose the disk if that was asked for."""
    if _armed is not None:
        _armed.reach(point)


def _act(action: str) -> None:
    if action == "full":
        import resource  # noqa: PLC0415 -- of Unix alone, and of tests alone

        # Writing to a file beyond the limit fails as it does on a full disk, pipes and sockets go on working.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


_armed: _Armed | None = None
arm(os.environ.get("DE_CLASSES_FAULT", ""), os.environ.get("DE_CLASSES_FAULT_LOG", ""))
