"""The one place where transforms are called, and their failures told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import DeClassesError, TransformFailed
from de_classes.utils.schemas import without_rows

from ._evaluate import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from de_classes.contracts import Transform

__all__ = ["Chain", "apply", "compose"]


def apply(transforms: Iterable[Transform], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Put a batch through transforms, one after another.

    A transform may return anything that speaks Arrow (a pyarrow Table, a Polars frame); it becomes one batch.

    Raises:
        TransformFailed: a transform raised what is no error of de-classes, or returned what is no table; it names the
            transform. Errors of de-classes tell all of that themselves, and pass.

    """
    for transform in transforms:
        batch = _called(transform, batch)
    return batch


def compose(*transforms: Transform) -> Chain:
    """One transform out of several; it pickles if they do."""
    return Chain(transforms)


@dataclass(frozen=True, repr=False)
class Chain:
    """Several transforms that are one."""

    transforms: tuple[Transform, ...]

    def __repr__(self) -> str:
        return f"compose({', '.join(map(described, self.transforms))})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """As `apply`."""
        return apply(self.transforms, batch)


def _called(transform: Transform, batch: pa.RecordBatch) -> pa.RecordBatch:
    try:
        return _as_batch(transform, transform(batch))
    except DeClassesError:
        raise
    except Exception as error:
        raise TransformFailed(
            f"the transform {described(transform)}",
            f"{type(error).__name__}: {_first_line(error)}",
            f"It was given {batch.num_rows} rows of {_columns(batch.schema)}; try it on such a batch.",
        ) from error


def _as_batch(transform: Transform, result: Any) -> pa.RecordBatch:
    if isinstance(result, pa.RecordBatch):
        return result
    if hasattr(result, "__arrow_c_stream__"):
        return _one_batch(pa.table(result))
    if hasattr(result, "__arrow_c_array__"):
        return pa.record_batch(result)
    raise TransformFailed(
        f"the transform {described(transform)}",
        f"it returned {type(result).__name__}, which is no table",
        "Return a RecordBatch, or anything that speaks Arrow (__arrow_c_stream__), such as a Polars frame.",
    )


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if not batches:
        return without_rows(table.schema)
    concat: Callable[[list[pa.RecordBatch]], pa.RecordBatch] = pa.concat_batches  # type: ignore[attr-defined]
    return concat(batches)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "no columns"
