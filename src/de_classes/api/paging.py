"""Where the next page is: decisions without I/O.

A traversal of all pages is a walk over *states*. A state is small JSON and says all about which page comes next, so a
walk can be taken up again from any of them, in another process, on another day::

    state = paging.start()
    while state is not None:
        ask = paging.ask(state)                 # what to send, besides the resource's own path and parameters
        state = paging.after(state, page)       # what comes after the page that was answered; None: it was the last
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from de_classes.contracts import JsonValue
from de_classes.errors import ConfigurationError, InvalidAnswer

from .messages import same_origin_path, without_query, without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.configs.secrets import Secret

    from .messages import Param

__all__ = ["Ask", "NextLink", "Page", "PageNumber", "PageState", "Paging", "SinglePage", "dig"]

PageState: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Ask:
    """How to ask for a page: parameters to add to the resource's own, or a link that replaces path and parameters."""

    params: Mapping[str, Param] = field(default_factory=dict)
    link: str | None = None
    """Path and query, from the root of the API's origin."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was answered."""

    url: str
    answer: Any
    """The decoded JSON."""
    records: Sequence[Any]
    """The records in it."""
    secrets: tuple[Secret, ...] = ()
    """What it was asked with and nobody may keep: links repeat parameters."""


class Paging(Protocol):
    """A way of paging; see the module's docstring for how it is walked."""

    def start(self) -> PageState:
        """The state of the first page."""
        ...

    def ask(self, state: PageState) -> Ask:
        """How to ask for the page of this state."""
        ...

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The state of the page after this one, or None when there is none.

        Raises:
            InvalidAnswer: the page does not say what comes next, or the walk goes in a circle.

        """
        ...


@dataclass(frozen=True, slots=True)
class SinglePage:
    """All records are in one answer."""

    def start(self) -> PageState:
        """The one state there is."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """Ask as the resource says."""
        if state:
            raise _foreign_state(state)
        return Ask()

    def after(self, state: PageState, page: Page) -> PageState | None:  # noqa: ARG002 -- the protocol's
        """Nothing comes after it."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber:
    """Pages are counted: `?page=1`, `?page=2`, ...

    With `total_pages_at` (a dotted path in the answer) the walk ends at that number, as the latest answer has it.
    Without, it ends at the first page that has no records; a page that is merely short is no end, since servers cut
    `per_page` down.

    `pin` names parameters whose values are taken from the first answer and sent with every later request of the walk,
    resumed ones included, so that pages do not shift while they are read: `pin={"as_of": "meta.as_of"}`. Without a
    pin, and unless the API sorts by something that new and changed records get at the end, rows that move between
    pages can be missed.
    """

    param: str = "page"
    first: int = 1
    per_page: int | None = None
    per_page_param: str = "per_page"
    total_pages_at: str | None = None
    pin: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.per_page is not None and self.per_page < 1:
            raise ConfigurationError("PageNumber", f"per_page={self.per_page}", "Give 1 or more, or None.")

    def start(self) -> PageState:
        """The first page's number."""
        return {"number": self.first}

    def ask(self, state: PageState) -> Ask:
        """The number, the size, and what is pinned."""
        params: dict[str, Param] = {self.param: _number(state)}
        if self.per_page is not None:
            params[self.per_page_param] = self.per_page
        pins = state.get("pins") or {}
        if not isinstance(pins, Mapping):
            raise _foreign_state(state)
        return Ask({**params, **pins})  # type: ignore[dict-item]  # pins are checked to be scalars when they are taken

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next number, unless this is the last.

        Raises:
            InvalidAnswer: the answer lacks the number of pages or a value to pin, or repeats the page before.

        """
        number = _number(state)
        if self.total_pages_at is None:
            if not page.records:
                return None
        elif number - self.first + 1 >= self._total(page):
            return None
        following: dict[str, JsonValue] = {"number": number + 1}
        if pins := state.get("pins") or self._pinned(page):
            following["pins"] = pins
        if page.records:
            following["seen"] = _fingerprint(page.records)
            if following["seen"] == state.get("seen"):
                raise InvalidAnswer(
                    page.url,
                    "this page has the very records of the page before",
                    f"The API seems not to know the parameter {self.param!r}: see how it wants pages to be asked for.",
                )
        return following

    def _total(self, page: Page) -> int:
        total = dig(page.answer, self.total_pages_at or "")
        if isinstance(total, bool) or not isinstance(total, int):
            raise InvalidAnswer(
                page.url,
                f"there is no whole number at {self.total_pages_at!r}",
                "Name where the answer has the number of pages: total_pages_at=...",
            )
        return total

    def _pinned(self, page: Page) -> dict[str, JsonValue]:
        pins: dict[str, JsonValue] = {}
        for param, where in self.pin.items():
            value = dig(page.answer, where)
            if not isinstance(value, str | int):
                raise InvalidAnswer(
                    page.url,
                    f"there is no text or whole number at {where!r} to pin",
                    "Correct pin=... to where it stands.",
                )
            pins[param] = value
        return pins


@dataclass(frozen=True, slots=True)
class NextLink:
    """Every answer has the link of the next page at `at` (a dotted path); none, null or an empty one means the end.

    The link may be absolute, or relative to the page (RFC 3986). It must lead to the origin of the page: following it
    elsewhere would hand the credentials on. Path and query of it are kept, without parameters that are secret, so that
    a walk can be resumed at the same API under another address.
    """

    at: str = "next"

    def start(self) -> PageState:
        """The resource itself."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The link, which has all parameters in it."""
        link = state.get("link")
        if set(state) - {"link"} or not isinstance(link, str | None):
            raise _foreign_state(state)
        return Ask(link=link)

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The state of the next link.

        Raises:
            InvalidAnswer: it is no text, leads to another origin, or to the page that it stands in.

        """
        link = dig(page.answer, self.at)
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise InvalidAnswer(page.url, f"the next link at {self.at!r} is no text", "Correct NextLink(at=...).")
        path = same_origin_path(page.url, link)
        if path is None:
            raise InvalidAnswer(
                page.url,
                f"the next link leads to another origin: {without_query(link)}",
                "It is not followed, so that credentials go nowhere else. If the API has moved, change base_url.",
            )
        path = without_secrets(path, page.secrets)
        if path in {state.get("link"), same_origin_path(page.url, page.url)}:
            raise InvalidAnswer(
                page.url, "the next link leads to the page that it stands in", "Report it to the API's makers."
            )
        return {"link": path}


def dig(answer: Any, path: str) -> Any:
    """What stands at a dotted path of mappings: `"meta.pages"`; None when there is no such place."""
    for name in path.split("."):
        if not isinstance(answer, Mapping):
            return None
        answer = answer.get(name)
    return answer


def _number(state: PageState) -> int:
    number = state.get("number")
    if not isinstance(number, int):
        raise _foreign_state(state)
    return number


def _foreign_state(state: PageState) -> ConfigurationError:
    return ConfigurationError(
        f"the position {dict(state)!r}",
        "is of another way of paging",
        "Did the resource's paging change? Begin anew, under a new name of the pipeline.",
    )


def _fingerprint(records: Sequence[Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(records), digest_size=8).hexdigest()
