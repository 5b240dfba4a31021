"""Values of one field out of the records of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from de_classes.errors import InvalidAnswer

from .pages import Records
from .paging import dig

if TYPE_CHECKING:
    from .paging import Page

__all__ = ["values_of"]


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
