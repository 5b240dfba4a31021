"""The split of an API source: a walk over the pages of a resource, from a place on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from de_classes.contracts import Batch
from de_classes.errors import InvalidAnswer
from de_classes.utils.faults import reach

from ._asking import asking_since
from ._converting import Converter
from ._fields import values_of
from .columns import schema_of
from .records import infer_schema
from .watermark import highest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._place import Place
    from .paging import Page
    from .source import Api, Resource
    from .watermark import Watermark

__all__ = ["Walk"]

_NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([]))


@dataclass(frozen=True, slots=True)
class Walk:
    """The split: a walk over the pages from a place on."""

    client: Api
    resource: Resource
    place: Place
    id: str

    def read(self) -> Iterator[Batch]:
        """One batch per page, each with the position after it.

        Raises:
            ApiError: a page cannot be had, or is not what it should be.
            SchemaMismatch: a record has other fields than declared.
            ValueNotHeld: a record has a value that its column cannot hold.

        """
        place, converter = self.place, self._known()
        with asking_since(self.client, self.resource, place.watermark).opened() as asking:
            while place.page is not None:
                page = asking.page(place.page)
                high = self._highest(place.high, page)
                following = self.resource.paging.after(place.page, page)
                if converter is None and page.records:
                    converter = self._inferred(page)
                place = replace(place, high=high, columns=converter.told if converter is not None else None)
                reach("api.page.read")
                # Where no page has shown the columns yet, the position travels alone.
                records = converter.batch(page) if converter is not None else _NOTHING
                position = place.position(self.resource, following)
                del page
                yield Batch(records, position)
                if following is None and "page" not in position:
                    return
                place = replace(place, page=following)
        yield Batch(_NOTHING, place.position(self.resource, None))

    def _known(self) -> Converter | None:
        resource, columns = self.resource, self.place.columns
        if resource.schema is not None:
            return Converter.of(resource, resource.schema)
        return None if columns is None else Converter.of(resource, schema_of(columns), inferred=True)

    def _inferred(self, page: Page) -> Converter:
        schema = infer_schema(self.resource.name, page.records, page.url)
        return Converter.of(self.resource, schema, inferred=True)

    def _highest(self, high: Watermark, page: Page) -> Watermark:
        incremental = self.resource.incremental
        if incremental is None or not page.records:
            return high
        values = values_of(
            page, incremental.field, "which the next run would ask by", "Correct Incremental(field=...)."
        )
        try:
            high = highest(high, values)
            beyond = incremental.beyond_end(high)
        except ValueError as error:
            fact = f"{incremental.field!r} cannot be a watermark: {error}"
            raise InvalidAnswer(page.url, fact, "Correct Incremental(field=...).") from None
        if beyond:
            fact = f"a record has {high!r} as {incremental.field!r}, and up to {incremental.end!r} was asked for"
            raise InvalidAnswer(page.url, fact, "Correct Incremental(end_param=...) to what the API knows.")
        return high
