from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api.paging import NextLink, Page, PageNumber, SinglePage, dig
from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError, InvalidAnswer

if TYPE_CHECKING:
    from de_classes.api.paging import Paging

URL = "https://api.example/v2/orders?x=1"


def _walk(paging: Paging, answers: list[dict[str, Any]], state: Any = None) -> list[Any]:
    """Walk over the answers; gives what was asked for, each state having been through JSON."""
    state = paging.start() if state is None else state
    asked = []
    for answer in answers:
        assert state is not None, "the walk ended before the answers did"
        ask = paging.ask(state)
        asked.append(ask.link or dict(ask.params))
        state = paging.after(state, Page(URL, answer, answer["items"]))
        state = None if state is None else json.loads(json.dumps(state))
    assert state is None
    return asked


def test_a_single_page_has_no_next() -> None:
    """A resource without pages is asked once, without anything added."""
    assert _walk(SinglePage(), [{"items": [1]}]) == [{}]


def test_counts_pages_up_to_the_total() -> None:
    """Page numbers end at the total that the latest answer has."""
    paging = PageNumber(per_page=2, total_pages_at="meta.pages")
    answers = [{"items": [n], "meta": {"pages": pages}} for n, pages in enumerate((2, 3, 3))]
    assert _walk(paging, answers) == [{"page": n, "per_page": 2} for n in (1, 2, 3)]


def test_a_total_of_no_pages_ends_the_walk() -> None:
    """An empty resource that says it has no pages is asked once."""
    assert _walk(PageNumber(total_pages_at="pages"), [{"items": [], "pages": 0}]) == [{"page": 1}]


def test_goes_on_over_an_empty_page_before_the_total() -> None:
    """With a known total, an empty page in the middle is no end."""
    answers = [{"items": items, "pages": 3} for items in ([1], [], [2])]
    assert len(_walk(PageNumber(total_pages_at="pages"), answers)) == 3


def test_without_a_total_only_an_empty_page_is_the_end() -> None:
    """A page that is merely short is not taken for the last one."""
    paging = PageNumber(param="p", first=0, per_page=100, per_page_param="limit")
    answers = [{"items": [1, 2]}, {"items": [3]}, {"items": []}]
    assert _walk(paging, answers) == [{"p": n, "limit": 100} for n in (0, 1, 2)]


def test_pins_go_with_every_later_request() -> None:
    """Values of the first answer are sent back unchanged until the end, also after a resumption."""
    paging = PageNumber(total_pages_at="pages", pin={"as_of": "meta.at"})
    answers = [{"items": [n], "pages": 3, "meta": {"at": f"day {n}"}} for n in range(3)]
    assert _walk(paging, answers) == [{"page": 1}, {"page": 2, "as_of": "day 0"}, {"page": 3, "as_of": "day 0"}]


def test_a_missing_pin_is_refused() -> None:
    """An answer without the value to pin is invalid, since pages might shift."""
    with pytest.raises(InvalidAnswer, match="pin"):
        _walk(PageNumber(pin={"as_of": "as_of"}), [{"items": [1]}])


@pytest.mark.parametrize("total", [None, "3", True, 2.5])
def test_a_total_that_is_no_number_is_refused(total: Any) -> None:
    """The number of pages must be a whole number."""
    with pytest.raises(InvalidAnswer, match="total_pages_at"):
        _walk(PageNumber(total_pages_at="pages"), [{"items": [1], "pages": total}])


def test_the_same_records_twice_in_a_row_are_a_circle() -> None:
    """An API that ignores the page number is found out at the second page, across resumptions, too."""
    with pytest.raises(InvalidAnswer, match="very records"):
        _walk(PageNumber(), [{"items": [{"id": 1}]}] * 3)


def test_follows_links_absolute_and_relative() -> None:
    """Links are kept as path and query, whatever their form, and an empty one is the end."""
    answers = [
        {"items": [], "links": {"next": link}}
        for link in ("https://api.example/v2/orders?c=2", "/v2/orders?c=3", "?c=4", "HTTPS://API.example:443/z?c=5", "")
    ]
    assert _walk(NextLink("links.next"), answers) == [
        {},
        "/v2/orders?c=2",
        "/v2/orders?c=3",
        "/v2/orders?c=4",
        "/z?c=5",
    ]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v2/orders?c=2",
        "http://api.example/v2/orders?c=2",
        "https://api.example:8443/v2/orders",
        "//evil.example/x",
        "https://api.example@evil.example/",
        "https://api.example:port/",
        "ftp://api.example/x",
    ],
)
def test_a_link_to_another_origin_is_refused(link: str) -> None:
    """A next link that leads to another scheme, host or port is not followed."""
    with pytest.raises(InvalidAnswer, match="another origin"):
        NextLink().after({}, Page(URL, {"next": link}, []))


@pytest.mark.parametrize(("state", "link"), [({"link": "/v2/orders?c=2"}, "?c=2"), ({}, URL)])
def test_a_link_to_its_own_page_is_refused(state: dict[str, str], link: str) -> None:
    """A page whose next link leads to itself is found out."""
    with pytest.raises(InvalidAnswer, match="stands in"):
        NextLink().after(state, Page(URL, {"next": link}, [1]))


def test_a_link_that_is_no_text_is_refused() -> None:
    """The next link must be text."""
    with pytest.raises(InvalidAnswer, match="no text"):
        NextLink().after({}, Page(URL, {"next": 2}, []))


@pytest.mark.parametrize(
    ("paging", "state"),
    [
        (PageNumber(), {"link": "/x"}),
        (NextLink(), {"link": 3}),
        (NextLink(), {"number": 2}),
        (SinglePage(), {"number": 2}),
    ],
)
def test_a_state_of_another_paging_is_refused(paging: Paging, state: Any) -> None:
    """A position that another way of paging left is the user's mistake."""
    with pytest.raises(ConfigurationError, match="another way of paging"):
        paging.ask(state)


@given(pages=st.integers(1, 30), data=st.data())
def test_a_walk_can_be_resumed_anywhere(pages: int, data: st.DataObject) -> None:
    """From the state after any page, the walk asks for exactly the pages that the whole walk asks for after it."""
    paging = PageNumber(per_page=5, total_pages_at="pages", pin={"as_of": "as_of"})
    answers = [{"items": [n], "pages": pages, "as_of": 7 if n == 0 else 8} for n in range(pages)]
    whole = _walk(paging, answers)
    done = data.draw(st.integers(0, pages - 1))
    state: Any = paging.start()
    for answer in answers[:done]:
        state = json.loads(json.dumps(paging.after(state, Page(URL, answer, answer["items"]))))
    assert _walk(paging, answers[done:], state) == whole[done:]


def test_digs_only_through_objects() -> None:
    """A dotted path gives what stands there, and None where there is no such place."""
    assert dig({"a": {"b": 0}}, "a.b") == 0
    assert dig({"a": [1]}, "a.b") is None
    assert dig([1], "a") is None


def test_a_page_size_of_nothing_is_refused() -> None:
    """Pages must hold something."""
    with pytest.raises(ConfigurationError, match="per_page"):
        PageNumber(per_page=0)


def test_a_secret_that_the_link_repeats_is_not_kept() -> None:
    """A parameter of the request that is secret stays out of the state, which others will see."""
    answer = {"next": "/orders?api_key=s3cret+x&page=2"}
    page = Page("https://api.example/orders?api_key=***", answer, [], (Secret("s3cret x"),))
    assert NextLink().after({}, page) == {"link": "/orders?page=2"}


def test_a_walk_keeps_the_size_of_its_pages() -> None:
    """A walk that is resumed with another `per_page` asks for pages of the size that its numbers mean."""
    begun = PageNumber(per_page=100, stable=True)
    state = begun.after(begun.start(), Page("http://api.example", {}, [{"id": 1}]))
    assert state is not None
    resumed = PageNumber(per_page=1000, stable=True)
    assert resumed.ask(json.loads(json.dumps(state))).params == {"page": 2, "per_page": 100}
    assert resumed.ask(resumed.start()).params == {"page": 1, "per_page": 1000}
