"""A cap on how many do something at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Slots"]


class Slots:
    """Lets at most so many in at once (None: all), in this process; a copy in another one counts for itself."""

    def __init__(self, count: int | None) -> None:
        self.count = count
        self._free = None if count is None else threading.BoundedSemaphore(count)

    def __enter__(self) -> None:
        if self._free is not None:
            self._free.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._free is not None:
            self._free.release()

    def __reduce__(self) -> tuple[type[Slots], tuple[int | None]]:
        return Slots, (self.count,)
