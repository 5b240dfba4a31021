"""What a run would do, told without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.contracts import Mode, Previews
from de_classes.errors import DeClassesError

from .items import planned_from
from .passage import Line
from .telling import Telling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import Destination, Position, Source, Stream

    from .passage import Target
    from .runner import Task

__all__ = ["PipelinePlan", "StreamPlan", "planned"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a run would do for one stream."""

    stream: str
    into: str
    mode: Mode
    since: Position | None
    """From where it would go on; None: from the beginning."""
    splits: int | None
    """Into how many pieces what is to be read is cut; None where that could not be found out."""
    statements: tuple[str, ...]
    """What would run at the destination besides loading rows, where it can tell."""
    problem: str | None = None
    """Why the run would fail."""

    def __str__(self) -> str:
        begins = "from the beginning" if self.since is None else f"since {dict(self.since)}"
        pieces = "" if self.splits is None else f", {self.splits} {'split' if self.splits == 1 else 'splits'}"
        told = [f"{self.stream} -> {self.into} ({self.mode}): {begins}{pieces}"]
        told += [f"  {line}" for statement in self.statements for line in f"{statement};".splitlines()]
        told += [f"  would fail: {self.problem}"] * (self.problem is not None)
        return "\n".join(told)


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """What a run would do; `print` it."""

    pipeline: str
    streams: tuple[StreamPlan, ...]

    def __str__(self) -> str:
        return "\n".join([f"pipeline {self.pipeline!r}", *map(str, self.streams)])


def planned(pipeline: str, source: Source, destination: Destination, mode: Mode, tasks: Sequence[Task]) -> PipelinePlan:
    """Ask both ends what they would do."""
    streams = [
        _stream_plan(pipeline, source, destination, mode, task.stream, target)
        for task in tasks
        for target in task.targets
    ]
    return PipelinePlan(pipeline, tuple(streams))


def _stream_plan(  # noqa: PLR0913 -- everything that decides about a stream
    pipeline: str, source: Source, destination: Destination, mode: Mode, stream: Stream, target: Target
) -> StreamPlan:
    line = Line(target, Telling((), {}))
    since: Position | None = None
    splits, statements, problem = None, tuple[str, ...](), None
    try:
        line.prepare(stream)
        since = None if mode is Mode.REPLACE else destination.position(pipeline, line.into)
        if isinstance(destination, Previews):
            statements = tuple(destination.preview(line.into, mode))
        with planned_from(source, destination, pipeline, line.into, mode, stream, since) as plan:
            splits = len(plan.splits)
    except DeClassesError as error:
        problem = str(error)
    return StreamPlan(stream.name, line.into.name, mode, since, splits, statements, problem)
