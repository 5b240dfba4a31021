"""Fields of a parent's record in those of its children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.pages import Records

if TYPE_CHECKING:
    from de_classes.api.paging import Page

__all__ = ["included"]

_JSON = msgspec.json.Encoder(decimal_format="number")


def included(page: Page, fields: Mapping[str, Any], resource: str) -> Page:
    """The page, each record of which has these fields, too.

    Raises:
        InvalidAnswer: a record has one of them already.

    """
    if not fields or not page.records:
        return page
    try:
        if isinstance(page.records, Records):
            return replace(
                page, records=page.records.with_fields({name: _JSON.encode(value) for name, value in fields.items()})
            )
        return replace(page, records=[_with(record, fields) for record in page.records])
    except ValueError as error:
        fact = f"{error}, and {resource!r} includes one of that name from its parent"
    raise InvalidAnswer(page.url, fact, "Include it under another name: Parent(include=...).")


def _with(record: Any, fields: Mapping[str, Any]) -> Any:
    if not isinstance(record, Mapping):
        return record
    for name in fields:
        if name in record:
            raise ValueError(f"a record has a field {name!r} of its own")
    return {**fields, **record}
