"""Which records of a page have a watermark, where those without it are set aside."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from de_classes.api.watermark import highest
from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.pages import Records
from de_classes.formats.json_columns.unfit import Unfit

from .fields import value_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from de_classes.api.paging import Page
    from de_classes.api.resource import Resource
    from de_classes.api.watermark import Watermark

__all__ = ["with_watermark"]


def with_watermark(resource: Resource, page: Page, high: Watermark) -> tuple[Page, Mapping[int, Unfit]]:
    """The page with the records by whose watermarks the walk may go, and why others do not fit, by number in the page.

    A record lacks its watermark, or has one that does not compare with those before it. Where misfits fail, the page
    comes back as it is.
    """
    incremental = resource.incremental
    if incremental is None or resource.misfits == "fail" or _are_in_order(page, incremental.field, high):
        return page, {}
    kept, unfit = [], {}
    high = _most_alike(page, incremental.field) if high is None else high
    for row in range(len(page.records)):
        try:
            record = page.records[row]
            high = highest(high, [value_at(record, incremental.field)])
        except InvalidAnswer:
            continue  # what cannot be read is told when it is converted
        except ValueError as error:
            unfit[row] = Unfit(incremental.field, f"it cannot be the watermark: {error}")
        else:
            kept.append(record)
    return replace(page, records=kept), unfit


def _most_alike(page: Page, path: str) -> Watermark:
    """A watermark of the kind that most records have: the first one may be the odd one."""
    kinds: list[list[Any]] = []
    for row in range(len(page.records)):
        with suppress(InvalidAnswer, ValueError):
            value = highest(None, [value_at(page.records[row], path)])
            if value is not None:
                kind = next((kind for kind in kinds if _compare(kind[0], value)), None)
                if kind is None:
                    kinds.append([value])
                else:
                    kind.append(value)
    return max(kinds, key=len)[0] if kinds else None


def _compare(one: Any, other: Any) -> bool:
    try:
        highest(one, [other])
    except ValueError:
        return False
    return True


def _are_in_order(page: Page, path: str, high: Watermark) -> bool:
    values = page.records.field(path) if isinstance(page.records, Records) else None
    try:
        highest(high, values or ())
    except ValueError:
        return False
    return values is not None
