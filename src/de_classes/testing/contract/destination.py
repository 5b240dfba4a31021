"""What a Destination promises, as tests to inherit."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from de_classes.contracts import Batch, Destination, Load, Mode, Stream
from de_classes.errors import ConfigurationError, SchemaMismatch, ValueNotHeld
from de_classes.testing.contract.committing import CommittingContract
from de_classes.testing.contract.deleting import DeletingContract
from de_classes.testing.contract.elsewhere import in_a_fresh_process
from de_classes.testing.contract.growing import GrowingContract
from de_classes.testing.contract.loading import ORDERS, PIPELINE, loaded, orders, written
from de_classes.testing.contract.remembering import RememberingContract
from de_classes.utils.checksum import checksum

if TYPE_CHECKING:
    from de_classes.contracts import Position
    from de_classes.testing.contract.loading import ReadBack

__all__ = ["DestinationContract"]


class DestinationContract(CommittingContract, GrowingContract, DeletingContract, RememberingContract):
    """What a Destination promises. Override the fixtures `destination`, `read_back` and `leftovers`.

    Those that remember items and read values back are put through that as well. Where it lets columns grow or keeps
    what does not fit, override `evolving` and `read_quarantine` as well.
    """

    def test_is_a_destination(self, destination: Destination) -> None:
        """It has the methods of the contract, and its loads have theirs."""
        assert isinstance(destination, Destination)
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert isinstance(load, Load)
            assert dict(load.staged) == {}

    def test_has_no_position_before_the_first_commit(self, destination: Destination, read_back: ReadBack) -> None:
        """A destination that was never loaded has no position and no rows."""
        assert destination.position(PIPELINE, ORDERS) is None
        assert self.visible(read_back) == []

    def test_receipts_say_what_was_written(self, destination: Destination) -> None:
        """A receipt has the split's id, its rows, a size, the schema and the last position."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            batches = [Batch(orders(1, 3), {"page": 1}), Batch(orders(4, 1), {"page": 2}), Batch(orders(5, 1))]
            receipt = load.write("a split", iter(batches))
        assert (receipt.split_id, receipt.rows, receipt.position) == ("a split", 5, {"page": 2})
        assert receipt.bytes > 0
        assert receipt.schema is not None
        assert receipt.schema.equals(orders(1, 1).schema)
        assert json.loads(json.dumps(receipt.details)) == receipt.details

    @pytest.mark.parametrize(
        "position", [{"page": 3, "high": "2026-01-01T00:00:00.000001Z"}, {"ключ": [1, {"ü": None}], "q": "'\"\\\n"}]
    )
    def test_the_position_comes_back_as_it_was(self, destination: Destination, position: Position) -> None:
        """The position committed is the position returned."""
        loaded(destination, Mode.APPEND, orders(1, 1), position=position)
        assert destination.position(PIPELINE, ORDERS) == position

    def test_a_position_may_go(self, destination: Destination) -> None:
        """A commit without a position leaves none, whatever there was before."""
        loaded(destination, Mode.APPEND, orders(1, 1), position={"day": 1})
        loaded(destination, Mode.APPEND, orders(2, 1), position=None)
        assert destination.position(PIPELINE, ORDERS) is None

    def test_columns_come_without_rows(self, destination: Destination, read_back: ReadBack) -> None:
        """Where the stream knows its columns, a commit without rows makes them visible."""
        stream = Stream("prepared", ("id",), orders(1, 0).schema)
        with destination.begin(PIPELINE, stream, Mode.APPEND) as load:
            load.commit([], {"day": 1})
        table = read_back(stream.name)
        assert table is not None
        assert (table.column_names, table.num_rows) == (["id", "status"], 0)

    @pytest.mark.parametrize("mode", list(Mode))
    def test_values_come_back_as_they_were(self, destination: Destination, read_back: ReadBack, mode: Mode) -> None:
        """Null is no empty text, a float keeps its last bit, and text keeps its signs, in every mode."""
        self.needs(mode)
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
            if mode is Mode.HISTORY:
                table = table.filter(pc.field("valid_to").is_null())
            wanted, back = (one.sort_by("id").select(rows.schema.names) for one in (records, table))
            changed = [name for name in wanted.schema.names if not _same(wanted[name], back[name])]
            told = {name: (wanted[name].to_pylist(), back[name].to_pylist()) for name in changed}
            assert not told, "values came back changed (written, read back)"

    def test_a_commit_without_rows_moves_the_position(self, destination: Destination, read_back: ReadBack) -> None:
        """Nothing new is an outcome that can be committed."""
        loaded(destination, Mode.APPEND, orders(1, 1), position={"day": 1})
        loaded(destination, Mode.APPEND, position={"day": 2})
        loaded(destination, Mode.APPEND, orders(2, 0), position={"day": 3})
        assert self.keys(read_back) == [1]
        assert destination.position(PIPELINE, ORDERS) == {"day": 3}

    def test_pipelines_have_positions_of_their_own(self, destination: Destination, read_back: ReadBack) -> None:
        """Two pipelines may feed one stream; neither moves the other's position."""
        loaded(destination, Mode.APPEND, orders(1, 1), position={"day": 1})
        loaded(destination, Mode.APPEND, orders(2, 1), position={"day": 7}, pipeline="another")
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}
        assert destination.position("another", ORDERS) == {"day": 7}
        assert self.keys(read_back) == [1, 2]

    def test_loads_and_receipts_pickle(self, destination: Destination, read_back: ReadBack) -> None:
        """A load that was sent to a fresh process writes there, and its receipts can be committed where it began."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            if self.crosses_processes:
                receipts = in_a_fresh_process(written, load, orders(1, 2))
            else:
                sent = pickle.loads(pickle.dumps(load))  # noqa: S301 -- our own pickle
                receipts = pickle.loads(pickle.dumps(written(sent, orders(1, 2))))  # noqa: S301 -- our own pickle
            load.commit(receipts, {"day": 1})
        assert self.keys(read_back) == [1, 2]

    def test_other_columns_are_refused(self, destination: Destination, read_back: ReadBack) -> None:
        """Columns that the destination does not have fail before anything changes."""
        loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1})
        with pytest.raises(SchemaMismatch):
            loaded(destination, Mode.APPEND, pa.record_batch({"id": [7], "surprise": [1.5]}), position={"day": 2})
        assert self.keys(read_back) == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_replace_shows_the_new_rows_only(self, destination: Destination, read_back: ReadBack) -> None:
        """Replacing makes the old rows go in the commit that makes the new ones come."""
        self.needs(Mode.REPLACE)
        loaded(destination, Mode.REPLACE, orders(1, 5), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.REPLACE) as load:
            receipts = written(load, orders(8, 2))
            assert self.keys(read_back) == [1, 2, 3, 4, 5]
            load.commit(receipts, {"day": 2})
        assert self.keys(read_back) == [8, 9]
        loaded(destination, Mode.REPLACE, position={"day": 3})
        assert self.visible(read_back) == []

    def test_merge_updates_and_adds(self, destination: Destination, read_back: ReadBack) -> None:
        """Merging updates rows of known keys and adds the others; committing the same rows again changes nothing."""
        self.needs(Mode.MERGE)
        loaded(destination, Mode.MERGE, orders(1, 3), position={"day": 1})
        for _ in range(2):
            loaded(destination, Mode.MERGE, orders(3, 2, "paid"), position={"day": 2})
            assert self.visible(read_back) == [(1, "new"), (2, "new"), (3, "paid"), (4, "paid")]

    def test_a_history_keeps_every_version(self, destination: Destination, read_back: ReadBack) -> None:
        """A row with other values closes the version before it, one that is the same does not; the last one wins."""
        self.needs(Mode.HISTORY)
        loaded(destination, Mode.HISTORY, orders(1, 2), position={"day": 1})
        loaded(destination, Mode.HISTORY, orders(2, 2, "held"), orders(2, 1, "paid"), position={"day": 2})
        loaded(destination, Mode.HISTORY, orders(1, 1), orders(2, 1, "new"), position={"day": 3})
        table = read_back(ORDERS.name)
        assert table is not None
        rows = table.sort_by([("id", "ascending"), ("valid_from", "ascending")]).to_pylist()
        assert [(row["id"], row["status"], row["valid_to"] is None) for row in rows] == [
            *[(1, "new", True), (2, "new", False), (2, "paid", False), (2, "new", True), (3, "held", True)],
        ]
        assert rows[1]["valid_to"] == rows[2]["valid_from"] < rows[2]["valid_to"] == rows[3]["valid_from"]

    def test_what_cannot_be_is_refused_at_the_beginning(self, destination: Destination) -> None:
        """To merge without a key, or in a mode that the destination lacks, is the user's mistake."""
        keyless = [(mode, Stream("keyless")) for mode in {Mode.MERGE, Mode.HISTORY} & self.modes]
        for mode, stream in keyless + [(mode, ORDERS) for mode in set(Mode) - self.modes]:
            with pytest.raises(ConfigurationError), destination.begin(PIPELINE, stream, mode):
                pass

    def test_null_is_no_key(self, destination: Destination, read_back: ReadBack) -> None:
        """A row without a key cannot be merged, and fails the load instead of being merged into another such row."""
        self.needs(Mode.MERGE)
        keyless = pa.record_batch({"id": pa.array([1, None], pa.int64()), "status": ["new", "new"]})
        with pytest.raises(ValueNotHeld):
            loaded(destination, Mode.MERGE, keyless, position={"day": 1})
        assert self.visible(read_back) == []

    def test_the_last_row_of_a_key_wins(self, destination: Destination, read_back: ReadBack) -> None:
        """Within a load, later splits win over earlier ones, and later rows of a split over earlier ones."""
        self.needs(Mode.MERGE)
        twice = pa.Table.from_batches([orders(1, 2, "first"), orders(2, 1, "second")]).combine_chunks().to_batches()
        loaded(destination, Mode.MERGE, *twice, orders(1, 1, "third"), position={"day": 1})
        assert self.visible(read_back) == [(1, "third"), (2, "second")]
        with destination.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
            receipts = written(load, orders(1, 1, "written first"), orders(1, 1, "written last"))
            load.commit(receipts[::-1], {"day": 2})
        assert self.visible(read_back) == [(1, "written first"), (2, "second")]


def _same(written: Any, back: Any) -> bool:
    """Whether two columns hold the same values in the same order; NaN is NaN."""
    places = pa.array(range(len(written)))
    one, other = (pa.table({"place": places, "value": column}) for column in (written, back))
    return checksum(one) == checksum(other)
