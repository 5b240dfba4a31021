"""Spreading splits over the workers of an executor."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from de_classes.contracts import SplitFinished, SplitProgressed, SplitStarted

from .carry import Outlet, Way, carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from de_classes.contracts import Load, Split, Transform

    from .carry import Carried, Limit, Watch
    from .telling import Telling

__all__ = ["Ids", "Sink", "SplitWorkers", "shares_memory", "threads_unless_given"]

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


def shares_memory(executor: Executor) -> bool:
    """Whether its workers are threads of this process."""
    return isinstance(executor, ThreadPoolExecutor)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS does not bind processes to processors
        return os.cpu_count() or 2


@dataclass(frozen=True, slots=True)
class Sink:
    """One of the places that splits are carried to, and who is told of it."""

    transforms: Sequence[Transform]
    load: Load
    told: Telling
    deletes: bool = False
    """Whether the load is told which keys are alive."""
    remembers: bool = False
    """Whether it is told which items are complete."""
    verifies: bool = False
    """Whether what it has written is read back."""


Ids: TypeAlias = "Mapping[int, str]"
"""Under which id a split is written, by the number of the sink; sinks that have it already are not there."""


class SplitWorkers:
    """Has splits carried into the loads of sinks; each split is read once for all of them.

    When one fails, those that have not begun are called off and the others waited for, so that none still writes when
    the loads are left. Threads are told to stop; workers elsewhere finish the splits that they are at.
    """

    def __init__(self, executor: Executor, sinks: Sequence[Sink]) -> None:
        self._executor = executor
        self._sinks = sinks
        self._given_up = threading.Event()
        self._running: dict[Future[Carried], Ids] = {}

    def carry_until(self, split: Split, ids: Ids, limit: Limit | None) -> Carried:
        """Carry one split, to its end or to a position at the limit, under ids of the caller's, used only here."""
        with self._giving_up_on_failure():
            self._submit(split, ids, Way(limit, grows=True))
            return next(self._finished())[1]

    def carry_all(self, splits: Iterable[tuple[Split, Ids]]) -> Iterator[tuple[Ids, Carried]]:
        """Carry every split, under the ids beside it, a bounded number at a time; they come as they are ready."""
        # Executors of the standard library tell how many workers they have by this name only.
        window = 2 * getattr(self._executor, "_max_workers", IN_FLIGHT // 2)
        waiting = iter(splits)
        with self._giving_up_on_failure():
            while True:
                while len(self._running) < window and (piece := next(waiting, None)) is not None:
                    self._submit(*piece, Way())
                if not self._running:
                    return
                yield from self._finished()

    def _submit(self, split: Split, ids: Ids, way: Way) -> None:
        outlets = [
            Outlet(split_id, sink.transforms, sink.load, sink.deletes, sink.remembers, sink.verifies)
            for split_id, sink in ((ids[n], self._sinks[n]) for n in ids)
        ]
        for n, split_id in ids.items():
            self._sinks[n].told.of(SplitStarted, split_id=split_id)
        self._running[self._executor.submit(carry, split, outlets, way, self._watch(ids))] = ids

    def _watch(self, ids: Ids) -> Watch | None:
        """Only threads can be watched; other workers are heard of when they have finished."""
        if shares_memory(self._executor):
            told = [(self._sinks[n].told, split_id) for n, split_id in ids.items()]
            return _Watch(told, self._given_up.is_set)
        return None

    def _finished(self) -> Iterator[tuple[Ids, Carried]]:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            ids, carried = self._running.pop(future), future.result()
            for (n, split_id), receipts in zip(ids.items(), carried.receipts, strict=True):
                rows, size = sum(receipt.rows for receipt in receipts), sum(receipt.bytes for receipt in receipts)
                self._sinks[n].told.of(SplitFinished, split_id=split_id, rows=rows, bytes=size, seconds=carried.seconds)
            yield ids, carried

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

    told: Sequence[tuple[Telling, str]]
    stopped: Callable[[], bool]

    def progressed(self, outlet: int, rows: int) -> None:
        told, split_id = self.told[outlet]
        told.of(SplitProgressed, split_id=split_id, rows=rows)
