"""The contract suite: what the runner relies on, as tests that any source or destination can be put through.

Subclass in a test module of yours, give the fixtures, and pytest does the rest::

    class TestMySource(SourceContract):
        @pytest.fixture
        def source(self):
            return MySource(...)            # at least one stream with at least a few rows

    class TestMyDestination(DestinationContract):
        @pytest.fixture
        def destination(self):
            return MyDestination(...)       # empty

        @pytest.fixture
        def read_back(self, destination):
            return lambda name: ...         # the visible rows as a pyarrow.Table, or None when there is no such table
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Destination, Load, Mode, Receipt, Source, Split, Stream
from de_classes.errors import CountMismatch, Overtaken, SchemaMismatch
from de_classes.utils.checksum import Checksum, checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Position

__all__ = ["DestinationContract", "ReadBack", "SourceContract"]

ReadBack: TypeAlias = Callable[[str], "pa.Table | None"]


def _rows(batches: Iterator[Batch]) -> Checksum:
    return checksum(batch.records for batch in batches)


def _all_rows(splits: Sequence[Split]) -> Checksum:
    return sum((_rows(split.read()) for split in splits), Checksum.empty())


class SourceContract:
    """What a Source promises. Override the fixture `source`; `stream` is its first stream unless overridden."""

    reaches_an_end: ClassVar[bool] = True
    """Whether a second run finds nothing new; False for sources without positions, which give everything each time."""

    @pytest.fixture
    def source(self) -> Source:
        """The source under test, with at least one stream that has rows."""
        raise NotImplementedError("override the fixture `source`")

    @pytest.fixture
    def stream(self, source: Source) -> Stream:
        """The stream that is read."""
        return source.streams()[0]

    def test_is_a_source(self, source: Source) -> None:
        """It has the methods of the contract and offers streams with distinct names."""
        assert isinstance(source, Source)
        names = [stream.name for stream in source.streams()]
        assert names
        assert len(names) == len(set(names))

    def test_planning_twice_gives_the_same_rows(self, source: Source, stream: Stream) -> None:
        """Two plans without a change outside hold the same rows and reach the same position."""
        with source.plan(stream, None) as plan:
            first, reached = _all_rows(plan.splits), plan.position
            assert first.rows > 0, "the source under test needs some rows"
        with source.plan(stream, None) as plan:
            assert _all_rows(plan.splits) == first
            assert set(plan.position or ()) == set(reached or ())

    def test_split_ids_are_unique(self, source: Source, stream: Stream) -> None:
        """No two splits of a plan share an id, and an id stays what it is."""
        with source.plan(stream, None) as plan:
            ids = [split.id for split in plan.splits]
            assert all(isinstance(split, Split) for split in plan.splits)
            assert len(ids) == len(set(ids))
            assert ids == [split.id for split in plan.splits]

    def test_splits_read_again_alike(self, source: Source, stream: Stream) -> None:
        """Reading a split twice gives the same batches in the same order."""
        with source.plan(stream, None) as plan:
            for split in plan.splits:
                once = [batch.records for batch in split.read()]
                again = [batch.records for batch in split.read()]
                assert pa.Table.from_batches(once, _schema(once)) == pa.Table.from_batches(again, _schema(once))

    def test_splits_pickle(self, source: Source, stream: Stream) -> None:
        """A split that went through pickle keeps its id and gives the same rows."""
        with source.plan(stream, None) as plan:
            for split in plan.splits:
                copy = pickle.loads(pickle.dumps(split))  # noqa: S301 -- our own pickle
                assert copy.id == split.id
                assert _rows(copy.read()) == _rows(split.read())

    def test_batches_have_one_schema(self, source: Source, stream: Stream) -> None:
        """All batches of a stream have one schema: the stream's own where it declares one; keys are columns of it."""
        with source.plan(stream, None) as plan:
            schemas = [batch.records.schema for split in plan.splits for batch in split.read()]
        expected = stream.schema or schemas[0]
        assert all(schema.equals(expected) for schema in schemas)
        assert set(stream.primary_key) <= set(expected.names)

    def test_positions_are_small_json(self, source: Source, stream: Stream) -> None:
        """Every position survives JSON and stays under four kilobytes."""
        with source.plan(stream, None) as plan:
            positions = [batch.position for split in plan.splits for batch in split.read()] + [plan.position]
            assert plan.position is not None or len(plan.splits) <= 1
        for position in filter(None, positions):
            text = json.dumps(position)
            assert json.loads(text) == position
            assert len(text) < 4096  # noqa: PLR2004 -- the bound that the docstring states

    def test_a_second_run_finds_nothing(self, source: Source, stream: Stream) -> None:
        """Planning since the position that was reached gives no rows."""
        if not self.reaches_an_end:
            pytest.skip("this source has no positions")
        reached, _ = _taken(source, stream, None)
        assert reached is not None
        again, rows = _taken(source, stream, reached)
        assert rows == Checksum.empty()
        assert again is None or json.loads(json.dumps(again)) == reached

    def test_resumes_at_every_position(self, source: Source, stream: Stream) -> None:
        """From any position that a batch carries, the source goes on with exactly the rest."""
        with source.plan(stream, None) as plan:
            batches = [batch for split in plan.splits for batch in split.read()]
            if plan.position is not None or all(batch.position is None for batch in batches):
                pytest.skip("the batches of this source carry no positions")
        for given in range(1, len(batches)):
            position = batches[given - 1].position
            if position is not None:
                _, rest = _taken(source, stream, json.loads(json.dumps(position)))
                assert rest == _rows(iter(batches[given:]))


def _schema(batches: list[pa.RecordBatch]) -> pa.Schema:
    return batches[0].schema if batches else pa.schema([])


def _taken(source: Source, stream: Stream, since: Position | None) -> tuple[Position | None, Checksum]:
    """Read everything since a position: the position reached, and the rows."""
    with source.plan(stream, since) as plan:
        reached, rows = plan.position, Checksum.empty()
        for split in plan.splits:
            for batch in split.read():
                rows += checksum([batch.records])
                reached = batch.position or reached
        return reached, rows


ORDERS = Stream("orders", ("id",))
PIPELINE = "contract"


def _orders(first: int, count: int, status: str = "new") -> pa.RecordBatch:
    ids = range(first, first + count)
    return pa.record_batch(
        {"id": pa.array(ids, pa.int64()), "status": pa.array([status] * count, pa.string())},
    )


def _written(load: Load, *pieces: pa.RecordBatch, named: str = "split") -> list[Receipt]:
    return [load.write(f"{named}-{n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]


def _loaded(
    destination: Destination, mode: Mode, *pieces: pa.RecordBatch, position: Position, pipeline: str = PIPELINE
) -> None:
    with destination.begin(pipeline, ORDERS, mode) as load:
        load.commit(_written(load, *pieces), position)


class DestinationContract:
    """What a Destination promises. Override the fixtures `destination` and `read_back`, and `modes` if it lacks one."""

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode)

    @pytest.fixture
    def destination(self) -> Destination:
        """The destination under test, empty."""
        raise NotImplementedError("override the fixture `destination`")

    @pytest.fixture
    def read_back(self, destination: Destination) -> ReadBack:
        """Reads the visible rows of a stream; None when the destination has no such thing."""
        raise NotImplementedError("override the fixture `read_back`")

    @pytest.fixture
    def leftovers(self, destination: Destination) -> Callable[[], Sequence[str]]:
        """Names what is staged but not committed, if the destination can tell; override it."""
        del destination
        return list

    def _visible(self, read_back: ReadBack) -> list[tuple[int, str]]:
        table = read_back(ORDERS.name)
        return sorted((row["id"], row["status"]) for row in table.to_pylist()) if table is not None else []

    def test_is_a_destination(self, destination: Destination) -> None:
        """It has the methods of the contract, and its loads have theirs."""
        assert isinstance(destination, Destination)
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert isinstance(load, Load)
            assert dict(load.staged) == {}

    def test_has_no_position_before_the_first_commit(self, destination: Destination, read_back: ReadBack) -> None:
        """A destination that was never loaded has no position and no rows."""
        assert destination.position(PIPELINE, ORDERS) is None
        assert self._visible(read_back) == []

    def test_nothing_is_visible_before_the_commit(self, destination: Destination, read_back: ReadBack) -> None:
        """Rows and position appear with the commit, not with the writing."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipts = _written(load, _orders(1, 3), _orders(4, 2))
            assert self._visible(read_back) == []
            assert destination.position(PIPELINE, ORDERS) is None
            load.commit(receipts, {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2, 3, 4, 5]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_receipts_say_what_was_written(self, destination: Destination) -> None:
        """A receipt has the split's id, its rows, a size, the schema and the last position."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            batches = [Batch(_orders(1, 3), {"page": 1}), Batch(_orders(4, 1), {"page": 2}), Batch(_orders(5, 1))]
            receipt = load.write("a split", iter(batches))
        assert (receipt.split_id, receipt.rows, receipt.position) == ("a split", 5, {"page": 2})
        assert receipt.bytes > 0
        assert receipt.schema is not None
        assert receipt.schema.equals(_orders(1, 1).schema)
        assert json.loads(json.dumps(receipt.details)) == receipt.details

    def test_leaving_without_a_commit_shows_nothing(self, destination: Destination, read_back: ReadBack) -> None:
        """A load that is left, or fails in the middle of a split, changes nothing that can be seen."""
        _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            _written(load, _orders(10, 3))

        def breaks() -> Iterator[Batch]:
            yield Batch(_orders(20, 3))
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError), destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            load.write("broken", breaks())
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_the_next_commit_removes_what_was_left(
        self, destination: Destination, read_back: ReadBack, leftovers: Callable[[], Sequence[str]]
    ) -> None:
        """After an abandoned load, the next commit holds its own rows only, and nothing is left lying about."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            _written(load, _orders(10, 3), named="abandoned")
        _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert list(leftovers()) == []

    def test_an_interrupted_load_is_taken_over(self, destination: Destination, read_back: ReadBack) -> None:
        """Pieces that a load wrote completely before it was interrupted are offered to the next one."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            written = _written(load, _orders(1, 2), _orders(3, 2))
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            staged = dict(load.staged)
            if staged:
                assert {split_id: receipt.rows for split_id, receipt in staged.items()} == {
                    receipt.split_id: receipt.rows for receipt in written
                }
                load.commit([staged[receipt.split_id] for receipt in written], {"day": 1})
            else:
                load.commit(_written(load, _orders(1, 2), _orders(3, 2)), {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2, 3, 4]
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}

    @pytest.mark.parametrize(
        "position", [{"page": 3, "high": "2026-01-01T00:00:00.000001Z"}, {"ключ": [1, {"ü": None}], "q": "'\"\\\n"}]
    )
    def test_the_position_comes_back_as_it_was(self, destination: Destination, position: Position) -> None:
        """The position committed is the position returned."""
        _loaded(destination, Mode.APPEND, _orders(1, 1), position=position)
        assert destination.position(PIPELINE, ORDERS) == position

    def test_a_commit_without_rows_moves_the_position(self, destination: Destination, read_back: ReadBack) -> None:
        """Nothing new is an outcome that can be committed."""
        _loaded(destination, Mode.APPEND, _orders(1, 1), position={"day": 1})
        _loaded(destination, Mode.APPEND, position={"day": 2})
        _loaded(destination, Mode.APPEND, _orders(2, 0), position={"day": 3})
        assert [key for key, _ in self._visible(read_back)] == [1]
        assert destination.position(PIPELINE, ORDERS) == {"day": 3}

    def test_pipelines_have_positions_of_their_own(self, destination: Destination, read_back: ReadBack) -> None:
        """Two pipelines may feed one stream; neither moves the other's position."""
        _loaded(destination, Mode.APPEND, _orders(1, 1), position={"day": 1})
        _loaded(destination, Mode.APPEND, _orders(2, 1), position={"day": 7}, pipeline="another")
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}
        assert destination.position("another", ORDERS) == {"day": 7}
        assert [key for key, _ in self._visible(read_back)] == [1, 2]

    def test_loads_and_receipts_pickle(self, destination: Destination, read_back: ReadBack) -> None:
        """A load that went through pickle writes, and its receipts can be committed where it began."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            sent = pickle.loads(pickle.dumps(load))  # noqa: S301 -- our own pickle
            receipts = pickle.loads(pickle.dumps(_written(sent, _orders(1, 2))))  # noqa: S301 -- our own pickle
            load.commit(receipts, {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]

    def test_of_two_loads_one_commits(self, destination: Destination, read_back: ReadBack) -> None:
        """The run that was overtaken fails, however late it wakes, and harms nothing."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            receipts = _written(late, _orders(10, 2), named="late")
            _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
            with pytest.raises(Overtaken):
                late.commit(receipts, {"day": 99})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_rows_are_counted_before_they_are_shown(self, destination: Destination, read_back: ReadBack) -> None:
        """A receipt that promises another number of rows than were written is refused."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            (receipt,) = _written(load, _orders(1, 3))
            wrong = Receipt(
                receipt.split_id, receipt.rows + 1, receipt.bytes, receipt.schema, receipt.position, receipt.details
            )
            with pytest.raises(CountMismatch):
                load.commit([wrong], {"day": 1})
        assert self._visible(read_back) == []
        assert destination.position(PIPELINE, ORDERS) is None

    def test_other_columns_are_refused(self, destination: Destination, read_back: ReadBack) -> None:
        """Columns that the destination does not have fail before anything changes."""
        _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
        with pytest.raises(SchemaMismatch):
            _loaded(destination, Mode.APPEND, pa.record_batch({"id": [7], "surprise": [1.5]}), position={"day": 2})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_replace_shows_the_new_rows_only(self, destination: Destination, read_back: ReadBack) -> None:
        """Replacing makes the old rows go in the commit that makes the new ones come."""
        self._needs(Mode.REPLACE)
        _loaded(destination, Mode.REPLACE, _orders(1, 5), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.REPLACE) as load:
            receipts = _written(load, _orders(8, 2))
            assert [key for key, _ in self._visible(read_back)] == [1, 2, 3, 4, 5]
            load.commit(receipts, {"day": 2})
        assert [key for key, _ in self._visible(read_back)] == [8, 9]
        _loaded(destination, Mode.REPLACE, position={"day": 3})
        assert self._visible(read_back) == []

    def test_merge_updates_and_adds(self, destination: Destination, read_back: ReadBack) -> None:
        """Merging updates rows of known keys and adds the others; committing the same rows again changes nothing."""
        self._needs(Mode.MERGE)
        _loaded(destination, Mode.MERGE, _orders(1, 3), position={"day": 1})
        for _ in range(2):
            _loaded(destination, Mode.MERGE, _orders(3, 2, "paid"), position={"day": 2})
            assert self._visible(read_back) == [(1, "new"), (2, "new"), (3, "paid"), (4, "paid")]

    def test_the_last_row_of_a_key_wins(self, destination: Destination, read_back: ReadBack) -> None:
        """Within a load, later splits win over earlier ones, and later rows of a split over earlier ones."""
        self._needs(Mode.MERGE)
        twice = pa.Table.from_batches([_orders(1, 2, "first"), _orders(2, 1, "second")]).combine_chunks().to_batches()
        _loaded(destination, Mode.MERGE, *twice, _orders(1, 1, "third"), position={"day": 1})
        assert self._visible(read_back) == [(1, "third"), (2, "second")]
        with destination.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
            receipts = _written(load, _orders(1, 1, "written first"), _orders(1, 1, "written last"))
            load.commit(receipts[::-1], {"day": 2})
        assert self._visible(read_back) == [(1, "written first"), (2, "second")]

    def _needs(self, mode: Mode) -> None:
        if mode not in self.modes:
            pytest.skip(f"this destination does not {mode}")
