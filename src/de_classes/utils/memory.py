"""Memory that is given back when it is not needed any more."""

from __future__ import annotations

import os
import sys

__all__ = ["give_memory_back"]


def give_memory_back() -> None:
    """Let Arrow take memory by jemalloc; to be called by a program, not by a library, before pyarrow is imported.

    Arrow's own choice, mimalloc, keeps what threads that have ended used: a quarter more at the peak of a load with
    changing workers, at the same speed (`benchmarks/tour.py`). Whoever has set ARROW_DEFAULT_MEMORY_POOL is obeyed;
    elsewhere than on Linux, where wheels always have jemalloc, nothing is changed.
    """
    if sys.platform == "linux" and "pyarrow" not in sys.modules:
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
