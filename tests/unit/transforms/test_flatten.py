from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.transforms import Flatten
from de_classes.utils.fingerprint import fingerprint

CITY = pa.struct([pa.field("city", pa.string(), nullable=False, metadata={"was": "text"}), ("zip", pa.int32())])
CUSTOMER = pa.struct([("name", pa.string()), ("address", CITY), ("tags", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [pa.field("id", pa.int64(), nullable=False), ("customer", CUSTOMER), ("total", pa.float64())], {"table": "orders"}
)
ANN = {"name": "Ann", "address": {"city": "Bonn", "zip": 1}, "tags": ["a", "b"]}
BATCH = pa.RecordBatch.from_pylist(
    [
        {"id": 1, "customer": ANN, "total": 0.5},
        {"id": 2, "customer": None, "total": None},
        {"id": 3, "customer": {"name": None, "address": None, "tags": []}, "total": 1.0},
    ],
    SCHEMA,
)
NAMES = ["id", "customer_name", "customer_address_city", "customer_address_zip", "customer_tags", "total"]


class TestColumns:
    def test_fields_stand_where_their_struct_stood(self) -> None:
        """Structs become columns at every level, lists stay, and a null struct is nulls."""
        flat = Flatten()(BATCH)
        assert flat.schema.names == NAMES
        assert [tuple(row.values()) for row in flat.to_pylist()] == [
            (1, "Ann", "Bonn", 1, ["a", "b"], 0.5),
            (2, None, None, None, None, None),
            (3, None, None, None, [], 1.0),
        ]

    def test_fields_keep_what_is_known_of_them(self) -> None:
        """Metadata stays, and a field that is never null in its struct is null where the struct is."""
        schema = Flatten()(BATCH).schema
        assert schema.metadata == {b"table": b"orders"}
        wanted: Any = pa.field("customer_address_city", pa.string(), nullable=True, metadata={"was": "text"})
        assert schema.field("customer_address_city").equals(wanted, check_metadata=True)
        assert not schema.field("id").nullable

    def test_one_level(self) -> None:
        """With a depth, the structs below it stay as they are."""
        flat = Flatten(depth=1)(BATCH)
        assert flat.schema.field("customer_address").type == CITY
        assert flat["customer_address"].to_pylist() == [{"city": "Bonn", "zip": 1}, None, None]

    def test_named_columns_only(self) -> None:
        """Where columns are named, other structs stay; a separator may be any text."""
        batch = pa.record_batch({"a": pa.array([{"x": 1}]), "b": pa.array([{"x": 2}])})
        assert Flatten("b", separator=".")(batch).to_pylist() == [{"a": {"x": 1}, "b.x": 2}]

    def test_new_fields_become_new_columns(self) -> None:
        """A struct that has grown gives columns more, and the others as before."""
        wider = pa.record_batch({"a": pa.array([{"x": 1, "y": {"z": 2}}])})
        assert Flatten("a")(wider).to_pylist() == [{"a_x": 1, "a_y_z": 2}]

    def test_a_column_whose_fields_nobody_knows_yet(self) -> None:
        """A named column without values gives no columns, since it would stand beside its fields later."""
        batch = pa.record_batch({"id": [1, 2], "a": pa.nulls(2)})
        assert Flatten("a")(batch).schema.names == ["id"]
        assert Flatten()(batch).schema.names == ["id", "a"]

    def test_no_rows(self) -> None:
        """An empty batch has the schema of any other."""
        assert Flatten()(BATCH.slice(0, 0)).schema.equals(Flatten()(BATCH).schema, check_metadata=True)


class TestRefusals:
    def test_collisions_are_all_told(self) -> None:
        """One error names every column that two would become, and where they come from."""
        batch = pa.record_batch(
            {"a": pa.array([{"b_c": 1, "d": 2}]), "a_b": pa.array([{"c": 3}]), "a_d": pa.array([4])}
        )
        with pytest.raises(SchemaMismatch, match=r"'a_b_c' of 'a.b_c', 'a_b.c'; 'a_d' of 'a.d', 'a_d'"):
            Flatten()(batch)

    def test_what_is_no_struct(self) -> None:
        """All columns that are named and missing, or no structs, are told."""
        with pytest.raises(SchemaMismatch, match=r"no struct: column 'id' \(int64\), 'total' \(double\)"):
            Flatten("id", "customer", "total")(BATCH)
        with pytest.raises(SchemaMismatch, match="no column 'x', 'y'"):
            Flatten("x", "y")(BATCH)

    @pytest.mark.parametrize("wrong", [{"depth": 0}, {"depth": True}, {"separator": None}])
    def test_nonsense(self, wrong: dict[str, Any]) -> None:
        """Settings that mean nothing are refused where they are given."""
        with pytest.raises(ConfigurationError):
            Flatten(**wrong)


def test_it_travels_and_is_told_apart() -> None:
    """It pickles, and every setting changes the fingerprint."""
    kinds = [Flatten(), Flatten("a"), Flatten(separator="."), Flatten(depth=1)]
    assert [pickle.loads(pickle.dumps(kind)) for kind in kinds] == kinds
    assert len({fingerprint([kind]) for kind in kinds}) == len(kinds)
    assert repr(Flatten("a", separator=".", depth=2)) == "Flatten('a', separator='.', depth=2)"


# --- Against plain Python ---------------------------------------------------------------------------------------------

kinds = st.recursive(
    st.sampled_from([pa.int64(), pa.string(), pa.list_(pa.int8())]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1).map(
        lambda fields: pa.struct([pa.field(name, kind) for name, kind in fields.items()])
    ),
    max_leaves=6,
)


def values(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    if pa.types.is_list(kind):
        return st.none() | st.lists(st.integers(-5, 5), max_size=2)
    return st.none() | (st.integers(-9, 9) if kind == pa.int64() else st.text(max_size=2))


def flattened(name: str, value: Any, kind: Any, depth: int | None) -> dict[str, Any]:
    if not pa.types.is_struct(kind) or depth == 0:
        return {name: value}
    made: dict[str, Any] = {}
    for field in kind:
        inner = None if value is None else value[field.name]
        made |= flattened(f"{name}.{field.name}", inner, field.type, None if depth is None else depth - 1)
    return made


@given(kinds, st.sampled_from([None, 1, 2]), st.data())
def test_as_plain_python_does_it(kind: Any, depth: int | None, data: Any) -> None:
    """Whatever the nesting and the nulls, and wherever a batch was cut from, each row is the same."""
    rows = data.draw(st.lists(values(kind), max_size=6))
    start, length = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 6))
    batch = pa.record_batch({"a": pa.array(rows, kind)}).slice(start, length)
    flat = Flatten(separator=".", depth=depth)(batch)
    flat.validate(full=True)
    assert flat.to_pylist() == [flattened("a", row, kind, depth) for row in rows[start : start + length]]
