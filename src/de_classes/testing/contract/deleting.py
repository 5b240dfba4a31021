"""What a destination does with keys of rows that exist at the source: it deletes the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode
from de_classes.errors import TooManyDeletes
from de_classes.testing.contract.loading import ORDERS, PIPELINE, Loading, loaded, orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from de_classes.contracts import Destination, Load, Position, Receipt
    from de_classes.testing.contract.loading import ReadBack

__all__ = ["DeletingContract"]

_NOTHING = pa.RecordBatch.from_arrays([], names=[])


def _alive(load: Load, keys: Iterable[int], name: str = "alive") -> Receipt:
    batch = pa.record_batch({"id": pa.array(list(keys), pa.int64())})
    return load.write(name, iter([Batch(_NOTHING, alive=batch.slice(0, 1)), Batch(_NOTHING, alive=batch.slice(1))]))


def _merged(destination: Destination, *keys: Iterable[int], position: Position) -> None:
    with destination.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
        load.commit([_alive(load, some, f"alive-{n}") for n, some in enumerate(keys)], position)


class DeletingContract(Loading):
    """Tests of merges that are told which keys are alive."""

    @pytest.fixture
    def filled(self, destination: Destination) -> Destination:
        """The destination with six orders."""
        if not self.deletes:
            pytest.skip("this destination does not delete by key")
        loaded(destination, Mode.MERGE, orders(1, 6), position={"day": 1})
        return destination

    def test_a_merge_deletes_what_is_not_alive(self, filled: Destination, read_back: ReadBack) -> None:
        """Rows whose keys none of the splits tells are gone with the commit, and the new ones are there."""
        with filled.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
            rows = load.write("rows", iter([Batch(orders(4, 1, "paid")), Batch(orders(7, 1))]))
            receipts = [rows, _alive(load, [1, 4, 4]), _alive(load, [7, 5], "others")]
            assert [receipt.alive for receipt in receipts] == [None, 3, 2]
            assert self.keys(read_back) == [1, 2, 3, 4, 5, 6]
            assert load.commit(receipts, {"day": 2}) == len([2, 3, 6])
        assert self.visible(read_back) == [(1, "new"), (4, "paid"), (5, "new"), (7, "new")]

    def test_too_many_deletes_change_nothing(self, filled: Destination, read_back: ReadBack) -> None:
        """A source that lost its rows looks like one that deleted them: beyond the share the commit fails, whole."""
        for keys in ([1, 2], []):
            with pytest.raises(TooManyDeletes) as told:
                _merged(filled, keys, position={"day": 2})
            assert (told.value.deleted, told.value.rows) == (6 - len(keys), 6)
        assert self.keys(read_back) == [1, 2, 3, 4, 5, 6]
        assert filled.position(PIPELINE, ORDERS) == {"day": 1}
        _merged(filled, [1, 2, 3], position={"day": 2})
        assert self.keys(read_back) == [1, 2, 3]

    def test_keys_of_an_interrupted_load_are_taken_over(self, filled: Destination, read_back: ReadBack) -> None:
        """What was told completely need not be told again, where the destination takes over."""
        with filled.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
            _alive(load, [1, 2, 3, 5])
        with filled.begin(PIPELINE, ORDERS, Mode.MERGE) as load:
            kept = load.staged.get("alive")
            load.commit([kept if kept is not None else _alive(load, [1, 2, 3, 5])], {"day": 2})
        assert self.keys(read_back) == [1, 2, 3, 5]

    def test_without_keys_nothing_is_deleted(self, filled: Destination, read_back: ReadBack) -> None:
        """A merge that is told no keys leaves the other rows alone, also when nothing comes."""
        loaded(filled, Mode.MERGE, orders(2, 1, "paid"), position={"day": 2})
        loaded(filled, Mode.MERGE, position={"day": 3})
        assert self.keys(read_back) == [1, 2, 3, 4, 5, 6]
