"""The one place that orders the work: position, plan, begin, write, commit, and what is told of it.

A run is a sequence of commits. A plan whose splits reach a position together is committed once. A plan that only its
batches can place (an API read page by page) is committed at positions on the way, as often as the `Checkpoint` says.
Where workers are threads, reading goes on meanwhile; elsewhere the source is planned again from there, as it is after a
crash.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Mode, RunFailed, RunFinished, RunStarted
from de_classes.errors import ConfigurationError

from .items import are_remembered
from .passage import Line, Passage, described
from .report import RunReport
from .telling import Telling
from .workers import threads_unless_given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from de_classes.contracts import Destination, Observer, Position, Source, Stream

    from .passage import Target
    from .report import StreamReport

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
    """One stream to be carried, and into what. Targets that stand at one position are fed by one reading."""

    stream: Stream
    targets: Sequence[Target]


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
    verifies: bool = False
    """Whether values that were written are read back and compared, before they are committed."""

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
                told.of(
                    RunStarted,
                    streams=tuple(target.into.name for task in tasks for target in task.targets),
                    mode=self.mode,
                )
            with threads_unless_given(self.executor) as executor:
                reports = [report for task in tasks for report in self._carry(task, executor, told)]
            report = RunReport(run_id, self.pipeline, tuple(reports), time.perf_counter() - began)
            after(report)
        except BaseException as error:
            told.of(RunFailed, error=described(error), seconds=time.perf_counter() - began)
            raise
        report = replace(report, seconds=time.perf_counter() - began)
        told.of(RunFinished, rows=report.rows, bytes=report.bytes, seconds=report.seconds)
        return report

    def _carry(self, task: Task, executor: Executor, told: Telling) -> list[StreamReport]:
        lines = [Line(target, told.within(stream=target.into.name)) for target in task.targets]
        for alike in self._standing_alike(lines):
            Passage(self, task.stream, alike, executor).run()
        return [line.report for line in lines]

    def _standing_alike(self, lines: Sequence[Line]) -> Sequence[Sequence[Line]]:
        """The lines in groups of one position; to replace, all begin anew. What remembers items stands for itself."""
        if len(lines) == 1 or self.mode is Mode.REPLACE:
            return [lines]
        if are_remembered(self.source, self.destination):
            return [[line] for line in lines]
        groups: list[tuple[Position | None, list[Line]]] = []
        for line in lines:
            position = self.destination.position(self.pipeline, line.into)
            group = next((group for at, group in groups if at == position), None)
            if group is None:
                groups.append((position, [line]))
            else:
                group.append(line)
        return [group for _, group in groups]
