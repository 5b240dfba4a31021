"""The split of an API source: a walk over the pages of a resource, from a place on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Batch
from de_classes.formats.json_columns.converting import Converter
from de_classes.utils.faults import reach

from .ahead import Ahead
from .asking import asking_since
from .fields import highest_on
from .marks import with_watermark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from de_classes.api.messages import Api
    from de_classes.api.paging import Page, PageState
    from de_classes.api.resource import Resource
    from de_classes.api.watermark import Watermark
    from de_classes.formats.json_columns.unfit import Unfit

    from .asking import Asking
    from .place import Place

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
        place, converter = self.place, Converter(self.resource.shaping, self.place.columns)
        with asking_since(self.client, self.resource, place.watermark).opened() as asking, Ahead(1, "page") as ahead:
            if place.page is not None:
                coming = ahead.submit(self._turn, asking, place.page, place.high)
            while place.page is not None:
                turn = coming.result()
                if turn.following is not None:
                    # Asked for while this page is converted; if the walk is left meanwhile, for nothing.
                    coming = ahead.submit(self._turn, asking, turn.following, turn.high)
                reach("api.page.read")
                records, rejected = converter.batch(turn.page.records, turn.page.url, turn.unfit)
                given = bool(turn.page.records)
                place = replace(place, high=turn.high, columns=converter.told, unmarked=place.unmarked or given)
                position = place.position(self.resource, turn.following, given=given)
                place = replace(place, page=turn.following)
                del turn
                yield Batch(records, position, rejected)
                if place.page is None and "page" not in position:
                    return
        yield Batch(converter.nothing(), place.position(self.resource, None))

    def _turn(self, asking: Asking, at: PageState, high: Watermark) -> _Turn:
        """Get a page, and find out what it says besides its records."""
        page = asking.page(at)
        marked, unfit = with_watermark(self.resource, page, high)
        high = highest_on(self.resource, marked, high, self._given)
        return _Turn(page, unfit, high, asking.following(at, page))

    @property
    def _given(self) -> Watermark:
        """Up to where an earlier walk has given everything, where the API is not expected to give it again."""
        incremental, watermark = self.resource.incremental, self.place.watermark
        return None if incremental is None or incremental.repeats or watermark == incremental.start else watermark


@dataclass(frozen=True, slots=True)
class _Turn:
    """A page of the walk."""

    page: Page
    unfit: Mapping[int, Unfit]
    """The records that lack what the watermark is taken from."""
    high: Watermark
    following: PageState | None
