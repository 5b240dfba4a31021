from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.utils.picking import rows_where

VIEWS, LISTS = pa.string_view(), pa.list_(pa.string_view())


@pytest.mark.parametrize("type_", [pa.int64(), VIEWS, LISTS], ids=str)
@given(wanted=st.lists(st.none() | st.booleans(), max_size=12))
def test_wanted_rows_are_kept_in_their_order(type_: pa.DataType, wanted: list[bool | None]) -> None:
    """Whether Arrow has a kernel for the layout or not, the rows are those that are wanted."""
    values = list(range(len(wanted)))
    made = {pa.int64(): values, VIEWS: list(map(str, values)), LISTS: [[str(n), None] for n in values]}[type_]
    batch = pa.record_batch({"v": pa.array(made, type_)})
    picked = rows_where(batch, pa.array(wanted, pa.bool_()))
    assert picked.schema.equals(batch.schema)
    assert picked.column("v").to_pylist() == [value for value, is_wanted in zip(made, wanted, strict=True) if is_wanted]


def test_run_end_encoded_rows_are_kept() -> None:
    """A run is cut where rows of it go."""
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None]))
    picked = rows_where(pa.record_batch({"v": runs}), pa.array([True, False, True]))
    assert picked.column("v").to_pylist() == ["a", None]
