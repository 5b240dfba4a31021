"""Which columns there are, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from de_classes.errors import ConfigurationError, SchemaMismatch

from ._schema import check_names, listed, require

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Drop", "Rename", "Select"]

_LATER = "Correct the names; where a column may come later, or never, pass optional=True."


@dataclass(frozen=True, init=False, repr=False)
class Select:
    """Keep these columns, in this order: `Select("id", "total")`."""

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        check_names("Select", columns)
        object.__setattr__(self, "columns", columns)

    def __repr__(self) -> str:
        return f"Select({', '.join(map(repr, self.columns))})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch where a column is missing."""
        require(self, self.columns, batch.schema)
        return batch.select(list(self.columns))


@dataclass(frozen=True, init=False, repr=False)
class Drop:
    """Leave these columns out, and keep the others, those that come later included: `Drop("lines", "notes")`.

    With `optional` a column need not be there, or not yet.
    """

    columns: tuple[str, ...]
    optional: bool

    def __init__(self, *columns: str, optional: bool = False) -> None:
        check_names("Drop", columns)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "optional", optional)

    def __repr__(self) -> str:
        return f"Drop({', '.join(map(repr, self.columns))}{', optional=True' if self.optional else ''})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch where a column is missing that must be there."""
        if not self.optional:
            require(self, self.columns, batch.schema, _LATER)
        return batch.select([n for n, name in enumerate(batch.schema.names) if name not in self.columns])


@dataclass(frozen=True, init=False, repr=False)
class Rename:
    """Give columns new names, all at once, so that two may change places: `Rename({"id": "order_id"})`."""

    names: tuple[tuple[str, str], ...]

    def __init__(self, names: Mapping[str, str]) -> None:
        if not hasattr(names, "items"):
            raise ConfigurationError("Rename", f"{names!r} is no mapping", 'Pass {"old name": "new name"}.')
        check_names("Rename", list(names))
        check_names("Rename", list(names.values()))
        object.__setattr__(self, "names", tuple(names.items()))

    def __repr__(self) -> str:
        return f"Rename({dict(self.names)!r})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch where a column is missing, or a new name is that of another column."""
        new_names = dict(self.names)
        require(self, new_names, batch.schema)
        kept = set(batch.schema.names) - set(new_names)
        taken = [name for name in new_names.values() if name in kept]
        if taken:
            raise SchemaMismatch(
                repr(self), f"there is a column {listed(taken)} already", "Rename that one too, or leave it out before."
            )
        fields = [field.with_name(new_names.get(field.name, field.name)) for field in batch.schema]
        return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields).with_metadata(batch.schema.metadata))
