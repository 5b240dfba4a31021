"""Threads for what is asked for early, and may be given up at any moment."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["Ahead"]

P = ParamSpec("P")
T = TypeVar("T")


class Ahead:
    """A few daemon threads that run what is submitted, in order.

    Leaving the context calls off what has not begun, and waits for nothing: a request in the middle of its retries
    keeps neither the walk nor, unlike in an executor of the standard library, the process from ending.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = threads
        self._name = name
        self._started = 0
        self._left = threading.Event()
        self._changing = threading.Lock()

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in one of the threads, which are started as they are needed; once left, nothing is run."""
        future: Future[T] = Future()
        with self._changing:
            if self._left.is_set():
                future.cancel()
                return future
            self._queue.put((future, lambda: function(*args, **kwargs)))
            if self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changing:
            self._left.set()
            for _ in range(self._started):
                self._queue.put(None)

    def _work(self) -> None:
        while (piece := self._queue.get()) is not None:
            future, call = piece
            if self._left.is_set():
                future.cancel()
            if not future.set_running_or_notify_cancel():
                del future, call, piece  # while the next one is waited for, nobody else may have an end
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 -- it is raised where the result is asked for
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, call, piece
