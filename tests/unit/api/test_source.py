from __future__ import annotations

import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest

from de_classes.api import (
    ApiClient,
    ApiSource,
    GraphQLConnection,
    Incremental,
    LinkHeader,
    NextLink,
    PageNumber,
    Resource,
    SinglePage,
)
from de_classes.api.messages import Response
from de_classes.contracts import Source, Stream
from de_classes.errors import ConfigurationError, InvalidAnswer, SchemaMismatch, ValueNotHeld
from de_classes.pipelines import Checkpoint, Pipeline
from de_classes.testing.memory import MemoryDestination
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.api.messages import Request
    from de_classes.contracts import Batch, Position

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.int64())])


class Feed:
    """A transport with rows [(id, at)], sorted by `at`: pages by number, or by link, `since` exclusive."""

    def __init__(self, *rows: tuple[int, int], size: int = 2) -> None:
        self.rows = list(rows)
        self.size = size
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response:
        """Answer a page."""
        url = request.full_url()
        self.asked.append(url.partition("?")[2])
        query = dict(pair.split("=") for pair in self.asked[-1].split("&") if pair)
        since, page = int(query.get("since", -1)), int(query.get("page", 1))
        rows = [{"id": n, "at": at} for n, at in self.rows if at > since]
        pages = -(-len(rows) // self.size)
        link = f"?since={since}&page={page + 1}" if page < pages else None
        answer = {"items": rows[(page - 1) * self.size : page * self.size], "pages": pages, "next": link, "mark": 7}
        return Response(request, 200, {}, msgspec.json.encode(answer))


def _source(feed: Any, **options: Any) -> ApiSource:
    client = ApiClient("http://api.example/v1", transport=feed, retry=RetryPolicy(attempts=1))
    defaults: dict[str, Any] = {
        "paging": NextLink(),
        "schema": SCHEMA,
        "primary_key": ("id",),
        "incremental": Incremental(param="since", field="at"),
    }
    return ApiSource(client, [Resource("orders", "/orders", **{**defaults, **options})])


def _read(source: ApiSource, since: Position | None = None) -> list[Batch]:
    with source.plan(source.streams()[0], json.loads(json.dumps(since))) as plan:
        assert plan.position is None
        return [batch for split in plan.splits for batch in split.read()]


def _ids(batches: list[Batch]) -> list[int]:
    return [n for batch in batches for n in batch.records.column("id").to_pylist()]


def _answers(*answers: Any) -> Callable[[Request], Response]:
    script = list(answers)
    return lambda request: Response(request, 200, {}, msgspec.json.encode(script.pop(0)))


def test_is_a_source() -> None:
    """It offers a stream per resource, with key and schema."""
    source = _source(Feed())
    assert isinstance(source, Source)
    assert source.streams() == [Stream("orders", ("id",), SCHEMA)]


@pytest.mark.parametrize("paging", [NextLink(), PageNumber(total_pages_at="pages"), PageNumber(pin={"mark": "mark"})])
def test_gives_a_batch_with_a_position_for_each_page(paging: Any) -> None:
    """Every page is a batch; its position tells the next page, the last one's only the watermark."""
    batches = _read(_source(Feed((1, 10), (2, 20), (3, 30)), paging=paging))
    assert _ids(batches) == [1, 2, 3]
    first, last = batches[0].position, batches[-1].position
    assert first is not None
    assert (first["watermark"], first["high"]) == (None, 20)
    assert "page" in first
    assert last == {"watermark": 30}


@pytest.mark.parametrize("paging", [NextLink(), PageNumber(total_pages_at="pages", pin={"mark": "mark"})])
def test_goes_on_from_every_position(paging: Any) -> None:
    """From the position of any page, exactly the pages after it come, and the same position is reached."""
    source = _source(Feed(*((n, n * 10) for n in range(1, 10))), paging=paging)
    batches = _read(source)
    for taken in range(1, len(batches)):
        rest = _read(source, batches[taken - 1].position)
        assert _ids(rest) == _ids(batches[taken:])
        assert rest[-1].position == {"watermark": 90}


def test_takes_only_what_is_new() -> None:
    """A finished traversal is followed by one that asks for what is above the watermark."""
    feed = Feed((1, 10), (2, 20))
    source = _source(feed)
    position = _read(source)[-1].position
    feed.rows += [(3, 30), (1, 40)]
    assert _ids(_read(source, position)) == [3, 1]
    assert feed.asked[-1] == "since=20"


def test_nothing_new_keeps_the_position() -> None:
    """When nothing is new there are no rows, and the watermark stays."""
    source = _source(Feed((1, 10)))
    batches = _read(source, {"watermark": 10})
    assert _ids(batches) == []
    assert batches[-1].position == {"watermark": 10}


def test_a_resumed_traversal_keeps_its_watermark_and_pins() -> None:
    """Resumed in the middle, the original watermark and the pinned values are sent, not the highest value seen."""
    feed = Feed(*((n, n) for n in range(6)))
    source = _source(feed, paging=PageNumber(total_pages_at="pages", pin={"mark": "mark"}))
    position = _read(source, {"watermark": 1})[0].position
    del feed.asked[:]
    _read(source, position)
    assert feed.asked == ["page=2&mark=7&since=1"]


def test_a_start_is_asked_for_in_the_first_run() -> None:
    """`start` is the watermark of a stream that has no position."""
    source = _source(Feed((1, 10), (2, 20)), incremental=Incremental(param="since", field="at", start=10))
    assert _ids(_read(source)) == [2]


def test_a_watermark_never_goes_back() -> None:
    """An API that answers older rows than were asked for does not move the watermark back where rows may come again."""
    incremental = Incremental(param="since", field="at", inclusive=True)
    source = _source(_answers({"items": [{"id": 1, "at": 5}]}), incremental=incremental)
    position = _read(source, {"watermark": 9})[0].position
    assert position is not None
    assert position["high"] == 9


def test_a_resource_that_is_not_incremental_is_read_once() -> None:
    """Without a watermark, the end is the end: a later plan has no splits."""
    source = _source(Feed((1, 10), (2, 20), (3, 30)), incremental=None)
    batches = _read(source)
    assert batches[-1].position == {"finished": True}
    assert _ids(_read(source, batches[0].position)) == [3]
    with source.plan(source.streams()[0], {"finished": True}) as plan:
        assert (list(plan.splits), plan.position) == ([], {"finished": True})


def test_splits_are_of_their_plan() -> None:
    """A split's id is of one plan only; a copy of it is the same split."""
    source = _source(Feed((1, 10)))
    ids = []
    for _ in range(2):
        with source.plan(source.streams()[0], None) as plan:
            ids += [split.id for split in plan.splits]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    "position",
    [
        {},
        {"given": 3},
        {"finished": True},
        {"page": 3, "watermark": 1},
        {"watermark": [1]},
        {"page": {"number": 2}, "watermark": 1, "high": 2},
        {"page": {}, "watermark": 1, "high": {}},
    ],
)
def test_positions_of_something_else_are_refused(position: Any) -> None:
    """A position that this resource cannot have left is the user's mistake."""
    with pytest.raises(ConfigurationError):
        _read(_source(Feed()), position)


@pytest.mark.parametrize("position", [{"watermark": 3}, {}])
def test_positions_of_an_incremental_resource_are_refused_without_it(position: Any) -> None:
    """A resource that is no longer incremental does not take the watermark for its own."""
    with pytest.raises(ConfigurationError):
        _read(_source(Feed(), incremental=None), position)


@pytest.mark.parametrize(
    ("answer", "records_at", "told"),
    [
        ({"data": []}, "items", "'data'"),
        ({"items": {"id": 1}}, "items", "no list at 'items'"),
        ([1], "items", "is a list. Say where the list stands: records_at=''."),
        ({"data": {"rows": [1]}, "errors": []}, "items", "records_at='data.rows'."),
        ({"a": [], "b": []}, "items", "records_at=..."),
        ({"n": 1, "data": []}, "items", "records_at='data'."),
        ({"id": 1}, "", "the answer is no list"),
        ("x", "items", "neither"),
    ],
)
def test_an_answer_without_a_list_is_described(answer: Any, records_at: str, told: str) -> None:
    """Where no list stands, the error says what stands there."""
    with pytest.raises(InvalidAnswer) as caught:
        _read(_source(_answers(answer), records_at=records_at))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": ' + b"[" * 100_000,
        b'{"items": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'{"items": [{"id": 1e99999999999999999999, "at": 1}]}',
        b'{"items": [{"id": ' + b"1" * 5000 + b', "at": 1}]}',
        b'{"items": [{"id": 1, "at": 1, "x": "\xff"}]}',
        b'{"items": [{"id": 1, "at": 1}',
        b"<html>",
    ],
    ids=["lists", "objects", "exponent", "digits", "bytes", "cut", "page"],
)
@pytest.mark.parametrize("extra_fields", ["refuse", "ignore"])
def test_a_body_that_cannot_be_read_is_an_invalid_answer(body: bytes, extra_fields: str) -> None:
    """What is no JSON, nested too deep, or no number that can be held, ends the run with a word, not in the parser."""
    source = _source(lambda request: Response(request, 200, {}, body), extra_fields=extra_fields)
    with pytest.raises(InvalidAnswer, match="http://api"):
        _read(source)


@pytest.mark.parametrize("value", ["7", "7.0", "0.7e1"])
def test_numbers_are_what_they_mean(value: str) -> None:
    """A page that Arrow's parser reads and one that only the exact converter reads give the same rows."""
    body = f'{{"items": [{{"id": {value}, "at": 1}}, {{"at": 2}}]}}'.encode()
    batches = _read(_source(lambda request: Response(request, 200, {}, body)))
    assert batches[0].records.to_pylist() == [{"id": 7, "at": 1}, {"id": None, "at": 2}]


def test_a_list_as_the_whole_answer() -> None:
    """An empty `records_at` takes the answer itself for the list."""
    batches = _read(_source(_answers([{"id": 1, "at": 1}], []), records_at="", paging=PageNumber()))
    assert _ids(batches) == [1]


def test_goes_on_over_empty_pages() -> None:
    """A page without records that has a next page is no end, and carries a position, too."""
    answers = [{"items": [], "next": "?c=1"}, {"items": [{"id": 1, "at": 1}], "next": "?c=2"}, {"items": []}]
    batches = _read(_source(_answers(*answers)))
    assert [batch.records.num_rows for batch in batches] == [0, 1, 0]
    assert batches[0].position == {"watermark": None, "high": None, "page": {"link": "/v1/orders?c=1"}}


@pytest.mark.parametrize("record", [{"id": 1}, {"id": 1, "updated": 3}])
def test_records_without_the_watermark_are_refused(record: Any) -> None:
    """A record that lacks the field by which the next run would ask is an invalid answer."""
    with pytest.raises(InvalidAnswer, match="record 1"):
        _read(_source(_answers({"items": [{"id": 0, "at": 1}, record]})))


def test_watermarks_without_an_order_are_refused() -> None:
    """Values that do not compare cannot be watermarks."""
    with pytest.raises(InvalidAnswer, match="cannot be a watermark"):
        _read(_source(_answers({"items": [{"id": 0, "at": 1}, {"id": 1, "at": "x"}]})))


def test_a_nested_watermark() -> None:
    """The field may stand within an object."""
    source = _source(
        _answers({"items": [{"id": 1, "meta": {"at": 5}}]}),
        incremental=Incremental(field="meta.at"),
        schema=None,
    )
    assert _read(source)[-1].position == {"watermark": 5, "columns": {"id": "int", "meta": {"at": "int"}}}


def test_values_that_do_not_fit_name_page_path_and_record() -> None:
    """The error of a value names the stream, the column, the page and the record."""
    with pytest.raises(ValueNotHeld) as caught:
        _read(_source(_answers({"items": [{"id": 0, "at": 1}, {"id": "x", "at": 2}]})))
    assert (caught.value.table, caught.value.column, caught.value.row) == ("orders", "id", 1)
    assert "http://api.example/v1/orders" in str(caught.value)


def test_undeclared_fields_can_be_ignored() -> None:
    """Fields that are not declared fail the stream, or are left out on demand."""
    answer = {"items": [{"id": 0, "at": 1, "new": True}]}
    with pytest.raises(SchemaMismatch, match="'new'"):
        _read(_source(_answers(answer)))
    assert _read(_source(_answers(answer), extra_fields="ignore"))[0].records.schema == SCHEMA


def test_infers_columns_from_the_first_page() -> None:
    """Without a schema the first page with records shows the columns."""
    answers = [{"items": [], "next": "?c=1"}, {"items": [{"id": 1, "at": 1}], "next": "?c=2"}, {"items": []}]
    batches = _read(_source(_answers(*answers), schema=None))
    assert [batch.records.num_rows for batch in batches] == [0, 1, 0]
    assert [batch.records.schema == SCHEMA for batch in batches] == [False, True, True]
    assert batches[0].records.num_columns == 0


def test_a_walk_that_goes_on_at_an_empty_page_comes_to_its_end() -> None:
    """A checkpoint before the last page, which is empty and shows no columns, is passed, and the end is reached."""
    source = _source(Feed((1, 1), (2, 2)), paging=PageNumber(), schema=None)
    report = Pipeline("p", source, MemoryDestination(), checkpoint=Checkpoint(rows=1)).run()
    columns = {"id": "int", "at": "int"}
    assert (report.rows, report.streams[0].position) == (2, {"watermark": 2, "columns": columns})


def test_later_pages_must_fit_the_inferred_columns() -> None:
    """A later page with values of another kind is an error that advises to declare them."""
    answers = [{"items": [{"id": 1, "at": 1}], "next": "?c=1"}, {"items": [{"id": "x", "at": 2}]}]
    with pytest.raises(SchemaMismatch) as caught:
        _read(_source(_answers(*answers), schema=None))
    assert "all columns with schema=..." in str(caught.value)


def test_inferred_columns_hold_for_every_run() -> None:
    """What the first records showed is kept with the position: checkpoints and later runs do not infer anew."""
    rows = [{"id": 1, "at": 1, "note": "x"}, {"id": 2, "at": 2}, {"id": 3, "at": 3, "note": None}]

    def answer(request: Request) -> Response:
        since, n = int(request.params.get("since") or 0), int(request.full_url().partition("p=")[2] or 0)
        newer = [row for row in rows if row["at"] > since]
        link = f"?p={n + 1}" if n + 1 < len(newer) else None
        return Response(request, 200, {}, msgspec.json.encode({"items": newer[n : n + 1], "next": link}))

    source = _source(answer, schema=None, incremental=Incremental(param="since", field="at"))
    destination = MemoryDestination()
    pipeline = Pipeline("p", source, destination, checkpoint=Checkpoint(rows=1))
    assert pipeline.run().rows == 3
    rows.append({"id": 4, "at": 4})
    assert pipeline.run().rows == 1
    table = destination.table("orders")
    assert table is not None
    assert table["note"].to_pylist() == ["x", None, None, None]


@pytest.mark.parametrize("columns", [{"id": "date32"}, {"id": []}, {"id": 7}])
def test_columns_that_were_never_inferred_are_refused(columns: Any) -> None:
    """A position whose columns cannot be what this package wrote is refused."""
    with pytest.raises(ConfigurationError, match="in a position"):
        _read(_source(Feed((1, 1)), schema=None), {"watermark": 0, "columns": columns})


class Counted:
    """Pages of two rows each, with their number; notes how many requests are under way at once."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.asked: list[int] = []
        self.at_once = self.most = 0
        self.together = threading.Barrier(3)
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        """Answer; from the second page on only when three are asked for."""
        number = int(str(request.params["page"]))
        with self.lock:
            self.asked.append(number)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if 1 < number <= 1 + 3 * ((self.pages - 1) // 3):
            self.together.wait(30)
        with self.lock:
            self.at_once -= 1
        items = [{"id": 2 * number + n, "at": 1} for n in range(2)]
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "pages": self.pages}))


def test_pages_that_are_known_ahead_are_asked_for_at_once() -> None:
    """Three at a time are under way, each is asked for once, and batches and positions come in the order of pages."""
    api = Counted(7)
    paging = PageNumber(total_pages_at="pages", stable=True)
    batches = _read(_source(api, paging=paging, incremental=None, at_once=3))
    assert _ids(batches) == list(range(2, 16))
    assert (sorted(api.asked), api.most) == (list(range(1, 8)), 3)
    positions = [batch.position for batch in batches]
    assert positions[-1] == {"finished": True}
    assert [position["page"]["number"] for position in positions[:-1] if position] == [2, 3, 4, 5, 6, 7]  # type: ignore[index,call-overload]


def test_a_link_header_is_followed() -> None:
    """The next page may stand in a header of the answer."""

    def answer(request: Request) -> Response:
        more = "p=2" not in request.full_url()
        headers = {"link": '</orders?p=2>; rel="next"'} if more else {}
        return Response(request, 200, headers, msgspec.json.encode({"items": [{"id": 1 if more else 2, "at": 1}]}))

    assert _ids(_read(_source(answer, paging=LinkHeader()))) == [1, 2]


def test_a_graphql_connection_is_walked() -> None:
    """Queries go by POST with the cursor among the variables, and errors in an answer are told as such."""
    asked: list[Any] = []

    def answer(request: Request) -> Response:
        asked.append((request.method, request.json, request.may_repeat))
        after = request.json.get("variables", {}).get("after")
        info = {"hasNextPage": after is None, "endCursor": "c1"}
        orders = {"nodes": [{"id": 1 if after is None else 2, "at": 1}], "pageInfo": info}
        body = {"data": {"orders": orders}} if len(asked) < 3 else {"errors": [{"message": "too much"}], "data": None}
        return Response(request, 200, {}, msgspec.json.encode(body))

    paging = GraphQLConnection(query="query($after: String) { ... }", connection="data.orders")
    source = _source(answer, paging=paging, records_at="data.orders.nodes", incremental=None)
    assert _ids(_read(source)) == [1, 2]
    assert [(method, repeat) for method, _, repeat in asked] == [("POST", True)] * 2
    assert asked[1][1]["variables"]["after"] == "c1"
    with pytest.raises(InvalidAnswer, match="too much"):
        _read(source)


def test_the_watermark_goes_into_the_body() -> None:
    """A resource with a body is asked by POST, and what is new is asked for in the body."""
    asked: list[Any] = []

    def answer(request: Request) -> Response:
        asked.append((request.method, request.json))
        return Response(request, 200, {}, b'{"items": []}')

    incremental = Incremental(param="filter.since", field="at", start=7)
    _read(_source(answer, paging=SinglePage(), body={"filter": {"kind": "a"}}, incremental=incremental))
    assert asked == [("POST", {"filter": {"kind": "a", "since": 7}})]


def test_a_split_pickles_with_its_place() -> None:
    """A split on its way to a worker takes client, resource and place along."""
    client = ApiClient("http://api.example")
    source = ApiSource(client, [Resource("orders", "/orders", schema=SCHEMA, paging=PageNumber(stable=True))])
    with source.plan(source.streams()[0], {"page": {"number": 4}}) as plan:
        copy = pickle.loads(pickle.dumps(plan.splits[0]))
        assert copy.id == plan.splits[0].id
        assert copy.place.page == {"number": 4}


def test_wrong_resources_are_refused() -> None:
    """Names given twice, none at all, keys that are no columns, and types without JSON are told beforehand."""
    client = ApiClient("http://api.example")
    with pytest.raises(ConfigurationError, match="twice"):
        ApiSource(client, [Resource("a", "/a"), Resource("a", "/b")])
    with pytest.raises(ConfigurationError, match="no resources"):
        ApiSource(client, [])
    with pytest.raises(ConfigurationError, match="primary key 'key'"):
        Resource("a", "/a", schema=SCHEMA, primary_key=("key",))
    with pytest.raises(ConfigurationError, match="not read from JSON"):
        Resource("a", "/a", schema=pa.schema([("x", pa.binary())]))
    unknown: Any = "drop"
    with pytest.raises(ConfigurationError, match="extra_fields"):
        Resource("a", "/a", extra_fields=unknown)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"primary_key": "id"}, r"primary_key='id' is one text: write primary_key=\('id',\)"),
        ({"paging": "page"}, "no way of paging"),
        ({"paging": NextLink}, "no way of paging"),
        ({"schema": {"id": "int"}}, "pyarrow.schema"),
        ({"at_once": "8"}, "not a whole number"),
        ({"at_once": 8, "paging": NextLink()}, "NextLink knows no page"),
    ],
)
def test_what_is_of_another_kind_is_refused(options: dict[str, Any], told: str) -> None:
    """A text where a tuple belongs, a class where an object does: it is told at once, and never taken for something."""
    with pytest.raises(ConfigurationError, match=told):
        Resource("a", "/a", **options)


def test_a_resource_alone_is_no_list() -> None:
    """A source takes a list, and says so."""
    alone: Any = Resource("a", "/a")
    with pytest.raises(ConfigurationError, match="no list of Resource"):
        ApiSource(ApiClient("http://api.example"), alone)


def test_a_key_that_no_record_has_is_refused() -> None:
    """A primary key is looked for among the columns as soon as they are known, be it by a page or a position."""
    misspelt = _source(_answers({"items": [{"id": 1, "at": 5}]}), schema=None, primary_key=("id", "ID"))
    with pytest.raises(SchemaMismatch, match="have no 'ID', which is in its primary key; they have 'id', 'at'"):
        _read(misspelt)
    (*_, last) = _read(_source(_answers({"items": [{"id": 1, "at": 5}]}), schema=None))
    with pytest.raises(SchemaMismatch, match="'ID'"):
        _read(misspelt, last.position)


def test_an_unknown_stream_is_refused() -> None:
    """A stream that is no resource is named, with those that are."""
    with pytest.raises(ConfigurationError, match="orders"), _source(Feed()).plan(Stream("nothing"), None):
        pass


@pytest.mark.parametrize("odd", ["", "n/a", 7, "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_one_odd_watermark_is_set_aside_wherever_it_stands(odd: Any, place: int) -> None:
    """What most records have is the kind of the watermark; the odd one is a misfit, and no place to go on from."""
    records = [{"id": n, "at": f"2026-01-0{n}T00:00:00Z"} for n in range(1, 4)]
    records.insert(place, {"id": 9, "at": odd})
    source = _source(_answers({"items": records}), schema=None, misfits="quarantine", paging=SinglePage())
    batches = _read(source)
    assert [row["id"] for batch in batches for row in batch.records.to_pylist()] == [1, 2, 3]
    assert sum(batch.rejected.num_rows for batch in batches if batch.rejected is not None) == 1
    assert (batches[-1].position or {})["watermark"] == "2026-01-03T00:00:00Z"


@pytest.mark.parametrize("odd", ["", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"])
def test_a_watermark_that_cannot_be_one_fails_by_name(odd: str) -> None:
    """Without quarantine an empty text, or a moment that no calendar here has in UTC, is a clear error."""
    with pytest.raises(InvalidAnswer, match="'at' cannot be a watermark"):
        _read(_source(_answers({"items": [{"id": 1, "at": odd}]}), schema=None, paging=SinglePage()))
