from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api.paging import LinkHeader, NextLink, Page
from de_classes.api.paging.link_header import Link, MalformedLinksError, parse_links
from de_classes.errors import InvalidAnswer

URL = "https://api.example/v2/orders?page=1"
NEXT = frozenset({"next"})


def _after(header: str | None, state: Any = None, **options: Any) -> Any:
    headers = {} if header is None else {"link": header}
    return LinkHeader(**options).after(state or {}, Page(URL, {}, [], headers=headers))


@pytest.mark.parametrize(
    ("header", "links"),
    [
        ("", []),
        (" , ,", []),
        ("<>", [Link("", frozenset())]),
        ('<?p=2>; rel="next"', [Link("?p=2", NEXT)]),
        ("<?p=2>;rel=next", [Link("?p=2", NEXT)]),
        ('<?p=2> ; REL = "NEXT"', [Link("?p=2", NEXT)]),
        ('<?p=2>; rel="prefetch  next"', [Link("?p=2", frozenset({"prefetch", "next"}))]),
        ('<?a=1,2;b>; rel="next"; title="last, <x>; rel=\\"prev\\""', [Link("?a=1,2;b", NEXT)]),
        ('<?p=2>; rel="ne\\xt"', [Link("?p=2", NEXT)]),
        ("<?p=2>; rel=next; rel=prev", [Link("?p=2", NEXT)]),
        ("<?p=2>;;rel=next; flag ;", [Link("?p=2", NEXT)]),
        ("<?p=2>; title*=UTF-8'de'n%c3%a4chstes; rel=next", [Link("?p=2", NEXT)]),
        ("<?p=2>; rel=next,<?p=0>; rel=prev", [Link("?p=2", NEXT), Link("?p=0", frozenset({"prev"}))]),
        ('<?p=2>; rel=next; anchor="#part"', [Link("?p=2", NEXT, "#part")]),
        ("<?p=2>; rev=next", [Link("?p=2", frozenset())]),
    ],
)
def test_reads_what_the_rfc_allows(header: str, links: list[Link]) -> None:
    """Quotes, escapes, commas inside of them, lists of relations and empty elements are read as RFC 8288 has them."""
    assert parse_links(header) == links


@pytest.mark.parametrize(
    "header", ["?p=2; rel=next", "<?p=2", '<?p=2>; rel="next', "<?p=2> rel=next", "<?p=2>; rel=next <?p=3>", "<a<b>"]
)
def test_a_header_that_breaks_off_is_refused(header: str) -> None:
    """What is no list of links is an invalid answer, and the message repeats nothing of it."""
    with pytest.raises(MalformedLinksError) as failure:
        parse_links(header)
    assert "p=" not in str(failure.value)
    with pytest.raises(InvalidAnswer, match="RFC 8288"):
        _after(header)


_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(st.lists(st.tuples(st.from_regex(r"[!#-;=?-~]*", fullmatch=True), _TEXT, st.booleans()), max_size=5))
def test_whatever_is_quoted_is_read_back(written: list[tuple[str, str, bool]]) -> None:
    """Any list of links with quoted texts comes back with the same targets and anchors, in order."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(f"<{target}>; anchor={quoted(text)}{'; rel=next' * rel}" for target, text, rel in written)
    assert parse_links(header) == [Link(target, NEXT if rel else frozenset(), text) for target, text, rel in written]


def test_follows_the_next_link_of_a_header() -> None:
    """The next page is the link with the relation asked for, wherever it stands in the list; without one, none."""
    assert _after("<?page=0>; rel=prev, </v2/orders?page=2>; rel=next") == {"link": "/v2/orders?page=2"}
    assert _after("<?page=9>; rel=last", rel="Last") == {"link": "/v2/orders?page=9"}
    assert _after("<?page=0>; rel=prev") is None
    assert _after(None) is None
    assert LinkHeader().ask({"link": "/x?page=2"}).link == "/x?page=2"


def test_a_link_about_something_else_is_not_followed() -> None:
    """A link whose anchor is another page says nothing about this one; one that names this page does."""
    assert _after('<?page=2>; rel=next; anchor="/v2/customers"') is None
    assert _after(f'<?page=2>; rel=next; anchor="{URL}"') == {"link": "/v2/orders?page=2"}


def test_the_same_next_link_twice_is_one_and_two_are_refused() -> None:
    """A link that is repeated is followed; two that differ leave open what comes next."""
    assert _after("<?page=2>; rel=next, </v2/orders?page=2>; rel=next") == {"link": "/v2/orders?page=2"}
    with pytest.raises(InvalidAnswer, match="2 different links"):
        _after("<?page=2>; rel=next, <?page=3>; rel=next")


def test_a_header_that_leads_to_another_origin_is_refused() -> None:
    """Links of headers go nowhere that links of bodies may not go."""
    with pytest.raises(InvalidAnswer, match="another origin"):
        _after("<https://evil.example/>; rel=next")


@pytest.mark.parametrize("into", [0, 1, 3, 9])
@pytest.mark.parametrize("length", [2, 3, 4, 5, 17, 50])
def test_a_circle_of_links_ends(into: int, length: int) -> None:
    """A circle of any length is found: before a page is read twice up to four, and within three rounds beyond."""
    paging, state, read, found = NextLink(), NextLink().start(), 0, False
    while not found:
        read += 1
        following = read if read < into + length else into + (read - into) % length
        page = Page("https://api.example/x", {"next": f"?c={following}"}, [])
        try:
            state = json.loads(json.dumps(paging.after(state, page)))
        except InvalidAnswer as error:
            found = "back to a page" in error.fact
    assert len(json.dumps(state)) < 250
    # The first page has no link of its own that a circle could be known by.
    assert read <= (into + length + (into == 0) if length <= 4 else 3 * (into + length) + 1)


@pytest.mark.parametrize("paging", [NextLink(max_pages=3), LinkHeader(max_pages=3)])
def test_more_pages_than_the_cap_are_an_error(paging: NextLink | LinkHeader) -> None:
    """A walk of as many pages as the cap is well; a next page beyond it is refused, and can be had by a larger cap."""
    state = paging.start()
    for n in (2, 3):
        state = paging.after(state, Page(URL, {"next": f"?c={n}"}, [], headers={"link": f"<?c={n}>; rel=next"})) or {}
    assert paging.after(state, Page(URL, {}, [])) is None
    beyond = Page(URL, {"next": "?c=4"}, [], headers={"link": "<?c=4>; rel=next"})
    with pytest.raises(InvalidAnswer, match="max_pages=3"):
        paging.after(state, beyond)
    assert type(paging)(max_pages=4).after(state, beyond) is not None


def test_a_target_that_is_no_url_is_told() -> None:
    """A link whose target no reader of URLs takes is an answer that is wrong."""
    page = Page("https://api.example/orders", {}, [], headers={"link": '<https://[>; rel="next"'})
    with pytest.raises(InvalidAnswer, match="no list of links"):
        LinkHeader().after({}, page)
