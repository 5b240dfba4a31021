from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, Incremental, NextLink, PageNumber, Resource
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
    """An API that answers older rows than were asked for does not move the watermark back."""
    source = _source(_answers({"items": [{"id": 1, "at": 5}]}))
    assert _read(source, {"watermark": 9})[-1].position == {"watermark": 9}


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
        ([1], "items", "is a list"),
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
    assert _read(source)[-1].position == {"watermark": 5}


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
    """A checkpoint before the last page, which is empty and shows no columns, is passed, and the next run asks anew."""
    source = _source(Feed((1, 1), (2, 2)), paging=PageNumber(), schema=None)
    report = Pipeline("p", source, MemoryDestination(), checkpoint=Checkpoint(rows=1)).run()
    assert (report.rows, report.streams[0].position) == (2, {"watermark": 2})


def test_later_pages_must_fit_the_inferred_columns() -> None:
    """A later page with other columns or values is an error that advises to declare them."""
    for record in ({"id": 2, "at": 2, "more": 1}, {"id": "x", "at": 2}):
        answers = [{"items": [{"id": 1, "at": 1}], "next": "?c=1"}, {"items": [record]}]
        with pytest.raises((SchemaMismatch, ValueNotHeld)) as caught:
            _read(_source(_answers(*answers), schema=None))
        assert "Resource(schema=...)" in str(caught.value)


def test_a_split_pickles_with_its_place() -> None:
    """A split on its way to a worker takes client, resource and place along."""
    client = ApiClient("http://api.example")
    source = ApiSource(client, [Resource("orders", "/orders", schema=SCHEMA, paging=PageNumber())])
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


def test_an_unknown_stream_is_refused() -> None:
    """A stream that is no resource is named, with those that are."""
    with pytest.raises(ConfigurationError, match="orders"), _source(Feed()).plan(Stream("nothing"), None):
        pass
