"""Which rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import TransformFailed
from de_classes.utils.picking import rows_where

from ._evaluate import check_computed, described, evaluate

if TYPE_CHECKING:
    from ._evaluate import Computed

__all__ = ["Filter"]


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """Keep the rows for which a condition is true; where it is false or null, the row goes, as with SQL's WHERE.

    The condition is an expression of pyarrow.compute, `Filter(pc.field("status") == "paid")`, which pickles, or a
    function of the batch that returns one boolean per row; where workers are processes, a module's function.
    """

    condition: Computed

    def __post_init__(self) -> None:
        check_computed("Filter", self.condition)

    def __repr__(self) -> str:
        return f"Filter({described(self.condition)})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch for missing columns, TransformFailed for a condition that is not boolean."""
        mask: pa.Array[Any] = evaluate(self, self.condition, batch)
        if mask.type != pa.bool_():
            raise TransformFailed(
                repr(self), f"its condition gives {mask.type}, not true or false", "Compare with something."
            )
        return rows_where(batch, mask)
