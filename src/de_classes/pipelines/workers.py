"""Spreading splits over the workers of an executor."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.contracts import SplitFinished, SplitProgressed, SplitStarted

from .carry import Way, carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    from de_classes.contracts import Load, Split, Transform

    from .carry import Carried, Limit, Watch
    from .telling import Telling

__all__ = ["SplitWorkers", "threads_unless_given"]

IN_FLIGHT = 64
"""Splits handed at a time to an executor that does not say how many workers it has: enough to keep a cluster busy."""

MOST_THREADS = 8
"""Each costs a connection to either side, and memory; whoever wants more passes an executor."""


@contextmanager
def threads_unless_given(executor: Executor | None) -> Iterator[Executor]:
    """The executor that was given, which stays open; or a thread for each processor that we may use, eight at most."""
    if executor is not None:
        yield executor
        return
    with ThreadPoolExecutor(min(_processors(), MOST_THREADS), thread_name_prefix="de-classes") as threads:
        yield threads


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS does not bind processes to processors
        return os.cpu_count() or 2


class SplitWorkers:
    """Has splits carried into one load.

    When one fails, those that have not begun are called off and the others waited for, so that none still writes when
    the load is left. Threads are told to stop; workers elsewhere finish the splits that they are at.
    """

    def __init__(self, executor: Executor, transforms: Sequence[Transform], load: Load, told: Telling) -> None:
        self._executor = executor
        self._transforms = transforms
        self._load = load
        self._told = told
        self._given_up = threading.Event()
        self._running: set[Future[Carried]] = set()

    def carry_until(self, split: Split, split_id: str, limit: Limit | None) -> Carried:
        """Carry one split, to its end or to a position at the limit, under an id of the caller's, used only here."""
        with self._giving_up_on_failure():
            self._submit(split, split_id, Way(limit, grows=True))
            return next(self._finished())

    def carry_all(self, splits: Iterable[tuple[str, Split]]) -> Iterator[Carried]:
        """Carry every split, under the id beside it, a bounded number at a time; they come as they are ready."""
        # Executors of the standard library tell how many workers they have by this name only.
        window = 2 * getattr(self._executor, "_max_workers", IN_FLIGHT // 2)
        waiting = iter(splits)
        with self._giving_up_on_failure():
            while True:
                while len(self._running) < window and (piece := next(waiting, None)) is not None:
                    split_id, split = piece
                    self._submit(split, split_id, Way())
                if not self._running:
                    return
                yield from self._finished()

    def _submit(self, split: Split, split_id: str, way: Way) -> None:
        self._told.of(SplitStarted, split_id=split_id)
        future = self._executor.submit(carry, split, split_id, self._transforms, self._load, way, self._watch(split_id))
        self._running.add(future)

    def _watch(self, split_id: str) -> Watch | None:
        """Only threads can be watched; other workers are heard of when they have finished."""
        if isinstance(self._executor, ThreadPoolExecutor):
            return _Watch(self._told, split_id, self._given_up.is_set)
        return None

    def _finished(self) -> Iterator[Carried]:
        done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            carried = future.result()
            rows = sum(receipt.rows for receipt in carried.receipts)
            size = sum(receipt.bytes for receipt in carried.receipts)
            self._told.of(SplitFinished, split_id=carried.split_id, rows=rows, bytes=size, seconds=carried.seconds)
            yield carried

    @contextmanager
    def _giving_up_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._given_up.set()
            for future in self._running:
                future.cancel()
            wait(self._running)
            raise


@dataclass(frozen=True, slots=True)
class _Watch:
    """Tells the observers, and the worker when the run has failed or was interrupted."""

    told: Telling
    split_id: str
    stopped: Callable[[], bool]

    def progressed(self, rows: int) -> None:
        self.told.of(SplitProgressed, split_id=self.split_id, rows=rows)
