"""What a way of paging is, what it asks, and what it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from de_classes.contracts import JsonValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.api.messages import Param
    from de_classes.configs.secrets import Secret

__all__ = ["Ask", "ChecksAnswers", "KnowsAhead", "Page", "PageState", "Paging"]

PageState: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Ask:
    """How to ask for a page: what to add to the resource's own request, or a link that replaces path and parameters."""

    params: Mapping[str, Param] = field(default_factory=dict)
    link: str | None = None
    """Path and query, from the root of the API's origin."""
    body: Mapping[str, JsonValue] | None = None
    """Values by their dotted paths in the JSON body of a POST (see `placed`), perhaps none; None asks without a body.

    Such a POST only reads, so it may be repeated.
    """

    @classmethod
    def by(cls, values: Mapping[str, Any], *, in_body: bool) -> Ask:
        """Ask by these values, as parameters or in the body."""
        return cls(body=values) if in_body else cls(values)


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
    headers: Mapping[str, str] = field(default_factory=dict)
    """The answer's headers by lower-case name; one that was sent several times is joined with commas."""
    base: str = field(default="", repr=False)
    """The URL as it was asked for, where secrets are in it; `url` is for telling."""

    @property
    def address(self) -> str:
        """What links of the page are relative to."""
        return self.base or self.url


class Paging(Protocol):
    """A way of paging; see the package's docstring for how it is walked."""

    def start(self) -> PageState:
        """The state of the first page."""
        ...

    def ask(self, state: PageState) -> Ask:
        """How to ask for the page of this state."""
        ...

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The state of the page after this one, or None when there is none.

        Raises:
            InvalidAnswer: the page does not say what comes next, or the walk goes in a circle or beyond its cap.

        """
        ...


@runtime_checkable
class KnowsAhead(Protocol):
    """What a way of paging may offer besides: the pages that can be asked for at once."""

    def ahead(self, state: PageState, page: Page, most: int) -> Sequence[PageState]:
        """The states of up to `most` pages after this one, in order, as far as the page tells; none if it does not.

        They are for asking early, and no places to take a walk up from: the walk itself goes by `after`. An answer
        that was fetched early is the next page's if its `ask` equals the `ask` of the state that `after` gave; if not,
        as when pages became fewer or shorter meanwhile, it and those behind it are thrown away.

        Raises:
            InvalidAnswer: the page does not tell what it should.

        """
        ...


@runtime_checkable
class ChecksAnswers(Protocol):
    """What a way of paging may offer besides: looking at an answer before records are looked for in it."""

    def check(self, page: Page) -> None:
        """Accept the answer; its records have not been looked for.

        Raises:
            InvalidAnswer: it says that it failed, whatever its status.

        """
        ...
