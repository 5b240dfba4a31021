"""The contract suite passes what keeps the contract, and fails what does not: each bug here was once not seen."""

from __future__ import annotations

import inspect
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from de_classes.contracts import Batch, Ledger, Mode, Plan, Position, Receipt, Source, Stream
from de_classes.testing.contract import DestinationContract, Leftovers, ReadBack, SourceContract
from de_classes.testing.memory import MemoryDestination, MemoryLoad
from tests.unit.testing.folder import FolderDestination, FolderLoad

pytest_plugins = ["pytester"]

FAILED = (AssertionError, FileNotFoundError, pytest.fail.Exception)


class TestFolder(DestinationContract):
    modes = frozenset({Mode.APPEND, Mode.REPLACE})

    @pytest.fixture
    def destination(self, tmp_path: Path) -> FolderDestination:
        return FolderDestination(tmp_path)

    @pytest.fixture
    def read_back(self, destination: FolderDestination) -> ReadBack:
        return destination.visible

    @pytest.fixture
    def leftovers(self, destination: FolderDestination) -> Leftovers:
        return destination.leftovers


# --- Destinations -----------------------------------------------------------------------------------------------------


class HalfPiecesAreOffered(FolderDestination):
    """Whatever lies there is taken for a piece."""

    class Load(FolderLoad):
        """Enters a piece into the ledger before it is there."""

        def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
            name = f"{self.pipeline}-{self.epoch}-half"
            told = Receipt(split_id, 3, 1, None, None, {"name": name})
            self.folder.joinpath(f"{name}.json").write_text(json.dumps(asdict(told)))
            receipt = super().write(split_id, batches)
            self.folder.joinpath(f"{name}.json").unlink()
            return receipt

    def load(self, *parts: Any) -> FolderLoad:
        return self.Load(self, *parts)


class PiecesOfAllPipelinesAreOffered(FolderDestination):
    def taken_over(self, stream: Stream, pipeline: str, epoch: int) -> Mapping[str, Receipt]:
        others = super().taken_over(stream, "another", epoch)
        return {**others, **super().taken_over(stream, pipeline, epoch)}


class CommitsDeleteWhatOthersWrite(FolderDestination):
    def clean(self, stream: Stream, pipeline: str, epoch: int) -> None:
        for one in (pipeline, "another"):
            super().clean(stream, one, epoch)


class BeginningDeletesWhatIsThere(FolderDestination):
    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[FolderLoad]:
        self.clean(stream, pipeline, self.state(stream)["epochs"].get(pipeline, 0))
        with super().begin(pipeline, stream, mode) as load:
            yield load


class RowsFirstPositionLater(FolderDestination):
    """Two writes, and each is fine for itself."""

    class Load(FolderLoad):
        """Shows the rows, then the position with them."""

        def show(self, state: Mapping[str, Any], files: Sequence[str], position: Position | None) -> None:
            self.destination.put_state(self.stream, {**state, "files": files})
            super().show(state, files, position)

    def load(self, *parts: Any) -> FolderLoad:
        return self.Load(self, *parts)


class RowsFirstPositionChecked(RowsFirstPositionLater):
    """The position is known to be good, and still there are two writes."""

    class Load(RowsFirstPositionLater.Load):
        """Nothing but an interruption comes between its two writes."""

        def show(self, state: Mapping[str, Any], files: Sequence[str], position: Position | None) -> None:
            json.dumps(position)
            super().show(state, files, position)


class NullsBecomeEmpty(FolderDestination):
    def changed(self, records: pa.RecordBatch) -> pa.RecordBatch:
        return each(records, pa.string(), lambda column: column.fill_null(""))


class FloatsAreCut(FolderDestination):
    def changed(self, records: pa.RecordBatch) -> pa.RecordBatch:
        return each(records, pa.float64(), pc.trunc)


class FloatsAreShortened(FolderDestination):
    def changed(self, records: pa.RecordBatch) -> pa.RecordBatch:
        return each(records, pa.float64(), lambda column: column.cast(pa.float32(), safe=False).cast(pa.float64()))


def each(records: pa.RecordBatch, of: pa.DataType, change: Callable[[Any], Any]) -> pa.RecordBatch:
    columns = [change(column) if column.type == of else column for column in records.columns]
    return pa.RecordBatch.from_arrays(columns, schema=records.schema)


class NothingIsRemoved(FolderDestination):
    def clean(self, stream: Stream, pipeline: str, epoch: int) -> None:
        pass


HERE: dict[str, Any] = {}


def known_here(name: str) -> Any:
    return HERE[name]


class LoadsOfThisProcessOnly(FolderDestination):
    """Its pickle leads back to an object that only this process has."""

    def __reduce__(self) -> tuple[Any, ...]:
        HERE["destination"] = self
        return known_here, ("destination",)


class LocksWhileLoading(FolderDestination):
    """One load at a time, as "only one run can commit" might be understood."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.lock = Lock()

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[FolderLoad]:
        with self.lock, super().begin(pipeline, stream, mode) as load:
            yield load


DESTINATIONS = [
    (HalfPiecesAreOffered, "test_half_a_piece_is_no_piece"),
    (PiecesOfAllPipelinesAreOffered, "test_pieces_are_of_one_pipeline_and_stream"),
    (CommitsDeleteWhatOthersWrite, "test_a_commit_leaves_other_pipelines_alone"),
    (BeginningDeletesWhatIsThere, "test_a_load_that_is_left_harms_no_live_one"),
    (RowsFirstPositionLater, "test_a_commit_that_fails_shows_nothing"),
    (RowsFirstPositionLater, "test_a_commit_may_be_interrupted_anywhere"),
    (RowsFirstPositionChecked, "test_a_commit_may_be_interrupted_anywhere"),
    (NullsBecomeEmpty, "test_values_come_back_as_they_were"),
    (FloatsAreCut, "test_values_come_back_as_they_were"),
    (FloatsAreShortened, "test_values_come_back_as_they_were"),
    (NothingIsRemoved, "test_the_next_commit_removes_what_was_left"),
    (LoadsOfThisProcessOnly, "test_loads_and_receipts_pickle"),
    (LocksWhileLoading, "test_of_two_loads_one_commits"),
    (LocksWhileLoading, "test_a_commit_leaves_other_pipelines_alone"),
]


class Suite(DestinationContract):
    modes = TestFolder.modes
    patience = 0.3


def put_through(suite: Any, test: str, **fixtures: Any) -> None:
    """Run one test of a suite as pytest would, with the first of its parameters."""
    function = getattr(suite, test)
    for mark in getattr(function, "pytestmark", []):
        fixtures[mark.args[0]] = next(iter(mark.args[1]))
    function(**{name: fixtures[name] for name in inspect.signature(function).parameters})


@pytest.mark.parametrize(("kind", "test"), DESTINATIONS)
def test_a_destination_with_a_bug_fails(kind: type[FolderDestination], test: str, tmp_path: Path) -> None:
    """The suite passes the sound destination, and fails the one that has the bug."""

    def put(destination: FolderDestination, suite: DestinationContract) -> None:
        put_through(
            suite, test, destination=destination, read_back=destination.visible, leftovers=destination.leftovers
        )

    put(FolderDestination(tmp_path / "sound"), TestFolder())
    with pytest.raises(FAILED):
        put(kind(tmp_path / "broken"), Suite())


def test_leftovers_are_asked_for(pytester: pytest.Pytester) -> None:
    """Who forgets the fixture `leftovers` is told what to write; a fixture that sees nothing is found out."""
    pytester.makepyfile("""
        import pytest
        from de_classes.testing.contract import DestinationContract
        from de_classes.testing.memory import MemoryDestination

        class TestForgotten(DestinationContract):
            @pytest.fixture
            def destination(self):
                return MemoryDestination()

            @pytest.fixture
            def read_back(self, destination):
                return destination.table

        class TestBlind(TestForgotten):
            @pytest.fixture
            def leftovers(self):
                return list
    """)
    result = pytester.runpytest_inprocess("-k", "test_the_next_commit_removes_what_was_left")
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(["*override the fixture `leftovers`: return a function that names all*"])
    result.stdout.fnmatch_lines(["*the fixture `leftovers` does not see what a load has written*"])


# --- Sources ----------------------------------------------------------------------------------------------------------

SCHEMA = pa.schema([("id", pa.int64()), ("n", pa.int64())])
ROWS = [{"id": n % 7, "n": n} for n in range(30)]


@dataclass(frozen=True)
class Part:
    id: str
    rows: Sequence[Mapping[str, int]]

    def read(self) -> Iterator[Batch]:
        yield Batch(pa.RecordBatch.from_pylist(list(map(dict, self.rows)), SCHEMA))


@dataclass(frozen=True)
class Rows:
    """A source that keeps the contract: rows in parts of five, each called after its place."""

    rows: Sequence[Mapping[str, int]]
    plans: Iterator[int]

    def streams(self) -> Sequence[Stream]:
        return [Stream("rows", ("id",), SCHEMA)]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        start = int(str(since["rows"])) if since else 0
        n = next(self.plans)
        parts = [self.part(n, start, at) for at in range(start, len(self.rows), 5)]
        yield Plan(self.ordered(n, parts), self.position(n, since))

    def part(self, n: int, start: int, at: int) -> Part:
        rows = self.rows[at : at + 5]
        return Part(f"{at}-{at + len(rows)}", rows)

    def ordered(self, n: int, parts: list[Part]) -> list[Part]:
        return parts

    def position(self, n: int, since: Position | None) -> Position:
        return {"rows": len(self.rows)}


class FreshIds(Rows):
    """Every plan has ids of its own, which is fine."""

    def part(self, n: int, start: int, at: int) -> Part:
        return replace(super().part(n, start, at), id=f"{n}:{at}")


class ShuffledIds(Rows):
    def ordered(self, n: int, parts: list[Part]) -> list[Part]:
        return [Part(part.id, other.rows) for part, other in zip(parts, parts[n:] + parts[:n], strict=False)]


class IdsIgnoreSince(Rows):
    def part(self, n: int, start: int, at: int) -> Part:
        return replace(super().part(n, start, at), id=f"part-{(at - start) // 5}")


class IdsIgnoreGrowth(Rows):
    def part(self, n: int, start: int, at: int) -> Part:
        return replace(super().part(n, start, at), id=f"from-{at}")


class SplitsInAnyOrder(Rows):
    def ordered(self, n: int, parts: list[Part]) -> list[Part]:
        return random.Random(n).sample(parts, len(parts))


class FreshIdsInAnyOrder(FreshIds):
    ordered = SplitsInAnyOrder.ordered


class ClockInThePosition(Rows):
    def position(self, n: int, since: Position | None) -> Position:
        return {"rows": len(self.rows), "clock": n}


class ClockAsThePosition(Rows):
    """It says that it has reached more, plan by plan, than it has given."""

    def position(self, n: int, since: Position | None) -> Position:
        return {"rows": len(self.rows) + n}


class PartOfThisProcess(Part):
    def __reduce__(self) -> tuple[Any, ...]:
        HERE[self.id] = self
        return known_here, (self.id,)


class SplitsOfThisProcessOnly(Rows):
    def part(self, n: int, start: int, at: int) -> Part:
        part = super().part(n, start, at)
        return PartOfThisProcess(part.id, part.rows)


class TestRows(SourceContract):
    kind: type[Rows] = Rows

    @pytest.fixture
    def source(self) -> Source:
        return self.kind(ROWS[:23], itertools.count())

    @pytest.fixture
    def grown(self) -> Callable[[], Source]:
        return lambda: self.kind(ROWS, itertools.count(100))


class TestFreshIds(TestRows):
    kind = FreshIds


SOURCES = [
    (ShuffledIds, "test_planning_twice_gives_the_same_rows"),
    (IdsIgnoreSince, "test_growing_gives_the_rest"),
    (IdsIgnoreGrowth, "test_growing_gives_the_rest"),
    (SplitsInAnyOrder, "test_planning_twice_gives_the_same_order"),
    (FreshIdsInAnyOrder, "test_planning_twice_gives_the_same_order"),
    (ClockInThePosition, "test_a_second_run_finds_nothing"),
    (ClockAsThePosition, "test_positions_of_two_plans_mean_the_same"),
    (ClockAsThePosition, "test_growing_gives_the_rest"),
    (SplitsOfThisProcessOnly, "test_splits_pickle"),
]


@pytest.mark.parametrize(("kind", "test"), SOURCES)
def test_a_source_with_a_bug_fails(kind: type[Rows], test: str) -> None:
    """The suite passes the sound source, and fails the one that has the bug."""

    def put(kind: type[Rows]) -> None:
        source: Source = kind(ROWS[:23], itertools.count(1))
        grown = kind(ROWS, itertools.count(100))
        put_through(SourceContract(), test, source=source, stream=source.streams()[0], grown=lambda: grown)

    put(Rows)
    with pytest.raises(FAILED):
        put(kind)


def test_growth_is_asked_for(pytester: pytest.Pytester) -> None:
    """Who forgets the fixture `grown` is told what to write, or how to say that no test can do it."""
    pytester.makepyfile("""
        import pyarrow as pa
        import pytest
        from de_classes.testing.contract import SourceContract
        from de_classes.testing.memory import MemorySource

        class TestForgotten(SourceContract):
            @pytest.fixture
            def source(self):
                return MemorySource({"numbers": pa.table({"id": [1, 2, 3]})})

        class TestCannotGrow(TestForgotten):
            grows = False
    """)
    result = pytester.runpytest_inprocess("-k", "test_growing_gives_the_rest")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*override the fixture `grown`*"])


# --- Destinations that remember items, and read back ------------------------------------------------------------------


class RemembersWhatIsWritten(MemoryDestination):
    """Items are known before their rows are."""

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        target = self._targets.get(stream.name)
        pieces = [piece for piece in target.staged.values() if piece.pipeline == pipeline] if target else []
        there = {item.name: item.version for piece in pieces for item in piece.receipt.items}
        known = super().ledger(pipeline, stream)
        return lambda names: {**known(names), **{name: there[name] for name in names if name in there}}


class RemembersForAllPipelines(MemoryDestination):
    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        del pipeline
        return super().ledger("contract", stream)


class ForgetsNothing(MemoryDestination):
    """A replacement leaves the items of what it replaced."""

    kept: dict[str, str]

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        known = super().ledger(pipeline, stream)

        def versions(names: Sequence[str]) -> Mapping[str, str]:
            self.kept = {**getattr(self, "kept", {}), **known(names)}
            return {name: self.kept[name] for name in names if name in self.kept}

        return versions


class StagedWithoutItems(MemoryDestination):
    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[MemoryLoad]:
        with super().begin(pipeline, stream, mode) as load:
            yield replace(load, staged={name: replace(one, items=()) for name, one in load.staged.items()})


class LeavesFormerRows(MemoryDestination):
    """A changed file's rows come beside those that it had."""

    def _commit(self, load: MemoryLoad, receipts: Sequence[Receipt], position: Position | None) -> None:
        for piece in self._targets[load.stream.name].staged.values():
            items = tuple(replace(item, column=None) for item in piece.receipt.items)
            object.__setattr__(piece, "receipt", replace(piece.receipt, items=items))
        super()._commit(load, receipts, position)


class SumsWhatWasGiven(MemoryDestination):
    """Vouches for what it was given, whatever it has kept."""

    class Load(MemoryLoad):
        """Reads nothing."""

        def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
            return receipt.checksum or super().checksum(receipt, columns)

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[MemoryLoad]:
        with super().begin(pipeline, stream, mode) as load:
            yield self.Load(*(getattr(load, name) for name in load.__dataclass_fields__))


REMEMBERING: list[tuple[type[MemoryDestination], str]] = [
    (RemembersWhatIsWritten, "test_items_are_known_with_the_commit"),
    (RemembersForAllPipelines, "test_items_are_known_with_the_commit"),
    (StagedWithoutItems, "test_items_of_an_interrupted_load_are_taken_over"),
    (LeavesFormerRows, "test_another_version_replaces_the_rows"),
    (ForgetsNothing, "test_a_replacement_forgets"),
    (SumsWhatWasGiven, "test_what_was_written_is_read_back"),
]


@pytest.mark.parametrize(("kind", "test"), REMEMBERING)
def test_a_destination_that_remembers_with_a_bug_fails(kind: type[MemoryDestination], test: str) -> None:
    """The suite passes the sound destination in memory, and fails the one that has the bug."""

    def put(destination: MemoryDestination) -> None:
        fixtures = {"destination": destination, "remembering": destination, "read_back": destination.table}
        put_through(Suite(), test, **fixtures)

    put(MemoryDestination())
    with pytest.raises(FAILED):
        put(kind())
