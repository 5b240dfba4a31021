"""One iterator for several consumers, each in a thread of its own, at the pace of the slowest."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from .read_ahead import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

__all__ = ["fan_out"]

T = TypeVar("T")
R = TypeVar("R")


def fan_out(items: Iterator[T], consumers: Sequence[Callable[[Iterator[T]], R]]) -> list[R]:
    """Give every item to every consumer, and what they return, in their order.

    The items are shared, not copied. At most one waits for each consumer, besides the one that it is at. A single
    consumer gets the iterator itself, in this thread. What the iterator raises is raised to all consumers; when a
    consumer raises, the others get `Stopped` from their next item on, and its error is raised here.
    """
    if len(consumers) == 1:
        return [consumers[0](items)]
    lanes: list[_Lane[T]] = [_Lane() for _ in consumers]
    with ThreadPoolExecutor(len(consumers), thread_name_prefix="fan-out") as threads:
        ends = [threads.submit(lane.through, consumer) for lane, consumer in zip(lanes, consumers, strict=True)]
        failure: BaseException | None = None
        try:
            for item in items:
                taken = [lane.put(item) for lane in lanes]
                if not all(taken) and any(map(_has_failed, ends)):
                    failure = Stopped()
                    break
        except BaseException as broken:  # noqa: BLE001 -- raised again by the consumers, and below
            failure = broken
        for lane in lanes:
            lane.end(failure)
    raised = [error for end in ends if (error := end.exception()) is not None]
    if raised:
        raise next((error for error in raised if not isinstance(error, Stopped)), raised[0])
    if failure is not None:
        raise failure
    return [end.result() for end in ends]


def _has_failed(end: Future[R]) -> bool:
    return end.done() and end.exception() is not None


class _Lane(Generic[T]):
    """What lies between the one who gives and one who takes; every field is guarded by the one condition."""

    def __init__(self) -> None:
        self._waiting: list[T] = []
        self._ended = False
        self._left = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Wait until the last one is taken; False when nobody takes any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._left)
            if self._left:
                return False
            self._waiting.append(item)
            self._changed.notify_all()
            return True

    def end(self, failure: BaseException | None) -> None:
        """There is nothing more: all went well, or this is raised to the taker at once."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def through(self, consumer: Callable[[Iterator[T]], R]) -> R:
        """Let a consumer take all."""
        try:
            return consumer(self._items())
        finally:
            with self._changed:
                self._left = True
                self._waiting.clear()
                self._changed.notify_all()

    def _items(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._failure is not None:
                    raise self._failure
                if not self._waiting:
                    return
                item = self._waiting.pop()
                self._changed.notify_all()
            yield item
