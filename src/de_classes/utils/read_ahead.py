"""Reading while writing: an iterator that is run ahead in a thread, within a budget."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Stopped", "read_ahead"]

T = TypeVar("T")

_LOOK_SECONDS = 0.1
"""How often somebody who waits looks whether to stop."""


class Stopped(Exception):  # noqa: N818 -- no failure: it unwinds whoever waits
    """Nobody wants what is waited for any more."""


@contextmanager
def read_ahead(
    items: Iterator[T], size: Callable[[T], int], budget: int, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Iterator[T]]:
    """Run `items` in a thread of its own, ahead of whoever iterates over what this gives.

    At most `budget` of `size` (bytes, say) wait at a time, and always room for one item, however large. Leaving the
    context stops the thread after the item it is at, closes `items` and waits for both; what `items` raises is raised
    to the consumer in its place. Once `stopped` says so, the consumer gets `Stopped`, and nobody waits for an item that
    may be long in coming: its thread ends when it has come.
    """
    queue = _Queue(items, size, budget, stopped)
    thread = threading.Thread(target=queue.fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield queue.drain()
    finally:
        queue.abandon()
        while thread.is_alive() and not stopped():
            thread.join(_LOOK_SECONDS)


class _Queue(Generic[T]):
    """What waits between the two threads; every field is guarded by the one condition."""

    def __init__(self, items: Iterator[T], size: Callable[[T], int], budget: int, stopped: Callable[[], bool]) -> None:
        self._items = items
        self._stopped = stopped
        self._size = size
        self._budget = budget
        self._waiting: deque[tuple[T, int]] = deque()
        self._used = 0
        self._ended = False
        self._abandoned = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def fill(self) -> None:
        """The reading thread."""
        try:
            for item in self._items:
                if not self._put(item, self._size(item)):
                    break
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # noqa: BLE001 -- it is raised again, in the consumer's thread
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T, size: int) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or not self._waiting or self._used + size <= self._budget)
            if self._abandoned:
                return False
            self._waiting.append((item, size))
            self._used += size
            self._changed.notify_all()
            return True

    def drain(self) -> Iterator[T]:
        """The consumer's side."""
        while True:
            with self._changed:
                while not self._changed.wait_for(lambda: self._waiting or self._ended, _LOOK_SECONDS):
                    if self._stopped():
                        raise Stopped
                if not self._waiting:
                    break
                item, size = self._waiting.popleft()
                self._used -= size
                self._changed.notify_all()
            yield item
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Nobody will ask for more."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()
