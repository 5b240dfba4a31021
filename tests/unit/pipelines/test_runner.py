"""The runner, with a source and a destination in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import (
    Batch,
    Committed,
    Event,
    Mode,
    Plan,
    Position,
    RunFailed,
    RunFinished,
    RunStarted,
    SplitFinished,
    SplitProgressed,
    SplitStarted,
    Stream,
    StreamFailed,
    StreamFinished,
    StreamStarted,
)
from de_classes.errors import (
    ConfigurationError,
    CountMismatch,
    DeClassesError,
    Overtaken,
    PlanLost,
    TransformFailed,
)
from de_classes.pipelines import Checkpoint, Pipeline, Route
from de_classes.testing.memory import MemoryDestination, MemorySource


def numbers(count: int, first: int = 0) -> pa.Table:
    return pa.table({"id": pa.array(range(first, first + count), pa.int64())})


def ids(destination: MemoryDestination, stream: str = "numbers") -> list[int]:
    table = destination.table(stream)
    return [] if table is None else sorted(table["id"].to_pylist())


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow.compute as pc

    return pa.record_batch({"id": pc.multiply(batch["id"], 2)})


@dataclass
class Breaking:
    """A source whose reading fails once at each of some rows, as a network does."""

    inner: MemorySource
    at_rows: set[int]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def streams(self) -> Any:
        return self.inner.streams()

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        with self.inner.plan(stream, since) as plan:
            yield Plan([BreakingSplit(split, self) for split in plan.splits], plan.position)

    def breaks_at(self, row: int) -> bool:
        with self._lock:
            found = row in self.at_rows
            self.at_rows.discard(row)
            return found


@dataclass
class BreakingSplit:
    split: Any
    source: Breaking

    @property
    def id(self) -> str:
        return str(self.split.id)

    def read(self) -> Iterator[Batch]:
        for batch in self.split.read():
            if self.source.breaks_at(int(str((batch.position or {})["rows"]))):
                raise ConnectionResetError("cut")
            yield batch


@pytest.mark.parametrize("resumable", [True, False])
def test_carries_everything_and_then_only_what_is_new(resumable: bool) -> None:
    """A first run takes all rows, a second none, and after new rows came, only those."""
    destination = MemoryDestination()
    first = Pipeline("p", MemorySource({"numbers": numbers(95)}, resumable=resumable), destination)
    assert first.run().rows == 95
    assert first.run().rows == 0
    later = Pipeline("p", MemorySource({"numbers": numbers(120)}, resumable=resumable), destination)
    assert later.run().rows == 25
    assert ids(destination) == list(range(120))


def test_commits_on_the_way_at_the_checkpoint() -> None:
    """A stream that can be resumed anywhere is committed at the first position after so many rows."""
    destination = MemoryDestination()
    source = MemorySource({"numbers": numbers(95)}, resumable=True, batch_rows=10)
    events: list[Event] = []
    report = Pipeline("p", source, destination, checkpoint=Checkpoint(rows=25)).run(observers=[events.append])
    commits = [event for event in events if isinstance(event, Committed)]
    assert [(event.rows, event.position) for event in commits] == [
        (30, {"rows": 30}),
        (30, {"rows": 60}),
        (30, {"rows": 90}),
        (5, {"rows": 95}),
    ]
    assert report.streams[0].commits == 4
    assert ids(destination) == list(range(95))


def test_goes_on_from_the_last_checkpoint_after_a_failure() -> None:
    """What was committed before a failure stays, and the next run takes the rest; nothing is lost or doubled."""
    destination = MemoryDestination()
    source = Breaking(MemorySource({"numbers": numbers(95)}, resumable=True), {70})
    pipeline = Pipeline("p", source, destination, checkpoint=Checkpoint(rows=30))
    with pytest.raises(ConnectionResetError):
        pipeline.run()
    assert ids(destination) == list(range(60))
    assert pipeline.run().rows == 35
    assert ids(destination) == list(range(95))
    assert destination.leftovers() == []


def test_splits_that_were_written_are_not_read_again() -> None:
    """After a failure in one split, the next run reads that split only and commits all of them."""
    destination = MemoryDestination()
    source = Breaking(MemorySource({"numbers": numbers(90)}, splits=3), {90})
    events: list[Event] = []
    pipeline = Pipeline("p", source, destination)
    with ThreadPoolExecutor(1) as one:
        with pytest.raises(ConnectionResetError):
            pipeline.run(executor=one)
        assert ids(destination) == []
        pipeline.run(executor=one, observers=[events.append])
    started = [event.split_id for event in events if isinstance(event, SplitStarted)]
    assert [name.partition("|")[0] for name in started] == ["numbers:60-90"]
    assert next(event for event in events if isinstance(event, StreamStarted)).staged == 2
    assert ids(destination) == list(range(90))


def test_replace_takes_everything_each_time_in_one_commit() -> None:
    """A replacement ignores positions and checkpoints: the whole, at once."""
    destination = MemoryDestination()
    for table in (numbers(50), numbers(20, first=7)):
        source = MemorySource({"numbers": table}, resumable=True)
        report = Pipeline("p", source, destination, mode="replace", checkpoint=Checkpoint(rows=10)).run()
        assert (report.rows, report.streams[0].commits) == (table.num_rows, 1)
    assert ids(destination) == list(range(7, 27))


def test_routes_choose_rename_and_transform() -> None:
    """A route may name another target and further transforms; the pipeline's own come first."""
    destination = MemoryDestination()
    source = MemorySource({"numbers": numbers(5), "others": numbers(3)})
    routes = [Route("numbers", into="fourfold", transforms=[doubled])]
    report = Pipeline("p", source, destination, routes=routes, transforms=[doubled]).run()
    assert ids(destination, "fourfold") == [0, 4, 8, 12, 16]
    assert destination.table("others") is None
    assert (report.streams[0].stream, report.streams[0].into) == ("numbers", "fourfold")


def test_a_failing_transform_names_itself_and_shows_nothing() -> None:
    """An error in a user's function says which function it was, and the destination is as before."""

    def broken(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise ZeroDivisionError

    destination = MemoryDestination()
    with pytest.raises(TransformFailed, match="broken"):
        Pipeline("p", MemorySource({"numbers": numbers(5)}), destination, transforms=[broken]).run()
    assert destination.table("numbers") is None


def test_tells_observers_in_order() -> None:
    """Events tell the run from its start to its end, each with the ids of what it is about."""
    events: list[Event] = []
    source = MemorySource({"numbers": numbers(20)}, resumable=True, batch_rows=10)
    Pipeline("p", source, MemoryDestination()).run(observers=[events.append])
    kinds = [type(event) for event in events if not isinstance(event, SplitProgressed)]
    assert kinds == [
        RunStarted,
        StreamStarted,
        SplitStarted,
        SplitFinished,
        Committed,
        StreamFinished,
        RunFinished,
    ]
    assert sum(event.rows for event in events if isinstance(event, SplitProgressed)) == 20
    assert len({event.run_id for event in events}) == 1  # type: ignore[attr-defined]
    assert all(event.at.tzinfo is not None for event in events)


def test_tells_observers_of_failure() -> None:
    """A failed run ends with the failure of its stream and of itself."""
    events: list[Event] = []
    source = Breaking(MemorySource({"numbers": numbers(20)}), {7})
    with pytest.raises(ConnectionResetError):
        Pipeline("p", source, MemoryDestination()).run(observers=[events.append])
    assert [type(event) for event in events[-2:]] == [StreamFailed, RunFailed]
    assert "cut" in events[-1].error  # type: ignore[attr-defined]


def test_an_observer_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A broken observer is logged; the load goes on and other observers are told."""

    def broken(event: Event) -> None:
        raise ValueError("no display")

    events: list[Event] = []
    destination = MemoryDestination()
    Pipeline("p", MemorySource({"numbers": numbers(20)}), destination).run(observers=[broken, events.append])
    assert ids(destination) == list(range(20))
    assert isinstance(events[-1], RunFinished)
    assert "no display" in caplog.text


class Scattered(Executor):
    """Runs each call at once in a pickled copy, as another machine would; counts how many were handed over."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        import pickle

        self.calls += 1
        fn, args, kwargs = pickle.loads(pickle.dumps((fn, args, kwargs)))
        future: Future[Any] = Future()
        try:
            future.set_result(pickle.loads(pickle.dumps(fn(*args, **kwargs))))
        except Exception as error:  # noqa: BLE001 -- as an executor does
            future.set_exception(error)
        return future


@pytest.mark.parametrize("resumable", [True, False])
def test_any_executor_serves(resumable: bool) -> None:
    """Everything a worker is given, and everything it gives back, goes through pickle."""
    executor, destination = Scattered(), MemoryDestination()
    source = MemorySource({"numbers": numbers(500)}, splits=200, resumable=resumable)
    Pipeline("p", source, destination, transforms=[doubled]).run(executor=executor)
    assert ids(destination) == list(range(0, 1000, 2))
    assert executor.calls == (1 if resumable else 167)


class Stuck:
    """A source that gives rows for ever and says each time that it is where it was."""

    def streams(self) -> list[Stream]:
        return [Stream("numbers")]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        yield Plan([StuckSplit()])


class StuckSplit:
    id = "stuck"

    def read(self) -> Iterator[Batch]:
        for _ in range(10):
            yield Batch(numbers(1).to_batches()[0], {"rows": 7})


def test_a_source_that_does_not_advance_is_an_error() -> None:
    """Rows without a new position would be loaded for ever; that is said instead."""
    pipeline = Pipeline("p", Stuck(), MemoryDestination(), checkpoint=Checkpoint(rows=2))
    with pytest.raises(DeClassesError, match="does not advance"):
        pipeline.run()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": ""}, "needs a name"),
        ({"mode": "upsert"}, "mode 'upsert' is none of append, replace, merge"),
        ({"routes": "numbers"}, "must be a sequence"),
        ({"source": "lake"}, "'lake' is no Source"),
        ({"destination": MemorySource({})}, "is no Destination, as DatasetDestination"),
    ],
)
def test_a_description_that_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    """What is wrong with a pipeline is said when it is described."""
    arguments: dict[str, Any] = {"name": "p", "source": MemorySource({}), "destination": MemoryDestination(), **given}
    with pytest.raises(ConfigurationError, match=told):
        Pipeline(**arguments)


def test_all_unknown_streams_are_named() -> None:
    """Routes to streams that are not there, and several into one target, are told together."""
    source = MemorySource({"a": numbers(1), "b": numbers(1)})
    with pytest.raises(ConfigurationError) as told:
        Pipeline("p", source, MemoryDestination(), routes=["x", "y", Route("a", into="t"), Route("b", into="t")]).run()
    assert "no stream 'x'" in str(told.value)
    assert "no stream 'y'" in str(told.value)
    assert "several streams go into 't'" in str(told.value)


def test_a_source_of_nothing_is_no_success() -> None:
    """Who looks in the wrong folder is told so, and not that all went well; no routes at all may be meant."""
    with pytest.raises(ConfigurationError, match="there is nothing to carry: MemorySource"):
        Pipeline("p", MemorySource({}), MemoryDestination()).run()
    assert not Pipeline("p", MemorySource({}), MemoryDestination(), routes=[]).run().streams


def test_merge_needs_a_key() -> None:
    """Merging a stream without a primary key is the user's mistake."""
    with pytest.raises(ConfigurationError, match="primary key"):
        Pipeline("p", MemorySource({"numbers": numbers(3)}), MemoryDestination(), mode=Mode.MERGE).run()


def test_what_went_through_other_transforms_is_not_taken_over() -> None:
    """When the transforms change after an interrupted run, its splits are read again and go through the new ones."""
    destination = MemoryDestination()
    source = Breaking(MemorySource({"numbers": numbers(90)}, splits=3), {90})
    with pytest.raises(ConnectionResetError):
        Pipeline("p", source, destination).run()
    assert destination.leftovers()
    Pipeline("p", source, destination, transforms=[doubled]).run()
    assert ids(destination) == list(range(0, 180, 2))
    assert destination.leftovers() == []


@dataclass
class Overtaking:
    """A source during whose planning another run of the same pipeline takes place, once."""

    inner: MemorySource
    destination: MemoryDestination
    done: bool = False

    def streams(self) -> Any:
        return self.inner.streams()

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        if not self.done:
            self.done = True
            Pipeline("p", self.inner, self.destination).run()
        with self.inner.plan(stream, since) as plan:
            yield plan


@pytest.mark.parametrize("resumable", [True, False])
def test_a_run_that_is_overtaken_while_it_plans_fails(resumable: bool) -> None:
    """Whoever commits after a run has looked at the position makes it fail; nothing is doubled."""
    destination = MemoryDestination()
    source = Overtaking(MemorySource({"numbers": numbers(30)}, resumable=resumable), destination)
    with pytest.raises(Overtaken):
        Pipeline("p", source, destination).run()
    assert ids(destination) == list(range(30))


@dataclass(frozen=True)
class Once:
    """A source whose position is an empty mapping: there is nothing to say but that all was given."""

    id: str = "once"

    def streams(self) -> list[Stream]:
        return [Stream("numbers")]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        yield Plan([self] if since is None else [], {})

    def read(self) -> Iterator[Batch]:
        yield Batch(numbers(3).to_batches()[0])


def test_an_empty_position_is_a_position() -> None:
    """A position without any entries is kept and given back like any other."""
    destination = MemoryDestination()
    assert [Pipeline("p", Once(), destination).run().rows for _ in range(2)] == [3, 0]
    assert destination.position("p", Stream("numbers")) == {}


class Hasty(MemoryDestination):
    """A destination whose loads look at their first batch only."""

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Any]:
        with super().begin(pipeline, stream, mode) as load:
            yield HastyLoad(load)


@dataclass
class HastyLoad:
    load: Any

    @property
    def staged(self) -> Any:
        return self.load.staged

    def write(self, split_id: str, batches: Iterator[Batch]) -> Any:
        return self.load.write(split_id, iter([next(batches)]))

    def commit(self, receipts: Any, position: Position | None) -> None:
        self.load.commit(receipts, position)


def test_a_load_that_does_not_take_every_batch_is_an_error() -> None:
    """What a destination leaves in the iterator would be lost; that is said before anything is visible."""
    destination = Hasty()
    with pytest.raises(CountMismatch):
        Pipeline("p", MemorySource({"numbers": numbers(50)}, splits=1), destination).run()
    assert ids(destination) == []


class Trailing:
    """A source that gives rows behind its last position."""

    id = "trailing"

    def streams(self) -> list[Stream]:
        return [Stream("numbers")]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        yield Plan([self])

    def read(self) -> Iterator[Batch]:
        yield Batch(numbers(3).to_batches()[0], {"rows": 3})
        yield Batch(numbers(3).to_batches()[0])


def test_rows_behind_the_last_position_are_an_error() -> None:
    """They would be read again by the next run, so nothing is committed."""
    destination = MemoryDestination()
    with pytest.raises(DeClassesError, match="3 rows after its last position"):
        Pipeline("p", Trailing(), destination).run()
    assert ids(destination) == []


class Pieces:
    """A source of one stream, in the splits that it is given."""

    def __init__(self, *splits: Any) -> None:
        self.splits = splits

    def streams(self) -> list[Stream]:
        return [Stream("numbers")]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        yield Plan(list(self.splits), {"all": True})


@dataclass(frozen=True)
class Piece:
    id: str
    first: int

    def read(self) -> Iterator[Batch]:
        yield Batch(numbers(2, self.first).to_batches()[0])


def test_two_splits_of_one_id_are_an_error() -> None:
    """One of them would be taken for the other, and its rows lost; that is said instead."""
    destination = MemoryDestination()
    with pytest.raises(DeClassesError, match="several splits of one id: a\n"):
        Pipeline("p", Pieces(Piece("a", 0), Piece("b", 2), Piece("a", 4)), destination).run()
    assert ids(destination) == []


@dataclass(frozen=True)
class Waiting:
    """A split that waits for an answer that does not come."""

    release: threading.Event
    id: str = "waiting"

    def read(self) -> Iterator[Batch]:
        yield Batch(numbers(1).to_batches()[0])
        self.release.wait(60)


@dataclass(frozen=True)
class Failing:
    id: str = "failing"

    def read(self) -> Iterator[Batch]:
        yield Batch(numbers(1).to_batches()[0])
        raise DeClassesError("a split", "it is broken")


def test_a_failure_does_not_wait_for_others_that_wait() -> None:
    """When one split fails, another that hangs in its source is left to itself, and the run ends."""
    release = threading.Event()
    before = time.monotonic()
    with ThreadPoolExecutor(2) as executor, pytest.raises(DeClassesError, match="broken"):
        Pipeline("p", Pieces(Waiting(release), Failing()), MemoryDestination()).run(executor=executor)
    release.set()
    assert time.monotonic() - before < 30


class Unreachable(MemorySource):
    def streams(self) -> list[Stream]:
        raise DeClassesError("the source", "it is not there")


def test_a_run_that_cannot_begin_has_failed() -> None:
    """Observers hear of a run whose source does not even tell its streams."""
    events: list[Event] = []
    with pytest.raises(DeClassesError):
        Pipeline("p", Unreachable({}), MemoryDestination()).run(observers=[events.append])
    assert [type(event) for event in events] == [RunStarted, RunFailed]


class Dropping(MemoryDestination):
    """Its table is dropped by somebody after each commit."""

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        return None


def test_a_table_that_is_dropped_meanwhile_ends_the_run() -> None:
    """A run whose committed position is gone says so, instead of beginning again for ever."""
    source = MemorySource({"numbers": numbers(6)}, resumable=True, batch_rows=2)
    with pytest.raises(DeClassesError, match="is gone from the destination"):
        Pipeline("p", source, Dropping(), checkpoint=Checkpoint(rows=2)).run()


@dataclass
class Losing:
    """A source whose splits lose what their plan shared, once each, or for ever."""

    inner: MemorySource
    lost: list[str] = field(default_factory=list)
    for_ever: bool = False
    plans: int = 0

    def streams(self) -> Any:
        return self.inner.streams()

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        self.plans += 1
        with self.inner.plan(stream, since) as plan:
            yield Plan([LosingSplit(split, self) for split in plan.splits], plan.position)


@dataclass
class LosingSplit:
    split: Any
    source: Losing

    @property
    def id(self) -> str:
        return str(self.split.id)

    def read(self) -> Iterator[Batch]:
        known = self.id in self.source.lost
        self.source.lost.append(self.id)
        if self.source.for_ever or (not known and len(self.source.lost) == 2):
            raise PlanLost("numbers", "what the splits shared is gone")
        yield from self.split.read()


def test_a_lost_plan_is_made_again() -> None:
    """What was written of it stays, only the rest is read again; StreamStarted is told once."""
    source = Losing(MemorySource({"numbers": numbers(30)}, splits=3))
    destination, events = MemoryDestination(), list[Event]()
    with ThreadPoolExecutor(1) as one:
        Pipeline("p", source, destination).run(executor=one, observers=[events.append])
    assert ids(destination) == list(range(30))
    assert source.plans == 2
    assert source.lost.count("numbers:0-10") == 1
    assert sum(isinstance(event, StreamStarted) for event in events) == 1


def test_a_plan_that_is_always_lost_fails_the_run() -> None:
    """After four plans the run ends with the error, and nothing is visible."""
    source = Losing(MemorySource({"numbers": numbers(30)}, splits=3), for_ever=True)
    destination = MemoryDestination()
    with pytest.raises(PlanLost):
        Pipeline("p", source, destination).run()
    assert (source.plans, ids(destination)) == (4, [])
