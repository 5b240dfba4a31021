"""What people write first: it works as meant, or one clear error says what to write."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from de_classes._doors import frame
from de_classes.api import (
    ApiClient,
    ApiSource,
    Basic,
    BearerToken,
    CursorInBody,
    CursorInHeader,
    Download,
    DownloadSource,
    GraphQLConnection,
    HttpTransport,
    Incremental,
    Keyset,
    LinkHeader,
    NextLink,
    OAuth2ClientCredentials,
    OffsetLimit,
    PageNumber,
    PagesUnfollowed,
    Parent,
    RandomNumbers,
    Resource,
    SinglePage,
    Windows,
)
from de_classes.api._doors import door
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError, InvalidAnswer
from de_classes.pipelines import Pipeline
from de_classes.testing.memory import MemoryDestination

PARAMS = {
    "status": ["open", "{name}"],
    "day": date(2026, 1, 2),
    "at": datetime(2026, 1, 2, 3, tzinfo=UTC),
    "n": (1, True),
}


def _oauth(token_url: str) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(token_url, "id", "secret")


def _asked(resource: Resource, *items: dict[str, Any], client: Any = None) -> tuple[list[str], MemoryDestination]:
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.full_url().partition("/v1")[2])
        return Response(request, 200, {}, msgspec.json.encode({"items": items, "next": None}))

    destination = MemoryDestination(schema_changes="evolve")
    client = ApiClient("http://api.example/v1", transport=answer)
    Pipeline("p", ApiSource(client, [resource]), destination, mode="merge").run()
    return asked, destination


def test_lists_are_parameters_that_repeat() -> None:
    """Each value is sent under the name, moments as ISO 8601, and templates in a list are filled."""
    resource = Resource("o", "/o", primary_key=("id",), params=PARAMS, path_params={"name": "paid"})
    (asked,), _ = _asked(resource, {"id": 1})
    assert asked == "/o?status=open&status=paid&day=2026-01-02&at=2026-01-02T03%3A00%3A00%2B00%3A00&n=1&n=true"


@pytest.mark.parametrize(
    ("answer", "header"),
    [
        ({"next": "/o?page=2"}, ""),
        ({"meta": {"next_cursor": "x"}}, ""),
        ({"has_more": True}, ""),
        ({"_links": {"next": {"href": "/o?page=2"}}}, ""),
        ({"@odata.nextLink": "http://x"}, ""),
        ({}, '</o?page=2>; rel="next"'),
    ],
)
@pytest.mark.parametrize("paging", [SinglePage(), NextLink("nxt"), CursorInBody(at="cursor_next")])
def test_an_answer_that_tells_of_more_pages_is_not_the_only_one(answer: Any, header: str, paging: Any) -> None:
    """Where the paging is forgotten, or looks in the wrong place, the run warns of what it leaves."""
    body = msgspec.json.encode({"items": [{"id": 1}], **answer})
    client = ApiClient("http://api.example", transport=lambda request: Response(request, 200, {"link": header}, body))
    source = ApiSource(client, [Resource("o", "/o", paging=paging)])
    with pytest.warns(PagesUnfollowed, match=f"more pages.*{type(paging).__name__}"):
        Pipeline("p", source, MemoryDestination()).run()


TEN = [{"id": number} for number in range(10)]


@pytest.mark.parametrize(
    "paging",
    [
        SinglePage(),
        OffsetLimit(limit=3, total_at="count", stable=True),
        OffsetLimit(limit=100, ends_at="short", stable=True),
        Keyset(param="after", limit=100, ends_at="short"),
        PageNumber(total_pages_at="meta.page", stable=True),
    ],
    ids=["single", "offset", "short offset", "keyset", "page"],
)
@pytest.mark.parametrize("where", ["alone", "children", "windows"])
def test_a_total_that_is_more_than_came_is_told(paging: Any, where: str) -> None:
    """A count of the page taken for that of all, or a page that is cut for the last, ends no walk in silence."""

    def answer(request: Request) -> Response:
        page = (
            {"items": [{"id": 1}]} if request.url.endswith("/parents") else {"items": TEN[:3], "count": 3, "total": 10}
        )
        return Response(request, 200, {}, msgspec.json.encode({**page, "meta": {"page": 1}}))

    options: dict[str, Any] = {"path": "/o", "paging": paging, "primary_key": ("id",)}
    if where == "children":
        options.update(path="/o/{id}", parent=Parent("parents", {"id": "id"}))
    if where == "windows":
        windows = Windows(step=timedelta(days=1))
        bounds = {"start": "1970-01-01", "end": "1970-01-01T00:00:09Z", "end_param": "to", "windows": windows}
        options["incremental"] = Incremental(field="id", format="unix", inclusive=True, **bounds)
        options["schema"] = pa.schema({"id": pa.int64()})
    client = ApiClient("http://api.example", transport=answer)
    source = ApiSource(client, [Resource("parents", "/parents"), Resource("o", **options)])
    told = f"resource 'o'.*total is 10, and 3 records came.*{type(paging).__name__}"
    with pytest.warns(PagesUnfollowed, match=told), source.plan(source.streams()[1], None) as plan:
        assert sum(batch.records.num_rows for split in plan.splits for batch in split.read()) == 3


@pytest.mark.parametrize(
    "answer",
    [
        *({"next": None}, {"has_more": False}, {"meta": {"next": ""}}, {"next": []}, {"more": 1}),
        *({"total": 1}, {"count": 0}, {"total": "7"}, {"total": True}, {"total_pages": 1}, {"meta": {"pages": None}}),
    ],
)
def test_an_answer_that_tells_of_its_end_is_the_end(answer: Any) -> None:
    """Null, false and nothing say that there is no more."""
    body = msgspec.json.encode({"items": [{"id": 1}], **answer})
    client = ApiClient("http://api.example", transport=lambda request: Response(request, 200, {}, body))
    assert Pipeline("p", ApiSource(client, [Resource("o", "/o")]), MemoryDestination()).run().rows == 1


@pytest.mark.parametrize("value", [[], {"a": 1}, {1, 2}, b"x", [[1]], timedelta(1), object()])
def test_what_has_no_form_in_a_url_is_refused(value: Any) -> None:
    """Nothing is sent as Python would print it."""
    with pytest.raises(ConfigurationError, match=r"resource 'o', parameter 'status': is an? "):
        Resource("o", "/o", params={"status": value})
    with pytest.raises(ConfigurationError, match=r"GET http://api\.example/o, parameter 'status'"):
        ApiClient("http://api.example").get_json("/o", {"status": value})


@pytest.mark.parametrize(
    ("start", "form", "values", "sent"),
    [
        ("2026-01-01", None, ["2026-01-01T00:00:00Z", "2026-03-02T00:00:00+01:00"], "2026-01-01"),
        ("2026-01-01", None, ["2026-01-01T00:00:00", "2026-03-02T00:00:00"], "2026-01-01"),
        ("2026-01-01", "unix", ["2026-03-02T00:00:00Z"], "1767225600"),
        ("2026-01-01", "unix", [1767225601, 1767225602], "1767225600"),
        ("2026-01-01T00:00:00Z", "unix_ms", [1767225600001], "1767225600000"),
        (date(2026, 1, 1), None, ["2026-03-02T00:00:00Z"], "2026-01-01"),
        (datetime(2026, 1, 1, tzinfo=UTC), None, ["2026-03-02T00:00:00Z"], "2026-01-01T00%3A00%3A00%2B00%3A00"),
        (date(2026, 1, 1), None, ["2026-03-02", "2026-03-03"], "2026-01-01"),
        (5, None, [6, 7], "5"),
    ],
)
def test_a_start_of_the_kind_that_people_write(start: Any, form: str | None, values: list[Any], sent: str) -> None:
    """A date begins with its first moment, whatever the field has, and the next run asks for what is newer."""
    incremental = Incremental(param="since", field="at", start=start, format=form)
    resource = Resource("o", "/o", paging=NextLink(), primary_key=("id",), incremental=incremental)
    asked, destination = _asked(resource, *({"id": n, "at": value} for n, value in enumerate(values)))
    assert asked == [f"/o?since={sent}"]
    table = destination.table("o")
    assert table is not None
    assert table.num_rows == len(values)


@pytest.mark.parametrize("at", ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 1])
def test_an_api_that_ignores_the_parameter_is_found_out(at: Any) -> None:
    """What was given before is not given again, and so not doubled: the second run says what to correct."""
    items = [{"id": n, "at": at if n else None} for n in range(3)]

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": items}))

    destination = MemoryDestination(schema_changes="evolve")
    incremental = Incremental(param="sinse", field="at")
    client = ApiClient("http://api.example/v1", transport=answer)
    pipeline = Pipeline("p", ApiSource(client, [Resource("o", "/o", incremental=incremental)]), destination)
    pipeline.run()
    with pytest.raises(InvalidAnswer, match=r"by 'sinse'(.|\n)*inclusive=True"):
        pipeline.run()
    table = destination.table("o")
    assert table is not None
    assert table.num_rows == 3


@pytest.mark.parametrize("start", [None, 7])
@pytest.mark.parametrize(
    "schema", [None, pa.schema({"id": pa.int64(), "at": pa.int64()})], ids=["inferred", "declared"]
)
@pytest.mark.parametrize("child", [False, True], ids=["alone", "children"])
def test_rows_that_move_no_watermark_are_not_appended_twice(start: Any, schema: Any, child: bool) -> None:
    """Where no record has told its watermark the next run is given all of them again: it needs a merge, and says so."""

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": [{"id": 1, "at": None}]}))

    resources = [
        Resource("o", "/o", primary_key=("id",), schema=schema, incremental=Incremental(field="at", start=start))
    ]
    if child:
        resources.append(Resource("c", "/o/{id}", primary_key=("id",), parent=Parent("o", {"id": "id"})))
    source, routes = ApiSource(ApiClient("http://api.example", transport=answer), resources), [resources[-1].name]
    destination = MemoryDestination()
    Pipeline("p", source, destination, routes=routes).run()
    with pytest.raises(ConfigurationError, match="appending would double them"):
        Pipeline("p", source, destination, routes=routes).run()
    Pipeline("p", source, destination, routes=routes, mode="merge").run()
    table = destination.table(routes[0])
    assert table is not None
    assert table.num_rows == 1


def test_an_empty_first_run_does_not_ask_for_a_merge() -> None:
    """Where nothing was given, nothing can come twice."""
    pages = iter([[], [{"id": 1, "at": 1}], []])

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": next(pages)}))

    source = ApiSource(
        ApiClient("http://api.example", transport=answer), [Resource("o", "/o", incremental=Incremental(field="at"))]
    )
    destination = MemoryDestination()
    assert [Pipeline("p", source, destination).run().rows for _ in range(3)] == [0, 1, 0]


def test_a_null_beyond_the_watermark_is_found_out() -> None:
    """A record that does not tell whether it is newer than what was asked for may have been given before."""
    pages = iter([[{"id": 1, "at": 1}, {"id": 2, "at": None}], [{"id": 2, "at": None}, {"id": 3, "at": 2}]])

    def answer(request: Request) -> Response:
        return Response(request, 200, {}, msgspec.json.encode({"items": next(pages)}))

    source = ApiSource(
        ApiClient("http://api.example", transport=answer), [Resource("o", "/o", incremental=Incremental(field="at"))]
    )
    destination = MemoryDestination()
    Pipeline("p", source, destination).run()
    with pytest.raises(InvalidAnswer, match=r"null as 'at', and what is above 1 was asked for(.|\n)*inclusive=True"):
        Pipeline("p", source, destination).run()


def test_json_may_begin_with_a_byte_order_mark() -> None:
    """Some servers send one; it is no part of the JSON."""
    body = b"\xef\xbb\xbf" + msgspec.json.encode({"items": [{"id": 1}]})
    client = ApiClient("http://api.example", transport=lambda request: Response(request, 200, {}, body))
    assert client.get_json("/o") == {"items": [{"id": 1}]}
    destination = MemoryDestination()
    assert Pipeline("p", ApiSource(client, [Resource("o", "/o")]), destination).run().rows == 1


def test_an_empty_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable without a value is told like one that is missing."""
    monkeypatch.setenv("SHOP_TOKEN", "")
    with pytest.raises(ConfigurationError, match=r"\$SHOP_TOKEN: the environment variable is empty"):
        Secret.from_env("SHOP_TOKEN").reveal()


def test_a_start_of_another_kind_says_what_to_correct() -> None:
    """Where the start does not compare with the field, the remedy names both."""
    resource = Resource("o", "/o", primary_key=("id",), incremental=Incremental(field="at", start="abc"))
    with pytest.raises(InvalidAnswer, match=r"do not compare(.|\n)*start="):
        _asked(resource, {"id": 1, "at": "2026-03-02T00:00:00Z"})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Incremental(windows=timedelta(days=1)), "write Windows"),
        (lambda: Incremental(start="2026-01-01", end_param="u", windows=Windows(step=7)), "no timedelta"),  # type: ignore[arg-type]
        (lambda: Incremental(start=1.5), "start=1.5"),
        (lambda: Incremental(overlap="1h"), "overlap='1h'"),
        (lambda: Resource("o", "/o", incremental="at"), "write Incremental"),
        (lambda: Resource("o", "/o", parent="orders"), "write Parent"),
        (lambda: Resource("o", "/{id}", parent=Parent("p", ["id"])), "no mapping"),  # type: ignore[arg-type]
        (lambda: Resource("o", "/o", types={"v": float}), "no type of Arrow"),
        (lambda: ApiClient("http://api.example", timeout_seconds="30"), "no number of seconds"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://api.example", headers=["A: b"]), "not a mapping"),  # type: ignore[arg-type]
        (lambda: PageNumber(per_page="100"), "per_page='100'"),  # type: ignore[arg-type]
        (lambda: OffsetLimit(limit="100"), "limit='100'"),  # type: ignore[arg-type]
        (lambda: ApiClient("https://a.example", auth=_oauth("http://a.example/token")), "from https to http"),
        (lambda: PageNumber(first="1"), "first='1' is not a whole number"),  # type: ignore[arg-type]
        (lambda: PageNumber(pin="x", stable="y"), "pin='x' is not a Mapping; stable='y' is not true or false"),  # type: ignore[arg-type]
        (lambda: OffsetLimit(limit=5, advance_by="pages"), "advance_by='pages' is not 'records' or 'limit'"),  # type: ignore[arg-type]
        (lambda: Keyset(param="after", direction="up"), "direction='up' is not 'ascending' or 'descending'"),  # type: ignore[arg-type]
        (lambda: CursorInBody(at=None), "at=None is not a text"),  # type: ignore[arg-type]
        (lambda: CursorInHeader(header="x", first=[1]), "first=a list is not a text or a whole number or None"),  # type: ignore[arg-type]
        (lambda: NextLink(at=7), "at=7 is not a text"),  # type: ignore[arg-type]
        (lambda: LinkHeader(rel=None), "rel=None is not a text"),  # type: ignore[arg-type]
        (lambda: GraphQLConnection(query="q", connection="c", variables=[1]), "variables=a list is not a Mapping"),  # type: ignore[arg-type]
        (lambda: Incremental(inclusive="no"), "inclusive='no' is not true or false"),  # type: ignore[arg-type]
        (lambda: Resource("o", "/o", params=[("key", "s3cret")]), r"params=a list is not a Mapping\n"),  # type: ignore[arg-type]
        (lambda: Resource("o", "/o", timestamps="yes"), "timestamps='yes' is not true or false"),  # type: ignore[arg-type]
        (lambda: Resource("o", None), "path=None is not a text"),  # type: ignore[arg-type]
        (lambda: ApiSource("https://a", [Resource("o", "/o")]), "client is a str"),  # type: ignore[arg-type]
        (lambda: Download("o", "/o", "csv"), r"format='csv' is none, such as Csv\(\)"),  # type: ignore[arg-type]
        (lambda: Download("o", "/o", schema={"a": "int64"}), "write pyarrow.schema"),  # type: ignore[arg-type]
        (lambda: Download("o", "/o", primary_key="id"), r"write primary_key=\('id',\)"),  # type: ignore[arg-type]
        (lambda: DownloadSource(ApiClient("http://a"), Download("o", "/o")), "no list of Download"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://a", retry_statuses="503"), "retry_statuses='503' are no whole"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://a", observer=5), "observer= is a int"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://a").get_json(None), "the path is no text"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://a").get_json("/o", [("a", 1)]), "the parameters are a list"),  # type: ignore[arg-type]
        (lambda: ApiClient("http://a").request("POST", "/o", json=object()), "cannot be sent as JSON"),
        (lambda: HttpTransport(timeout_seconds="3"), "timeout_seconds='3': not above 0"),  # type: ignore[arg-type]
        (lambda: OAuth2ClientCredentials(None, "id", "s"), "the token endpoint None: is no text"),  # type: ignore[arg-type]
        (lambda: RandomNumbers(5.5), "count=5.5: must be a whole number"),  # type: ignore[arg-type]
        (lambda: BearerToken(b"x"), "token is a bytes"),  # type: ignore[arg-type]
        (lambda: Basic("u", b"x"), "password is a bytes"),  # type: ignore[arg-type]
    ],
)
def test_other_kinds_are_one_clear_error(make: Any, told: str) -> None:
    """What would fail later, in words of Python's, is told where it is written."""
    with pytest.raises(ConfigurationError, match=told):
        make()


def test_a_door_takes_parameters_that_repeat() -> None:
    """A URL's parameters are all asked for."""
    assert door.query_of("http://x/o?a=1&b=2&a=3&c=") == {"a": ["1", "3"], "b": "2", "c": ""}


def test_a_door_ends_with_130_when_it_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is no traceback, but with --debug."""

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    parser = frame.door("api.client", "does nothing")
    assert frame.run(parser, interrupted, []) == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(KeyboardInterrupt):
        frame.run(parser, interrupted, ["--debug"])


def test_an_arrow_type_is_a_type() -> None:
    """What `types` is meant for goes on working."""
    assert Resource("o", "/o", types={"v": pa.float64()}).types == {"v": pa.float64()}
