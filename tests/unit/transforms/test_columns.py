from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.transforms import Drop, Rename, Select

FIELDS = [pa.field("a", pa.int64(), metadata={"was": "int8"}), pa.field("b", pa.string(), nullable=False)]
SCHEMA = pa.schema([*FIELDS, pa.field("c", pa.list_(pa.int8()))], {"table": "orders"})
BATCH = pa.RecordBatch.from_pylist([{"a": 1, "b": "x", "c": [1]}, {"a": None, "b": "", "c": None}], SCHEMA)
EMPTY = BATCH.slice(0, 0)

names = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=6)


def of(columns: list[str], rows: int) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(range(i, i + rows), pa.int64()) for i, name in enumerate(columns)})


class TestSelect:
    def test_keeps_columns_in_the_order_that_is_given(self) -> None:
        """The columns named are kept, in that order, with all their metadata."""
        selected = Select("c", "a")(BATCH)
        assert selected.schema == pa.schema([SCHEMA.field("c"), SCHEMA.field("a")])
        assert selected.schema.equals(
            pa.schema([SCHEMA.field("c"), FIELDS[0]], {"table": "orders"}), check_metadata=True
        )
        assert selected.column("a").equals(BATCH.column("a"))

    @given(names, st.integers(0, 5), st.data())
    def test_keeps_every_row(self, columns: list[str], rows: int, data: Any) -> None:
        """Whatever columns are kept, none included, the rows are as many and the values the same."""
        batch = of(columns, rows)
        kept = data.draw(st.permutations(columns))[: data.draw(st.integers(0, len(columns)))]
        selected = Select(*kept)(batch)
        assert selected.schema.names == kept
        assert selected.num_rows == batch.num_rows
        assert selected.to_pydict() == {name: batch.to_pydict()[name] for name in kept}

    def test_names_all_that_is_missing(self) -> None:
        """One error tells every missing column, and what is there."""
        with pytest.raises(
            SchemaMismatch, match=r"Select\('x', 'a', 'y'\): .* 'x', 'y'; the columns are 'a', 'b', 'c'"
        ) as told:
            Select("x", "a", "y")(EMPTY)
        assert told.value.missing == ["x", "y"]

    def test_refuses_a_name_that_two_columns_have(self) -> None:
        """Which of two columns of one name is meant, nobody knows."""
        twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
        with pytest.raises(SchemaMismatch, match="more than one column 'a'"):
            Select("a")(twice)

    def test_refuses_nonsense(self) -> None:
        """Names that are none, or given twice, are told at once, before any batch comes."""
        with pytest.raises(ConfigurationError, match="3 cannot be a column's name; 'a' is given more than once"):
            Select("a", 3, "a")  # type: ignore[arg-type]


class TestDrop:
    def test_a_column_may_come_later(self) -> None:
        """What is optional is dropped where it is, and not missed where it is not."""
        assert Drop("b", "x", optional=True)(pa.record_batch({"a": [1], "b": [2]})).schema.names == ["a"]
        with pytest.raises(SchemaMismatch, match="optional=True"):
            Drop("x")(EMPTY)

    @given(names, st.integers(0, 5), st.data())
    def test_keeps_all_the_others(self, columns: list[str], rows: int, data: Any) -> None:
        """What is not named stays as it is, every row and the order of the columns included."""
        batch = of(columns, rows)
        dropped = data.draw(st.permutations(columns))[: data.draw(st.integers(0, len(columns)))]
        kept = [name for name in columns if name not in dropped]
        assert Drop(*dropped)(batch).equals(Select(*kept)(batch), check_metadata=True)
        assert Drop(*dropped)(batch).num_rows == batch.num_rows

    def test_names_all_that_is_missing(self) -> None:
        """A name that is no column's is a slip, and told."""
        with pytest.raises(SchemaMismatch, match=r"Drop\('x', 'y'\): .* 'x', 'y'"):
            Drop("x", "y")(EMPTY)

    def test_columns_of_one_name_may_stay(self) -> None:
        """Two columns of one name are no hindrance where neither is named."""
        twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "a", "b"])
        assert Drop("b")(twice).schema.names == ["a", "a"]


class TestRename:
    def test_keeps_everything_but_the_name(self) -> None:
        """Types, nullability and metadata of fields and schema stay."""
        renamed = Rename({"a": "id"})(BATCH)
        wanted = pa.schema([FIELDS[0].with_name("id"), FIELDS[1], SCHEMA.field("c")], SCHEMA.metadata)
        assert renamed.schema.equals(wanted, check_metadata=True)

    def test_names_may_change_places(self) -> None:
        """All names change at once."""
        assert Rename({"a": "b", "b": "a"})(of(["a", "b"], 1)).to_pydict() == {"b": [0], "a": [1]}

    @given(names, st.integers(0, 3), st.data())
    def test_can_be_undone(self, columns: list[str], rows: int, data: Any) -> None:
        """Renaming back gives the batch one began with."""
        batch = of(columns, rows)
        new = data.draw(
            st.lists(st.text(min_size=4, max_size=6), unique=True, min_size=len(columns), max_size=len(columns))
        )
        there = dict(zip(columns, new, strict=True))
        back = {name: old for old, name in there.items()}
        assert Rename(back)(Rename(there)(batch)).equals(batch, check_metadata=True)

    def test_refuses_what_is_missing_and_what_is_taken(self) -> None:
        """A column that is not there, and a name that another column keeps, are errors."""
        with pytest.raises(SchemaMismatch, match="no column 'x'"):
            Rename({"x": "y"})(EMPTY)
        with pytest.raises(SchemaMismatch, match="a column 'b' already"):
            Rename({"a": "b"})(EMPTY)

    def test_refuses_nonsense(self) -> None:
        """Two columns cannot get one name."""
        with pytest.raises(ConfigurationError, match="'z' is given more than once"):
            Rename({"a": "z", "b": "z"})
        with pytest.raises(ConfigurationError, match="no mapping"):
            Rename(["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize("transform", [Select("a", "c"), Drop("a"), Rename({"a": "id"})], ids=repr)
def test_pickles_equal_and_reads_as_it_is_written(transform: Any) -> None:
    """A copy that went to another process is equal to the original, and repr is the code that makes it."""
    assert pickle.loads(pickle.dumps(transform)) == transform
    written = eval(repr(transform))  # noqa: S307 -- a repr of our own
    assert written == transform
    assert hash(written) == hash(transform)
    assert transform(EMPTY).schema.equals(transform(BATCH).schema, check_metadata=True)
