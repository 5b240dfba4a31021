from __future__ import annotations

import functools
import pickle
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from de_classes.errors import SchemaMismatch, TransformFailed
from de_classes.transforms import Filter, Rename, Select, apply, compose

BATCH = pa.record_batch({"a": [1, 2, 3], "b": ["x", "y", None]})


class Frame:
    """A table of another library: nothing but the Arrow interface."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Record:
    """A batch of another library."""

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return BATCH.__arrow_c_array__(requested_schema)


def exploded(batch: pa.RecordBatch) -> pa.RecordBatch:
    raise ValueError(f"no way with {batch.num_rows} rows\nand a second line")


class TestApply:
    def test_transforms_follow_one_another(self) -> None:
        """Each transform is given what the one before it made."""
        made = apply([Filter(pc.field("a") > 1), Rename({"a": "id"}), Select("id")], BATCH)
        assert made.to_pydict() == {"id": [2, 3]}

    def test_no_transforms(self) -> None:
        """Without transforms a batch passes as it is."""
        assert apply([], BATCH) is BATCH

    @pytest.mark.parametrize("rows", [0, 3])
    def test_tables_of_any_kind_become_one_batch(self, rows: int) -> None:
        """A function may return a table, in many chunks or none, of pyarrow or of another library."""
        wanted = BATCH.slice(0, rows)
        chunked = pa.Table.from_batches([BATCH.slice(i, 1) for i in range(rows)], BATCH.schema)
        for table in (chunked, Frame(chunked), pa.RecordBatchReader.from_stream(chunked)):
            assert apply([lambda _, table=table: table], BATCH).equals(wanted)
        assert apply([lambda _: Record()], BATCH).equals(BATCH)

    def test_a_failure_names_the_transform(self) -> None:
        """What a function raises comes as TransformFailed: which transform, what, and on which columns."""
        with pytest.raises(TransformFailed, match="transform exploded: ValueError: no way with 3 rows\n") as told:
            apply([exploded], BATCH)
        assert isinstance(told.value.__cause__, ValueError)
        assert "a (int64), b (string)" in told.value.remedy
        with pytest.raises(TransformFailed, match=r"transform functools.partial\(.*exploded"):
            apply([functools.partial(exploded)], BATCH)

    def test_errors_of_our_own_pass(self) -> None:
        """An error that tells the transform, the fact and the remedy already stays what it is."""
        with pytest.raises(SchemaMismatch, match=r"Select\('x'\)"):
            apply([Select("x")], BATCH)

    @pytest.mark.parametrize("result", [None, [BATCH], {"a": [1]}, BATCH.to_pylist()])
    def test_refuses_what_is_no_table(self, result: Any) -> None:
        """A transform that returns something else than a table has failed."""
        with pytest.raises(TransformFailed, match=f"returned {type(result).__name__}, which is no table"):
            apply([lambda _: result], BATCH)


class TestCompose:
    def test_several_transforms_are_one(self) -> None:
        """A composed transform does what its parts do, in their order, pickles, and shows them."""
        both = compose(Rename({"a": "id"}), Select("id"))
        assert pickle.loads(pickle.dumps(both)) == both
        assert both(BATCH).equals(apply([Rename({"a": "id"}), Select("id")], BATCH))
        assert repr(both) == "compose(Rename({'a': 'id'}), Select('id'))"

    def test_the_part_that_fails_is_named(self) -> None:
        """A failure inside tells of the part, not of the whole."""
        with pytest.raises(TransformFailed, match="the transform exploded"):
            apply([compose(Select("a"), exploded)], BATCH)
