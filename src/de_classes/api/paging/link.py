"""Links to the next page, in the body or in a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from de_classes.api._masking import mask_of
from de_classes.api.messages import same_origin_path, without_query, without_secrets
from de_classes.errors import InvalidAnswer

from ._states import MAX_PAGES, Trail, check_kinds, check_positive, digest, foreign_state, own_state
from .dotted import check_selectors, dig
from .link_header import MalformedLinksError, parse_links
from .protocol import Ask

if TYPE_CHECKING:
    from .protocol import Page, PageState

__all__ = ["LinkHeader", "NextLink"]

_TELLING = 8
"""Characters that a secret has at least: a shorter one may be a word of any URL."""


@dataclass(frozen=True, slots=True)
class NextLink:
    """Every answer has the link of the next page at `at` (a dotted path); none, null or an empty one means the end.

    An empty page with a link goes on. A link to a page that was read is an error, and so are the records of the page
    before under a new link (sixteen of them are looked at), and a page after `max_pages`.

    The link may be absolute, or relative to the page (RFC 3986). It must lead to the origin of the page: following it
    elsewhere would hand the credentials on. Path and query of it are kept, without parameters that are secret, so that
    a walk can be resumed at the same API under another address.
    """

    at: str = "next"
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("NextLink", max_pages=self.max_pages)
        check_selectors("NextLink", {"at": self.at})

    def start(self) -> PageState:
        """The resource itself."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The link, which has all parameters in it."""
        return Ask(link=_link_of(state))

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The state of the next link.

        Raises:
            InvalidAnswer: it is no text, leads to another origin or in a circle, or the walk goes beyond its cap.

        """
        link = dig(page.answer, self.at)
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise InvalidAnswer(page.url, f"the next link at {self.at!r} is no text", "Correct NextLink(at=...).")
        return _followed(state, page, link, self.max_pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHeader:
    """Every answer has the link of the next page in a header: `Link: </orders?page=2>; rel="next"` (RFC 8288).

    An answer without a link of the relation `rel` is the last. An empty page with one goes on. Links about
    another page (`anchor`) are not followed.

    For where links may lead, what is kept of them, and what is an error, see NextLink.
    """

    rel: str = "next"
    header: str = "link"
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("LinkHeader", max_pages=self.max_pages)

    def start(self) -> PageState:
        """The resource itself."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The link, which has all parameters in it."""
        return Ask(link=_link_of(state))

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The state of the next link.

        Raises:
            InvalidAnswer: the header cannot be read or has several next pages, the link leads to another origin or in
                a circle, or the walk goes beyond its cap.

        """
        targets = self._targets(page)
        if len(targets) > 1:
            raise InvalidAnswer(
                page.url,
                f"the header {self.header!r} has {len(targets)} different links with rel={self.rel!r}",
                "Which page comes next cannot be known. Report it to the API's makers.",
            )
        return _followed(state, page, targets.pop(), self.max_pages) if targets else None

    def _targets(self, page: Page) -> set[str]:
        try:
            return {
                urljoin(page.address, link.target)
                for link in parse_links(page.headers.get(self.header.lower(), ""))
                if self.rel.lower() in link.rels
                if link.anchor is None or urljoin(page.address, link.anchor) == page.address
            }
        except (MalformedLinksError, ValueError) as error:
            raise InvalidAnswer(
                page.url, f"the header {self.header!r} is no list of links (RFC 8288): {error}"
            ) from None


def _link_of(state: PageState) -> str | None:
    link = own_state(state, "link").get("link")
    if not isinstance(link, str | None):
        raise foreign_state(state)
    return link


def _without_secrets(path: str, page: Page) -> str:
    """The link as it is kept, in a position that others may read; secrets are sent with the request again."""
    kept = without_secrets(path, page.secrets)
    told = frozenset(secret.reveal() for secret in page.secrets if len(secret.reveal()) >= _TELLING)
    if told and mask_of(told).is_in(kept):
        raise InvalidAnswer(
            page.url,
            "the next link has a secret of the request in it, which must not be kept",
            "Send the secret in a header, if the API takes it there.",
        )
    return kept


def _followed(state: PageState, page: Page, link: str, max_pages: int) -> PageState:
    path = same_origin_path(page.address, link)
    if path is None:
        raise InvalidAnswer(
            page.url,
            f"the next link leads to another origin: {without_query(link)}",
            "It is not followed, so that credentials go nowhere else. If the API has moved, change base_url.",
        )
    path = _without_secrets(path, page)
    own = _link_of(state)
    if path in {own, same_origin_path(page.address, page.address)}:
        raise InvalidAnswer(
            page.url, "the next link leads to the page that it stands in", "Report it to the API's makers."
        )
    trail = Trail.of(state, begun=own is not None).past("" if own is None else digest(own))
    if digest(path) in trail:
        raise InvalidAnswer(
            page.url, "the next link leads back to a page that was read already", "Report it to the API's makers."
        )
    return {"link": path, **trail.showing(page).kept(page, max_pages)}
