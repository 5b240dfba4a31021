"""The warning about rows that move between pages while they are read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocol import Paging

__all__ = ["PagesMayShift", "warn_if_pages_shift"]


class PagesMayShift(UserWarning):
    """Pages are counted, nothing keeps rows in their places meanwhile, and no key tells which came twice."""


def warn_if_pages_shift(resource: str, paging: Paging, primary_key: Sequence[str], *, stacklevel: int = 2) -> None:
    """Warn of a resource that may give rows twice or not at all, and has no key to see it by.

    A row that is deleted or added before the place of the walk moves all that follow, past it or back into it. With a
    key, rows that came twice replace themselves (mode `merge`); rows that were missed need a pin, or an order in which
    changes come last.

    Warns:
        PagesMayShift: the paging has `may_shift`, and the resource no primary key.

    """
    if getattr(paging, "may_shift", False) and not primary_key:
        warnings.warn(
            f"resource {resource!r}: its pages are counted, so rows that come or go while it is read move others "
            "between pages, and without a primary key nobody can tell which came twice. Give a primary_key=..., "
            "or the paging a pin=...; if nothing changes, or changes only come at the end, say stable=True.",
            PagesMayShift,
            stacklevel=stacklevel + 1,
        )
