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
    from .dotted import dig as dig
    from .dotted import placed as placed
    from .link import LinkHeader as LinkHeader
    from .link import NextLink as NextLink
    from .page_number import PageNumber as PageNumber
    from .protocol import Ask as Ask
    from .protocol import ChecksAnswers as ChecksAnswers
    from .protocol import KnowsAhead as KnowsAhead
    from .protocol import Page as Page
    from .protocol import PageState as PageState
    from .protocol import Paging as Paging
    from .single import SinglePage as SinglePage

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Ask": ".protocol",
        "ChecksAnswers": ".protocol",
        "KnowsAhead": ".protocol",
        "LinkHeader": ".link",
        "NextLink": ".link",
        "Page": ".protocol",
        "PageNumber": ".page_number",
        "PageState": ".protocol",
        "Paging": ".protocol",
        "SinglePage": ".single",
        "dig": ".dotted",
        "placed": ".dotted",
    },
)
