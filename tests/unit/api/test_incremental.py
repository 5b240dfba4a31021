from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient, ApiSource, Incremental, NextLink, Resource
from de_classes.api.messages import Response
from de_classes.errors import ConfigurationError, InvalidAnswer
from de_classes.pipelines import Checkpoint, Pipeline
from de_classes.testing.memory import MemoryDestination
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from de_classes.api.messages import Request
    from de_classes.contracts import Batch, Mode, Position

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.string())])
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants bounds without a zone


class Api:
    """A transport over records, one a page, sorted by `at`; `keep` says which of them an answer to a query has."""

    def __init__(self, records: list[dict[str, Any]], keep: Any = None) -> None:
        self.records = records
        self.keep = keep or (lambda *_: True)
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: Request) -> Response:
        """Answer a page."""
        query = {name: str(value) for name, value in request.params.items()}
        link = request.url.partition("?")[2]
        query |= dict(pair.split("=") for pair in link.split("&") if pair)
        at = int(query.pop("n", 0))
        self.asked.append(query)
        found = [record for record in self.records if self.keep(record, query)]
        text = "&".join(f"{name}={value}" for name, value in query.items())
        following = f"?{text}&n={at + 1}" if at + 1 < len(found) else None
        return Response(request, 200, {}, msgspec.json.encode({"items": found[at : at + 1], "next": following}))


def _source(api: Api, **options: Any) -> ApiSource:
    client = ApiClient("http://api.example/v1", transport=api, retry=RetryPolicy(attempts=1))
    incremental = Incremental(param="since", field="at", **options)
    resource = Resource(
        "orders", "/orders", paging=NextLink(), schema=SCHEMA, primary_key=("id",), incremental=incremental
    )
    return ApiSource(client, [resource])


def _read(source: ApiSource, since: Position | None = None) -> tuple[list[Batch], bool]:
    with source.plan(source.streams()[0], json.loads(json.dumps(since))) as plan:
        return [batch for split in plan.splits for batch in split.read()], plan.repeats


def _asked(watermark: str | int, **options: Any) -> Any:
    return Incremental(param="since", **options).asked(watermark)["since"]


@pytest.mark.parametrize(
    ("watermark", "options", "sent"),
    [
        ("2024-05-06T07:08:09.987654321Z", {}, "2024-05-06T07:08:09.987654321Z"),
        ("2024-05-06T07:08:09.9Z", {"format": "unix"}, 1714979289),
        ("2024-05-06T07:08:09.9876Z", {"format": "unix_ms"}, 1714979289987),
        ("2024-05-06T01:08:09+02:00", {"format": "iso_date"}, "2024-05-05"),
        ("2024-05-06T07:08:09Z", {"format": "%Y%m%d%H%M"}, "202405060708"),
        (1714979289, {"format": "unix", "overlap": timedelta(hours=1)}, 1714975689),
        (1714979289123, {"format": "unix_ms", "overlap": timedelta(seconds=1)}, 1714979288123),
        ("1714979289.5", {"format": "unix", "overlap": timedelta(seconds=1)}, "1714979288.5"),
        (1000, {"overlap": 10}, 990),
        (1000, {"overlap": 10, "start": 995}, 995),
        ("2024-05-06T07:08:09Z", {"overlap": timedelta(days=1)}, "2024-05-05T07:08:09Z"),
        ("2024-05-06T07:08:09", {"overlap": timedelta(days=1)}, "2024-05-05T07:08:09"),
        ("2024-05-06", {"overlap": timedelta(hours=1)}, "2024-05-05"),
        (
            "2024-05-06T07:08:09Z",
            {"overlap": timedelta(days=1), "start": "2024-05-06T00:00:00Z"},
            "2024-05-06T00:00:00Z",
        ),
    ],
)
def test_watermarks_are_sent_as_the_api_wants_them(watermark: Any, options: dict[str, Any], sent: Any) -> None:
    """In the API's format, rounded down, less the overlap, and never before the start."""
    assert _asked(watermark, **options) == sent


@given(MOMENTS, st.timedeltas(timedelta(seconds=1), timedelta(days=400)), st.sampled_from(["unix", "unix_ms"]))
def test_no_overlap_is_sent_short(moment: datetime, overlap: timedelta, form: str) -> None:
    """What is sent is never later than the watermark less the overlap, and less than a granule earlier."""
    sent = _asked(moment.isoformat(), format=form, overlap=overlap)
    unit = timedelta(seconds=1) if form == "unix" else timedelta(milliseconds=1)
    read = datetime(1970, 1, 1, tzinfo=UTC) + sent * unit
    assert timedelta(0) <= moment - overlap - read < unit


@pytest.mark.parametrize(
    ("watermark", "options"),
    [
        (1714979289, {"format": "iso_date"}),
        (1714979289123, {"format": "unix"}),
        (1714979289, {"format": "unix_ms"}),
        (5, {"overlap": timedelta(seconds=1)}),
        ("2024-05-06T07:08:09Z", {"overlap": 5}),
        ("v12", {"overlap": timedelta(seconds=1)}),
        ("v12", {"format": "unix"}),
        ("0001-01-01", {"overlap": timedelta(days=7)}),
    ],
)
def test_watermarks_that_cannot_be_sent_so_are_refused(watermark: Any, options: dict[str, Any]) -> None:
    """A watermark of another kind than the options are for is told with them, and nothing is asked by a guess."""
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        _asked(watermark, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"end": 5}, "end_param"),
        ({"end_param": "until"}, "without an end"),
        ({"end": 5, "end_param": "until", "start": 6}, "is before"),
        ({"end": "x", "end_param": "until", "start": 6}, "do"),
        ({"format": "%H"}, "'%H' is neither"),
        ({"format": "unix", "start": "yesterday"}, "'yesterday'"),
        ({"overlap": timedelta(0)}, "not above 0"),
        ({"overlap": -1}, "not above 0"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], told: str) -> None:
    """What cannot be is told where it is constructed."""
    with pytest.raises(ConfigurationError, match=told):
        Incremental(**options)


def test_an_overlap_needs_a_key() -> None:
    """Rows that come again are told by the primary key, so without one there is no overlap."""
    with pytest.raises(ConfigurationError, match="primary_key"):
        Resource("a", "/a", incremental=Incremental(overlap=1))


def test_reads_up_to_an_end() -> None:
    """With an end it is sent each time; once it is reached nothing is asked any more, until there is a later one."""
    records = [{"id": n, "at": f"2024-05-0{n}T00:00:00Z"} for n in range(1, 6)]
    api = Api(records, lambda record, query: query.get("since", "") < record["at"] <= query.get("until", "9"))
    source = _source(api, end="2024-05-03T12:00:00Z", end_param="until")
    batches, repeats = _read(source)
    assert [batch.records["id"].to_pylist() for batch in batches] == [[1], [2], [3]]
    position = batches[-1].position
    assert position == {"watermark": "2024-05-03T00:00:00Z", "end": "2024-05-03T12:00:00Z"}
    assert not repeats
    del api.asked[:]
    assert _read(source, position) == ([], False)
    assert api.asked == []
    later, _ = _read(_source(api, end="2024-05-04T12:00:00Z", end_param="until"), position)
    assert [batch.records["id"].to_pylist() for batch in later] == [[4]]
    assert _read(_source(api, end="2024-05-02T00:00:00Z", end_param="until"), position) == ([], False)
    rest, _ = _read(_source(api), position)
    assert [batch.records["id"].to_pylist() for batch in rest] == [[4], [5]]


def test_an_api_that_ignores_the_end_is_found_out() -> None:
    """Records beyond the end mean that the API does not know the parameter."""
    source = _source(Api([{"id": 1, "at": "2024-05-06T00:00:00Z"}]), end="2024-05-05T00:00:00Z", end_param="until")
    with pytest.raises(InvalidAnswer, match="up to '2024-05-05T00:00:00Z' was asked for"):
        _read(source)


def test_an_end_is_rounded_up() -> None:
    """In a format that is coarser than the end, the whole of the last granule is asked for and taken."""
    api = Api([{"id": 1, "at": "2024-05-05T23:00:00Z"}])
    batches, _ = _read(_source(api, end="2024-05-05T12:00:00Z", end_param="until", format="iso_date"))
    assert api.asked == [{"until": "2024-05-06"}]
    assert batches[-1].position == {"watermark": "2024-05-05T23:00:00Z", "end": "2024-05-05T12:00:00Z"}


@pytest.mark.parametrize(
    "options", [{"inclusive": True}, {"overlap": timedelta(days=1)}, {"format": "iso_date"}, {"format": "unix"}]
)
def test_rows_that_come_again_are_told_and_merged(options: dict[str, Any]) -> None:
    """Where rows come again the plan says so: appending is refused after the first run, merging keeps each row once."""
    api = Api([{"id": n, "at": f"2024-05-05T0{n}:00:00Z"} for n in range(5)])
    source = _source(api, **options)
    destination = MemoryDestination()

    def run(mode: Mode) -> int:
        return Pipeline("p", source, destination, mode=mode, checkpoint=Checkpoint(rows=1)).run().rows

    assert run("merge") == 5  # type: ignore[arg-type]
    api.keep = lambda record, _: record["id"] >= 3
    assert run("merge") == 2  # type: ignore[arg-type]
    table = destination.table("orders")
    assert table is not None
    assert sorted(table["id"].to_pylist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigurationError, match="double"):
        run("append")  # type: ignore[arg-type]


def test_the_first_walk_repeats_nothing() -> None:
    """A first run that is committed page by page is no repetition, though it has a start to ask from."""
    source = _source(
        Api([{"id": n, "at": f"2024-05-05T0{n}:00:00Z"} for n in range(5)]),
        start="2024-05-05T00:00:00Z",
        inclusive=True,
    )
    destination = MemoryDestination()
    assert Pipeline("p", source, destination, mode="append", checkpoint=Checkpoint(rows=1)).run().rows == 5


@pytest.mark.parametrize(
    "position", [{"watermark": 1, "end": [1]}, {"page": {}, "watermark": 1, "high": 1, "until": 2}]
)
def test_ends_of_something_else_are_refused(position: Any) -> None:
    """A position whose end this resource cannot have left is the user's mistake."""
    with pytest.raises(ConfigurationError, match="was not left"):
        _read(_source(Api([])), position)


def test_a_walk_over_rows_that_come_again_ends() -> None:
    """An API that gives rows at the watermark in every walk is walked once a run, wherever the run is committed."""
    api = Api([{"id": n, "at": "2024-05-05T00:00:00Z"} for n in range(3)])
    source = _source(api, inclusive=True)
    positions = [batch.position for batch in _read(source)[0]]
    high = {"high": "2024-05-05T00:00:00Z"}
    assert positions[2:] == [{"watermark": None, **high, "page": None}, {"watermark": "2024-05-05T00:00:00Z"}]
    del api.asked[:]
    batches, repeats = _read(source, positions[2])
    assert ([batch.position for batch in batches], repeats, api.asked) == (positions[3:], False, [])


def test_an_end_of_another_kind_than_the_position() -> None:
    """An end that does not compare with what was read is refused before anything is asked."""
    with pytest.raises(ConfigurationError, match="does not compare"):
        _read(_source(Api([]), end=5, end_param="until"), {"watermark": "2024-05-05T00:00:00Z"})
