"""Schemas that grow."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import SchemaMismatch
from de_classes.utils.schemas import fitted, grown, is_within_floats, united, within_floats, without_rows

SCALARS = [
    pa.null(),
    pa.bool_(),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal128(5, 2), pa.decimal128(38, 0), pa.decimal256(50, 10)),
    *(pa.string(), pa.large_string(), pa.binary(), pa.date32(), pa.timestamp("us", "UTC")),
]

types = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda fields: pa.struct([pa.field(name, kind) for name, kind in fields.items()])
        ),
    ),
    max_leaves=4,
)


def wider(one: Any, other: Any) -> Any:
    field = grown(pa.field("c", one), pa.field("c", other))
    return None if field is None else field.type


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (pa.null(), pa.int8(), pa.int8()),
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.uint8(), pa.uint16(), pa.uint16()),
        (pa.uint64(), pa.int64(), pa.decimal128(20, 0)),
        (pa.int64(), pa.decimal128(38, 0), pa.decimal128(38, 0)),
        (pa.int64(), pa.decimal128(5, 2), pa.decimal128(21, 2)),
        (pa.decimal128(38, 0), pa.decimal128(5, 2), pa.decimal256(40, 2)),
        (pa.decimal256(76, 0), pa.decimal128(5, 2), None),
        (pa.int32(), pa.float64(), pa.float64()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.int16(), pa.float32(), pa.float32()),
        (pa.int64(), pa.float64(), None),
        (pa.decimal128(5, 2), pa.float64(), None),
        (pa.string(), pa.int64(), None),
        (pa.bool_(), pa.int8(), None),
        (pa.date32(), pa.timestamp("us"), None),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.list_(pa.null()), pa.list_(pa.int8()), pa.list_(pa.int8())),
        (pa.list_(pa.int8()), pa.large_list(pa.int16()), pa.large_list(pa.int16())),
        (pa.map_(pa.string(), pa.null()), pa.map_(pa.string(), pa.bool_()), pa.map_(pa.string(), pa.bool_())),
        (pa.list_(pa.int8()), pa.int8(), None),
    ],
)
def test_the_type_that_holds_both(one: Any, other: Any, both: Any) -> None:
    """Types grow only where no value is lost, whichever comes first."""
    assert wider(one, other) == both
    assert wider(other, one) == both


@given(one=types, other=types, third=types)
def test_growing_does_not_depend_on_the_order(one: Any, other: Any, third: Any) -> None:
    """Two types grow into one whichever comes first, a type grows into itself, and what holds both holds each."""
    both = wider(one, other)
    assert wider(one, one) == one
    assert (both is None) == (wider(other, one) is None)
    if both is not None:
        assert _unordered(both) == _unordered(wider(other, one))
        assert _unordered(wider(both, one)) == _unordered(both)
        ways = [wider(both, third), *(wider(way, other) for way in [wider(one, third)] if way is not None)]
        if all(way is not None for way in ways) and len(ways) > 1:
            assert _unordered(ways[0]) == _unordered(ways[1])


def _unordered(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _unordered(field.type) for field in kind}
    if pa.types.is_map(kind):
        return ("map", _unordered(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return (pa.types.is_large_list(kind), _unordered(kind.value_type))
    return kind


def test_whole_numbers_that_are_marked_grow_into_floats() -> None:
    """An int64 whose values all lie within 2 ** 53 grows into a float64; the mark goes with one that lacks it."""
    marked, plain = within_floats(pa.field("c", pa.int64())), pa.field("c", pa.int64())
    double = pa.field("c", pa.float64())
    assert grown(marked, double) == double
    assert is_within_floats(united([pa.schema([marked])] * 2, "t").field("c"))
    both = united([pa.schema([marked]), pa.schema([plain])], "t").field("c")
    assert not is_within_floats(both)
    assert not is_within_floats(united([pa.schema([marked]), pa.schema([double])], "t").field("c"))


@pytest.mark.parametrize("nested", [False, True])
def test_a_column_of_nulls_takes_nothing_from_a_mark(nested: bool) -> None:
    """Nulls lie within floats, too: with them, marked whole numbers may still become floats, in either order."""
    marked, nulls = within_floats(pa.field("c", pa.int64())), pa.field("c", pa.null())
    kinds = [marked, nulls, pa.field("c", pa.float64())]
    if nested:
        kinds = [pa.field("s", pa.list_(pa.struct([kind]))) for kind in kinds]
    for order in itertools.permutations(kinds):
        assert united([pa.schema([kind]) for kind in order], "t").field(0).type == kinds[-1].type


def test_columns_come_together_in_the_order_in_which_they_come() -> None:
    """A column that one schema lacks becomes nullable, in structs as well."""
    inner, wider_inner = pa.struct([pa.field("x", pa.int8(), nullable=False)]), pa.struct([("y", pa.string())])
    one = pa.schema(
        [pa.field("id", pa.int64(), nullable=False), pa.field("s", inner), pa.field("old", pa.bool_(), nullable=False)]
    )
    other = pa.schema(
        [
            pa.field("new", pa.int8(), nullable=False),
            pa.field("s", wider_inner),
            pa.field("id", pa.int64(), nullable=False),
        ]
    )
    both = united([one, other], "t")
    assert both == pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("s", pa.struct([("x", pa.int8()), ("y", pa.string())])),
            pa.field("old", pa.bool_()),
            pa.field("new", pa.int8()),
        ]
    )


def test_what_does_not_grow_is_told_at_once() -> None:
    """Every column of two kinds is named."""
    one = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.bool_())])
    with pytest.raises(SchemaMismatch, match=r"column a is int64, and string comes; column b is string, and bool"):
        united([one, pa.schema([("a", pa.string()), ("b", pa.bool_()), ("c", pa.bool_())])], "t")


@given(data=st.data())
def test_rows_fit_what_their_schema_has_grown_into(data: st.DataObject) -> None:
    """Values stay the same values under the wider schema; what was not there is null."""
    old = pa.schema(
        [
            ("n", pa.int32()),
            ("l", pa.list_(pa.int8())),
            ("s", pa.struct([("x", pa.int64()), ("t", pa.list_(pa.string()))])),
            ("m", pa.map_(pa.string(), pa.int8())),
            ("nothing", pa.null()),
        ]
    )
    new = pa.schema(
        [
            ("n", pa.decimal128(38, 2)),
            ("l", pa.large_list(pa.int64())),
            ("s", pa.struct([("x", pa.decimal128(19, 0)), ("t", pa.list_(pa.string())), ("new", pa.bool_())])),
            ("m", pa.map_(pa.string(), pa.float64())),
            ("nothing", pa.list_(pa.int8())),
            ("added", pa.struct([("z", pa.int8())])),
        ]
    )
    small = st.none() | st.integers(-100, 100)
    row = st.fixed_dictionaries(
        {
            "n": small,
            "l": st.none() | st.lists(small, max_size=3),
            "s": st.none() | st.fixed_dictionaries({"x": small, "t": st.none() | st.lists(st.text(), max_size=2)}),
            "m": st.none() | st.lists(st.tuples(st.text(max_size=2), small), max_size=2),
        }
    )
    rows = data.draw(st.lists(row, max_size=8))
    batch = pa.RecordBatch.from_pylist(rows, schema=old)
    start = data.draw(st.integers(0, len(rows)))
    wide = fitted(batch.slice(start), new)
    wide.validate(full=True)
    assert wide.schema == new
    expected = [
        {**row, "s": row["s"] and {**row["s"], "new": None}, "nothing": None, "added": None} for row in rows[start:]
    ]
    assert wide.to_pylist() == expected


def test_what_fits_is_given_back_as_it_is() -> None:
    """A batch that has the schema already is not touched; one with other columns is refused."""
    batch = pa.record_batch({"a": [1]})
    assert fitted(batch, batch.schema) is batch
    with pytest.raises(SchemaMismatch, match="columns a more"):
        fitted(batch, pa.schema([("b", pa.int64())]))


def test_no_rows_of_any_schema() -> None:
    """There is a batch without rows of every schema, also where extension types stand inside other types."""
    inside = pa.struct([("id", pa.uuid()), ("more", pa.list_(pa.json_()))])
    schema = pa.schema([pa.field("a", inside, nullable=False), ("b", pa.map_(pa.string(), pa.json_()))], {"of": "x"})
    for wanted in (schema, pa.schema([])):
        batch = without_rows(wanted)
        assert batch.num_rows == 0
        assert batch.schema.equals(wanted, check_metadata=True)
