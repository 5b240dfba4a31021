"""What a destination does with items, and how it gives values back: tests of those that can."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Checks, Item, Mode, Remembers, Stream
from de_classes.errors import ConfigurationError, Overtaken
from de_classes.testing.contract.loading import ANOTHER, ORDERS, PIPELINE, Loading, loaded, orders
from de_classes.utils.checksum import checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from de_classes.contracts import Destination, Load, Receipt
    from de_classes.testing.contract.loading import ReadBack

__all__ = ["RememberingContract"]

_MANY = 25_000


def _piece(load: Load, first: int, item: Item | None, *, named: str = "a") -> Receipt:
    """A split of two orders whose status is the name of their item."""
    records = orders(first, 2, "none" if item is None else item.name)
    items = () if item is None else (item,)
    return load.write(named, iter([Batch(records.slice(0, 1)), Batch(records.slice(1), items=items)]))


def _committed(destination: Destination, first: int, item: Item, mode: Mode = Mode.APPEND) -> None:
    with destination.begin(PIPELINE, ORDERS, mode) as load:
        load.commit([_piece(load, first, item)], {"day": 1})


def _known(
    destination: Destination, *names: str, pipeline: str = PIPELINE, stream: Stream = ORDERS
) -> Mapping[str, str]:
    assert isinstance(destination, Remembers)
    return dict(destination.ledger(pipeline, stream)(names))


class RememberingContract(Loading):
    """Tests of items, and of sums that are read back."""

    @pytest.fixture
    def remembering(self, destination: Destination) -> Destination:
        """The destination, if it remembers items."""
        if not isinstance(destination, Remembers):
            pytest.skip("this destination does not remember items")
        return destination

    def test_items_are_known_with_the_commit(self, remembering: Destination, read_back: ReadBack) -> None:
        """Not when they are written, nor for other pipelines and streams; those that were never loaded are missing."""
        assert _known(remembering, "a", "b") == {}
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipt = _piece(load, 1, Item("a", "1"))
            assert receipt.items == (Item("a", "1"),)
            assert _known(remembering, "a") == {}
            load.commit([receipt], {"day": 1})
        assert _known(remembering, "a", "b") == {"a": "1"}
        assert _known(remembering, "a", pipeline=ANOTHER) == {}
        assert _known(remembering, "a", stream=Stream(ANOTHER)) == {}
        assert self.keys(read_back) == [1, 2]

    def test_items_without_rows_are_known(self, remembering: Destination) -> None:
        """An empty file is done with, too."""
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipt = load.write("empty", iter([Batch(orders(1, 0), items=(Item("empty", "1"),))]))
            load.commit([receipt], {"day": 1})
        assert _known(remembering, "empty") == {"empty": "1"}

    def test_a_commit_that_fails_leaves_no_items(self, remembering: Destination, read_back: ReadBack) -> None:
        """Who was overtaken has loaded nothing, and who comes first all of it."""
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            receipt = _piece(late, 1, Item("a", "1"))
            _committed(remembering, 3, Item("b", "1"))
            with pytest.raises(Overtaken):
                late.commit([receipt], {"day": 2})
        assert _known(remembering, "a", "b") == {"b": "1"}
        assert self.keys(read_back) == [3, 4]

    def test_items_of_an_interrupted_load_are_taken_over(self, remembering: Destination) -> None:
        """What is offered of a piece has its items, so that its commit remembers them."""
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            _piece(load, 1, Item("a", "1", "status"))
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            kept = load.staged.get("a")
            assert kept is None or kept.items == (Item("a", "1", "status"),)
            load.commit([kept or _piece(load, 1, Item("a", "1", "status"))], {"day": 1})
        assert _known(remembering, "a") == {"a": "1"}

    @pytest.mark.parametrize("mode", [Mode.APPEND, Mode.MERGE])
    def test_another_version_replaces_the_rows(self, remembering: Destination, read_back: ReadBack, mode: Mode) -> None:
        """Rows of the former version go with the commit of the new one, or it is refused and nothing changes."""
        self.needs(mode)
        _committed(remembering, 1, Item("a", "1", "status"), mode)
        _committed(remembering, 5, Item("b", "1", "status"), mode)
        try:
            _committed(remembering, 2, Item("a", "2", "status"), mode)
        except ConfigurationError:
            assert _known(remembering, "a", "b") == {"a": "1", "b": "1"}
            assert self.keys(read_back) == [1, 2, 5, 6]
        else:
            assert _known(remembering, "a", "b") == {"a": "2", "b": "1"}
            assert self.visible(read_back) == [(2, "a"), (3, "a"), (5, "b"), (6, "b")]

    def test_a_replacement_forgets(self, remembering: Destination) -> None:
        """It leaves no rows but its own, and no items."""
        self.needs(Mode.REPLACE)
        _committed(remembering, 1, Item("a", "1"))
        _committed(remembering, 3, Item("b", "1"), Mode.REPLACE)
        assert _known(remembering, "a", "b") == {"b": "1"}
        loaded(remembering, Mode.REPLACE, position={"day": 3})
        assert _known(remembering, "a", "b") == {}

    def test_many_items_are_no_trouble(self, remembering: Destination) -> None:
        """A folder may have tens of thousands of files, and be asked about others."""
        items = tuple(Item(f"file {n}", str(n)) for n in range(_MANY))
        with remembering.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            load.commit([load.write("all", iter([Batch(orders(1, 1), items=items)]))], {"day": 1})
        asked = [f"file {n}" for n in range(_MANY - 500, _MANY + 500)]
        assert _known(remembering, *asked) == {f"file {n}": str(n) for n in range(_MANY - 500, _MANY)}

    def test_what_was_written_is_read_back(self, destination: Destination) -> None:
        """The sum of what is kept of a piece is that of its values, whatever sum was told with them for the receipt."""
        rows = pa.record_batch({"id": pa.array(range(6), pa.int64()), **self.values})
        stream = Stream("values", ("id",))
        with destination.begin(PIPELINE, stream, Mode.APPEND) as load:
            if not isinstance(load, Checks):
                pytest.skip("this destination does not read back")
            columns = load.checkable(rows.schema)
            assert "id" in columns
            told = str(checksum([rows], columns))
            batches = [Batch(rows.slice(0, 4), checksum="-"), Batch(rows.slice(4), checksum="what was told")]
            receipt = load.write("s", iter(batches))
            assert (receipt.checksum, load.checksum(receipt, columns)) == ("what was told", told)
            other = load.write("t", iter([Batch(rows.slice(0, 5), checksum=told)]))
            assert load.checksum(other, columns) != told
        with destination.begin(PIPELINE, stream, Mode.APPEND) as load:
            kept = load.staged.get("s")
            assert kept is None or kept.checksum == "what was told"
            assert kept is None or (isinstance(load, Checks) and load.checksum(kept, columns) == told)

    def test_what_another_run_has_removed_is_not_read_back(self, destination: Destination) -> None:
        """A load that was overtaken may find what it wrote gone: then it is told that it was overtaken."""
        columns = ["id"]
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            if not isinstance(late, Checks):
                pytest.skip("this destination does not read back")
            receipt = late.write("late", iter([Batch(orders(10, 2))]))
            told = late.checksum(receipt, columns)
            self.beside(lambda: loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1}))
            with suppress(Overtaken):
                assert late.checksum(receipt, columns) == told
