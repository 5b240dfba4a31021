from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from de_classes.api.paging import (
    CursorInBody,
    CursorInHeader,
    GraphQLConnection,
    Keyset,
    OffsetLimit,
    Page,
    PageNumber,
    Paging,
    placed,
)
from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError, InvalidAnswer

URL = "https://api.example/v2/orders"


def _page(answer: dict[str, Any], headers: dict[str, str] | None = None) -> Page:
    return Page(URL, answer, answer.get("items", []), headers=headers or {})


def _walk(paging: Paging, *pages: Page) -> list[dict[str, Any]]:
    """Walk over the pages; gives what was asked for, each state having been through JSON."""
    state: Any = paging.start()
    asked = []
    for page in pages:
        assert state is not None, "the walk ended before the pages did"
        ask = paging.ask(state)
        asked.append(dict(ask.params if ask.body is None else ask.body))
        state = paging.after(state, page)
        state = None if state is None else json.loads(json.dumps(state))
    assert state is None, "the walk goes on"
    return asked


def _items(*sizes: int, **more: Any) -> list[Page]:
    """Pages of so many records each, no two alike."""
    pages, first = [], 0
    for size in sizes:
        pages.append(_page({"items": [{"id": first + n} for n in range(size)], **more}))
        first += size
    return pages


class TestPageNumber:
    def test_a_circle_of_pages_is_found_out(self) -> None:
        """Pages that come again after others are an error, too."""
        with pytest.raises(InvalidAnswer, match="very records"):
            _walk(PageNumber(), *_items(1, 1, 1, 1, 1, 1, 1) * 4)

    @pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 40])
    def test_pages_that_are_alike_are_not_taken_for_the_same(self, size: int) -> None:
        """Pages of any length whose first or last record differs, or that are of another length, go on."""
        alike: list[dict[str, int]] = [{"id": 0}] * size
        pages = [alike, [*alike, {"id": 0}], [{"id": 1}, *alike], [*alike, {"id": 1}], []]
        assert len(_walk(PageNumber(), *[_page({"items": items}) for items in pages])) == 5


class TestOffsetLimit:
    def test_goes_on_by_what_came_until_the_total(self) -> None:
        """The offset counts the records that came, so that a server may cut the limit down."""
        asked = _walk(OffsetLimit(limit=100, total_at="total"), *_items(2, 2, 1, total=5))
        assert asked == [{"offset": n, "limit": 100} for n in (0, 2, 4)]

    def test_without_a_total_ends_at_an_empty_page(self) -> None:
        """A short page is no end, unless that was said."""
        names: Any = {"param": "skip", "limit_param": "top", "limit": 2}
        assert _walk(OffsetLimit(**names), *_items(2, 1, 0)) == [{"skip": n, "top": 2} for n in (0, 2, 3)]
        assert _walk(OffsetLimit(ends_at="short", **names), *_items(2, 1)) == [{"skip": n, "top": 2} for n in (0, 2)]

    def test_offsets_may_begin_at_one(self) -> None:
        """Where the first record has the offset 1, the total counts from there."""
        paging = OffsetLimit(limit=2, first=1, total_at="total")
        assert [ask["offset"] for ask in _walk(paging, *_items(2, 1, total=3))] == [1, 3]

    def test_goes_on_by_the_limit_over_pages_that_lack_records(self) -> None:
        """Where pages lose records after they were cut, an empty one before the total is no end."""
        paging = OffsetLimit(limit=2, total_at="total", advance_by="limit")
        assert [ask["offset"] for ask in _walk(paging, *_items(1, 0, 2, total=6))] == [0, 2, 4]

    def test_no_records_before_the_total_is_refused(self) -> None:
        """A total that promises more than the pages hold would end the walk too early, or never."""
        with pytest.raises(InvalidAnswer, match=r"no records at offset 2.*\n.*advance_by"):
            _walk(OffsetLimit(limit=2, total_at="total"), *_items(2, 0, total=3))

    def test_an_api_that_ignores_the_offset_is_found_out(self) -> None:
        """The same records again are an error, at the second page."""
        with pytest.raises(InvalidAnswer, match="very records"):
            _walk(OffsetLimit(limit=2), *_items(2) * 3)

    def test_going_on_by_the_limit_needs_a_total(self) -> None:
        """Without one, a page whose records may not be seen would be the end of all."""
        with pytest.raises(ConfigurationError, match="without total_at"):
            OffsetLimit(limit=2, advance_by="limit")

    @pytest.mark.parametrize("options", [{"total_at": "total"}, {"advance_by": "limit"}])
    def test_short_pages_are_the_end_or_they_are_not(self, options: Any) -> None:
        """Options that contradict each other are refused."""
        with pytest.raises(ConfigurationError, match="short"):
            OffsetLimit(limit=2, ends_at="short", **options)


class TestCursors:
    def test_a_cursor_in_the_body_is_sent_back(self) -> None:
        """Texts and numbers are cursors; null, an empty text and nothing at all are the end; empty pages go on."""
        paging = CursorInBody(at="meta.next", param="after", limit=2)
        first, second = _page({"meta": {"next": "a b"}}), _page({"meta": {"next": 0}})
        for last in ({"meta": {"next": None}}, {"meta": {"next": ""}}, {}):
            asked = _walk(paging, first, second, _page(last))
            assert asked == [{"limit": 2}, {"after": "a b", "limit": 2}, {"after": 0, "limit": 2}]

    def test_has_more_decides_where_it_is_told(self) -> None:
        """False is the end whatever the cursor; true without a cursor is an error, and so is anything else."""
        paging = CursorInBody(at="next", has_more_at="more", first="*")
        pages = [_page({"next": "a", "more": True}), _page({"next": "b", "more": False})]
        assert _walk(paging, *pages) == [{"cursor": "*"}, {"cursor": "a"}]
        with pytest.raises(InvalidAnswer, match="no cursor"):
            paging.after({}, _page({"more": True}))
        with pytest.raises(InvalidAnswer, match="neither true nor false"):
            paging.after({}, _page({"next": "a"}))

    @pytest.mark.parametrize("cursor", [True, Decimal("1.5"), ["a"], {"a": 1}])
    def test_what_is_no_cursor_is_refused(self, cursor: Any) -> None:
        """What a parameter cannot hold as it is is no cursor."""
        with pytest.raises(InvalidAnswer, match="no text or whole number"):
            CursorInBody(at="next").after({}, _page({"next": cursor}))

    def test_in_a_body_a_cursor_may_be_nested(self) -> None:
        """Arrays and objects go back into the body as they came, at a dotted path, but no inexact numbers."""
        paging = CursorInBody(at="next", param="page.after", in_body=True)
        pages = [_page({"next": [1, "x", None]}), _page({"next": {"id": True}}), _page({})]
        assert _walk(paging, *pages) == [{}, {"page.after": [1, "x", None]}, {"page.after": {"id": True}}]
        assert paging.ask({}).body == {}
        with pytest.raises(InvalidAnswer, match="no text or whole number"):
            paging.after({}, _page({"next": [{"score": Decimal("1.5")}]}))

    def test_a_cursor_in_a_header_is_sent_back(self) -> None:
        """The header's name has no case; without it the walk ends."""
        paging = CursorInHeader(header="X-Next-Cursor", param="cursor", limit=9)
        pages = [_page({}, {"x-next-cursor": "a"}), _page({}, {"x-next-cursor": " "})]
        assert _walk(paging, *pages) == [{"limit": 9}, {"cursor": "a", "limit": 9}]

    @pytest.mark.parametrize(
        ("paging", "page"),
        [
            (CursorInBody(at="next"), _page({"next": "a"})),
            (CursorInHeader(header="next"), _page({}, {"next": "a"})),
        ],
    )
    def test_a_cursor_that_comes_again_is_a_circle(self, paging: Paging, page: Page) -> None:
        """An API that ignores the cursor is found out at the second page."""
        with pytest.raises(InvalidAnswer, match="circle"):
            _walk(paging, page, page, page)

    def test_new_cursors_for_the_same_records_are_found_out(self) -> None:
        """An API that ignores the cursor, and makes another one each time, is found out by the records."""
        pages = [_page({"items": [{"id": 1}], "next": f"nonce {n}"}) for n in range(9)]
        with pytest.raises(InvalidAnswer, match="asked for otherwise"):
            _walk(CursorInBody(at="next", param="curser"), *pages)
        assert len(_walk(CursorInBody(at="next"), *[_page({"next": f"{n}"}) for n in range(9)], _page({}))) == 10

    def test_the_cursor_of_the_first_page_is_known(self) -> None:
        """A first page whose next cursor is its own is found out at once."""
        with pytest.raises(InvalidAnswer, match="circle"):
            _walk(CursorInBody(at="next", first="*"), _page({"next": "*"}), _page({}))


class TestKeyset:
    @pytest.mark.parametrize(
        ("direction", "keys"), [("ascending", [[1, 2], [5, 9], []]), ("descending", [[9, 5], [2], []])]
    )
    def test_the_last_key_becomes_the_parameter(self, direction: Any, keys: list[list[int]]) -> None:
        """Each page is asked for by the last key before it, up or down, until one is empty."""
        pages = [_page({"items": [{"meta": {"id": key}} for key in page]}) for page in keys]
        asked = _walk(Keyset(param="since", key="meta.id", direction=direction), *pages)
        assert asked == [{}, {"since": keys[0][-1]}, {"since": keys[1][-1]}]

    def test_a_short_page_is_the_end_where_that_was_said(self) -> None:
        """With ends_at="short" a page below the limit spares the empty one after it."""
        paging = Keyset(param="since_id", limit=2, limit_param="n", ends_at="short")
        assert _walk(paging, *_items(2, 1)) == [{"n": 2}, {"since_id": 1, "n": 2}]
        with pytest.raises(ConfigurationError, match="without a limit"):
            Keyset(param="since_id", ends_at="short")

    @pytest.mark.parametrize("key", [None, True, Decimal("1.5"), [1]])
    def test_a_record_without_a_key_is_refused(self, key: Any) -> None:
        """The key must be a text or a whole number."""
        with pytest.raises(InvalidAnswer, match="last record has no text"):
            Keyset(param="since").after({}, _page({"items": [{"id": 1}, {"id": key}]}))

    @pytest.mark.parametrize("key", [7, "a7"])
    def test_an_inclusive_parameter_is_found_out(self, key: Any) -> None:
        """A page that begins with the key it was asked by would double that record."""
        with pytest.raises(InvalidAnswer, match="inclusive"):
            Keyset(param="since").after({"key": key}, _page({"items": [{"id": key}]}))

    @pytest.mark.parametrize("keys", [[2, 1], [3, 9], [9, 8]])
    def test_records_in_another_order_are_refused(self, keys: list[int]) -> None:
        """Numbers that go back, within a page or from page to page, mean that the API sorts otherwise."""
        with pytest.raises(InvalidAnswer, match="not sorted"):
            Keyset(param="since").after({"key": 5}, _page({"items": [{"id": key} for key in keys]}))

    def test_texts_that_come_again_are_a_circle(self) -> None:
        """Texts have an order of the API's own, and a page that ends with a key that came before is an error."""
        pages = [_page({"items": [{"id": one}, {"id": other}]}) for one, other in ("zb", "ya", "xb")]
        with pytest.raises(InvalidAnswer, match="circle"):
            _walk(Keyset(param="since"), *pages)


QUERY = "query($first: Int, $after: String, $state: S) { orders { nodes { id } pageInfo { hasNextPage endCursor } } }"


def _connection(*, more: Any, cursor: Any = None, **beside: Any) -> Page:
    return _page({"data": {"orders": {"pageInfo": {"hasNextPage": more, "endCursor": cursor}}}, **beside})


class TestGraphQL:
    paging = GraphQLConnection(query=QUERY, connection="data.orders", page_size=2, variables={"state": "OPEN"})

    def test_walks_a_connection(self) -> None:
        """Query and variables make up the body; the cursor is one of them from the second page on."""
        asked = _walk(self.paging, _connection(more=True, cursor="c1"), _connection(more=False, cursor="c2"))
        variables = {"state": "OPEN", "first": 2}
        assert [placed({"operationName": "O"}, ask) for ask in asked] == [
            {"operationName": "O", "query": QUERY, "variables": variables},
            {"operationName": "O", "query": QUERY, "variables": {**variables, "after": "c1"}},
        ]

    def test_walks_backwards(self) -> None:
        """All names are the user's to choose."""
        paging = GraphQLConnection(
            query=QUERY,
            connection="data.o",
            cursor_variable="before",
            has_next_at="info.hasPreviousPage",
            end_cursor_at="info.startCursor",
        )
        first = _page({"data": {"o": {"info": {"hasPreviousPage": True, "startCursor": "s"}}}})
        last = _page({"data": {"o": {"info": {"hasPreviousPage": False}}}})
        assert _walk(paging, first, last)[1]["variables.before"] == "s"

    @pytest.mark.parametrize(
        ("errors", "told"),
        [
            ([{"message": "no field\n'x'", "path": ["orders", 0]}, {}], r"no field 'x' \(at orders\.0\) \(and 1 more"),
            ("broken", "broken"),
            ([{"message": "bad token s3cret"}], r"bad token \*\*\*"),
        ],
    )
    def test_errors_are_never_an_answer(self, errors: Any, told: str) -> None:
        """An answer with errors is refused, with the first one's message, without secrets, even beside data."""
        page = Page(URL, {**_connection(more=False).answer, "errors": errors}, [], (Secret("s3cret"),))
        for look in (self.paging.check, lambda page: self.paging.after({}, page)):
            with pytest.raises(InvalidAnswer, match=told):
                look(page)

    def test_no_errors_are_none(self) -> None:
        """An empty list of errors, or null, is an answer like any other."""
        for errors in ([], None):
            self.paging.check(_connection(more=False, errors=errors))

    @pytest.mark.parametrize(
        ("more", "cursor", "told"),
        [(None, "c", "neither true nor false"), ("yes", "c", "neither"), (True, None, "no cursor"), (True, 3, "no cu")],
    )
    def test_it_must_say_whether_and_where_it_goes_on(self, more: Any, cursor: Any, told: str) -> None:
        """A pageInfo that lacks something would end the walk too early, or never."""
        with pytest.raises(InvalidAnswer, match=told):
            self.paging.after({}, _connection(more=more, cursor=cursor))

    def test_a_cursor_that_comes_again_is_a_circle(self) -> None:
        """The same end cursor twice is an error."""
        with pytest.raises(InvalidAnswer, match="circle"):
            _walk(self.paging, *[_connection(more=True, cursor="c")] * 3)
