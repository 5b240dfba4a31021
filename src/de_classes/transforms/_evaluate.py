"""Expressions and functions of a batch, and the arrays that they give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import acero

from de_classes.errors import ConfigurationError, SchemaMismatch, TransformFailed

from ._schema import listed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Computed", "check_computed", "described", "evaluate"]

Computed: TypeAlias = "pc.Expression | Callable[[pa.RecordBatch], Any]"
"""What gives one value per row: an expression of pyarrow.compute, or a function of the batch.

A function returns what has a type of its own, so that the schema never depends on the values: a pyarrow array or
scalar, a numpy array (not of objects), a Polars or pandas series; no list.
"""

_NO_SUCH_FIELD = re.compile(r"No match for (FieldRef\.\S.*?) in ")
_NAME = re.compile(r"FieldRef\.Name\(([^)]*)\)")


def described(callable_: object) -> str:
    """A function by its name, an expression as it is written, anything else by its repr."""
    if isinstance(callable_, pc.Expression):
        return str(callable_)
    return getattr(callable_, "__qualname__", None) or repr(callable_)


def check_computed(transform: str, computed: object) -> None:
    """Refuse what can neither be evaluated nor called.

    Raises:
        ConfigurationError: it is neither expression nor function.

    """
    if not isinstance(computed, pc.Expression) and not callable(computed):
        raise ConfigurationError(
            transform,
            f"{computed!r} is neither an expression nor a function",
            'Pass an expression such as pyarrow.compute.field("price") * 2, or a function of a RecordBatch.',
        )


def evaluate(transform: object, computed: Computed, batch: pa.RecordBatch) -> pa.Array[Any]:
    """One value per row.

    Raises:
        SchemaMismatch: the expression names columns that are not there.
        TransformFailed: a function returned something else than an array of that length.

    """
    if isinstance(computed, pc.Expression):
        return _project(transform, computed, batch)
    return _as_array(transform, computed(batch), batch.num_rows)


def _project(transform: object, expression: pc.Expression, batch: pa.RecordBatch) -> pa.Array[Any]:
    try:
        return _run(expression, batch)
    except pa.ArrowInvalid as error:
        missing = _missing(expression, batch, error)
        if not missing:
            raise
        raise SchemaMismatch(
            repr(transform),
            f"there is no column {listed(missing)}; the columns are {listed(batch.schema.names)}",
            "Correct the names, or put the transform that makes these columns before this one.",
            missing=missing,
        ) from error


def _run(expression: pc.Expression, batch: pa.RecordBatch) -> pa.Array[Any]:
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", acero.TableSourceNodeOptions(pa.Table.from_batches([batch]))),
            acero.Declaration("project", acero.ProjectNodeOptions([expression], ["value"])),
        ]
    )
    return _one(plan.to_table(use_threads=False)["value"])  # one thread keeps the order of the rows


def _missing(expression: pc.Expression, batch: pa.RecordBatch, error: pa.ArrowInvalid) -> list[str]:
    """Every column that the expression asks for in vain: Arrow tells of one, so pretend it were there and ask again."""
    missing: list[str] = []
    schema = batch.schema
    while found := _NO_SUCH_FIELD.search(str(error)):
        path = ".".join(_NAME.findall(found[1])) or found[1]
        if path in missing:
            break
        missing.append(path)
        schema = schema.append(pa.field(path, pa.null()))
        try:
            _run(expression, pa.RecordBatch.from_pylist([], schema))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as next_error:
            error = next_error  # type: ignore[assignment]
        else:
            break
    return missing


def _as_array(transform: object, values: Any, rows: int) -> pa.Array[Any]:
    if isinstance(values, pa.Scalar):
        repeat: Callable[..., pa.Array[Any]] = pa.repeat
        return repeat(values, rows)
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        values = pa.array(values)
    elif not isinstance(values, pa.Array) and hasattr(values, "__arrow_c_stream__"):
        values = _one(pa.chunked_array(values))
    if not isinstance(values, pa.Array):
        raise TransformFailed(
            repr(transform),
            f"its function returned {type(values).__name__}, which has no Arrow type",
            "Return pyarrow.array(values, type=...), so that the type never depends on the values.",
        )
    if len(values) != rows:
        raise TransformFailed(
            repr(transform),
            f"its function returned {len(values)} values for {rows} rows",
            "Return one value per row.",
        )
    return values


def _one(chunks: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    combined: Any = chunks.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
