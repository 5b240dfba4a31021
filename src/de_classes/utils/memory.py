"""Memory that is given back when it is not needed any more."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["give_memory_back"]


def give_memory_back() -> None:
    """Let Arrow take memory by jemalloc where it is built in; to be called by a program, not by a library.

    Arrow's own choice, mimalloc, keeps what threads that have ended used: a third more at the peak of a load with
    changing workers, at the same speed (`benchmarks/tour.py`).
    """
    try:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    except NotImplementedError:  # as on Windows
        return
