"""Pages that are counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from de_classes.errors import InvalidAnswer

from ._states import (
    MAX_PAGES,
    Trail,
    check_kinds,
    check_positive,
    digest_of_records,
    own_state,
    pinned,
    pins_of,
    total_at,
    whole_number,
)
from .dotted import check_selectors
from .protocol import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import JsonValue

    from .protocol import Page, PageState

__all__ = ["PageNumber"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber:
    """Pages are counted: `?page=1`, `?page=2`, ...

    With `total_pages_at` (a dotted path in the answer) the walk ends at that number, as the latest answer has it.
    Without, it ends at the first page that has no records; a page that is merely short is no end, since servers cut
    `per_page` down. A page with the records of an earlier one (sixteen of them are looked at) is an error, and so is
    a page after `max_pages`.

    `pin` names parameters whose values are taken from the first answer and sent with every later request of the walk,
    resumed ones included, so that pages do not shift while they are read: `pin={"as_of": "meta.as_of"}`. Without a
    pin, and unless the API sorts by something that new and changed records get at the end (`stable=True` says that it
    does, or that nothing changes), rows that move between pages can be missed, or come twice. A walk keeps the
    `per_page` that it began with, also when it is resumed with another one.

    `in_body` sends all of it in the JSON body of a POST, where `param`, `per_page_param` and the names of pins are
    dotted paths.
    """

    param: str = "page"
    first: int = 1
    per_page: int | None = None
    per_page_param: str = "per_page"
    total_pages_at: str | None = None
    pin: Mapping[str, str] = field(default_factory=dict)
    stable: bool = False
    in_body: bool = False
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("PageNumber", per_page=self.per_page, max_pages=self.max_pages)
        check_selectors("PageNumber", {**self.pin, "total_pages_at": self.total_pages_at})

    @property
    def may_shift(self) -> bool:
        """Whether rows may move between pages while they are read."""
        return not self.stable and not self.pin

    def start(self) -> PageState:
        """The first page's number."""
        return {"number": self.first}

    def ask(self, state: PageState) -> Ask:
        """The number, the size, and what is pinned."""
        # "seen" is what earlier versions kept in the place of a trail.
        values: dict[str, Any] = {
            self.param: whole_number(own_state(state, "number", "size", "pins", "seen"), "number")
        }
        if size := self._size(state):
            values[self.per_page_param] = size["size"]
        values.update(pins_of(state))
        return Ask.by(values, in_body=self.in_body)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next number, unless this is the last.

        Raises:
            InvalidAnswer: the answer lacks the number of pages or a value to pin, has the records of an earlier page,
                or the walk goes beyond its cap.

        """
        number = whole_number(state, "number")
        if self.total_pages_at is None:
            if not page.records:
                return None
        elif number >= self._last(page):
            return None
        trail, seen = Trail.of(state, begun=number > self.first), digest_of_records(page.records)
        if seen in trail:
            raise InvalidAnswer(
                page.url,
                "this page has the very records of a page before it",
                f"The API seems not to know the parameter {self.param!r}, or to give its last page for ever: see how "
                "it wants pages to be asked for, and whether it tells their number: total_pages_at=...",
            )
        further = trail.past(seen).kept(page, self.max_pages)
        return {"number": number + 1, **self._size(state), **pinned(state, page, self.pin), **further}

    def ahead(self, state: PageState, page: Page, most: int) -> Sequence[PageState]:
        """The next pages up to the total; none where the total is not known."""
        if self.total_pages_at is None:
            return ()
        number = whole_number(state, "number")
        last = min(self._last(page), self.first + self.max_pages - 1, number + most)
        kept = {**self._size(state), **pinned(state, page, self.pin)}
        return [{"number": n, **kept} for n in range(number + 1, last + 1)]

    def _size(self, state: PageState) -> Mapping[str, JsonValue]:
        """The size of this walk's pages: a number means another page where they have another size."""
        begun = whole_number(state, "number") > self.first
        size = whole_number(state, "size") if "size" in state else None if begun else self.per_page
        return {} if size is None else {"size": size}

    def _last(self, page: Page) -> int:
        return self.first - 1 + total_at(page, self.total_pages_at or "", "total_pages_at")
