"""What a contender took: seconds, processor time of its process and of the server's, and its peak of memory.

On a machine that others use as well, seconds say little; processor time, by turns, says what the work costs.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Taken", "telling"]


class Taken(NamedTuple):
    """What one run took."""

    seconds: float
    processors: float
    """Seconds of processors, of the contender and of the server together; not a number where there is no /proc."""
    peak: float
    """Bytes."""


@contextmanager
def telling(began: float, server: int) -> Iterator[None]:
    """Print what the process has taken since `began` (perf_counter), the server (its first process) among it."""
    before = _own() + _of_server(server)
    yield
    processors = _own() + _of_server(server) - before
    print(json.dumps(Taken(time.perf_counter() - began, processors, _peak())))


def _own() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak() -> float:
    """The most memory of this program; what resource says may be that of the process which it was forked from."""
    status = Path("/proc/self/status")
    if status.exists() and (told := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return float(told[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _of_server(first: int) -> float:
    """Seconds of processors that a server's processes have used, those that have ended among them."""
    if not Path("/proc/self/stat").exists():
        return float("nan")
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        number = int(path.parent.name)
        if number == first or int(fields[1]) == first:
            ticks += sum(map(int, fields[11 : 15 if number == first else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")
