from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.api.messages import Request, Response
from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.pipelines import Pipeline, Route
from de_classes.testing.memory import MemoryDestination, MemorySource
from de_classes.transforms import Drop, Explode, compose
from de_classes.utils.fingerprint import fingerprint

LINE = pa.struct(
    [pa.field("sku", pa.string(), nullable=False, metadata={"was": "text"}), ("codes", pa.list_(pa.int8()))]
)
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("lines", pa.list_(LINE))], {"table": "orders"})
ORDERS: list[dict[str, Any]] = [
    {"id": 1, "lines": [{"sku": "a", "codes": [7, 8]}, None, {"sku": "b", "codes": None}]},
    {"id": 2, "lines": []},
    {"id": 3, "lines": None},
    {"id": 4, "lines": [{"sku": "c", "codes": [9]}]},
]
BATCH = pa.RecordBatch.from_pylist(ORDERS, SCHEMA)
LINES = Explode("lines", key={"order_id": "id"}, position="line_number")


def rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in batch.to_pylist()]


class TestChildren:
    def test_a_list_may_come_later(self) -> None:
        """Where the list is optional, a batch without it gives the key and the number, and no row."""
        late = Explode("lines", key={"order_id": "id"}, optional=True)
        without = late(BATCH.select(["id"]))
        assert (without.num_rows, without.schema.names) == (0, ["order_id", "position"])
        assert late(BATCH).num_rows == 4
        with pytest.raises(SchemaMismatch, match="optional=True"):
            LINES(BATCH.select(["id"]))

    def test_a_row_for_every_item(self) -> None:
        """Items are numbered from 1 in their list; null lists and empty ones give no row, null items one of nulls."""
        lines = LINES(BATCH)
        assert lines.schema.names == ["order_id", "line_number", "sku", "codes"]
        assert rows(lines) == [(1, 1, "a", [7, 8]), (1, 2, None, None), (1, 3, "b", None), (4, 1, "c", [9])]

    def test_columns_keep_what_is_known_of_them(self) -> None:
        """Types and metadata of columns stay; the parent's schema metadata does not tell of the child."""
        schema = LINES(BATCH).schema
        assert schema.metadata is None
        assert [schema.field(name).nullable for name in schema.names] == [False, False, True, True]
        assert schema.field("line_number").type == pa.int64()
        assert schema.field("sku").metadata == {b"was": b"text"}

    def test_lists_inside_items_are_grandchildren(self) -> None:
        """A second Explode takes key and number of the first, so that a grandchild knows its whole line."""
        codes = Explode("codes", key={"order_id": "order_id", "line": "line_number"}, position="code_number")
        grandchildren = compose(LINES, codes)(BATCH)
        assert grandchildren.schema.names == ["order_id", "line", "code_number", "value"]
        assert rows(grandchildren) == [(1, 1, 1, 7), (1, 1, 2, 8), (4, 1, 1, 9)]

    def test_maps_give_keys_and_values(self) -> None:
        """An entry of a map is a row with its key and its value, wherever the batch was cut from."""
        prices: Any = pa.array([[("x", 1)], None, [("y", None), ("z", 2)]], pa.map_(pa.string(), pa.int64()))
        batch = pa.record_batch({"id": [1, 2, 3], "prices": prices}).slice(1)
        made = Explode("prices", key={"of": "id"}, position=None)(batch)
        assert made.to_pylist() == [{"of": 3, "key": "y", "value": None}, {"of": 3, "key": "z", "value": 2}]

    @pytest.mark.parametrize(
        "kind",
        [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_view(pa.int8()), pa.list_(pa.int8(), 2)],
        ids=str,
    )
    def test_every_kind_of_list(self, kind: Any) -> None:
        """Lists of either size, views and lists of one length give the same rows."""
        batch = pa.record_batch({"id": ["x", "a", "b", "c"], "n": pa.array([[0, 0], [1, 2], None, [3, None]], kind)})
        made = Explode("n", key={"id": "id"})(batch.slice(1))
        assert rows(made) == [("a", 1, 1), ("a", 2, 2), ("c", 1, 3), ("c", 2, None)]

    def test_what_a_null_list_hides(self) -> None:
        """Items that lie in memory under a null list are no items."""
        hidden: Any = pa.ListArray.from_arrays(pa.array([0, 2, 3]), pa.array([1, 2, 3]), mask=pa.array([True, False]))
        batch = pa.record_batch({"id": [1, 2], "n": hidden})
        assert rows(Explode("n", key={"id": "id"})(batch)) == [(2, 1, 3)]

    def test_no_rows(self) -> None:
        """A batch without parents, or without items, has the schema of any other."""
        assert LINES(BATCH.slice(0, 0)).schema.equals(LINES(BATCH).schema, check_metadata=True)
        assert LINES(BATCH.slice(1, 2)).schema.equals(LINES(BATCH).schema, check_metadata=True)

    def test_lists_whose_items_nobody_knows_yet(self) -> None:
        """A column without values has no rows, and the columns that are known."""
        made = LINES(pa.record_batch({"id": [1, 2], "lines": pa.nulls(2)}))
        assert (made.num_rows, made.schema.names) == (0, ["order_id", "line_number"])

    def test_lists_that_are_all_empty(self) -> None:
        """Lists without items, or of nulls only, give no column for items, whatever their items turn out to be."""
        lists = pa.array([[], [None, None]], pa.list_(pa.null()))
        made = LINES(pa.record_batch({"id": [1, 2], "lines": lists}))
        assert made.schema.names == ["order_id", "line_number"]
        assert rows(made) == [(2, 1), (2, 2)]


class TestRefusals:
    def test_columns_of_one_name(self) -> None:
        """All names that the child would have twice are told."""
        with pytest.raises(SchemaMismatch, match="more than one column 'codes', 'sku'"):
            Explode("lines", key={"sku": "id"}, position="codes")(BATCH)

    def test_columns_that_are_not_there(self) -> None:
        """The list and the parents of the key must be there, and the list be one."""
        with pytest.raises(SchemaMismatch, match="no column 'items', 'number'"):
            Explode("items", key={"order_id": "number"})(BATCH)
        with pytest.raises(SchemaMismatch, match="column 'id' is int64, no list"):
            Explode("id", key={"order_id": "id"})(BATCH)

    @pytest.mark.parametrize(
        ("key", "position"), [({}, "n"), ("id", "n"), ({"n": "id"}, "n"), ({"n": 3}, None), ({3: "id"}, None)]
    )
    def test_nonsense(self, key: Any, position: Any) -> None:
        """A child without a key, and names that are none or given twice, are refused where they are given."""
        with pytest.raises(ConfigurationError):
            Explode("lines", key=key, position=position)


def test_it_travels_and_is_told_apart() -> None:
    """It pickles, and every setting changes the fingerprint."""
    kinds = [
        LINES,
        Explode("lines", key={"order_id": "id"}),
        Explode("lines", key={"id": "id"}),
        Explode("x", key={"a": "b"}),
    ]
    assert [pickle.loads(pickle.dumps(kind)) for kind in kinds] == kinds
    assert len({fingerprint([kind]) for kind in kinds}) == len(kinds)


def test_parent_and_child_are_two_routes_of_one_stream() -> None:
    """Orders and their lines are loaded side by side, each with its own key, and merging twice doubles nothing."""
    parents = pa.Table.from_batches([BATCH]).append_column("total", pa.array([1, 2, 3, 4]))
    destination = MemoryDestination()
    pipeline = Pipeline(
        "shop",
        MemorySource({"orders": parents}, primary_key=("id",), batch_rows=2),
        destination,
        mode="merge",
        routes=[
            Route("orders", transforms=[Drop("lines")]),
            Route("orders", into="order_lines", transforms=[LINES], primary_key=("order_id", "line_number")),
        ],
    )
    pipeline.run()
    pipeline.run()
    orders, lines = destination.table("orders"), destination.table("order_lines")
    assert orders is not None
    assert lines is not None
    assert orders.to_pydict() == {"id": [1, 2, 3, 4], "total": [1, 2, 3, 4]}
    assert lines.select(["order_id", "line_number", "sku"]).to_pylist() == [
        {"order_id": 1, "line_number": 1, "sku": "a"},
        {"order_id": 1, "line_number": 2, "sku": None},
        {"order_id": 1, "line_number": 3, "sku": "b"},
        {"order_id": 4, "line_number": 1, "sku": "c"},
    ]


# --- Against plain Python ---------------------------------------------------------------------------------------------

structs = st.none() | st.fixed_dictionaries({"x": st.none() | st.text(max_size=2), "y": st.none() | st.integers(0, 9)})
ITEM = pa.struct([("x", pa.string()), ("y", pa.int64())])


@given(
    st.lists(st.tuples(st.none() | st.text(max_size=2), st.none() | st.lists(structs, max_size=4)), max_size=8),
    st.sampled_from([pa.list_(ITEM), pa.large_list(ITEM), pa.list_view(ITEM)]),
    st.integers(0, 4),
    st.integers(0, 8),
)
def test_as_plain_python_does_it(parents: list[tuple[Any, Any]], kind: Any, start: int, length: int) -> None:
    """Whatever lists and items are null or empty, and wherever a batch was cut from, the rows are the same."""
    columns = {"id": pa.array([of for of, _ in parents], pa.string()), "items": pa.array([i for _, i in parents], kind)}
    made = Explode("items", key={"of": "id"}, position="n")(pa.record_batch(columns).slice(start, length))
    made.validate(full=True)
    assert made.to_pylist() == [
        {"of": of, "n": n, **(item or {"x": None, "y": None})}
        for of, items in parents[start : start + length]
        for n, item in enumerate(items or [], 1)
    ]


def test_an_api_may_send_its_first_list_late() -> None:
    """Pages without the list give parents alone; the children come with the first page that has it."""
    pages = {"1": [{"id": 1}], "2": [{"id": 2, "lines": [{"sku": "a"}]}], "3": []}

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, json.dumps(pages[str(request.params["page"])]).encode())

    client = ApiClient("https://api.example", transport=answer)
    routes = [
        Route("orders", transforms=[Drop("lines", optional=True)]),
        Route("orders", into="lines", transforms=[Explode("lines", key={"order_id": "id"}, optional=True)]),
    ]
    destination = MemoryDestination(schema_changes="evolve")
    source = ApiSource(client, [Resource("orders", "/orders", paging=PageNumber(stable=True), records_at="")])
    Pipeline("shop", source, destination, mode="append", routes=routes).run()
    assert [row["id"] for row in destination.table("orders").to_pylist()] == [1, 2]
    assert destination.table("lines").to_pylist() == [{"order_id": 2, "position": 1, "sku": "a"}]
