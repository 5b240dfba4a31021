"""Columns that grow during a run, and records that do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Committed, Event, Mode, Plan, Position, Receipt, Stream
from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch
from de_classes.pipelines import Checkpoint, Pipeline
from de_classes.testing.memory import MemoryDestination, MemoryLoad
from de_classes.utils.quarantine import REJECTED

NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([]))


def rejects(count: int) -> pa.RecordBatch:
    rows = [{"record": f"record {n}", "reason": "odd", "path": None, "place": "page", "row": n} for n in range(count)]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED)


@dataclass(frozen=True)
class Pages:
    """One split that gives these batches, each a page with its position."""

    pages: Sequence[Batch]
    repeats: bool = False
    id: str = "pages"
    start: int = 0
    in_one: bool = False
    """Whether the plan says which position its split reaches."""

    def streams(self) -> Sequence[Stream]:
        return [Stream("things", ("id",))]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        start = int(str(since["page"])) if since else 0
        splits = [replace(self, start=start)] if start < len(self.pages) else []
        yield Plan(splits, {"page": len(self.pages)} if self.in_one else None, repeats=self.repeats)

    def read(self) -> Iterator[Batch]:
        for number, page in enumerate(self.pages[self.start :], self.start + 1):
            yield replace(page, position=None if self.in_one else {"page": number})


GROWING = (
    Batch(pa.record_batch({"id": [1]})),
    Batch(pa.record_batch({"id": [2]})),
    Batch(pa.record_batch({"id": [3], "note": ["gift"]}), None, rejects(1)),
    Batch(NOTHING, None, rejects(2)),
    Batch(pa.record_batch({"id": pa.array([10**20], pa.decimal128(38, 0)), "note": ["big"]})),
)


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE, Mode.MERGE])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_split_may_grow(mode: Mode, rows: int) -> None:
    """Each schema of a growing split is a piece; pieces are committed together, and a checkpoint is where it was."""
    destination = MemoryDestination(schema_changes="evolve")
    pipeline = Pipeline("p", Pages(GROWING), destination, mode=mode, checkpoint=Checkpoint(rows=rows))
    events: list[Event] = []
    report = pipeline.run(observers=[events.append])
    table = destination.table("things")
    assert table is not None
    assert table.to_pydict() == {"id": [1, 2, 3, 10**20], "note": [None, None, "gift", "big"]}
    assert destination.rejected("things")["record"].to_pylist() == ["record 0", "record 0", "record 1"]
    assert (report.rows, report.rejected, report.streams[0].position) == (4, 3, {"page": 5})
    assert sum(event.rejected for event in events if isinstance(event, Committed)) == 3
    assert destination.leftovers() == []


def test_a_split_that_can_be_taken_over_does_not_grow() -> None:
    """Where the plan says what its splits reach, one of several schemas is refused: its id names one piece."""
    destination = MemoryDestination(schema_changes="evolve")
    with pytest.raises(SchemaMismatch, match="differ in their schemas"):
        Pipeline("p", Pages(GROWING, in_one=True), destination).run()
    assert destination.table("things") is None


class Careless(MemoryDestination):
    """A destination that was written before there was a quarantine."""

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Any]:
        with super().begin(pipeline, stream, mode) as load:
            yield CarelessLoad(load)


@dataclass(frozen=True)
class CarelessLoad:
    load: MemoryLoad

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load, name)

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        return self.load.write(split_id, (replace(batch, rejected=None) for batch in batches))


def test_records_are_not_dropped_in_silence() -> None:
    """A destination that keeps no rejected records fails the run that has some."""
    destination = Careless()
    with pytest.raises(CountMismatch, match="1 records do not fit, and the destination keeps 0 of them"):
        Pipeline("p", Pages([replace(GROWING[0], rejected=rejects(1))]), destination).run()
    assert destination.table("things") is None


def test_what_repeats_is_not_appended() -> None:
    """A plan that gives rows again is appended once, then merged or replaced only."""
    destination = MemoryDestination()
    Pipeline("p", Pages(GROWING[:1], repeats=True), destination).run()
    more = Pages(GROWING[:2], repeats=True)
    with pytest.raises(ConfigurationError, match="gives again some of the rows"):
        Pipeline("p", more, destination).run()
    Pipeline("p", more, destination, mode="merge").run()
    table = destination.table("things")
    assert table is not None
    assert table.to_pydict() == {"id": [1, 2]}


def test_reading_goes_on_while_a_commit_is_under_way() -> None:
    """A split is read once over all its checkpoints, where workers are threads."""
    reads: list[int] = []

    @dataclass(frozen=True)
    class Noted(Pages):
        def read(self) -> Iterator[Batch]:
            reads.append(self.start)
            yield from super().read()

    pages = [Batch(pa.record_batch({"id": [n]})) for n in range(6)]
    report = Pipeline("p", Noted(pages), MemoryDestination(), checkpoint=Checkpoint(rows=1)).run()
    assert (report.streams[0].commits, report.rows) == (6, 6)
    assert reads == [0]
