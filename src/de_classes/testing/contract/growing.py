"""What a Destination promises about columns that grow and records that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import SchemaMismatch
from de_classes.testing.contract.loading import ANOTHER, ORDERS, PIPELINE, Loading, loaded, orders, written
from de_classes.utils.quarantine import REJECTED

if TYPE_CHECKING:
    from de_classes.contracts import Destination, Load, Receipt
    from de_classes.testing.contract.loading import Leftovers, ReadBack

__all__ = ["GrowingContract", "ReadQuarantine"]

ReadQuarantine: TypeAlias = Callable[[str], pa.Table]


class GrowingContract(Loading):
    """Columns grow where that was asked for, without a loss; what does not fit is kept, once.

    Override the fixtures `evolving` and `read_quarantine` where the destination does the one and the other; what it
    does not do is skipped.
    """

    @pytest.fixture
    def evolving(self, destination: Destination) -> Destination:
        """The destination under test, empty, such that its columns grow; `read_back` reads what it holds."""
        pytest.skip(f"{type(destination).__name__} does not let columns grow")

    @pytest.fixture
    def read_quarantine(self, destination: Destination) -> ReadQuarantine:
        """Reads the visible rejected records of a stream, with the columns of REJECTED at least."""
        pytest.skip(f"{type(destination).__name__} has no quarantine")

    def test_new_columns_come(self, evolving: Destination, read_back: ReadBack) -> None:
        """A column that was not there is added, and null in the rows that are."""
        loaded(evolving, Mode.APPEND, orders(1, 2), position={"day": 1})
        noted = pa.record_batch({"id": [3], "status": ["new"], "note": ["gift"]})
        loaded(evolving, Mode.APPEND, noted, position={"day": 2})
        loaded(evolving, Mode.APPEND, orders(4, 1), position={"day": 3})
        assert self.rows(read_back, "note") == [(1, None), (2, None), (3, "gift"), (4, None)]

    @pytest.mark.parametrize(
        ("narrow", "wide"),
        [
            (pa.array([1, None], pa.int16()), pa.array([2**40], pa.int64())),
            (pa.array([2**62, None], pa.int64()), pa.array([10**25], pa.decimal128(38, 0))),
            (pa.array([None, None], pa.null()), pa.array([7], pa.int64())),
            (pa.array([None, None], pa.null()), pa.array(["text"], pa.string())),
            (pa.array([1.5, None], pa.float32()), pa.array([0.1], pa.float64())),
            (pa.array([[], None], pa.list_(pa.null())), pa.array([[3]], pa.list_(pa.int64()))),
        ],
        ids=lambda array: str(array.type),
    )
    def test_columns_get_wider(self, evolving: Destination, read_back: ReadBack, narrow: Any, wide: Any) -> None:
        """A column grows into a type that holds all its values, which stay as they were; a narrower one then fits."""
        first = pa.record_batch({"id": [1, 2], "value": narrow})
        second = pa.record_batch({"id": [3], "value": wide})
        loaded(evolving, Mode.APPEND, first, position={"day": 1})
        loaded(evolving, Mode.APPEND, second, position={"day": 2})
        loaded(evolving, Mode.APPEND, first.set_column(0, "id", pa.array([4, 5])), position={"day": 3})
        old, new = narrow.to_pylist(), wide.to_pylist()
        assert self.rows(read_back, "value") == list(zip(range(1, 6), old + new + old, strict=True))

    @pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE, Mode.MERGE])
    def test_pieces_of_several_columns_come_together(
        self, evolving: Destination, read_back: ReadBack, mode: Mode
    ) -> None:
        """One commit takes pieces whose columns grew on the way, in every mode."""
        self.needs(mode)
        narrow = pa.record_batch({"id": [1], "status": ["new"], "value": pa.array([None], pa.null())})
        wide = pa.record_batch({"value": [5], "id": [2], "status": ["new"], "note": ["gift"]})
        for _ in range(1 if mode is Mode.APPEND else 2):
            loaded(evolving, mode, narrow, wide, position={"day": 1})
            assert self.rows(read_back, "value") == [(1, None), (2, 5)]
            assert self.rows(read_back, "note") == [(1, None), (2, "gift")]

    def test_what_would_lose_values_is_refused(self, evolving: Destination, read_back: ReadBack) -> None:
        """Columns of another kind are refused, and nothing has changed."""
        loaded(evolving, Mode.APPEND, orders(1, 2), position={"day": 1})
        with pytest.raises(SchemaMismatch, match="status"):
            loaded(evolving, Mode.APPEND, pa.record_batch({"id": [7], "status": [1.5]}), position={"day": 2})
        assert self.visible(read_back) == [(1, "new"), (2, "new")]
        assert evolving.position(PIPELINE, ORDERS) == {"day": 1}

    def test_rejected_records_come_with_the_commit(
        self, destination: Destination, read_back: ReadBack, read_quarantine: ReadQuarantine, leftovers: Leftovers
    ) -> None:
        """Rejected records are counted by the receipt, seen from the commit on, as they were, and beside the rows."""
        odd = ['{"id": "x", "t": "\\u0000 \\" ż \\n"}', "", "a,b\r\n'"]
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            batches = [
                Batch(orders(1, 2), None, rejects(*odd)),
                Batch(orders(3, 1)),
                Batch(orders(4, 0), None, rejects("4")),
            ]
            receipt = load.write("split", iter(batches))
            assert (receipt.rows, receipt.rejected) == (3, 4)
            assert read_quarantine(ORDERS.name).num_rows == 0
            load.commit([receipt], {"day": 1})
        assert self.keys(read_back) == [1, 2, 3]
        found = read_quarantine(ORDERS.name).select(REJECTED.names).sort_by([("record", "ascending")])
        expected = pa.Table.from_batches([rejects(*odd), rejects("4")]).sort_by([("record", "ascending")])
        assert found.to_pylist() == expected.to_pylist()
        assert list(leftovers()) == []

    def test_rejected_records_alone(
        self, destination: Destination, read_back: ReadBack, read_quarantine: ReadQuarantine
    ) -> None:
        """A split may bring rejected records only, before any column is known; the position moves with them."""
        stream = Stream("unseen")
        with destination.begin(PIPELINE, stream, Mode.APPEND) as load:
            load.commit([reject(load, "x", "y")], {"day": 1})
        assert read_back(stream.name) is None or read_back(stream.name).num_rows == 0  # type: ignore[union-attr]  # see before the or
        assert _records(read_quarantine(stream.name)) == ["x", "y"]
        assert destination.position(PIPELINE, stream) == {"day": 1}

    def test_rejected_records_of_no_commit_are_gone(
        self, destination: Destination, read_quarantine: ReadQuarantine, leftovers: Leftovers
    ) -> None:
        """A load that was left shows nothing; what it wrote completely is offered once more, and there once."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            reject(load, "x")
        assert read_quarantine(ORDERS.name).num_rows == 0
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            again = load.staged.get("rejects") or reject(load, "x")
            assert again.rejected == 1
            load.commit([again], {"day": 1})
        assert read_quarantine(ORDERS.name)["record"].to_pylist() == ["x"]
        assert list(leftovers()) == []

    def test_a_replacement_drops_the_pipeline_s_rejected_records(
        self, destination: Destination, read_quarantine: ReadQuarantine
    ) -> None:
        """They stay when a pipeline appends, and go when it replaces; a commit of another adds its own."""
        self.needs(Mode.REPLACE)
        for day, (pipeline, record) in enumerate([(PIPELINE, "first"), (PIPELINE, "second"), (ANOTHER, "of another")]):
            with destination.begin(pipeline, ORDERS, Mode.APPEND) as load:
                load.commit([*written(load, orders(day, 1)), reject(load, record)], {"day": day})
        assert _records(read_quarantine(ORDERS.name)) == ["first", "of another", "second"]
        with destination.begin(PIPELINE, ORDERS, Mode.REPLACE) as load:
            load.commit([*written(load, orders(9, 1)), reject(load, "third")], {"day": 9})
        records = _records(read_quarantine(ORDERS.name))
        assert "third" in records
        assert not {"first", "second"} & set(records)

    def rows(self, read_back: ReadBack, column: str) -> list[tuple[int, Any]]:
        """The orders' ids with a column, by id."""
        table = read_back(ORDERS.name)
        return [] if table is None else sorted(zip(*(table[name].to_pylist() for name in ("id", column)), strict=True))


def rejects(*records: str) -> pa.RecordBatch:
    """Records that do not fit."""
    return pa.RecordBatch.from_pylist(
        [
            {"record": record, "reason": "is no order", "path": None if n else "id", "place": "page 1", "row": n}
            for n, record in enumerate(records)
        ],
        schema=REJECTED,
    )


def reject(load: Load, *records: str) -> Receipt:
    """Write rejected records only, as a split."""
    nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    return load.write("rejects", iter([Batch(nothing, None, rejects(*records))]))


def _records(rejected: pa.Table) -> list[str]:
    return sorted(map(str, rejected["record"].to_pylist()))
