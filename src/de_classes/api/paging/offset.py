"""Pages that are asked for by how many records come before them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from de_classes.errors import ConfigurationError, InvalidAnswer

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

    from .protocol import Page, PageState

__all__ = ["OffsetLimit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetLimit:
    """Records are skipped: `?offset=0&limit=100`, `?offset=100&limit=100`, ...

    With `total_at` (a dotted path in the answer to the number of records) the walk ends there, as the latest answer
    has it. Without, it ends at the first page without records; with `ends_at="short"` also at one that has fewer than
    `limit`, which saves a request and loses rows where a server cuts the limit down. A page with the records of an
    earlier one is an error, and so is a page after `max_pages`.

    The offset goes on by the number of records that came (`advance_by="records"`), which is right whatever a server
    makes of the limit. Where records are left out of pages after they were cut, as those that the user may not see,
    it must go on by the limit: `advance_by="limit"`, with a total, for such a page may be empty and not the last.

    For `pin`, `stable` and `in_body` see PageNumber: rows move between these pages as well.
    """

    limit: int
    limit_param: str = "limit"
    param: str = "offset"
    first: int = 0
    total_at: str | None = None
    ends_at: Literal["empty", "short"] = "empty"
    advance_by: Literal["records", "limit"] = "records"
    pin: Mapping[str, str] = field(default_factory=dict)
    stable: bool = False
    in_body: bool = False
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("OffsetLimit", limit=self.limit, max_pages=self.max_pages)
        check_selectors("OffsetLimit", {**self.pin, "total_at": self.total_at})
        if self.ends_at == "short" and (self.total_at is not None or self.advance_by == "limit"):
            raise ConfigurationError(
                "OffsetLimit",
                "ends_at='short' together with total_at or advance_by='limit'",
                "Short pages are the end, or they are not: leave one of them out.",
            )
        if self.advance_by == "limit" and self.total_at is None:
            raise ConfigurationError(
                "OffsetLimit",
                "advance_by='limit' without total_at: a page whose records are all left out would be taken for the end",
                "Name where the answer has the total: total_at=...",
            )

    @property
    def may_shift(self) -> bool:
        """Whether rows may move between pages while they are read."""
        return not self.stable and not self.pin

    def start(self) -> PageState:
        """The first page's offset."""
        return {"offset": self.first}

    def ask(self, state: PageState) -> Ask:
        """The offset, the limit, and what is pinned."""
        offset = whole_number(own_state(state, "offset", "pins"), "offset")
        values: dict[str, Any] = {self.param: offset, self.limit_param: self.limit, **pins_of(state)}
        return Ask.by(values, in_body=self.in_body)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next offset, unless this is the last page.

        Raises:
            InvalidAnswer: the answer lacks the total or a value to pin, has no records although the total says that
                there are more, has the records of an earlier page, or the walk goes beyond its cap.

        """
        offset = whole_number(state, "offset")
        if self._is_last(offset, page):
            return None
        step = self._step(page)
        if not step:
            raise InvalidAnswer(
                page.url,
                f"there are no records at offset {offset}, and the total at {self.total_at!r} is larger",
                "If pages lack records that you may not see, give advance_by='limit'; if the total counts what is not "
                "listed, leave total_at out.",
            )
        trail, seen = Trail.of(state, begun=offset > self.first), digest_of_records(page.records)
        if seen in trail:
            raise InvalidAnswer(
                page.url,
                "this page has the very records of a page before it",
                f"The API seems not to know the parameter {self.param!r}: see how it wants pages to be asked for.",
            )
        return {"offset": offset + step, **pinned(state, page, self.pin), **trail.past(seen).kept(page, self.max_pages)}

    def ahead(self, state: PageState, page: Page, most: int) -> Sequence[PageState]:
        """The next pages up to the total, taken to be as long as this one; none where the total is not known."""
        offset, step = whole_number(state, "offset"), self._step(page)
        if self.total_at is None or not step:
            return ()
        allowed = self.max_pages - Trail.of(state, begun=offset > self.first).pages - 1
        end = self.first + total_at(page, self.total_at, "total_at")
        return [
            {"offset": at, **pinned(state, page, self.pin)}
            for at in range(offset + step, end, step)[: max(0, min(most, allowed))]
        ]

    def _step(self, page: Page) -> int:
        return self.limit if self.advance_by == "limit" else len(page.records)

    def _is_last(self, offset: int, page: Page) -> bool:
        if self.total_at is not None:
            return offset + self._step(page) >= self.first + total_at(page, self.total_at, "total_at")
        return not page.records or (self.ends_at == "short" and len(page.records) < self.limit)
