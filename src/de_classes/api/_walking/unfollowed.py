"""The warning about an answer that says there is more, where the walk ends with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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


class PagesUnfollowed(UserWarning):
    """An answer says that there are more pages, and the resource's paging takes it for the only one."""


def warn_if_unfollowed(resource: Resource, page: Page) -> None:
    """Warn of a walk that ends with its first page, though that tells of more.

    Warns:
        PagesUnfollowed: it has a link to the next page, a cursor, or says that it has more.

    """
    hint = next(_hints(page), None)
    if hint is not None:
        warnings.warn(
            f"resource {resource.name!r}: {page.url} says that there are more pages ({hint}), and"
            f" {type(resource.paging).__name__} takes it for the last one. Give the resource a paging that follows it,"
            " or correct where that looks.",
            PagesUnfollowed,
            stacklevel=2,
        )


def _hints(page: Page) -> Iterator[str]:
    try:
        if any("next" in link.rels for link in parse_links(page.headers.get("link", ""))):
            yield 'a Link header with rel="next"'
    except MalformedLinksError:
        pass  # whoever follows links tells about it
    if isinstance(page.answer, Mapping):
        yield from _members(page.answer)
        for name, inner in page.answer.items():
            if _plain(name) in _PLACES and isinstance(inner, Mapping):
                yield from _members(inner, f"{name}.")


def _members(answer: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in answer.items():
        told = value.get("href") if isinstance(value, Mapping) else value
        if _plain(name) in _NEXT and isinstance(told, str | int) and told not in {"", 0, "false", "0"}:
            yield f"{before}{name}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "") if name != "_links" else name
