"""The split of an API source: a walk over the pages of a resource, from a place on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Batch
from de_classes.utils.faults import reach

from ._asking import asking_since
from ._converting import Converter
from ._fields import NO_RECORDS, highest_on
from ._marks import with_watermark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._place import Place
    from .source import Api, Resource

__all__ = ["Walk"]


@dataclass(frozen=True, slots=True)
class Walk:
    """The split: a walk over the pages from a place on."""

    client: Api
    resource: Resource
    place: Place
    id: str

    def read(self) -> Iterator[Batch]:
        """One batch per page, each with the position after it; its columns may grow from page to page.

        Raises:
            ApiError: a page cannot be had, or is not what it should be.
            SchemaMismatch: a record does not fit columns that are inferred, or has other fields than are declared.
            ValueNotHeld: a record has a value that its declared column cannot hold.

        """
        place, converter = self.place, Converter(self.resource, self.place.columns)
        with asking_since(self.client, self.resource, place.watermark).opened() as asking:
            while place.page is not None:
                page = asking.page(place.page)
                marked, unfit = with_watermark(self.resource, page, place.high)
                high = highest_on(self.resource, marked, place.high)
                following = self.resource.paging.after(place.page, page)
                reach("api.page.read")
                records, rejected = converter.batch(page, unfit)
                place = replace(place, high=high, columns=converter.told)
                position = place.position(self.resource, following, given=bool(page.records))
                del page, marked
                yield Batch(records, position, rejected)
                if following is None and "page" not in position:
                    return
                place = replace(place, page=following)
        yield Batch(converter.batch(NO_RECORDS)[0], place.position(self.resource, None))
