"""Pages that begin after the last key of the page before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from de_classes.errors import ConfigurationError, InvalidAnswer

from ._states import MAX_PAGES, Trail, check_kinds, check_positive, digest, foreign_state, own_state
from .dotted import dig
from .protocol import Ask

if TYPE_CHECKING:
    from .protocol import Page, PageState

__all__ = ["Keyset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """Records are sorted by a key, and the last one of a page is the next page's parameter: `?since_id=4711`.

    `key` is a dotted path in a record, to a text or a whole number that no other record has. The API must sort by it,
    up or down as `direction` says, and take `param` as exclusive. Both are checked as far as the first and the last
    record of each page show it: numbers must go on in the direction, and texts, whose order is the API's own, must
    not be those of the page before.

    The walk ends at the first page without records; with `ends_at="short"` also at one that has fewer than `limit`,
    which saves a request and loses rows where a server cuts the limit down. A key that came before is an error, and
    so is a page after `max_pages`. `in_body` sends all of it in the JSON body of a POST, where `param` and
    `limit_param` are dotted paths.
    """

    param: str
    key: str = "id"
    direction: Literal["ascending", "descending"] = "ascending"
    limit: int | None = None
    limit_param: str = "limit"
    ends_at: Literal["empty", "short"] = "empty"
    in_body: bool = False
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("Keyset", limit=self.limit, max_pages=self.max_pages)
        if self.ends_at == "short" and self.limit is None:
            raise ConfigurationError("Keyset", "ends_at='short' without a limit", "Give limit=..., as the API has it.")

    def start(self) -> PageState:
        """No key yet."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The last key and the limit."""
        pairs = {self.param: _key_of(state), self.limit_param: self.limit}
        values: dict[str, Any] = {name: value for name, value in pairs.items() if value is not None}
        return Ask.by(values, in_body=self.in_body)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The last key of this page, unless it is the last page.

        Raises:
            InvalidAnswer: a record has no key, the keys do not go on in their direction, or the walk goes beyond its
                cap.

        """
        if not page.records:
            return None
        own, first, last = _key_of(state), self._key(page, 0), self._key(page, -1)
        self._check_order(page, own, first, last)
        trail = Trail.of(state, begun=own is not None).past("" if own is None else digest(own))
        if digest(last) in trail:
            raise InvalidAnswer(
                page.url,
                "the last key of this page is that of a page before it: the walk would go in a circle",
                f"Does the API know the parameter {self.param!r}, and sort by {self.key!r}?",
            )
        if self.ends_at == "short" and len(page.records) < (self.limit or 0):
            return None
        return {"key": last, **trail.kept(page, self.max_pages)}

    def _key(self, page: Page, at: int) -> str | int:
        key = dig(page.records[at], self.key)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise InvalidAnswer(
                page.url,
                f"the {'last' if at else 'first'} record has no text or whole number at {self.key!r}",
                "Correct Keyset(key=...).",
            )
        return key

    def _check_order(self, page: Page, own: str | int | None, first: str | int, last: str | int) -> None:
        if own is not None and first == own:
            raise InvalidAnswer(
                page.url,
                f"this page begins with the record that the page before ended with ({self.key!r} is {own!r})",
                f"The API takes {self.param!r} as inclusive, or does not know it: find a parameter that means `after`.",
            )
        if self._goes_back(own, first) or self._goes_back(first, last):
            raise InvalidAnswer(
                page.url,
                f"the records are not sorted by {self.key!r}, {self.direction}, from {own!r} on: "
                f"the first has {first!r}, the last {last!r}",
                "Ask the API to sort by the key, or correct direction=...",
            )

    def _goes_back(self, one: str | int | None, other: str | int) -> bool:
        if not isinstance(one, int) or not isinstance(other, int):
            return False
        return other < one if self.direction == "ascending" else other > one


def _key_of(state: PageState) -> str | int | None:
    key = own_state(state, "key").get("key")
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise foreign_state(state)
    return key
