"""The one place that orders the work: position, plan, begin, write, commit, and what is told of it.

A run is a sequence of commits. A plan whose splits reach a position together is committed once. A plan that only its
batches can place (an API read page by page) is committed at a position on the way, as often as the `Checkpoint` says,
and planned again from there: going on after a checkpoint and going on after a crash are the same act.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import (
    Committed,
    Mode,
    RunFailed,
    RunFinished,
    RunStarted,
    StreamFailed,
    StreamFinished,
    StreamStarted,
)
from de_classes.errors import ConfigurationError, DeClassesError, StreamRestarted
from de_classes.transforms.chain import apply
from de_classes.transforms.fingerprint import fingerprint
from de_classes.utils.faults import reach

from .carry import Limit
from .report import RunReport, StreamReport
from .telling import Telling
from .workers import SplitWorkers, threads_unless_given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from de_classes.contracts import (
        Destination,
        Load,
        Observer,
        Plan,
        Position,
        Receipt,
        Source,
        Split,
        Stream,
        Transform,
    )

__all__ = ["Checkpoint", "Runner", "Task"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How often a stream that can be resumed anywhere is committed on the way; whichever comes first."""

    rows: int = 100_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.rows < 1 or self.seconds <= 0:
            raise ConfigurationError("Checkpoint", f"rows={self.rows}, seconds={self.seconds}: both must be positive")


@dataclass(frozen=True, slots=True)
class Task:
    """One stream to be carried: from where, through what, into which stream of the destination."""

    stream: Stream
    into: Stream
    transforms: Sequence[Transform]


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs the tasks of one pipeline, one after the other, with their splits spread over the workers.

    Any `concurrent.futures.Executor` serves: threads (the default, one per processor), processes, a cluster. The
    runner does not shut down an executor that it was given.
    """

    pipeline: str
    source: Source
    destination: Destination
    mode: Mode
    checkpoint: Checkpoint
    executor: Executor | None = None
    observers: Sequence[Observer] = ()

    def run(self, describe: Callable[[], Sequence[Task]], after: Callable[[RunReport], None]) -> RunReport:
        """Carry every task that `describe` gives to its end, then do what comes `after`.

        What is committed before an error stays committed, with its position, and the next run goes on from there.
        """
        run_id = uuid.uuid4().hex[:12]
        told = Telling(self.observers, {"run_id": run_id, "pipeline": self.pipeline})
        began = time.perf_counter()
        tasks: Sequence[Task] = ()
        try:
            try:
                tasks = describe()
            finally:
                told.of(RunStarted, streams=tuple(task.into.name for task in tasks), mode=self.mode)
            with threads_unless_given(self.executor) as executor:
                reports = tuple(self._carry(task, executor, told.within(stream=task.into.name)) for task in tasks)
            report = RunReport(run_id, self.pipeline, reports, time.perf_counter() - began)
            after(report)
        except BaseException as error:
            told.of(RunFailed, error=_described(error), seconds=time.perf_counter() - began)
            raise
        report = replace(report, seconds=time.perf_counter() - began)
        told.of(RunFinished, rows=report.rows, bytes=report.bytes, seconds=report.seconds)
        return report

    def _carry(self, task: Task, executor: Executor, told: Telling) -> StreamReport:
        began = time.perf_counter()
        passage = _Passage(self, task, executor, told)
        try:
            passage.run()
        except BaseException as error:
            told.of(StreamFailed, error=_described(error), seconds=time.perf_counter() - began)
            raise
        report = StreamReport(
            stream=task.stream.name,
            into=task.into.name,
            rows=passage.rows,
            bytes=passage.bytes,
            commits=passage.commits,
            seconds=time.perf_counter() - began,
            position=passage.position,
            rejected=passage.rejected,
        )
        told.of(StreamFinished, position=report.position, rows=report.rows, bytes=report.bytes, seconds=report.seconds)
        return report


@dataclass(slots=True)
class _Passage:
    """One stream on its way from commit to commit, and what has been done of it."""

    runner: Runner
    task: Task
    executor: Executor
    told: Telling
    position: Position | None = None
    rows: int = 0
    bytes: int = 0
    commits: int = 0
    rejected: int = 0
    way: str = ""
    """The transforms, in short: what is written of a split follows from them as well."""

    def run(self) -> None:
        """Plan and commit until the source has no more."""
        run, task = self.runner, self.task
        into = _with_schema(task)
        self.way = fingerprint(task.transforms)
        ended = False
        while not ended:
            # Begun before anything is looked at: a commit of another run from here on makes this one fail.
            with run.destination.begin(run.pipeline, into, run.mode) as load:
                reach("runner.after_begin")
                # To replace is to take everything, wherever the last run stood.
                if run.mode is not Mode.REPLACE:
                    self.position = self._position()
                reach("runner.before_plan")
                with run.source.plan(task.stream, self.position) as plan:
                    ended = self._take(plan, load)

    def _position(self) -> Position | None:
        position = self.runner.destination.position(self.runner.pipeline, self.task.into)
        if position is None and self.position is not None:
            raise DeClassesError(
                f"stream {self.task.into.name!r}",
                "what this run had committed is gone from the destination",
                "Was it dropped meanwhile? Run it again to load everything anew.",
            )
        return position

    def _take(self, plan: Plan, load: Load) -> bool:
        """Take one plan to its commit; whether that was the end of the stream."""
        self._refuse_to_repeat(plan)
        ids = self._ids(plan)
        staged = {piece: load.staged[piece] for piece in ids if piece in load.staged}
        if not self.commits:
            self.told.of(StreamStarted, since=self.position, splits=len(plan.splits), staged=len(staged))
        workers = SplitWorkers(self.executor, self.task.transforms, load, self.told)
        if plan.position is None:
            receipts, reached, ended = self._beginning(plan, workers)
        else:
            receipts, reached, ended = _everything(ids, workers, staged), plan.position, True
        reached = self.position if reached is None else reached
        if receipts or reached != self.position or self.runner.mode is Mode.REPLACE:
            self._commit(load, receipts, reached)
        return ended

    def _refuse_to_repeat(self, plan: Plan) -> None:
        """Refuse rows that were loaded before and would stay beside the ones that come now."""
        subject = f"stream {self.task.stream.name!r}"
        if self.position is None:
            return
        if plan.anew:
            raise StreamRestarted(
                subject,
                "its source was replaced since the last run, and rows loaded before may no longer be part of it",
                "Load it once with mode='replace'.",
            )
        if self.runner.mode is not Mode.APPEND:
            return
        if plan.whole:
            raise ConfigurationError(
                subject,
                "its source gives all rows in each run, and they were appended once already",
                "Use mode='replace', or mode='merge' with a primary key.",
            )
        if plan.repeats:
            raise ConfigurationError(
                subject,
                "its source gives again some of the rows that were loaded before, and appending would double them",
                "Use mode='merge' with a primary key, or mode='replace'.",
            )

    def _ids(self, plan: Plan) -> dict[str, Split]:
        """The splits, by the ids under which they are written."""
        ids = {f"{split.id}|{self.way}": split for split in plan.splits}
        if len(ids) < len(plan.splits):
            told = [split.id for split in plan.splits]
            twice = sorted({name for name in told if told.count(name) > 1})
            raise DeClassesError(
                f"stream {self.task.stream.name!r}",
                f"its source planned several splits of one id: {', '.join(twice[:5])}",
                "The id of a split names its rows; no two splits of a plan share one.",
            )
        return ids

    def _beginning(self, plan: Plan, workers: SplitWorkers) -> tuple[list[Receipt], Position | None, bool]:
        """Carry the only split up to the checkpoint; whether that was all of it. A replacement is shown whole."""
        if len(plan.splits) > 1:
            raise DeClassesError(
                f"stream {self.task.stream.name!r}",
                f"its source planned {len(plan.splits)} splits and no position that they reach together",
                "A plan without a position has one split at most.",
            )
        checkpoint = self.runner.checkpoint
        limit = None if self.runner.mode is Mode.REPLACE else Limit(checkpoint.rows, checkpoint.seconds)
        for split in plan.splits:
            # How far this goes depends on the clock, so its id must never match that of another run's piece.
            carried = workers.carry_until(split, f"{split.id}#{uuid.uuid4().hex}", limit)
            if not carried.ended and carried.position == self.position:
                raise DeClassesError(f"stream {self.task.stream.name!r}", "its source gives rows and does not advance")
            return list(carried.receipts), carried.position, carried.ended
        return [], None, True

    def _commit(self, load: Load, receipts: Sequence[Receipt], position: Position | None) -> None:
        reach("runner.before_commit")
        load.commit(receipts, position)
        reach("runner.after_commit")
        rows, size = sum(receipt.rows for receipt in receipts), sum(receipt.bytes for receipt in receipts)
        self.position, self.rows, self.bytes = position, self.rows + rows, self.bytes + size
        self.commits += 1
        rejected = sum(receipt.rejected for receipt in receipts)
        self.rejected += rejected
        self.told.of(Committed, position=position, rows=rows, bytes=size, rejected=rejected)


def _everything(ids: dict[str, Split], workers: SplitWorkers, staged: dict[str, Receipt]) -> list[Receipt]:
    """Carry every split that is not there yet; receipts in the order of the plan, without those of no rows."""
    receipts: dict[str, Sequence[Receipt]] = {piece: [receipt] for piece, receipt in staged.items()}
    for carried in workers.carry_all((piece, split) for piece, split in ids.items() if piece not in staged):
        receipts[carried.split_id] = carried.receipts
    return [receipt for piece in ids for receipt in receipts[piece]]


def _with_schema(task: Task) -> Stream:
    """The stream as the destination will see it: where columns are known beforehand, as the transforms leave them."""
    if task.stream.schema is None:
        return task.into
    import pyarrow as pa  # noqa: PLC0415 -- where there is a schema, it is loaded already

    empty = pa.RecordBatch.from_pylist([], schema=task.stream.schema)
    return replace(task.into, schema=apply(task.transforms, empty).schema)


def _described(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) if isinstance(error, DeClassesError) else f"{type(error).__name__}: {error}"
