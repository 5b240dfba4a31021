"""One stream into several targets: read once, and exactly once in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Committed, Event, Load, Mode, Plan, Position, Receipt, Stream, StreamFailed
from de_classes.errors import ConfigurationError, ValueNotHeld
from de_classes.pipelines import Checkpoint, Pipeline, Route
from de_classes.testing.memory import MemoryDestination, MemorySource
from de_classes.transforms import Drop, Explode

ORDERS = pa.table(
    {
        "id": pa.array(range(30), pa.int64()),
        "lines": pa.array([[{"sku": f"{n}-{m}"} for m in range(n % 4)] for n in range(30)]),
    }
)
LINES = sum(n % 4 for n in range(30))
ROUTES = [
    Route("orders", transforms=[Drop("lines")]),
    Route(
        "orders",
        into="lines",
        primary_key=("order_id", "number"),
        transforms=[Explode("lines", key={"order_id": "id"}, position="number")],
    ),
]


@dataclass
class Counting:
    """Counts the batches that are read of a source."""

    source: MemorySource
    batches: list[int] = field(default_factory=list)

    def streams(self) -> Sequence[Stream]:
        return self.source.streams()

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        with self.source.plan(stream, since) as plan:
            yield replace(plan, splits=[CountingSplit(split, self.batches) for split in plan.splits])


@dataclass
class CountingSplit:
    split: Any
    batches: list[int]

    @property
    def id(self) -> str:
        return str(self.split.id)

    def read(self) -> Iterator[Batch]:
        for batch in self.split.read():
            self.batches.append(batch.records.num_rows)
            yield batch


class Failing(MemoryDestination):
    """Fails once at the commit of one stream, before or after it has taken place."""

    def __init__(self, stream: str, *, after: bool) -> None:
        super().__init__()
        self.fails_at, self.after = stream, after

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Any]:
        with super().begin(pipeline, stream, mode) as load:
            yield FailingLoad(load, self) if stream.name == self.fails_at else load


@dataclass(frozen=True)
class FailingLoad:
    load: Load
    destination: Failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load, name)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        self.destination.fails_at = ""
        if self.destination.after:
            self.load.commit(receipts, position)
        raise ConnectionResetError


def source(*, resumable: bool) -> Counting:
    return Counting(MemorySource({"orders": ORDERS}, ("id",), batch_rows=3, resumable=resumable))


def held(destination: MemoryDestination) -> tuple[list[Any], int]:
    orders, lines = destination.table("orders"), destination.table("lines")
    assert orders is not None
    assert lines is not None
    assert lines.column_names == ["order_id", "number", "sku"]
    return orders["id"].to_pylist(), lines.num_rows


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE, Mode.MERGE])
@pytest.mark.parametrize("resumable", [True, False])
def test_a_stream_is_read_once_for_all_its_routes(mode: Mode, resumable: bool) -> None:
    """Parents and children come of one reading, each with its events and its place in the report."""
    counting, destination = source(resumable=resumable), MemoryDestination()
    events: list[Event] = []
    pipeline = Pipeline("p", counting, destination, routes=ROUTES, mode=mode, checkpoint=Checkpoint(rows=7))
    report = pipeline.run(observers=[events.append])
    assert sum(counting.batches) == 30
    assert held(destination) == (list(range(30)), LINES)
    assert [(one.stream, one.into, one.rows) for one in report.streams] == [
        ("orders", "orders", 30),
        ("orders", "lines", LINES),
    ]
    told = {event.stream: event.position for event in events if isinstance(event, Committed)}
    assert told == {"orders": {"rows": 30}, "lines": {"rows": 30}}
    again = pipeline.run()
    assert held(destination) == (list(range(30)), LINES)
    assert again.rows == (30 + LINES if mode is Mode.REPLACE else 0)
    assert destination.leftovers() == []


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("stream", ["orders", "lines"])
@pytest.mark.parametrize("resumable", [True, False])
def test_targets_that_stand_apart_meet_again(stream: str, after: bool, resumable: bool) -> None:
    """When one commit fails and the other does not, the next run carries each from where it stands."""
    counting, destination = source(resumable=resumable), Failing(stream, after=after)
    pipeline = Pipeline("p", counting, destination, routes=ROUTES, checkpoint=Checkpoint(rows=7))
    events: list[Event] = []
    with pytest.raises(ConnectionResetError):
        pipeline.run(observers=[events.append])
    assert {event.stream for event in events if isinstance(event, StreamFailed)} == {"orders", "lines"}
    pipeline.run()
    assert held(destination) == (list(range(30)), LINES)
    assert destination.leftovers() == []
    counting.batches.clear()
    more = pa.concat_tables([ORDERS, ORDERS.slice(0, 4)])
    counting.source = replace(counting.source, tables={"orders": more})
    pipeline.run()
    assert sum(counting.batches) == 4, "they stand alike, and are read for together"
    assert held(destination) == ([*range(30), *range(4)], LINES + 6)


def test_what_one_target_has_staged_is_not_written_again() -> None:
    """Splits that an interrupted run wrote for one target are carried to the others only."""
    counting, destination = source(resumable=False), MemoryDestination()
    pipeline = Pipeline("p", counting, destination, routes=ROUTES)
    stream = counting.streams()[0]
    with pytest.raises(ValueNotHeld):
        Pipeline("p", counting, destination, routes=[ROUTES[0], replace(ROUTES[1], transforms=[_fails])]).run()
    staged = [len(_staged(destination, into)) for into in (stream, Stream("lines"))]
    assert staged[1] == 0
    pipeline.run()
    assert held(destination) == (list(range(30)), LINES)
    assert destination.leftovers() == []


def _fails(batch: pa.RecordBatch) -> pa.RecordBatch:
    if batch.num_rows:
        raise ValueNotHeld("a column", "it holds what it should not")
    return Explode("lines", key={"order_id": "id"}, position="number")(batch)


def _staged(destination: MemoryDestination, stream: Stream) -> Any:
    with destination.begin("p", stream, Mode.APPEND) as load:
        return load.staged


def test_routes_into_one_target_are_refused() -> None:
    """Two routes of a stream need two names."""
    with pytest.raises(ConfigurationError, match="several streams go into 'orders'"):
        Pipeline("p", source(resumable=True), MemoryDestination(), routes=["orders", "orders"]).run()
