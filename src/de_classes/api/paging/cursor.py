"""Cursors: texts or numbers of the API's own that say where the next page begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.errors import InvalidAnswer

from ._states import MAX_PAGES, Trail, check_kinds, check_positive, digest, own_state
from .dotted import check_selectors, dig
from .protocol import Ask

if TYPE_CHECKING:
    from de_classes.contracts import JsonValue

    from .protocol import Page, PageState

__all__ = ["CursorInBody", "CursorInHeader", "following_cursor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorInBody:
    """Every answer has the cursor of the next page at `at` (a dotted path), which is sent back as `param`.

    The walk ends where the cursor is missing, null or an empty text. With `has_more_at` (a dotted path to true or
    false) it ends at false, whatever the cursor; true without a cursor is an error. An empty page with a cursor goes
    on. A cursor that came before is an error, and so are the records of the page before under a new cursor (sixteen
    of them are looked at), and a page after `max_pages`.

    `first` is the cursor of the first page, where the API wants one. `in_body` sends all of it in the JSON body of a
    POST, where `param` and `limit_param` are dotted paths; there a cursor may also be an array or an object.
    """

    at: str
    param: str = "cursor"
    has_more_at: str | None = None
    first: str | int | None = None
    limit: int | None = None
    limit_param: str = "limit"
    in_body: bool = False
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("CursorInBody", limit=self.limit, max_pages=self.max_pages)
        check_selectors("CursorInBody", {"at": self.at, "has_more_at": self.has_more_at})

    def start(self) -> PageState:
        """No cursor yet."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The cursor and the limit."""
        values = _values(state, self.first, self.param, {self.limit_param: self.limit})
        return Ask.by(values, in_body=self.in_body)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next cursor, unless this is the last page.

        Raises:
            InvalidAnswer: what stands in the cursor's place, or in that of `has_more_at`, is of another kind, the
                cursor came before, or the walk goes beyond its cap.

        """
        more = None if self.has_more_at is None else dig(page.answer, self.has_more_at)
        if self.has_more_at is not None and not isinstance(more, bool):
            raise InvalidAnswer(
                page.url, f"there is neither true nor false at {self.has_more_at!r}", "Correct has_more_at=..."
            )
        cursor = dig(page.answer, self.at)
        missing = cursor is None or cursor == ""
        if more and missing:
            raise InvalidAnswer(
                page.url,
                f"there are more pages ({self.has_more_at!r} is true), and no cursor at {self.at!r}",
                "Correct CursorInBody(at=...) to where the cursor stands.",
            )
        if more is False or missing:
            return None
        if not _is_cursor(cursor, nested=self.in_body):
            raise InvalidAnswer(
                page.url, f"the cursor at {self.at!r} is no text or whole number", "Correct CursorInBody(at=...)."
            )
        return following_cursor(state, page, cursor, self.first, self.max_pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorInHeader:
    """Every answer has the cursor of the next page in the header `header`, which is sent back as `param`.

    The walk ends where the header is missing or empty. An empty page with a cursor goes on. For what is an
    error, and for the other options, see CursorInBody.
    """

    header: str
    param: str = "cursor"
    first: str | int | None = None
    limit: int | None = None
    limit_param: str = "limit"
    in_body: bool = False
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("CursorInHeader", limit=self.limit, max_pages=self.max_pages)

    def start(self) -> PageState:
        """No cursor yet."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The cursor and the limit."""
        values = _values(state, self.first, self.param, {self.limit_param: self.limit})
        return Ask.by(values, in_body=self.in_body)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next cursor, unless this is the last page.

        Raises:
            InvalidAnswer: the cursor came before, or the walk goes beyond its cap.

        """
        cursor = page.headers.get(self.header.lower(), "").strip()
        return following_cursor(state, page, cursor, self.first, self.max_pages) if cursor else None


def following_cursor(
    state: PageState, page: Page, cursor: JsonValue, first: JsonValue, max_pages: int
) -> dict[str, JsonValue]:
    """The state of a next cursor; `first` is the first page's.

    Raises:
        InvalidAnswer: the cursor came before, the records are those of the page before, or the walk goes beyond its
            cap.

    """
    begun = "cursor" in state
    own = state.get("cursor", first)
    trail = Trail.of(state, begun=begun).past("" if own is None else digest(own))
    if digest(cursor) in trail:
        raise InvalidAnswer(
            page.url,
            "the cursor of the next page came before: the walk would go in a circle",
            "Is the cursor sent under the name that the API expects? If so, report it to the API's makers.",
        )
    return {"cursor": cursor, **trail.showing(page).kept(page, max_pages)}


def _values(state: PageState, first: JsonValue, param: str, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    cursor = own_state(state, "cursor").get("cursor", first)
    values = {param: cursor, **sizes}
    return {name: value for name, value in values.items() if value is not None}


def _is_cursor(value: Any, *, nested: bool) -> bool:
    if isinstance(value, str | int):
        return nested or not isinstance(value, bool)
    if not nested:
        return False
    if isinstance(value, Mapping):
        return all(_is_cursor(item, nested=True) for item in value.values())
    if isinstance(value, list):
        return all(_is_cursor(item, nested=True) for item in value)
    return value is None
