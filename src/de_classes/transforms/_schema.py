"""Checks of names, and columns put into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError, SchemaMismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["check_names", "listed", "require", "with_columns"]


def listed(names: Iterable[str]) -> str:
    """Names as they are told in messages."""
    return ", ".join(map(repr, names)) or "none"


def check_names(transform: str, names: Sequence[Any]) -> None:
    """Refuse what cannot be column names, or names that are given twice.

    Raises:
        ConfigurationError: telling all that is wrong.

    """
    strangers = [repr(name) for name in names if not isinstance(name, str)]
    twice = sorted({name for name in names if isinstance(name, str) and names.count(name) > 1})
    facts = [f"{', '.join(strangers)} cannot be a column's name"] if strangers else []
    facts += [f"{listed(twice)} is given more than once"] if twice else []
    if facts:
        raise ConfigurationError(transform, "; ".join(facts), "Name each column once, as text.")


_MISSPELT = "Correct the names, or put the transform that makes these columns before this one."


def require(transform: object, names: Iterable[str], schema: pa.Schema, remedy: str = _MISSPELT) -> None:
    """Refuse a batch in which not every name is that of exactly one column.

    Raises:
        SchemaMismatch: telling all that is missing or there more than once, and what is there.

    """
    there = schema.names
    missing = [name for name in names if name not in there]
    twice = [name for name in names if there.count(name) > 1]
    facts = [f"there is no column {listed(missing)}"] if missing else []
    facts += [f"there is more than one column {listed(twice)}"] if twice else []
    if facts:
        raise SchemaMismatch(
            repr(transform),
            f"{'; '.join(facts)}; the columns are {listed(there)}",
            remedy,
            missing=missing,
        )


def with_columns(batch: pa.RecordBatch, columns: Iterable[tuple[pa.Field[Any], pa.Array[Any]]]) -> pa.RecordBatch:
    """Put columns in the place of those of the same name, or at the end; the rest stays as it is, metadata included."""
    fields, arrays = list(batch.schema), list(batch.columns)
    for field, array in columns:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            fields.append(field)
            arrays.append(array)
        else:
            fields[index], arrays[index] = field, array
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields).with_metadata(batch.schema.metadata))
