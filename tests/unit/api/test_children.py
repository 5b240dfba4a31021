from __future__ import annotations

import json
import logging
import pickle
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, Incremental, PageNumber, Parent, Resource
from de_classes.api.messages import Response
from de_classes.errors import ApiStatusError, ConfigurationError, InvalidAnswer, ValueNotHeld
from de_classes.pipelines import Checkpoint, Pipeline
from de_classes.testing.memory import MemoryDestination
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.api.messages import Request
    from de_classes.contracts import Batch, Position

LINES = pa.schema([pa.field("order_id", pa.int64()), pa.field("n", pa.int64())])
PAGES = PageNumber(total_pages_at="pages", stable=True)


class Shop:
    """Orders 1, 2, ..., two a page; order n has n % 4 lines, two a page, and each line one part."""

    def __init__(self, orders: int = 7) -> None:
        self.orders = [{"id": n, "at": n} for n in range(1, orders + 1)]
        self.asked: list[str] = []
        self.gone: set[int] = set()
        self.waiting: threading.Barrier | None = None

    def __call__(self, request: Request) -> Response:
        """Answer a page."""
        path = request.url.removeprefix("http://api.example/v1")
        page = int(str(request.params.get("page", 1)))
        self.asked.append(f"{path} {page}")
        records = self._records(path.split("/")[1:], int(str(request.params.get("since", 0))))
        if records is None:
            return Response(request, 404, {}, b"")
        answer = {"items": records[2 * page - 2 : 2 * page], "pages": -(-len(records) // 2)}
        return Response(request, 200, {}, msgspec.json.encode(answer))

    def _records(self, names: list[str], since: int) -> list[dict[str, Any]] | None:
        if len(names) == 1:
            return [order for order in self.orders if order["at"] > since]
        order = int(names[1])
        if order in self.gone:
            return None
        if len(names) == 3:
            if self.waiting is not None and order <= 2:
                self.waiting.wait(30)
            return [{"n": 10 * order + n, "meta": {"key": f"{n}/x"}} for n in range(order % 4)]
        return [{"part": f"{order}.{names[3]}"}]


def _source(api: Callable[[Request], Response], parent: Any = None, orders: Any = None, **options: Any) -> ApiSource:
    client = ApiClient("http://api.example/v1", transport=api, retry=RetryPolicy(attempts=1))
    defaults: dict[str, Any] = {"schema": LINES, "extra_fields": "ignore", "paging": PAGES}
    parent = parent or Parent("orders", {"order_id": "id"}, include={"order_id": "id"})
    lines = Resource("lines", "/orders/{order_id}/lines", parent=parent, **{**defaults, **options})
    return ApiSource(client, [lines, Resource("orders", "/orders", paging=PAGES, **(orders or {}))])


def _read(source: ApiSource, since: Position | None = None, name: str = "lines") -> tuple[list[Batch], bool]:
    stream = next(stream for stream in source.streams() if stream.name == name)
    with source.plan(stream, json.loads(json.dumps(since))) as plan:
        assert plan.position is None
        return [batch for split in plan.splits for batch in split.read()], plan.repeats


def _lines(batches: list[Batch]) -> list[int]:
    return [n for batch in batches if batch.records.num_columns for n in batch.records["n"].to_pylist()]


def _of(*orders: int) -> list[int]:
    return [10 * order + n for order in orders for n in range(order % 4)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_parents_children_come_in_order(at_once: int) -> None:
    """Each page of parents is a batch of all their children, in their order, with what they include of the parent."""
    shop = Shop()
    parent = Parent("orders", {"order_id": "id"}, include={"order_id": "id"}, at_once=at_once)
    batches, repeats = _read(_source(shop, parent))
    assert _lines(batches) == _of(*range(1, 8))
    assert not repeats
    assert all(row["order_id"] == row["n"] // 10 for batch in batches for row in batch.records.to_pylist())
    assert [batch.position["parent"]["page"]["number"] for batch in batches[:-1] if batch.position] == [2, 3, 4]  # type: ignore[index,call-overload]
    assert batches[-1].position == {"parent": {"finished": True}}
    assert len(shop.asked) == len(set(shop.asked))


def test_children_of_several_parents_are_asked_for_at_once() -> None:
    """Two parents' children are under way together, or neither would be answered."""
    shop = Shop(4)
    shop.waiting = threading.Barrier(2)
    assert _lines(_read(_source(shop, Parent("orders", {"order_id": "id"}, {"order_id": "id"}, at_once=2)))[0])


def test_goes_on_from_every_position() -> None:
    """From the position of any batch exactly the children of the parents after it come."""
    source = _source(Shop(9), orders={"incremental": Incremental(param="since", field="at")})
    batches, _ = _read(source)
    for taken in range(1, len(batches)):
        rest, repeats = _read(source, batches[taken - 1].position)
        assert _lines(rest) == _lines(batches[taken:])
        assert rest[-1].position == batches[-1].position == {"parent": {"watermark": 9}}
        assert not repeats


def test_children_of_an_incremental_parent_come_with_it() -> None:
    """The next run gives the children of parents that are new or changed, and says that they may come again."""
    shop = Shop(4)
    source = _source(shop, orders={"incremental": Incremental(param="since", field="at")})
    position = _read(source)[0][-1].position
    shop.orders += [{"id": 2, "at": 8}, {"id": 5, "at": 9}]
    batches, repeats = _read(source, position)
    assert (_lines(batches), repeats) == (_of(2, 5), True)


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_every_child_is_loaded_once_however_often_it_is_committed(rows: int) -> None:
    """A run that commits on the way appends each child once, and ends; a second one has to merge."""
    source = _source(Shop(9), orders={"incremental": Incremental(param="since", field="at")}, primary_key=("n",))
    destination = MemoryDestination()

    def run(mode: Any) -> int:
        pipeline = Pipeline("p", source, destination, routes=["lines"], mode=mode, checkpoint=Checkpoint(rows=rows))
        return pipeline.run().rows

    assert run("append") == len(_of(*range(1, 10)))
    with pytest.raises(ConfigurationError, match="double"):
        run("append")
    assert run("merge") == 0
    table = destination.table("lines")
    assert table is not None
    assert sorted(table["n"].to_pylist()) == _of(*range(1, 10))


def test_children_of_children() -> None:
    """A chain is walked from its first resource; each generation may include what the one before it includes."""
    client = ApiClient("http://api.example/v1", transport=Shop(), retry=RetryPolicy(attempts=1))
    keys = {"order": "order_id", "line": "meta.key"}
    parts = Resource("parts", "/orders/{order}/lines/{line}", parent=Parent("lines", keys, {"n": "n"}))
    lines = Resource(
        "lines",
        "/orders/{order_id}/lines",
        paging=PAGES,
        parent=Parent("orders", {"order_id": "id"}, include={"order_id": "id"}),
    )
    source = ApiSource(client, [parts, lines, Resource("orders", "/orders", paging=PAGES)])
    batches, _ = _read(source, name="parts")
    rows = [row for batch in batches for row in batch.records.to_pylist()]
    assert [row["n"] for row in rows] == _of(*range(1, 8))
    assert rows[0] == {"n": 10, "part": "1.0%2Fx"}
    assert batches[-1].position == {"parent": {"finished": True}}


def test_inferred_columns_are_kept_with_the_parents_place() -> None:
    """Without a schema the children's columns are inferred, included ones among them, and kept in the position."""
    source = _source(Shop(), schema=None, extra_fields="refuse")
    batches, _ = _read(source)
    assert batches[0].records.schema.names == ["order_id", "n", "meta"]
    position: Any = batches[0].position
    assert position["parent"]["columns"] == {"order_id": "int", "n": "int", "meta": {"key": "string"}}
    assert _lines(_read(source, position)[0]) == _of(*range(3, 8))


def test_parents_without_children_move_the_position() -> None:
    """A page of parents that have no children gives no rows, and its position."""
    batches, _ = _read(_source(Shop(0)))
    assert [(batch.records.num_rows, batch.position) for batch in batches] == [(0, {"parent": {"finished": True}})]


def test_a_child_with_many_pages_comes_whole() -> None:
    """Pages beyond those that are asked for early are asked for when their turn has come."""

    def answer(request: Request) -> Response:
        page = int(str(request.params.get("page", 1)))
        items = [{"id": 1}, {"id": 2}] if request.url.endswith("/orders") else [{"n": page}]
        pages = 1 if request.url.endswith("/orders") else 30
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "pages": pages}))

    assert _lines(_read(_source(answer))[0]) == [*range(1, 31), *range(1, 31)]


def test_small_pages_make_large_batches() -> None:
    """Children of many parents share batches of some thousands of rows, the last of which has the position."""

    def answer(request: Request) -> Response:
        rows = 120 if request.url.endswith("/orders") else 200
        items = [{"id": n, "n": n} for n in range(rows)]
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "pages": 1}))

    batches, _ = _read(_source(answer))
    assert [batch.records.num_rows for batch in batches] == [10_000, 10_000, 4_000]
    assert [batch.position for batch in batches] == [None, None, {"parent": {"finished": True}}]


def test_a_misfit_among_many_small_pages_names_its_own() -> None:
    """Though small pages are converted together, an error names the page and the record in it."""

    def answer(request: Request) -> Response:
        items: list[Any] = [{"id": 1}, {"id": 2}, {"id": 3}]
        if not request.url.endswith("/orders"):
            items = [{"n": 1}, {"n": "x" if "/2/" in request.url else 2}]
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "pages": 1}))

    with pytest.raises(ValueNotHeld, match="/orders/2/lines") as caught:
        _read(_source(answer))
    assert caught.value.row == 1


@pytest.mark.parametrize("missing", ["fail", "skip"])
def test_parents_that_have_vanished(missing: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A 404 for a child fails the run, or is taken for no children and told with its number, never in silence."""
    shop = Shop()
    shop.gone = {1, 2, 6}
    source = _source(shop, Parent("orders", {"order_id": "id"}, include={"order_id": "id"}, missing=missing))
    if missing == "fail":
        with pytest.raises(ApiStatusError, match="404"):
            _read(source)
        return
    with caplog.at_level(logging.WARNING):
        assert _lines(_read(source)[0]) == _of(3, 4, 5, 7)
    assert [record.getMessage().split(" are gone")[0] for record in caplog.records] == [
        "resource 'lines': 2 of its parents ('orders')",
        "resource 'lines': 1 of its parents ('orders')",
    ]


def test_a_field_of_its_own_is_not_overwritten() -> None:
    """Where the children have a field of the name that is included, the run fails, and nothing takes its place."""
    source = _source(Shop(), Parent("orders", {"order_id": "id"}, include={"order_id": "id", "n": "at"}))
    with pytest.raises(InvalidAnswer, match="field 'n' of its own"):
        _read(source)


@pytest.mark.parametrize("value", [None, "", True, [1], ".."])
def test_parents_that_give_no_address(value: Any) -> None:
    """A parent whose value makes no segment of a path is an invalid answer that names the record."""

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": [{"id": 1}, {"id": value}], "pages": 1}))

    with pytest.raises(InvalidAnswer, match=r"record 1 .* no address"):
        _read(_source(answer, Parent("orders", {"order_id": "id"})))


def test_parents_without_the_field() -> None:
    """A parent that lacks the field is an invalid answer that says who needs it."""
    with pytest.raises(InvalidAnswer, match="'key', which its children 'lines' need"):
        _read(_source(Shop(), Parent("orders", {"order_id": "key"})))


def test_a_child_walk_pickles() -> None:
    """The split takes its line of resources and its place along."""
    client = ApiClient("http://api.example")
    lines = Resource("lines", "/o/{id}", parent=Parent("orders", {"id": "id"}))
    source = ApiSource(client, [lines, Resource("orders", "/orders")])
    with source.plan(source.streams()[0], None) as plan:
        copy: Any = pickle.loads(pickle.dumps(plan.splits[0]))
        assert (copy.id, copy.line) == (plan.splits[0].id, plan.splits[0].line)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"path": "/a/{x}"}, "nothing fills {x}"),
        ({"path": "/a", "path_params": {"x": 1}}, "neither path nor params have {x}"),
        ({"path": "/a/{x}", "path_params": {"x": ".."}}, "segment"),
        ({"path": "/a/{"}, "brace"),
        ({"path": "/a", "params": {"q": "{x}"}}, "nothing fills"),
        ({"path": "/a/{x}", "path_params": {"x": 1}, "parent": Parent("b", {"x": "id"})}, "and from the parent"),
        ({"path": "/a/{x}", "parent": Parent("b", {"x": "id"}), "incremental": Incremental()}, "of its own"),
        ({"path": "/a/{x}", "parent": Parent("b", {"x": "i"}, {"y": "i"}), "schema": LINES}, "'y', which is no column"),
    ],
)
def test_templates_and_parents_that_cannot_be(options: dict[str, Any], told: str) -> None:
    """Names that nothing fills or nothing uses, and what contradicts itself, are told at construction."""
    with pytest.raises(ConfigurationError, match=told):
        Resource("a", **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fields": {}}, "is empty"),
        ({"at_once": 0}, "at_once=0 is below 1"),
        ({"at_once": "4"}, "at_once='4' is no whole number"),
        ({"include": {"a.b": "id"}}, "'a.b'"),
        ({"include": ["id"]}, r"include=\['id'\] is no mapping"),
        ({"fields": ["id"]}, r"fields=\['id'\] is no mapping"),
        ({"fields": {"id": 7}}, r"fields={'id': 7} is no mapping"),
        ({"missing": "ignore"}, "neither 'fail' nor 'skip'"),
        ({"resource": Resource("b", "/b")}, "is no name of a resource"),
        ({"resource": ""}, "names no resource"),
    ],
)
def test_parents_that_cannot_be(options: dict[str, Any], told: str) -> None:
    """A parent alone, before any resource has it, tells what it cannot be and how one is written."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        Parent(**{"resource": "b", "fields": {"x": "id"}, **options})
    assert "Parent('orders', {'order_id': 'id'})" in str(caught.value)


def test_templates_are_filled_from_static_values() -> None:
    """Values given with the resource fill its path and its parameters, encoded where they go."""
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.full_url())
        return Response(request, 200, {}, b'{"items": []}')

    client = ApiClient("http://api.example/v1", transport=answer)
    resource = Resource("a", "/s/{shop}/a", params={"q": "{shop}:{{x}}"}, path_params={"shop": "é/1"})
    _read(ApiSource(client, [resource]), name="a")
    assert asked == ["http://api.example/v1/s/%C3%A9%2F1/a?q=%C3%A9%2F1%3A%7Bx%7D"]


def test_families_that_cannot_be() -> None:
    """A parent that is not there and one that descends from its child are told together."""
    one, other = (Resource(a, "/{x}", parent=Parent(b, {"x": "id"})) for a, b in (("a", "b"), ("b", "a")))
    lost = Resource("c", "/{x}", parent=Parent("nobody", {"x": "id"}))
    with pytest.raises(ConfigurationError) as caught:
        ApiSource(ApiClient("http://api.example"), [one, other, lost])
    assert "'a' descends from itself; 'b' descends from itself; 'nobody', the parent of 'c'" in str(caught.value)


@pytest.mark.parametrize("position", [{}, {"finished": True}, {"parent": 1}, {"parent": {"page": 3, "watermark": 1}}])
def test_positions_of_something_else_are_refused(position: Any) -> None:
    """A position that a child cannot have left is the user's mistake."""
    with pytest.raises(ConfigurationError, match="was not left"):
        _read(_source(Shop()), position)
