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
from de_classes.transforms import Derive

SCHEMA = pa.schema(
    [
        pa.field("n", pa.int64(), metadata={"pg": "int8"}),
        pa.field("address", pa.struct([("city", pa.string())]), metadata={"k": "v"}),
        ("tags", pa.list_(pa.string())),
    ],
    {"table": "orders"},
)
rows = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-9, 9),
        "address": st.none() | st.fixed_dictionaries({"city": st.none() | st.text(max_size=2)}),
        "tags": st.none() | st.lists(st.text(max_size=2), max_size=3),
    }
)
batches = st.lists(rows, max_size=9).map(lambda values: pa.RecordBatch.from_pylist(values, SCHEMA))
EMPTY = pa.RecordBatch.from_pylist([], SCHEMA)


def doubled(batch: pa.RecordBatch) -> pa.Array:
    return pc.multiply(batch["n"], 2)


class Streamed:
    """A series of another library: nothing but the Arrow interface."""

    def __init__(self, *chunks: list[int]) -> None:
        self.chunks = pa.chunked_array(chunks, pa.int64())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.chunks.__arrow_c_stream__(requested_schema)


class TestDerive:
    @given(batches)
    def test_reaches_into_structs_and_lists(self, batch: pa.RecordBatch) -> None:
        """Expressions take values out of structs and lists, null where there is nothing to reach into."""
        derived = Derive({"city": pc.field("address", "city"), "tags_n": pc.list_value_length(pc.field("tags"))})(batch)
        for row, wanted in zip(derived.to_pylist(), batch.to_pylist(), strict=True):
            assert row["city"] == (wanted["address"] or {}).get("city")
            assert row["tags_n"] == (None if wanted["tags"] is None else len(wanted["tags"]))
            assert {name: row[name] for name in wanted} == wanted

    @given(batches)
    def test_the_schema_is_the_same_with_and_without_rows(self, batch: pa.RecordBatch) -> None:
        """An empty batch gives the schema that full ones have."""
        derive = Derive({"x": pc.field("n") * 2, "y": doubled, "one": pc.scalar(1), "two": lambda _: pa.scalar("2")})
        assert derive(batch).schema.equals(derive(EMPTY).schema, check_metadata=True)
        assert derive(batch).num_rows == batch.num_rows

    @given(batches)
    def test_expressions_and_functions_agree(self, batch: pa.RecordBatch) -> None:
        """The same computation as an expression or as a function gives the same column."""
        derived = pickle.loads(pickle.dumps(Derive({"x": pc.multiply(pc.field("n"), 2), "y": doubled})))(batch)
        assert derived["x"].equals(derived["y"])

    def test_replaces_in_place(self) -> None:
        """A replaced column keeps its place and loses its metadata; all others, and the schema's, stay."""
        derived = Derive({"n": pc.field("n").cast(pa.string()), "m": pc.field("n")})(EMPTY)
        wanted = pa.schema(
            [("n", pa.string()), SCHEMA.field(1), SCHEMA.field(2), ("m", pa.int64())], {"table": "orders"}
        )
        assert derived.schema.equals(wanted, check_metadata=True)

    def test_all_see_the_batch_as_it_came(self) -> None:
        """Columns may change places, since none sees what another derived."""
        batch = pa.record_batch({"a": [1], "b": [2]})
        assert Derive({"a": pc.field("b"), "b": pc.field("a")})(batch).to_pydict() == {"a": [2], "b": [1]}

    def test_many_rows_keep_their_order(self) -> None:
        """Rows stay in order also where Arrow cuts a batch into pieces."""
        batch = pa.record_batch({"n": np.arange(300_000)})
        assert Derive({"m": pc.field("n") + 1})(batch)["m"].equals(pa.array(np.arange(1, 300_001)))

    @pytest.mark.parametrize(
        "values",
        [pa.chunked_array([[1], [2]]), np.array([1, 2]), Streamed([1], [2]), Streamed([1, 2])],
        ids=["chunked", "numpy", "streamed in two", "streamed in one"],
    )
    def test_functions_may_return_other_typed_arrays(self, values: Any) -> None:
        """Chunked arrays, numpy arrays and series that speak Arrow become columns."""
        batch = pa.record_batch({"n": [0, 0]})
        assert Derive({"n": lambda _: values})(batch).equals(pa.record_batch({"n": [1, 2]}))

    def test_names_missing_columns(self) -> None:
        """Every column that is lacking is named, and what is there."""
        with pytest.raises(SchemaMismatch, match="no column 'x', 'y'; the columns are 'n', 'address', 'tags'") as told:
            Derive({"z": pc.field("x") * pc.field("n") + pc.field("y")})(EMPTY)
        assert told.value.missing == ["x", "y"]

    def test_refuses_what_is_no_column(self) -> None:
        """A list has no type of its own, and a column has as many values as there are rows."""
        with pytest.raises(TransformFailed, match="returned list"):
            Derive({"x": lambda _: []})(EMPTY)
        with pytest.raises(TransformFailed, match="returned 2 values for 0 rows"):
            Derive({"x": lambda _: pa.array([1, 2])})(EMPTY)

    def test_refuses_nonsense(self) -> None:
        """What is no expression and no function is refused before any batch comes, with its column named."""
        with pytest.raises(ConfigurationError, match="column 'x': 3 is neither"):
            Derive({"x": 3})  # type: ignore[dict-item]
        with pytest.raises(ConfigurationError, match="no mapping"):
            Derive(doubled)  # type: ignore[arg-type]

    def test_reads_well(self) -> None:
        """Functions are told by name, expressions as they are computed."""
        assert repr(Derive({"x": doubled, "y": pc.field("n") > 1})) == "Derive({'x': doubled, 'y': (n > 1)})"
