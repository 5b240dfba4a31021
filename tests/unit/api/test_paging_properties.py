"""What holds for every kind of paging and every server: honest ones give all, and no walk goes on for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api.paging import (
    Ask,
    CursorInBody,
    CursorInHeader,
    GraphQLConnection,
    Keyset,
    KnowsAhead,
    LinkHeader,
    NextLink,
    OffsetLimit,
    Page,
    PageNumber,
    Paging,
    SinglePage,
    placed,
)
from de_classes.errors import InvalidAnswer

URL = "https://api.example/v1/things"
QUERY = "query($after: String) { things { nodes { id } pageInfo { hasNextPage endCursor } } }"


@dataclass(frozen=True)
class Server:
    """An honest API: `count` records, cut into pages of these sizes, of which some are empty."""

    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.sizes)

    def records(self, begin: int, end: int) -> list[dict[str, int]]:
        return [{"id": n + 1} for n in range(begin, min(end, self.count))]

    def cut(self, number: int) -> list[dict[str, int]]:
        """The records of a page, counted from 0."""
        begin = sum(self.sizes[:number])
        return self.records(begin, begin + self.sizes[number]) if number < len(self.sizes) else []

    def slice(self, offset: int, limit: int) -> list[dict[str, int]]:
        """The records from an offset on, no more than the server's own limit of 5."""
        return self.records(offset, offset + min(limit, 5))

    def next(self, number: int) -> str | None:
        return f"c{number + 1}" if number + 1 < len(self.sizes) else None


Answers: TypeAlias = Callable[[Server, Ask], Page]
"""How an honest server answers a kind of paging."""


def _sent(ask: Ask) -> dict[str, Any]:
    return dict(ask.params) if ask.body is None else placed({}, ask.body)


def _number(cursor: str | None) -> int:
    return int(cursor[1:]) if cursor else 0


def _by_number(server: Server, ask: Ask) -> Page:
    records = server.cut(_sent(ask)["page"] - 1)
    return Page(URL, {"pages": len(server.sizes)}, records)


def _by_full_number(server: Server, ask: Ask) -> Page:
    return Page(URL, {}, server.records((_sent(ask)["page"] - 1) * 3, _sent(ask)["page"] * 3))


def _by_offset(server: Server, ask: Ask) -> Page:
    return Page(URL, {"total": server.count}, server.slice(_sent(ask)["offset"], _sent(ask)["limit"]))


def _by_thinned_offset(server: Server, ask: Ask) -> Page:
    """Pages of four each, of which some records are left out after the cut."""
    return Page(URL, {"total": 4 * len(server.sizes)}, server.cut(_sent(ask)["offset"] // 4))


def _by_cursor(server: Server, ask: Ask) -> Page:
    number = _number(_sent(ask).get("cursor"))
    following = server.next(number)
    answer = {"next": following, "more": following is not None}
    return Page(URL, answer, server.cut(number), headers={"x-next": following} if following else {})


def _by_link(server: Server, ask: Ask) -> Page:
    number = _number(ask.link.partition("=")[2] if ask.link else None)
    following = server.next(number)
    link = f"?at={following}" if following else None
    headers = {"link": f'<?at=c0>; rel="first", <{link}>; rel="next last"'} if link else {}
    return Page(
        URL if ask.link is None else f"https://api.example{ask.link}", {"next": link}, server.cut(number), (), headers
    )


def _by_key(server: Server, ask: Ask) -> Page:
    return Page(URL, {}, server.slice(_sent(ask).get("since", 0), _sent(ask).get("limit", 5)))


def _by_connection(server: Server, ask: Ask) -> Page:
    number = _number(_sent(ask)["variables"].get("after") if "variables" in _sent(ask) else None)
    following = server.next(number)
    info = {"hasNextPage": following is not None, "endCursor": following}
    return Page(URL, {"data": {"things": {"pageInfo": info}}}, server.cut(number))


def _whole(server: Server, ask: Ask) -> Page:
    return Page(URL, {}, server.records(0, server.count))


KINDS: dict[str, tuple[Callable[..., Paging], Answers]] = {
    "no paging": (lambda **_: SinglePage(), _whole),
    "page number with total": (lambda max_pages: PageNumber(total_pages_at="pages", max_pages=max_pages), _by_number),
    "page number": (lambda max_pages: PageNumber(max_pages=max_pages), _by_full_number),
    "offset with total": (lambda max_pages: OffsetLimit(limit=9, total_at="total", max_pages=max_pages), _by_offset),
    "offset": (lambda max_pages: OffsetLimit(limit=4, in_body=True, max_pages=max_pages), _by_offset),
    "offset to a short page": (
        lambda max_pages: OffsetLimit(limit=3, ends_at="short", max_pages=max_pages),
        _by_offset,
    ),
    "offset by the limit": (
        lambda max_pages: OffsetLimit(limit=4, total_at="total", advance_by="limit", max_pages=max_pages),
        _by_thinned_offset,
    ),
    "cursor": (lambda max_pages: CursorInBody(at="next", max_pages=max_pages), _by_cursor),
    "cursor and has_more": (
        lambda max_pages: CursorInBody(at="next", has_more_at="more", in_body=True, max_pages=max_pages),
        _by_cursor,
    ),
    "cursor in a header": (lambda max_pages: CursorInHeader(header="X-Next", max_pages=max_pages), _by_cursor),
    "next link": (lambda max_pages: NextLink(max_pages=max_pages), _by_link),
    "link header": (lambda max_pages: LinkHeader(max_pages=max_pages), _by_link),
    "keyset": (lambda max_pages: Keyset(param="since", max_pages=max_pages), _by_key),
    "keyset to a short page": (
        lambda max_pages: Keyset(param="since", limit=3, ends_at="short", max_pages=max_pages),
        _by_key,
    ),
    "graphql": (
        lambda max_pages: GraphQLConnection(query=QUERY, connection="data.things", max_pages=max_pages),
        _by_connection,
    ),
}

servers = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(tuple).map(Server)


def _walk(paging: Paging, answer: Callable[[Ask], Page], state: Any = None) -> Iterator[tuple[Any, Page]]:
    """Each state on the way, beginning with the one given, having been through JSON, and its page."""
    state = paging.start() if state is None else state
    while state is not None:
        page = answer(paging.ask(state))
        following = paging.after(state, page)
        yield state, page
        state = None if following is None else json.loads(json.dumps(following))


def _ids(pages: list[Page]) -> list[int]:
    return [record["id"] for page in pages for record in page.records]


@pytest.mark.parametrize("kind", KINDS)
@given(server=servers, data=st.data())
def test_an_honest_server_gives_each_record_once_from_any_state(kind: str, server: Server, data: st.DataObject) -> None:
    """A walk gives all records, each once and in order; taken up at any page, all from that page on."""
    make, answers = KINDS[kind]
    paging = make(max_pages=1000)
    walked = list(_walk(paging, lambda ask: answers(server, ask)))
    assert _ids([page for _, page in walked]) == list(range(1, server.count + 1))
    done = data.draw(st.integers(0, len(walked) - 1))
    rest = list(_walk(make(max_pages=1000), lambda ask: answers(server, ask), walked[done][0]))
    assert rest == walked[done:]
    assert all(len(json.dumps(state)) < 300 for state, _ in walked)


@pytest.mark.parametrize("kind", KINDS)
@given(server=servers)
def test_the_cap_is_exact(kind: str, server: Server) -> None:
    """A walk of as many pages as the cap is well, and one page fewer allowed is an error on the page before."""
    make, answers = KINDS[kind]
    pages = len(list(_walk(make(max_pages=1000), lambda ask: answers(server, ask))))
    assert len(list(_walk(make(max_pages=pages), lambda ask: answers(server, ask)))) == pages
    if pages > 1:
        read = []
        with pytest.raises(InvalidAnswer, match="max_pages"):
            read += _walk(make(max_pages=pages - 1), lambda ask: answers(server, ask))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "no paging"])
@given(data=st.data())
def test_a_dishonest_server_ends_with_an_error(kind: str, data: st.DataObject) -> None:
    """Whatever a server that always has a next page says, the walk ends with an error, at the latest at the cap."""
    paging = KINDS[kind][0](max_pages=20)
    asked = 0

    def answer(ask: Ask) -> Page:
        nonlocal asked
        asked += 1
        to = data.draw(st.integers(0, 30))
        info = {"hasNextPage": True, "endCursor": f"c{to}"}
        body = {"pages": 10**9, "total": 10**9, "next": f"?c{to}", "more": True, "data": {"things": {"pageInfo": info}}}
        first = data.draw(st.integers(0, 50))
        records = [{"id": first + n} for n in range(9)]
        return Page(URL, body, records, headers={"x-next": f"c{to}", "link": f"<?c{to}>; rel=next"})

    with pytest.raises(InvalidAnswer):
        list(_walk(paging, answer))
    assert asked <= 20


@pytest.mark.parametrize("kind", ["cursor", "cursor in a header", "next link", "link header", "graphql"])
@given(leads=st.lists(st.integers(1, 30), min_size=31, max_size=31))
def test_a_circle_is_found_before_three_times_its_way(kind: str, leads: list[int]) -> None:
    """However cursors lead to each other, a circle is found long before the cap, and never where there is none."""
    paging = KINDS[kind][0](max_pages=1000)
    way, at = [], 0
    while at not in way:
        way.append(at)
        at = leads[at]
    asked = 0

    def answer(ask: Ask) -> Page:
        nonlocal asked
        at = way[asked] if asked < len(way) else circle[(asked - len(way)) % len(circle)]
        asked += 1
        to = leads[at]
        info = {"hasNextPage": True, "endCursor": f"c{to}"}
        body = {"next": f"?c{to}", "data": {"things": {"pageInfo": info}}}
        return Page(f"{URL}?c{at}", body, [], headers={"x-next": f"c{to}", "link": f"<?c{to}>; rel=next"})

    circle = way[way.index(at) :]
    with pytest.raises(InvalidAnswer, match=r"circle|back to a page|stands in"):
        list(_walk(paging, answer))
    assert len(way) <= asked <= 3 * len(way) + 1


@pytest.mark.parametrize("kind", ["page number with total", "offset with total", "offset by the limit"])
@given(server=servers, most=st.integers(1, 9), fewer=st.integers(0, 20))
def test_pages_fetched_early_are_those_of_the_walk(kind: str, server: Server, most: int, fewer: int) -> None:
    """Asked for as early as `ahead` allows and matched by what was asked, pages are those of a walk one by one.

    So it is when the server loses records meanwhile, so that later pages are fewer: what was fetched early and does
    not match is left.
    """
    make, answers = KINDS[kind]
    paging = make(max_pages=1000)
    assert isinstance(paging, KnowsAhead)
    early: list[tuple[Ask, Page]] = []
    shrunk = Server(server.sizes[: max(1, len(server.sizes) - fewer)])
    pages, now, state = [], server, paging.start()
    following: Any = state
    while following is not None:
        state = following
        ask = paging.ask(state)
        if early and early[0][0] == ask:
            page = early.pop(0)[1]
        else:
            early, page = [], answers(now, ask)
        pages.append(page)
        wanted = [paging.ask(next_state) for next_state in paging.ahead(state, page, most)]
        assert len(wanted) <= most
        early = [(ask, known) for ask, known in early if ask in wanted]
        early += [(ask, answers(now, ask)) for ask in wanted[len(early) :]]
        following = paging.after(state, page)
        if fewer == 0:
            assert (following is None) == (not wanted)
            assert following is None or paging.ask(following) == wanted[0]
        now = shrunk
    ids = _ids(pages)
    assert ids == sorted(set(ids))
    assert set(range(1, shrunk.count + 1)) <= set(ids) <= set(range(1, server.count + 1))
