"""Values of one field out of the records of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from de_classes.api.paging import dig
from de_classes.api.watermark import highest, not_above
from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.pages import Records

if TYPE_CHECKING:
    from de_classes.api.paging import Page
    from de_classes.api.resource import Resource
    from de_classes.api.watermark import Watermark

__all__ = ["highest_on", "value_at", "values_of"]


def values_of(page: Page, path: str, wanted: str, remedy: str) -> list[Any]:
    """The values of a field, at a dotted path in each record; null where it is null.

    Raises:
        InvalidAnswer: a record lacks the field, of which `wanted` says what it is for.

    """
    values = page.records.field(path) if isinstance(page.records, Records) else None
    if values is not None:
        return values
    *parents, name = path.split(".")
    owners = [dig(record, ".".join(parents)) if parents else record for record in page.records]
    lacking = [n for n, owner in enumerate(owners) if not isinstance(owner, Mapping) or name not in owner]
    if lacking:
        raise InvalidAnswer(page.url, f"record {lacking[0]} (counted from 0) has no {path!r}, {wanted}", remedy)
    return [owner[name] for owner in owners]


def value_at(record: Any, path: str) -> Any:
    """The value at a dotted path in a record.

    Raises:
        ValueError: there is none; null is one.

    """
    *parents, name = path.split(".")
    owner = dig(record, ".".join(parents)) if parents else record
    if not isinstance(owner, Mapping) or name not in owner:
        raise ValueError(f"there is no {path!r}, which the next run would ask by")
    return owner[name]


def highest_on(resource: Resource, page: Page, high: Watermark, above: Watermark = None) -> Watermark:
    """The highest watermark so far, with those of a page, all of them above another if one is given.

    Raises:
        InvalidAnswer: a record has none, or one that does not compare, or that lies outside of what was asked for.

    """
    incremental = resource.incremental
    if incremental is None or not page.records:
        return high
    remedy = "Correct Incremental(field=...)."
    values = values_of(page, incremental.field, "which the next run would ask by", remedy)
    if high is not None and high == incremental.start:
        high = incremental.like(values)
    try:
        high = highest(high, values)
        beyond = incremental.beyond_end(high)
        known = None if above is None else not_above(above, values)
    except ValueError as error:
        if incremental.start is not None:
            remedy = "Correct Incremental(field=...), or give start=... and end=... in the kind that the field has."
        raise InvalidAnswer(page.url, f"{incremental.field!r} cannot be a watermark: {error}", remedy) from None
    if beyond:
        fact = f"a record has {high!r} as {incremental.field!r}, and up to {incremental.end!r} was asked for"
        raise InvalidAnswer(page.url, fact, "Correct Incremental(end_param=...) to what the API knows.")
    if known is not None:
        raise InvalidAnswer(
            page.url,
            f"a record has {known!r} as {incremental.field!r}, and what is above {above!r} was asked for by"
            f" {incremental.param!r}: it was given before, and would be there twice",
            "Correct Incremental(param=...) to what the API knows; if it counts the bound in, say inclusive=True.",
        )
    if above is not None and None in values:
        raise InvalidAnswer(
            page.url,
            f"a record has null as {incremental.field!r}, and what is above {above!r} was asked for: it may have been"
            " given before, and would be there twice",
            "Correct Incremental(field=...) to what every record has; or say inclusive=True, and load by mode='merge'.",
        )
    return high
