from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, SchemaMismatch, TransformFailed
from de_classes.transforms import Filter

SCHEMA = pa.schema([pa.field("n", pa.int64(), metadata={"k": "v"}), ("s", pa.string())], {"table": "orders"})
batches = st.lists(
    st.fixed_dictionaries({"n": st.none() | st.integers(-3, 3), "s": st.none() | st.sampled_from("ab")}), max_size=20
).map(lambda rows: pa.RecordBatch.from_pylist(rows, SCHEMA))

POSITIVE, IS_A = Filter(pc.field("n") > 0), Filter(pc.field("s") == "a")


def is_even(batch: pa.RecordBatch) -> pa.Array:
    return pc.equal(pc.bit_wise_and(batch["n"], 1), 0)


class TestFilter:
    @given(batches)
    def test_keeps_where_true_in_order(self, batch: pa.RecordBatch) -> None:
        """Rows for which the condition is true are kept in their order; false and null let a row go."""
        wanted = [row for row in batch.to_pylist() if row["n"] is not None and row["n"] > 0]
        assert POSITIVE(batch).to_pylist() == wanted
        assert POSITIVE(batch).schema.equals(SCHEMA, check_metadata=True)

    @given(batches)
    def test_filters_commute(self, batch: pa.RecordBatch) -> None:
        """It does not matter which of two filters comes first."""
        assert POSITIVE(IS_A(batch)).equals(IS_A(POSITIVE(batch)))

    @given(batches)
    def test_a_function_is_a_condition_too(self, batch: pa.RecordBatch) -> None:
        """A module's function of the batch pickles by its name and filters likewise."""
        even = pickle.loads(pickle.dumps(Filter(is_even)))
        assert repr(even) == "Filter(is_even)"
        assert even(batch).to_pylist() == [
            row for row in batch.to_pylist() if row["n"] is not None and row["n"] % 2 == 0
        ]

    def test_expressions_pickle(self) -> None:
        """A filter by an expression can go to another process, whatever the expression is made of."""
        condition = pc.field("s").isin(["a", "b"]) & (pc.field("n").cast(pa.float64()) > 0.5) | pc.field("n").is_null()
        batch = pa.RecordBatch.from_pylist([{"n": 1, "s": "a"}, {"n": 0, "s": "a"}, {"n": None, "s": None}], SCHEMA)
        again = pickle.loads(pickle.dumps(Filter(condition)))
        assert again(batch).equals(Filter(condition)(batch))
        assert again(batch).num_rows == 2

    def test_many_rows_keep_their_order(self) -> None:
        """Rows stay in order also where Arrow cuts a batch into pieces."""
        batch = pa.record_batch({"n": np.arange(300_000)})
        assert Filter(pc.field("n") >= 5)(batch)["n"].equals(pa.array(np.arange(5, 300_000)))

    def test_reads_well(self) -> None:
        """The condition is shown as it is computed."""
        assert repr(POSITIVE) == "Filter((n > 0))"

    def test_rows_without_columns(self) -> None:
        """Rows are filtered even where no column is left."""
        bare = pa.record_batch({"n": [1, 2]}).select([])
        assert Filter(lambda batch: pa.array([True] + [False] * (batch.num_rows - 1)))(bare).num_rows == 1

    def test_names_missing_columns(self) -> None:
        """Every column that an expression lacks is named, structs' fields included."""
        empty = pa.RecordBatch.from_pylist([], SCHEMA)
        with pytest.raises(SchemaMismatch, match="no column 'x', 'y'; the columns are 'n', 's'"):
            Filter((pc.field("x") > 0) & (pc.field("n") > 0) & (pc.field("y") == pc.field("x")))(empty)
        with pytest.raises(SchemaMismatch, match=r"no column 'address.city'"):
            Filter(pc.field("address", "city") == "Rome")(empty)

    @pytest.mark.parametrize(
        ("condition", "fact"),
        [
            (pc.field("n"), "gives int64, not true or false"),
            (lambda _: pa.array([True]), "returned 1 values for 2 rows"),
            (lambda _: [True, False], "returned list, which has no Arrow type"),
            (lambda _: np.array([True, False], object), "returned ndarray, which has no Arrow type"),
        ],
    )
    def test_refuses_what_is_no_mask(self, condition: Any, fact: str) -> None:
        """A condition has one boolean per row, of Arrow's type."""
        with pytest.raises(TransformFailed, match=fact):
            Filter(condition)(pa.RecordBatch.from_pylist([{"n": 1}, {"n": 2}], SCHEMA))

    def test_refuses_what_is_no_condition(self) -> None:
        """What can neither be evaluated nor called is refused before any batch comes."""
        with pytest.raises(ConfigurationError, match="neither an expression nor a function"):
            Filter("n > 0")  # type: ignore[arg-type]

    def test_any_layout_is_filtered(self) -> None:
        """Layouts that Arrow has no kernel for, such as the views that other libraries hand over, are kept as such."""
        batch = pa.record_batch({"n": [1, 2, 3], "s": pa.array(["a", "b", None], pa.string_view())})
        assert Filter(pc.field("n") != 2)(batch).to_pylist() == [{"n": 1, "s": "a"}, {"n": 3, "s": None}]
