"""Pages to batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .arrow_json import ArrowJson
from .columns import told
from .pages import Records
from .records import RecordConverter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from de_classes.contracts import JsonValue

    from .paging import Page
    from .source import Resource

__all__ = ["Converter"]


@dataclass(frozen=True, slots=True)
class Converter:
    """Pages to batches of one schema: by Arrow's parser where that is exact, else as `RecordConverter` says."""

    fast: ArrowJson
    exact: RecordConverter
    told: Mapping[str, JsonValue] | None
    """The columns for a position, where they were inferred."""

    @classmethod
    def of(cls, resource: Resource, schema: pa.Schema, *, inferred: bool = False) -> Converter:
        return cls(
            ArrowJson(schema, ignore_extra=resource.extra_fields == "ignore", as_written=inferred),
            RecordConverter(resource.name, schema, resource.extra_fields, inferred=inferred),
            told(schema) if inferred else None,
        )

    def batch(self, page: Page) -> pa.RecordBatch:
        batch = self.fast.read(page.records) if isinstance(page.records, Records) else None
        return batch if batch is not None else self.exact.batch(list(page.records), page.url)
