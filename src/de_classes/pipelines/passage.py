"""A stream on its way from commit to commit, into one target or several that stand at the same position."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Committed, Expects, Mode, StreamFailed, StreamFinished, StreamStarted
from de_classes.errors import ConfigurationError, DeClassesError, Overtaken, PlanLost, StreamRestarted
from de_classes.transforms.chain import apply
from de_classes.utils.faults import reach
from de_classes.utils.fingerprint import fingerprint

from .carry import Limit, kept
from .items import are_remembered, planned_from
from .report import SplitReport, StreamReport
from .verifying import unverified, verified
from .workers import Sink, SplitWorkers, shares_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from de_classes.contracts import Load, Plan, Position, Receipt, Split, Stream, Transform

    from .runner import Runner
    from .telling import Telling
    from .workers import Ids

__all__ = ["Line", "Passage", "Target", "described"]

_MOST_LOST_PLANS = 4
"""How many plans of a stream may be lost before its run fails."""


@dataclass(frozen=True, slots=True)
class Target:
    """Into which stream of the destination, and through what."""

    into: Stream
    transforms: Sequence[Transform]


@dataclass(slots=True)
class Passage:
    """Carries a stream into targets, and reads it once for all of them.

    Each target has its own load, commits for itself and keeps its own position. What is committed of one when another
    fails stays; the two then stand apart, and the next run carries each for itself until they meet again.
    """

    runner: Runner
    stream: Stream
    lines: Sequence[Line]
    executor: Executor
    position: Position | None = None
    commits: int = 0
    started: bool = False

    def run(self) -> None:
        """Plan and commit until the source has no more."""
        began = time.perf_counter()
        try:
            self._run()
        except BaseException as error:
            for line in self.lines:
                line.told.of(StreamFailed, error=described(error), seconds=time.perf_counter() - began)
            raise
        for line in self.lines:
            line.finish(self.stream, self.position, time.perf_counter() - began)

    def _run(self) -> None:
        run = self.runner
        for line in self.lines:
            line.prepare(self.stream)
            line.remembers, line.verifies = are_remembered(run.source, run.destination), run.verifies
        ended, lost = False, 0
        while not ended:
            try:
                with self._begun():
                    reach("runner.before_plan")
                    with self._planned() as plan:
                        ended = self._take(plan)
            except PlanLost:
                lost += 1
                # Pieces that were complete are offered by the next load; where the plan is the same, they are taken.
                if lost == _MOST_LOST_PLANS:
                    raise

    def _planned(self) -> AbstractContextManager[Plan]:
        run = self.runner
        # Lines that remember items are alone in their passage, since what they remember may differ.
        into = self.lines[0].into
        return planned_from(run.source, run.destination, run.pipeline, into, run.mode, self.stream, self.position)

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """Loads for the next commit, begun before anything is looked at: that of another run from here on fails it."""
        run = self.runner
        with ExitStack() as opened:
            for line in self.lines:
                line.load = opened.enter_context(run.destination.begin(run.pipeline, line.into, run.mode))
            reach("runner.after_begin")
            # To replace is to take everything, wherever the last run stood.
            if run.mode is not Mode.REPLACE:
                self.position = self._position()
            yield

    def _position(self) -> Position | None:
        """Where all the targets stand."""
        first, *others = [self.runner.destination.position(self.runner.pipeline, line.into) for line in self.lines]
        if first is None and self.position is not None:
            raise DeClassesError(
                f"stream {self.lines[0].into.name!r}",
                "what this run had committed is gone from the destination",
                "Was it dropped meanwhile? Run it again to load everything anew.",
            )
        if any(other != first for other in others) or (self.commits and first != self.position):
            raise Overtaken(
                f"stream {self.stream.name!r}",
                "another run has committed to one of its targets since this one began",
                "Run it again: it goes on from there. Run one at a time.",
            )
        return first

    def _take(self, plan: Plan) -> bool:
        """Take one plan to its commit; whether that was the end of the stream."""
        self._refuse_to_repeat(plan)
        self._refuse_one_id_twice(plan)
        deletes = plan.alive and self.runner.mode in {Mode.MERGE, Mode.HISTORY}
        for line in self.lines:
            line.deletes = deletes
            if deletes:
                line.refuse_other_key(self.stream)
        if not self.started:
            self.started = True
            for line in self.lines:
                staged = sum(line.id_of(split) in line.staged for split in plan.splits)
                line.told.of(StreamStarted, since=self.position, splits=len(plan.splits), staged=staged)
        if plan.position is None:
            return self._walk(plan)
        self._commit(self._everything(plan), plan.position)
        return True

    def _refuse_to_repeat(self, plan: Plan) -> None:
        """Refuse rows that were loaded before and would stay beside the ones that come now."""
        subject = f"stream {self.stream.name!r}"
        if plan.alive and self.runner.mode is Mode.APPEND:
            raise ConfigurationError(
                subject,
                "its source tells which rows exist, for others to be deleted, and appending deletes none",
                "Use mode='merge' with a primary key, or do not ask the source for deletes.",
            )
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

    def _refuse_one_id_twice(self, plan: Plan) -> None:
        told = [split.id for split in plan.splits]
        twice = sorted({name for name in told if told.count(name) > 1}) if len(set(told)) < len(told) else []
        if twice:
            raise DeClassesError(
                f"stream {self.stream.name!r}",
                f"its source planned several splits of one id: {', '.join(twice[:5])}",
                "The id of a split names its rows; no two splits of a plan share one.",
            )

    def _walk(self, plan: Plan) -> bool:
        """Carry the only split from checkpoint to checkpoint; whether that was all of it."""
        if len(plan.splits) > 1:
            raise DeClassesError(
                f"stream {self.stream.name!r}",
                f"its source planned {len(plan.splits)} splits and no position that they reach together",
                "A plan without a position has one split at most.",
            )
        if not plan.splits:
            self._commit([()] * len(self.lines), None)
            return True
        (split,) = plan.splits
        if not shares_memory(self.executor):
            return self._carry(split)
        with kept(split) as reading:
            # Reading goes on while a commit is under way.
            ended = self._carry(reading)
            while not ended:
                with self._begun():
                    ended = self._carry(reading)
        return True

    def _carry(self, split: Split) -> bool:
        """Carry a split up to the checkpoint, and commit; whether that was all of it. A replacement is shown whole."""
        checkpoint = self.runner.checkpoint
        limit = None if self.runner.mode is Mode.REPLACE else Limit(checkpoint.rows, checkpoint.seconds)
        # How far this goes depends on the clock, so its id must never match that of another run's piece.
        ids = {n: f"{split.id}#{uuid.uuid4().hex}" for n in range(len(self.lines))}
        carried = self._workers().carry_until(split, ids, limit)
        if not carried.ended and carried.position == self.position:
            raise DeClassesError(f"stream {self.stream.name!r}", "its source gives rows and does not advance")
        self._commit(carried.receipts, carried.position)
        return carried.ended

    def _commit(self, receipts: Sequence[Sequence[Receipt]], reached: Position | None) -> None:
        reached = self.position if reached is None else reached
        if any(receipts) or reached != self.position or self.runner.mode is Mode.REPLACE:
            for line, of_line in zip(self.lines, receipts, strict=True):
                line.commit(of_line, reached)
            self.position = reached
            self.commits += 1

    def _workers(self) -> SplitWorkers:
        return SplitWorkers(self.executor, [line.sink for line in self.lines])

    def _everything(self, plan: Plan) -> Sequence[Sequence[Receipt]]:
        """Carry every split to where it is not yet; receipts in the order of the plan, without those of no rows."""
        found: list[dict[str, Sequence[Receipt]]] = [
            {split_id: [receipt] for split_id, receipt in line.staged.items()} for line in self.lines
        ]
        missing = [(split, ids) for split in plan.splits if (ids := self._missing(split))]
        for n, line in enumerate(self.lines):
            line.expect(sum(n in ids for _, ids in missing))
        for ids, carried in self._workers().carry_all(missing):
            for (n, split_id), receipts in zip(ids.items(), carried.receipts, strict=True):
                found[n][split_id] = receipts
        return [
            [receipt for split in plan.splits for receipt in there[line.id_of(split)]]
            for line, there in zip(self.lines, found, strict=True)
        ]

    def _missing(self, split: Split) -> Ids:
        """Which targets need the split, and under which id."""
        ids = {n: line.id_of(split) for n, line in enumerate(self.lines)}
        return {n: split_id for n, split_id in ids.items() if split_id not in self.lines[n].staged}


class Line:
    """One target of a passage, and what has been done for it."""

    def __init__(self, target: Target, told: Telling) -> None:
        self.into = target.into
        self.told = told
        self.load: Load
        self.report: StreamReport
        self.deletes = self.remembers = self.verifies = False
        self._transforms = target.transforms
        self._way = ""
        self._rows = self._bytes = self._rejected = self._deleted = self._commits = 0
        self._splits: list[SplitReport] = []
        self._verified: list[pa.Schema] = []
        self._unverified: dict[str, None] = {}

    @property
    def sink(self) -> Sink:
        """Where splits are carried to."""
        return Sink(self._transforms, self.load, self.told, self.deletes, self.remembers, self.verifies)

    def prepare(self, stream: Stream) -> None:
        """Find out what the transforms make of the stream's columns, where these are known beforehand."""
        self._way = fingerprint(self._transforms)
        if stream.schema is None:
            return
        from de_classes.utils.schemas import without_rows  # noqa: PLC0415 -- where there is a schema, Arrow is loaded

        self.into = replace(self.into, schema=apply(self._transforms, without_rows(stream.schema)).schema)

    def refuse_other_key(self, stream: Stream) -> None:
        """See that the keys which exist at the source are those of the rows that arrive.

        That transforms leave the values of a key as they are cannot be seen; a key that they change is deleted.

        Raises:
            ConfigurationError: they are others.

        """
        before, after = (_key_types(one) for one in (replace(stream, primary_key=self.into.primary_key), self.into))
        if self.into.primary_key != stream.primary_key or before != after:
            raise ConfigurationError(
                f"stream {self.into.name!r}",
                f"its rows arrive with another key than {', '.join(stream.primary_key) or 'none'}, by which deletes are"
                " found at the source",
                "Leave the columns of the key as they are, or do not ask the source for deletes.",
            )

    def id_of(self, split: Split) -> str:
        """Under which the split is written: what is written follows from the transforms as well."""
        return f"{split.id}|{self._way}"

    @property
    def staged(self) -> Mapping[str, Receipt]:
        """What an interrupted run has left of it; where values are verified, what can be."""
        there = self.load.staged
        return {name: one for name, one in there.items() if one.checksum is not None} if self.verifies else there

    def expect(self, pieces: int) -> None:
        """Tell the load how many pieces will be written to it, if it wants to know."""
        if isinstance(self.load, Expects):
            self.load = self.load.expecting(pieces)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Make it visible, count it and tell of it."""
        for receipt in receipts if self.verifies else ():
            if receipt.split_id in self.load.staged:  # what this run wrote was verified where it was written
                verified(self.load, receipt)
            if receipt.schema is not None and not any(receipt.schema.equals(one) for one in self._verified):
                self._verified.append(receipt.schema)
                self._unverified |= dict.fromkeys(unverified(self.load, receipt.schema))
        reach("runner.before_commit")
        deleted = self.load.commit(receipts, position) or 0
        reach("runner.after_commit")
        rows, size, rejected = (sum(getattr(receipt, name) for receipt in receipts) for name in _COUNTS)
        self._rows, self._bytes, self._rejected = self._rows + rows, self._bytes + size, self._rejected + rejected
        self._deleted += deleted
        self._commits += 1
        self._splits += [_told(receipt) for receipt in receipts]
        self.told.of(Committed, position=position, rows=rows, bytes=size, rejected=rejected, deleted=deleted)

    def finish(self, stream: Stream, position: Position | None, seconds: float) -> None:
        """The source has no more."""
        done = StreamReport(
            stream=stream.name,
            into=self.into.name,
            rows=self._rows,
            bytes=self._bytes,
            commits=self._commits,
            seconds=seconds,
            position=position,
            rejected=self._rejected,
            deleted=self._deleted,
            splits=tuple(self._splits),
            unverified=tuple(self._unverified),
        )
        self.report = done
        self.told.of(StreamFinished, position=position, rows=done.rows, bytes=done.bytes, seconds=done.seconds)


def _key_types(stream: Stream) -> list[str] | None:
    """The types of the key's columns, where they are known."""
    schema = stream.schema
    known = schema is not None and all(key in schema.names for key in stream.primary_key)
    return [str(schema.field(key).type) for key in stream.primary_key] if schema is not None and known else None


def _told(receipt: Receipt) -> SplitReport:
    return SplitReport(receipt.split_id, receipt.rows, receipt.bytes, receipt.rejected, receipt.checksum)


_COUNTS = ("rows", "bytes", "rejected")


def described(error: BaseException) -> str:
    """An error as events tell it."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) if isinstance(error, DeClassesError) else f"{type(error).__name__}: {error}"
