"""What a Destination promises, as tests to inherit."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Destination, Load, Mode, Stream
from de_classes.errors import ConfigurationError, CountMismatch, Overtaken, SchemaMismatch, ValueNotHeld
from de_classes.testing.contract.elsewhere import in_a_fresh_process, in_time
from de_classes.testing.contract.interrupting import Interrupted, Lines
from de_classes.testing.contract.sample import VALUES
from de_classes.utils.checksum import checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from de_classes.contracts import Position, Receipt
    from de_classes.testing.contract.interrupting import Line

__all__ = ["DestinationContract", "Leftovers", "ReadBack"]

ReadBack: TypeAlias = Callable[[str], "pa.Table | None"]
Leftovers: TypeAlias = Callable[[], Sequence[str]]

ORDERS = Stream("orders", ("id",))
PIPELINE = "contract"
ANOTHER = "another"


def _orders(first: int, count: int, status: str = "new") -> pa.RecordBatch:
    ids = range(first, first + count)
    return pa.record_batch(
        {"id": pa.array(ids, pa.int64()), "status": pa.array([status] * count, pa.string())},
    )


def _written(load: Load, *pieces: pa.RecordBatch, named: str = "split") -> list[Receipt]:
    return [load.write(f"{named}-{n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]


def _breaks(*pieces: pa.RecordBatch) -> Iterator[Batch]:
    yield from map(Batch, pieces)
    raise ConnectionResetError


def _loaded(
    destination: Destination, mode: Mode, *pieces: pa.RecordBatch, position: Position | None, pipeline: str = PIPELINE
) -> None:
    with destination.begin(pipeline, ORDERS, mode) as load:
        load.commit(_written(load, *pieces), position)


def _same(written: Any, back: Any) -> bool:
    """Whether two columns hold the same values in the same order; NaN is NaN."""
    places = pa.array(range(len(written)))
    one, other = (pa.table({"place": places, "value": column}) for column in (written, back))
    return checksum(one) == checksum(other)


class DestinationContract:
    """What a Destination promises. Override the fixtures `destination`, `read_back` and `leftovers`."""

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode)
    """The modes that it has."""
    values: ClassVar[Mapping[str, pa.Array[Any]]] = VALUES
    """The columns that it is to give back as they were. Leave out the kinds that it refuses to hold."""
    crosses_processes: ClassVar[bool] = True
    """False for what lives in this process's memory; its loads then need not write elsewhere."""
    patience: ClassVar[float] = 60.0
    """Seconds after which a load that stands still beside another is taken to wait for it."""
    interruptions: ClassVar[int] = 60
    """At how many instants, spread over a commit, it is interrupted."""

    @pytest.fixture
    def destination(self) -> Destination:
        """The destination under test, empty."""
        raise NotImplementedError("override the fixture `destination`")

    @pytest.fixture
    def read_back(self, destination: Destination) -> ReadBack:
        """Reads the visible rows of a stream; None when the destination has no such thing."""
        raise NotImplementedError("override the fixture `read_back`")

    @pytest.fixture
    def leftovers(self, destination: Destination) -> Leftovers:
        """Names everything that is written and not visible: files, tables, lines of a ledger."""
        pytest.fail(
            "override the fixture `leftovers`: return a function that names all that lies in the destination and is not"
            f" visible ({type(destination).__name__} may list a folder, or the tables of its staging schema)",
            pytrace=False,
        )

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
        with pytest.raises(ConnectionResetError), destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            load.write("broken", _breaks(_orders(20, 3)))
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_half_a_piece_is_no_piece(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """A piece whose batches raised is offered to nobody, wherever the error ended, and leaves nothing for ever."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            with pytest.raises(ConnectionResetError):
                load.write("broken", _breaks(_orders(20, 3), _orders(23, 3)))
            with pytest.raises(ConnectionResetError):
                load.write("broken at once", _breaks())
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}, "half a piece is offered as a whole one"
            load.commit([load.write("broken", iter([Batch(_orders(1, 2))]))], {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert list(leftovers()) == []

    def test_pieces_are_of_one_pipeline_and_stream(self, destination: Destination) -> None:
        """What an interrupted load of another pipeline, or into another stream, has written is not offered."""
        with destination.begin(ANOTHER, ORDERS, Mode.APPEND) as load:
            _written(load, _orders(1, 2))
        with destination.begin(PIPELINE, Stream("others", ("id",)), Mode.APPEND) as load:
            _written(load, _orders(1, 2))
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}

    def test_the_next_commit_removes_what_was_left(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """After an abandoned load, the next commit holds its own rows only, and nothing is left lying about."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            _written(load, _orders(10, 3), named="abandoned")
            assert list(leftovers()), "the fixture `leftovers` does not see what a load has written and not committed"
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

    def test_a_position_may_go(self, destination: Destination) -> None:
        """A commit without a position leaves none, whatever there was before."""
        _loaded(destination, Mode.APPEND, _orders(1, 1), position={"day": 1})
        _loaded(destination, Mode.APPEND, _orders(2, 1), position=None)
        assert destination.position(PIPELINE, ORDERS) is None

    def test_columns_come_without_rows(self, destination: Destination, read_back: ReadBack) -> None:
        """Where the stream knows its columns, a commit without rows makes them visible."""
        stream = Stream("prepared", ("id",), _orders(1, 0).schema)
        with destination.begin(PIPELINE, stream, Mode.APPEND) as load:
            load.commit([], {"day": 1})
        table = read_back(stream.name)
        assert table is not None
        assert (table.column_names, table.num_rows) == (["id", "status"], 0)

    @pytest.mark.parametrize("mode", list(Mode))
    def test_values_come_back_as_they_were(self, destination: Destination, read_back: ReadBack, mode: Mode) -> None:
        """Null is no empty text, a float keeps its last bit, and text keeps its signs, in every mode."""
        self._needs(mode)
        stream = Stream("values", ("id",))
        rows = pa.record_batch({"id": pa.array(range(6), pa.int64()), **self.values})
        turned = rows.set_column(0, "id", pa.array(range(5, -1, -1), pa.int64()))
        for records in (rows, turned) if mode is not Mode.APPEND else (rows,):
            with destination.begin(PIPELINE, stream, mode) as load:
                pieces = [Batch(records.slice(0, 2)), Batch(records.slice(2, 3))]
                receipts = [load.write("a", iter(pieces)), load.write("b", iter([Batch(records.slice(5))]))]
                load.commit(receipts, {"day": 1})
            table = read_back(stream.name)
            assert table is not None
            wanted, back = (one.sort_by("id").select(rows.schema.names) for one in (records, table))
            changed = [name for name in wanted.schema.names if not _same(wanted[name], back[name])]
            told = {name: (wanted[name].to_pylist(), back[name].to_pylist()) for name in changed}
            assert not told, "values came back changed (written, read back)"

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
        """A load that was sent to a fresh process writes there, and its receipts can be committed where it began."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            if self.crosses_processes:
                receipts = in_a_fresh_process(_written, load, _orders(1, 2))
            else:
                sent = pickle.loads(pickle.dumps(load))  # noqa: S301 -- our own pickle
                receipts = pickle.loads(pickle.dumps(_written(sent, _orders(1, 2))))  # noqa: S301 -- our own pickle
            load.commit(receipts, {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]

    def test_of_two_loads_one_commits(self, destination: Destination, read_back: ReadBack) -> None:
        """The run that was overtaken fails, however late it wakes, and harms nothing."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            receipts = _written(late, _orders(10, 2), named="late")
            self._beside(lambda: _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1}))
            with pytest.raises(Overtaken):
                late.commit(receipts, {"day": 99})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_what_an_overtaken_load_writes_goes_too(self, destination: Destination, leftovers: Leftovers) -> None:
        """What a load writes after it was overtaken is removed by the loads that follow."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            self._beside(lambda: _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1}))
            receipts = _written(late, _orders(10, 2), named="late")
            with pytest.raises(Overtaken):
                late.commit(receipts, {"day": 99})
        _loaded(destination, Mode.APPEND, _orders(3, 2), position={"day": 2})
        assert list(leftovers()) == []

    @pytest.mark.parametrize("pipeline", [PIPELINE, ANOTHER])
    def test_a_load_that_is_left_harms_no_live_one(
        self, destination: Destination, read_back: ReadBack, pipeline: str
    ) -> None:
        """A load that begins and is left without a commit leaves alone what another live load has written."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as live:
            receipts = _written(live, _orders(1, 2), named="live")
            self._beside(lambda: self._left(destination, pipeline))
            live.commit(receipts, {"day": 1})
        assert [key for key, _ in self._visible(read_back)] == [1, 2]

    def test_a_commit_leaves_other_pipelines_alone(self, destination: Destination, read_back: ReadBack) -> None:
        """What another pipeline's live load has written survives a commit, and can be committed after it."""
        with destination.begin(ANOTHER, ORDERS, Mode.APPEND) as live:
            receipts = _written(live, _orders(10, 2))
            self._beside(lambda: _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1}))
            live.commit(receipts, {"day": 7})
        assert [key for key, _ in self._visible(read_back)] == [1, 2, 10, 11]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}
        assert destination.position(ANOTHER, ORDERS) == {"day": 7}

    def _left(self, destination: Destination, pipeline: str) -> None:
        with destination.begin(pipeline, ORDERS, Mode.APPEND) as load:
            _written(load, _orders(20, 1), named="left")

    def _beside(self, load: Callable[[], None]) -> None:
        """Run a load while another is under way."""
        in_time(load, self.patience, "a load waits for another live one; it must begin, and commit first if it can")

    @pytest.mark.parametrize("wrong_by", [1, -1])
    def test_rows_are_counted_before_they_are_shown(
        self, destination: Destination, read_back: ReadBack, wrong_by: int
    ) -> None:
        """A receipt that promises another number of rows than were written is refused, with all that come with it."""
        _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            *right, last = _written(load, _orders(3, 2), _orders(5, 2), _orders(7, 3))
            with pytest.raises(CountMismatch):
                load.commit([*right, replace(last, rows=last.rows + wrong_by)], {"day": 2})
            assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_a_commit_that_fails_shows_nothing(self, destination: Destination, read_back: ReadBack) -> None:
        """A position that cannot be kept fails the commit before any of its rows is seen."""
        _loaded(destination, Mode.APPEND, _orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipts = _written(load, _orders(3, 2))
            with pytest.raises(Exception):  # noqa: B017, PT011 -- whichever it is
                load.commit(receipts, {"day": object()})  # type: ignore[dict-item]  # no JSON
        assert [key for key, _ in self._visible(read_back)] == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_a_commit_may_be_interrupted_anywhere(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """Interrupted at any line of its code, a commit has shown its rows and its position, or neither."""
        lines = self._commit_stopped(destination, 0, None)
        step = -(-len(lines) // self.interruptions) or 1
        before: tuple[list[int], Position | None] = [0], {"day": 0}
        for day, line in enumerate(lines[::step], 1):
            self._commit_stopped(destination, day, line)
            seen = self._keys(read_back), destination.position(PIPELINE, ORDERS)
            assert seen in [before, ([*before[0], day], {"day": day})], f"the commit was interrupted at {line}"
            before = seen
        _loaded(destination, Mode.APPEND, _orders(9999, 1), position={"day": 9999})
        assert self._keys(read_back) == [*before[0], 9999]
        assert list(leftovers()) == []

    def _commit_stopped(self, destination: Destination, day: int, line: Line | None) -> list[Line]:
        """Load a row, and stop the commit at the line; gives the lines that were passed."""

        def load_it() -> list[Line]:
            with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
                receipts = _written(load, _orders(day, 1), named=f"day {day}")
                lines = Lines((destination, load), line)
                with suppress(Interrupted), lines.passed():
                    load.commit(receipts, {"day": day})
            return list(lines.seen)

        return in_time(load_it, self.patience, "a load stands still after the commit before it was interrupted")

    def _keys(self, read_back: ReadBack) -> list[int]:
        return [key for key, _ in self._visible(read_back)]

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

    def test_what_cannot_be_is_refused_at_the_beginning(self, destination: Destination) -> None:
        """To merge without a key, or in a mode that the destination lacks, is the user's mistake."""
        keyless = [(mode, Stream("keyless")) for mode in {Mode.MERGE} & self.modes]
        for mode, stream in keyless + [(mode, ORDERS) for mode in set(Mode) - self.modes]:
            with pytest.raises(ConfigurationError), destination.begin(PIPELINE, stream, mode):
                pass

    def test_null_is_no_key(self, destination: Destination, read_back: ReadBack) -> None:
        """A row without a key cannot be merged, and fails the load instead of being merged into another such row."""
        self._needs(Mode.MERGE)
        keyless = pa.record_batch({"id": pa.array([1, None], pa.int64()), "status": ["new", "new"]})
        with pytest.raises(ValueNotHeld):
            _loaded(destination, Mode.MERGE, keyless, position={"day": 1})
        assert self._visible(read_back) == []

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
