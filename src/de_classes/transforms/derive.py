"""Columns that are computed from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from de_classes.errors import ConfigurationError

from ._evaluate import check_computed, described, evaluate
from ._schema import check_names, with_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._evaluate import Computed

__all__ = ["Derive"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Derive:
    """Add columns, or replace those of the same name, by what expressions or functions give.

    `Derive({"city": pc.field("address", "city"), "net": net_price})`: expressions of pyarrow.compute reach into
    structs, and pickle; functions take the batch and return one value per row (where workers are processes, a
    module's functions). All see the batch as it comes; what builds on another derived column goes into a second Derive.
    A replaced column keeps its place, but none of its metadata, which told of the old values.
    """

    columns: tuple[tuple[str, Computed], ...]

    def __init__(self, columns: Mapping[str, Computed]) -> None:
        if not hasattr(columns, "items"):
            raise ConfigurationError("Derive", f"{columns!r} is no mapping", 'Pass {"column": expression or function}.')
        check_names("Derive", list(columns))
        for name, computed in columns.items():
            check_computed(f"Derive, column {name!r}", computed)
        object.__setattr__(self, "columns", tuple(columns.items()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name!r}: {described(computed)}" for name, computed in self.columns)
        return f"Derive({{{told}}})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch for missing columns, TransformFailed for a function that gives no column."""
        made = [(name, evaluate(self, computed, batch)) for name, computed in self.columns]
        return with_columns(batch, [(pa.field(name, array.type), array) for name, array in made])
