from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient, ApiSource, Incremental, NextLink, Resource, Windows
from de_classes.api._walking.moments import moment_of
from de_classes.api._walking.windows import cut
from de_classes.api.messages import Response
from de_classes.errors import ApiStatusError, ConfigurationError, InvalidAnswer
from de_classes.pipelines import Pipeline
from de_classes.testing.memory import MemoryDestination
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.api.messages import Request
    from de_classes.contracts import Plan, Position

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.string())])
START = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2024, 3, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants bounds without a zone
STEPS = st.timedeltas(timedelta(minutes=61), timedelta(days=90))
DAY = timedelta(days=1)


def _incremental(**options: Any) -> Incremental:
    windows = options.pop("windows", Windows(step=DAY))
    given = {"param": "since", "end_param": "until", "field": "at", "start": "2024-01-01", "windows": windows}
    return Incremental(**{**given, **options})


class Api:
    """Records with their moments, by whatever bounds it counts in; each answer has one record."""

    def __init__(self, *moments: str, within: Callable[[datetime, datetime, datetime], bool] | None = None) -> None:
        self.moments = list(moments)
        self.within = within or (lambda moment, since, until: since <= moment < until)
        self.asked: list[dict[str, str]] = []
        self.failing = ""

    def __call__(self, request: Request) -> Response:
        """Answer a page."""
        query = {name: str(value) for name, value in request.params.items()}
        query |= dict(pair.split("=") for pair in request.url.partition("?")[2].split("&") if pair)
        if query["since"] == self.failing:
            return Response(request, 500, {}, b"")
        self.asked.append(query)
        since, until = moment_of(query["since"]), moment_of(query["until"])
        found = [(n, at) for n, at in enumerate(self.moments) if self.within(moment_of(at), since, until)]
        page = int(query.get("page", 0))
        items = [{"id": n, "at": at} for n, at in found[page : page + 1]]
        link = f"?since={query['since']}&until={query['until']}&page={page + 1}" if page + 1 < len(found) else None
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "next": link}))


def _source(api: Api, now: str = "2024-01-04T00:00:00Z", **options: Any) -> ApiSource:
    client = ApiClient("http://api.example/v1", transport=api, retry=RetryPolicy(attempts=1))
    resource = Resource(
        "events",
        "/events",
        paging=NextLink(),
        schema=SCHEMA,
        primary_key=("id",),
        incremental=_incremental(**options),
    )
    return ApiSource(client, [resource], clock=lambda: moment_of(now))


def _planned(source: ApiSource, since: Position | None = None) -> Plan:
    with source.plan(source.streams()[0], json.loads(json.dumps(since))) as plan:
        return plan


def _ids(plan: Plan) -> list[list[int]]:
    return [[n for batch in split.read() for n in batch.records["id"].to_pylist()] for split in plan.splits]


@given(STEPS, st.none() | MOMENTS, MOMENTS, st.sampled_from([None, "unix", "unix_ms", "iso_date"]))
def test_windows_leave_no_gap_and_do_not_overlap(
    step: timedelta, since: datetime | None, now: datetime, form: str | None
) -> None:
    """From where the last run ended up to now each moment is in one window, none longer than the step."""
    windows = cut(_incremental(windows=Windows(step=step), format=form), since, now)
    assert all(one.until == other.since for one, other in pairwise(windows))
    assert all(timedelta(0) < window.until - window.since <= step for window in windows)
    if windows:
        assert windows[0].since == (since or START)
        assert now - max(timedelta(seconds=1), DAY if form == "iso_date" else timedelta(0)) < windows[-1].until <= now
    again = cut(_incremental(windows=Windows(step=step), format=form), since, now + step)
    assert [window for window in windows[:-1] if window not in again] == []


@given(STEPS, MOMENTS, MOMENTS, st.timedeltas(timedelta(seconds=1), timedelta(days=9)))
def test_an_overlap_reaches_back_to_the_start_at_most(
    step: timedelta, since: datetime, now: datetime, overlap: timedelta
) -> None:
    """With an overlap the first window begins that much earlier, but never before the start."""
    windows = cut(_incremental(windows=Windows(step=step), overlap=overlap), since, now)
    assert not windows or windows[0].since == max(START, since - overlap)


BOUNDS = {
    "[)": lambda moment, since, until: since <= moment < until,
    "[]": lambda moment, since, until: since <= moment <= until,
    "(]": lambda moment, since, until: since < moment <= until,
    "()": lambda moment, since, until: since < moment < until,
    "days": lambda moment, since, until: since.date() <= moment.date() <= until.date(),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("form", [None, "iso_date"])
def test_each_record_is_in_one_window_whatever_the_api_counts_in(bounds: str, form: str | None) -> None:
    """Records at the bounds come once, whether the API counts its bounds in, leaves them out, or counts days."""
    moments = ["2024-01-01T00:00:00Z", "2024-01-01T23:59:59.9999999Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00.1Z"]
    within: Any = BOUNDS[bounds]
    plan = _planned(_source(Api(*moments, within=within), format=form))
    if form is None and bounds == "days":
        with pytest.raises(InvalidAnswer, match="does not keep to the parameters"):
            _ids(plan)
    else:
        assert _ids(plan) == [[0, 1], [2], [3]]
        assert plan.position == {"until": "2024-01-04T00:00:00Z"}


def test_an_inclusive_api_is_asked_from_the_bound_itself() -> None:
    """Where the API is known to count the lower bound in, nothing before it is asked for."""
    api = Api("2024-01-01T00:00:00Z")
    assert _ids(_planned(_source(api, inclusive=True))) == [[0], [], []]
    assert api.asked[1] == {"since": "2024-01-02T00:00:00Z", "until": "2024-01-03T00:00:00Z"}


def test_the_next_run_goes_on_where_the_windows_ended() -> None:
    """What is younger than the lag waits, the next run begins where this one ended, and without news there is none."""
    api, lagging = Api("2024-01-03T23:59:00Z", "2024-01-04T00:30:00Z"), Windows(step=DAY, lag_seconds=3600)
    first = _planned(_source(api, windows=lagging))
    assert (_ids(first), first.position) == ([[], [], []], {"until": "2024-01-03T23:00:00Z"})
    second = _planned(_source(api, "2024-01-04T01:00:00Z", windows=lagging), first.position)
    assert (_ids(second), second.position) == ([[0]], {"until": "2024-01-04T00:00:00Z"})
    third = _planned(_source(api, "2024-01-04T01:00:00Z", windows=lagging), second.position)
    assert (list(third.splits), third.position, third.repeats) == ([], second.position, False)


def test_windows_end_at_the_end() -> None:
    """With an end the last window ends there, itself included, and later runs plan nothing."""
    api = Api("2024-01-02T12:00:00Z", within=BOUNDS["[]"])
    source = _source(api, end="2024-01-02T12:00:00Z")
    plan = _planned(source)
    assert (_ids(plan), plan.position) == ([[], [0]], {"until": "2024-01-02T12:00:00.000001Z"})
    assert api.asked[-1]["until"] == "2024-01-02T12:00:00Z"
    assert list(_planned(source, plan.position).splits) == []
    later = _planned(_source(api, end="2024-01-03T00:00:00Z"), plan.position)
    assert (_ids(later), later.position) == ([[]], {"until": "2024-01-03T00:00:00.000001Z"})


@pytest.mark.parametrize("end", ["2024-01-01", "2024-01-02", "2024-01-02T12:00:00Z"])
def test_an_end_makes_no_window_of_its_own(end: str) -> None:
    """The end belongs to the window before it, if there is one; a run that came up to it earlier takes it alone."""
    whole = cut(_incremental(end=end), None, moment_of("2024-02-01"))
    assert len(whole) == (2 if "T" in end else 1)
    assert [window.closed for window in whole] == [False, True][-len(whole) :]
    (rest,) = cut(_incremental(end=end), moment_of(end), moment_of("2024-02-01"))
    assert (rest.since, rest.until, rest.closed) == (moment_of(end), whole[-1].until, True)


def test_records_that_tell_no_moment_are_set_aside() -> None:
    """In quarantine goes a record whose field is null, lacking or odd, with its number on the page."""
    items = [{"id": 0, "at": "2024-01-01T00:00:00Z"}, {"id": 1, "at": None}, {"id": 2}, {"id": 3, "at": "soon"}]
    items += [{"id": 4, "at": "2023-12-31T23:59:59Z"}, {"id": "x", "at": "2024-01-01T01:00:00Z"}]

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "next": None}))

    client = ApiClient("http://api.example/v1", transport=answer)
    resource = Resource("events", "/events", paging=NextLink(), schema=SCHEMA, incremental=_incremental())
    (split,) = _planned(ApiSource(client, [resource], clock=lambda: START + DAY)).splits
    with pytest.raises(InvalidAnswer):
        list(split.read())
    (split,) = _planned(ApiSource(client, [replace(resource, misfits="quarantine")], clock=lambda: START + DAY)).splits
    (batch,) = split.read()
    assert batch.records["id"].to_pylist() == [0]
    assert batch.rejected is not None
    assert batch.rejected["row"].to_pylist() == [1, 2, 3, 5]
    assert batch.rejected["path"].to_pylist() == ["at", "at", "at", "id"]


def test_overlapping_windows_repeat() -> None:
    """A plan that reaches back says that rows come again."""
    plan = _planned(_source(Api("2024-01-02T12:00:00Z"), overlap=DAY), {"until": "2024-01-03T00:00:00Z"})
    assert (_ids(plan), plan.repeats) == ([[0], []], True)


def test_ids_of_settled_windows_hold() -> None:
    """A settled window has one id in every plan, which names its bounds and settings; others have a new one."""
    windows = Windows(step=DAY, settled_seconds=DAY.total_seconds())
    ids = [[split.id for split in _planned(_source(Api(), windows=windows)).splits] for _ in range(2)]
    assert [one == other for one, other in zip(*ids, strict=True)] == [True, True, False]
    other = _planned(_source(Api(), windows=windows, inclusive=True))
    assert {split.id for split in other.splits}.isdisjoint(ids[0])
    never = [[split.id for split in _planned(_source(Api())).splits] for _ in range(2)]
    assert set(never[0]).isdisjoint(never[1])


def test_an_interrupted_backfill_asks_only_for_missing_windows() -> None:
    """What an interrupted run has staged of settled windows is taken over, and only the others are asked for."""
    api = Api("2024-01-01T12:00:00Z", "2024-01-02T12:00:00Z", "2024-01-03T12:00:00Z")
    options: Any = {"windows": Windows(step=DAY, settled_seconds=0), "inclusive": True}
    destination = MemoryDestination()
    api.failing = "2024-01-03T00:00:00Z"
    with ThreadPoolExecutor(1) as one_by_one, pytest.raises(ApiStatusError, match="500"):
        Pipeline("p", _source(api, **options), destination).run(executor=one_by_one)
    assert destination.table("events") is None
    api.failing = ""
    del api.asked[:]
    assert Pipeline("p", _source(api, **options), destination).run().rows == 3
    assert {query["since"] for query in api.asked} == {"2024-01-03T00:00:00Z"}
    table = destination.table("events")
    assert table is not None
    assert sorted(table["id"].to_pylist()) == [0, 1, 2]


@pytest.mark.parametrize("at", [None, 5, "soon"])
def test_records_without_a_moment_are_refused(at: Any) -> None:
    """A record whose field is no moment belongs to no window."""

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": [{"id": 1, "at": at}]}))

    api: Any = answer
    with pytest.raises(InvalidAnswer, match="does not tell its window"):
        _ids(_planned(_source(api)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"start": None}, "need start"),
        ({"end_param": None}, "end_param"),
        ({"start": 5}, "of time"),
        ({"overlap": 5}, "timedelta"),
    ],
)
def test_windows_that_cannot_be(options: dict[str, Any], told: str) -> None:
    """What windows lack is told where they are constructed."""
    with pytest.raises(ConfigurationError, match=told):
        _incremental(**options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"step": 7}, r"step=7 is no timedelta: write timedelta\(days=1\)"),
        ({"step": timedelta(0)}, "not above 0"),
        ({"lag_seconds": -1}, "lag_seconds=-1"),
        (
            {"lag_seconds": timedelta(hours=1)},
            r"lag_seconds=datetime.timedelta\(seconds=3600\) is no number of seconds",
        ),
        ({"lag_seconds": float("nan")}, "lag_seconds=nan is no length"),
        ({"settled_seconds": DAY}, "settled_seconds=.* is no number of seconds"),
        ({"settled_seconds": True}, "settled_seconds=True"),
        ({"step": 7, "lag_seconds": "3"}, "step=7(.*)lag_seconds='3'"),
    ],
)
def test_lengths_of_windows_that_cannot_be(options: dict[str, Any], told: str) -> None:
    """Windows alone tell which of their lengths is none, be it a number for a time or a time for a number."""
    with pytest.raises(ConfigurationError, match=told):
        Windows(**{"step": DAY, **options})


def test_windows_need_a_schema_and_a_bound_number() -> None:
    """Without a schema splits could not agree, and millions of windows are nobody's wish."""
    with pytest.raises(ConfigurationError, match="need a schema"):
        Resource("events", "/events", incremental=_incremental())
    with pytest.raises(ConfigurationError, match="longer step"):
        _planned(_source(Api(), windows=Windows(step=timedelta(seconds=1))))


@pytest.mark.parametrize("position", [{"watermark": "2024-01-01T00:00:00Z"}, {"until": 5}, {"until": "soon"}, {}])
def test_positions_of_something_else_are_refused(position: Any) -> None:
    """A position that windows cannot have left is the user's mistake."""
    with pytest.raises(ConfigurationError, match="was not left"):
        _planned(_source(Api()), position)
