"""Where the next page is: decisions without I/O.

A traversal of all pages is a walk over *states*. A state is small JSON and says all about which page comes next, so a
walk can be taken up again from any of them, in another process, on another day::

    state = paging.start()
    while state is not None:
        ask = paging.ask(state)                 # what to send, besides the resource's own path and parameters
        state = paging.after(state, page)       # what comes after the page that was answered; None: it was the last

Each kind says when its walk ends. A walk that comes by a page twice, or goes on after `max_pages`, is an InvalidAnswer
and never a quiet end: rows would be doubled, or missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .cursor import CursorInBody as CursorInBody
    from .cursor import CursorInHeader as CursorInHeader
    from .dotted import check_selectors as check_selectors
    from .dotted import dig as dig
    from .dotted import is_jsonpath as is_jsonpath
    from .dotted import listed as listed
    from .dotted import placed as placed
    from .graphql import GraphQLConnection as GraphQLConnection
    from .keyset import Keyset as Keyset
    from .link import LinkHeader as LinkHeader
    from .link import NextLink as NextLink
    from .offset import OffsetLimit as OffsetLimit
    from .page_number import PageNumber as PageNumber
    from .protocol import Ask as Ask
    from .protocol import ChecksAnswers as ChecksAnswers
    from .protocol import KnowsAhead as KnowsAhead
    from .protocol import Page as Page
    from .protocol import PageState as PageState
    from .protocol import Paging as Paging
    from .shifting import PagesMayShift as PagesMayShift
    from .shifting import warn_if_pages_shift as warn_if_pages_shift
    from .single import SinglePage as SinglePage

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Ask": ".protocol",
        "ChecksAnswers": ".protocol",
        "CursorInBody": ".cursor",
        "CursorInHeader": ".cursor",
        "GraphQLConnection": ".graphql",
        "Keyset": ".keyset",
        "KnowsAhead": ".protocol",
        "LinkHeader": ".link",
        "NextLink": ".link",
        "OffsetLimit": ".offset",
        "Page": ".protocol",
        "PageNumber": ".page_number",
        "PageState": ".protocol",
        "PagesMayShift": ".shifting",
        "Paging": ".protocol",
        "SinglePage": ".single",
        "check_selectors": ".dotted",
        "dig": ".dotted",
        "is_jsonpath": ".dotted",
        "listed": ".dotted",
        "placed": ".dotted",
        "warn_if_pages_shift": ".shifting",
    },
)
