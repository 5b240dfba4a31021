from __future__ import annotations

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
    PagesMayShift,
    Paging,
    SinglePage,
    dig,
    placed,
    warn_if_pages_shift,
)
from de_classes.errors import ConfigurationError

URL = "https://api.example/v2/orders"


def _page(answer: dict[str, Any]) -> Page:
    return Page(URL, answer, answer.get("items", []))


def _of(size: int, **more: Any) -> Page:
    """A page of so many records."""
    return _page({"items": [{"id": n} for n in range(size)], **more})


class TestAhead:
    def test_page_numbers_up_to_the_total(self) -> None:
        """With a total, the next pages are known, as many as asked for, with their pins."""
        paging, page = PageNumber(first=0, total_pages_at="pages", pin={"at": "at"}), _page({"pages": 5, "at": 7})
        states = paging.ahead({"number": 1}, page, 2)
        assert [dict(paging.ask(state).params) for state in states] == [{"page": n, "at": 7} for n in (2, 3)]
        assert [state["number"] for state in paging.ahead({"number": 1}, page, 9)] == [2, 3, 4]
        assert list(paging.ahead({"number": 4}, page, 9)) == []

    def test_offsets_are_as_far_apart_as_this_page_is_long(self) -> None:
        """A server that cuts the limit down is taken to do so everywhere."""
        paging, page = OffsetLimit(limit=100, total_at="total"), _of(3, total=10)
        assert [state["offset"] for state in paging.ahead({"offset": 0}, page, 9)] == [3, 6, 9]
        assert [state["offset"] for state in paging.ahead({"offset": 3}, page, 1)] == [6]

    def test_never_beyond_the_cap(self) -> None:
        """What the walk would refuse is not asked for."""
        page = _of(1, total=10)
        assert len(PageNumber(total_pages_at="total", max_pages=3).ahead({"number": 1}, page, 9)) == 2
        assert len(OffsetLimit(limit=1, total_at="total", max_pages=3).ahead({"offset": 0}, page, 9)) == 2

    def test_nothing_where_the_total_is_not_known(self) -> None:
        """Without a total each page waits for the one before."""
        page = _of(1)
        assert list(PageNumber().ahead({"number": 1}, page, 9)) == []
        assert list(OffsetLimit(limit=1).ahead({"offset": 0}, page, 9)) == []


@pytest.mark.parametrize(
    ("paging", "state", "body"),
    [
        (PageNumber(param="p.n", per_page=5, per_page_param="p.size", in_body=True), None, {"p": {"n": 1, "size": 5}}),
        (OffsetLimit(param="from", limit_param="size", limit=5, in_body=True), None, {"from": 0, "size": 5}),
        (CursorInBody(at="next", param="page.cursor", in_body=True), {"cursor": "a"}, {"page": {"cursor": "a"}}),
        (CursorInHeader(header="next", param="page.cursor", in_body=True), {"cursor": 1}, {"page": {"cursor": 1}}),
        (Keyset(param="where.id.gt", in_body=True), {"key": 3}, {"where": {"id": {"gt": 3}}}),
        (Keyset(param="where.id.gt", in_body=True), None, {}),
        (SinglePage(in_body=True), None, {}),
    ],
)
def test_values_can_go_into_a_body(paging: Paging, state: Any, body: dict[str, Any]) -> None:
    """With in_body, nothing goes into the query, and each value stands at its dotted path in the body."""
    ask = paging.ask(state or paging.start())
    assert ask.params == {}
    assert placed({}, ask.body or {}) == body


def test_placing_keeps_what_is_there() -> None:
    """Values join the objects of a body, which is left as it was; what is no object is not replaced."""
    body = {"a": {"b": 1}, "c": 2}
    assert placed(body, {"a.d.e": 3, "c": 4}) == {"a": {"b": 1, "d": {"e": 3}}, "c": 4}
    assert body == {"a": {"b": 1}, "c": 2}
    assert dig(placed({}, {"x.y.z": 5}), "x.y.z") == 5
    with pytest.raises(ConfigurationError, match="no object"):
        placed(body, {"c.d": 1})


@pytest.mark.parametrize(
    ("paging", "state"),
    [
        (OffsetLimit(limit=1), {"number": 2}),
        (OffsetLimit(limit=1), {"offset": 2, "number": 2}),
        (OffsetLimit(limit=1), {"offset": True}),
        (CursorInBody(at="next"), {"link": "/x"}),
        (CursorInHeader(header="next"), {"key": 3}),
        (Keyset(param="since"), {"cursor": 3}),
        (Keyset(param="since"), {"key": [1]}),
        (GraphQLConnection(query="{}", connection="data"), {"offset": 3}),
    ],
)
def test_a_state_of_another_paging_is_refused(paging: Paging, state: Any) -> None:
    """A position that another way of paging left is the user's mistake."""
    with pytest.raises(ConfigurationError, match="another way of paging"):
        paging.ask(state)


def test_a_trail_that_is_none_is_refused() -> None:
    """A position whose trail was tampered with is the user's mistake."""
    with pytest.raises(ConfigurationError, match="another way of paging"):
        CursorInBody(at="next").after({"cursor": "a", "trail": {"pages": "3"}}, _page({"next": "b"}))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (OffsetLimit, {"limit": 0}),
        (CursorInBody, {"at": "next", "limit": 0}),
        (CursorInHeader, {"header": "next", "max_pages": 0}),
        (Keyset, {"param": "since", "limit": -1}),
        (GraphQLConnection, {"query": "{}", "connection": "data", "page_size": 0}),
    ],
)
def test_sizes_of_nothing_are_refused(kind: Any, options: dict[str, Any]) -> None:
    """Pages hold something, and walks have a page."""
    with pytest.raises(ConfigurationError, match="1 or more"):
        kind(**options)


@pytest.mark.parametrize("paging", [PageNumber(), OffsetLimit(limit=5)])
def test_counted_pages_without_a_key_warn(paging: Paging) -> None:
    """Rows that move between counted pages, with no key to see it by, are worth a warning."""
    with pytest.warns(PagesMayShift, match=r"'orders'.*primary_key"):
        warn_if_pages_shift("orders", paging, ())


@pytest.mark.parametrize(
    ("paging", "key"),
    [
        (PageNumber(), ("id",)),
        (PageNumber(pin={"as_of": "as_of"}), ()),
        (OffsetLimit(limit=5, stable=True), ()),
        (CursorInBody(at="next"), ()),
        (SinglePage(), ()),
    ],
)
def test_nothing_else_warns(paging: Paging, key: tuple[str, ...]) -> None:
    """A key, a pin, data said to be stable, or a paging that does not count leave nothing to warn of."""
    warn_if_pages_shift("orders", paging, key)
