"""Pipelines: descriptions of what is moved where. They do nothing until `run()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from de_classes.contracts import Destination, Mode, Source
from de_classes.errors import ConfigurationError

from .passage import Target
from .preview import planned
from .runner import Checkpoint, Runner, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from de_classes.contracts import Observer, Stream, Transform

    from .preview import PipelinePlan
    from .report import RunReport

__all__ = ["EltPipeline", "EtlPipeline", "Pipeline", "Route", "SqlDestination", "Verify"]

Verify: TypeAlias = Literal["counts", "values"]
"""What is compared before a commit: how many rows were read, written and are there; or their values as well."""


@dataclass(frozen=True, slots=True)
class Route:
    """How one stream is carried, where it differs from its neighbours."""

    stream: str
    into: str | None = None
    """Its name in the destination, if another."""
    transforms: Sequence[Transform] = ()
    primary_key: tuple[str, ...] | None = None
    """The key of what arrives, if the transforms change it."""


class Pipeline:
    """Carries streams from a source to a destination, through transforms.

    `routes` picks the streams and says how each is carried (a plain name: as it is); without it every stream of the
    source is carried. A stream with several routes is read once for all of them, as long as their targets stand at one
    position. `transforms` come before those of a route. A run that dies at any instant is run again, and rows
    are neither lost nor doubled.

    Rows are counted in any case. With `verify="values"` what was written of each split is read back before it is
    committed, and the sum of its values compared with that of what was handed over; both stand in the report. That
    proves the way from the source's batches, after the transforms, to what a commit makes visible; not that the source
    read well. It costs reading once more, and takes bytes that two databases could hand on as rows.

    Subclasses say what else belongs to a run by `after_load`.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        name: str,
        source: Source,
        destination: Destination,
        *,
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.APPEND,
        checkpoint: Checkpoint | None = None,
        verify: Verify = "counts",
    ) -> None:
        problems = []
        if not name:
            problems.append("a pipeline needs a name: positions are kept under it")
        for end, kind in ((source, Source), (destination, Destination)):
            if not isinstance(end, kind):
                problems.append(f"{end!r} is no {kind.__name__}, as Dataset{kind.__name__} is one of a store")
        if mode not in set(Mode):
            problems.append(f"mode {mode!r} is none of {', '.join(Mode)}")
        if verify not in get_args(Verify):
            problems.append(f"verify={verify!r} is none of {', '.join(get_args(Verify))}")
        if isinstance(routes, str):
            problems.append(f"routes must be a sequence, not the name {routes!r} alone")
        if problems:
            raise ConfigurationError(f"pipeline {name!r}", "; ".join(problems))
        self.name = name
        self.source = source
        self.destination = destination
        self.routes = None if routes is None else tuple(Route(r) if isinstance(r, str) else r for r in routes)
        self.transforms = tuple(transforms)
        self.mode = Mode(mode)
        self.checkpoint = checkpoint or Checkpoint()
        self.verify: Verify = verify

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name!r}, {self.source!r} -> {self.destination!r}, mode={self.mode.value!r})"
        )

    def plan(self) -> PipelinePlan:
        """What a run would do now: from where each stream goes on, in how many splits, and what DDL would run.

        Both ends are asked, nothing is read or changed. What would keep a stream from running is told with it.

        Raises:
            ConfigurationError: a route names a stream that the source does not have, or it has none at all.

        """
        return planned(self.name, self.source, self.destination, self.mode, self._tasks())

    def run(self, *, executor: Executor | None = None, observers: Sequence[Observer] = ()) -> RunReport:
        """Take every stream from where the last commit left it to the present.

        Raises:
            ConfigurationError: a route names a stream that the source does not have, or it has none at all.
            DeClassesError: the run failed; what was committed before stays, and the next run goes on from there.

        """
        runner = Runner(
            self.name,
            self.source,
            self.destination,
            self.mode,
            self.checkpoint,
            executor,
            observers,
            verifies=self.verify == "values",
        )
        return runner.run(self._tasks, self.after_load)

    def after_load(self, report: RunReport) -> None:
        """Do what else belongs to the run once every stream is committed.

        Must be safe to repeat: a crash may come before it, or after.
        """

    def _tasks(self) -> list[Task]:
        offered = {stream.name: stream for stream in self.source.streams()}
        routes = [Route(name) for name in offered] if self.routes is None else self.routes
        missing = [route.stream for route in routes if route.stream not in offered]
        targets = [route.into or route.stream for route in routes]
        doubled = sorted({target for target in targets if targets.count(target) > 1})
        problems = [
            f"the source has no stream {name!r}; it has {', '.join(sorted(offered)) or 'none'}" for name in missing
        ]
        problems += [f"several streams go into {name!r}" for name in doubled]
        if self.routes is None and not offered:
            problems.append(f"there is nothing to carry: {self.source!r} has no streams")
        if problems:
            raise ConfigurationError(f"pipeline {self.name!r}", "; ".join(problems))
        of_stream: dict[str, list[Route]] = {}
        for route in routes:
            of_stream.setdefault(route.stream, []).append(route)
        return [
            Task(offered[name], [self._target(offered[name], route) for route in of_one])
            for name, of_one in of_stream.items()
        ]

    def _target(self, stream: Stream, route: Route) -> Target:
        key = stream.primary_key if route.primary_key is None else route.primary_key
        into = replace(stream, name=route.into or stream.name, primary_key=key, schema=None)
        return Target(into, (*self.transforms, *route.transforms))


class EtlPipeline(Pipeline):
    """Extract, transform, load: rows are changed on the way, batch by batch."""


@runtime_checkable
class SqlDestination(Destination, Protocol):
    """A destination that understands SQL."""

    def execute(self, statements: Sequence[str]) -> Sequence[int]:
        """Run the statements in one transaction; for each, the rows it touched (-1 where that has no meaning)."""
        ...


class EltPipeline(Pipeline):
    """Extract, load, transform: rows are loaded as they are, then SQL in the destination makes of them what is wanted.

    The statements run after every load, in one transaction, also when nothing new came; so they must be safe to repeat.
    """

    destination: SqlDestination

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        name: str,
        source: Source,
        destination: SqlDestination,
        *,
        statements: Sequence[str],
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.APPEND,
        checkpoint: Checkpoint | None = None,
        verify: Verify = "counts",
    ) -> None:
        super().__init__(
            name,
            source,
            destination,
            routes=routes,
            transforms=transforms,
            mode=mode,
            checkpoint=checkpoint,
            verify=verify,
        )
        if isinstance(statements, str) or not statements:
            raise ConfigurationError(
                f"pipeline {name!r}", "statements must be a sequence with at least one SQL statement"
            )
        if not isinstance(destination, SqlDestination):
            raise ConfigurationError(f"pipeline {name!r}", f"{destination!r} runs no SQL", "Use a PostgresDestination.")
        self.statements = tuple(statements)

    def after_load(self, report: RunReport) -> None:  # noqa: ARG002 -- the SQL runs whatever was loaded
        """Run the SQL."""
        self.destination.execute(self.statements)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.pipelines._doors.pipeline")
