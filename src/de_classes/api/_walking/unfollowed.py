"""The warning about an answer that says there is more, where the walk ends with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from de_classes.api.paging import is_jsonpath
from de_classes.api.paging.link_header import MalformedLinksError, parse_links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.api.paging import Page
    from de_classes.api.resource import Resource

__all__ = ["PagesUnfollowed", "warn_if_unfollowed"]

_PLACES = frozenset({"meta", "metadata", "links", "_links", "pagination", "paging", "pageinfo", "page"})
"""Members of an answer in which APIs tell about its pages."""
_NEXT = frozenset(
    {
        *("next", "nextpage", "nextlink", "nexturl", "nexthref", "nextpageurl", "nextcursor", "nextpagetoken"),
        *("nexttoken", "continuationtoken", "nextmarker", "hasmore", "hasnextpage", "hasnext", "@odata.nextlink"),
    }
)
_TOTALS = frozenset({"total", "count", "totalcount", "totalitems", "totalrecords", "totalresults", "totalelements"})
_TOTAL_PAGES = frozenset({"pages", "totalpages", "pagecount", "numpages", "lastpage"})


class PagesUnfollowed(UserWarning):
    """An answer says that there are more pages, and the resource's paging takes it for the only one."""


def warn_if_unfollowed(resource: Resource, page: Page) -> None:
    """Warn of a walk that ends with its first page, though that tells of more.

    Warns:
        PagesUnfollowed: it has a link to the next page, a cursor, or says that it has more, or how many there are.

    """
    # A JSONPath may choose some of the records.
    hint = next(_hints(page, 0 if is_jsonpath(resource.records_at) else len(page.records)), None)
    if hint is not None:
        warnings.warn(
            # No URL: of a thousand parents' children one warning is enough.
            f"resource {resource.name!r}: an answer of {resource.path} says that there are more pages ({hint}), and"
            f" {type(resource.paging).__name__} takes it for the last one. Give the resource a paging that follows it,"
            " or correct where that looks.",
            PagesUnfollowed,
            stacklevel=2,
        )


def _hints(page: Page, seen: int) -> Iterator[str]:
    """What tells of more; totals only where so many records were seen that they can be compared."""
    try:
        if any("next" in link.rels for link in parse_links(page.headers.get("link", ""))):
            yield 'a Link header with rel="next"'
    except MalformedLinksError:
        pass  # whoever follows links tells about it
    if isinstance(page.answer, Mapping):
        yield from _members(page.answer, seen)
        for name, inner in page.answer.items():
            if _plain(name) in _PLACES and isinstance(inner, Mapping):
                yield from _members(inner, seen, f"{name}.")


def _members(answer: Mapping[str, Any], seen: int, before: str = "") -> Iterator[str]:
    for name, value in answer.items():
        plain, told = _plain(name), value.get("href") if isinstance(value, Mapping) else value
        if plain in _NEXT and isinstance(told, str | int) and told not in {"", 0, "false", "0"}:
            yield f"{before}{name}"
        elif type(value) is not int or not seen:
            continue
        elif plain in _TOTALS and value > seen:
            yield f"{before}{name} is {value}, and {seen} records came"
        elif plain in _TOTAL_PAGES and value > 1:
            yield f"{before}{name} is {value}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "") if name != "_links" else name
