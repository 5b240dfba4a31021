"""Objects inside rows, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from de_classes.errors import ConfigurationError, SchemaMismatch

from ._schema import check_names, listed, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Flatten"]

_Column: TypeAlias = "tuple[str, pa.Field[Any], pa.Array[Any]]"
"""Where it comes from, such as customer.name, and what it becomes."""


@dataclass(frozen=True, init=False, repr=False)
class Flatten:
    """Make columns of the fields of structs, in their place: `customer.name` becomes `customer_name`.

    `Flatten()` takes every struct column, `Flatten("customer")` those that are named; `depth=1` takes one level only,
    and leaves structs inside structs. Lists and maps stay (see `Explode`), and so do structs inside them.

    A struct that is null becomes nulls, as one whose fields are all null does: if the difference matters, derive a
    column that tells it before. Where new fields come later, so do new columns. A column that is named and has no
    values yet, so that nobody knows its fields, gives no columns.
    """

    columns: tuple[str, ...]
    separator: str
    depth: int | None

    def __init__(self, *columns: str, separator: str = "_", depth: int | None = None) -> None:
        check_names("Flatten", columns)
        if not isinstance(separator, str):
            raise ConfigurationError("Flatten", f"the separator {separator!r} is no text", 'Pass a text such as "_".')
        if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 1):
            raise ConfigurationError("Flatten", f"depth {depth!r} is no number of levels", "Pass 1 or more, or None.")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "separator", separator)
        object.__setattr__(self, "depth", depth)

    def __repr__(self) -> str:
        told = [repr(name) for name in self.columns]
        told += [f"separator={self.separator!r}"] if self.separator != "_" else []
        told += [f"depth={self.depth}"] if self.depth is not None else []
        return f"Flatten({', '.join(told)})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch where a named column is missing or no struct, or two columns would have one name."""
        require(self, self.columns, batch.schema)
        self._check_structs(batch.schema)
        columns = list(self._columns(batch))
        self._check_unique(columns)
        schema = pa.schema([field for _, field, _ in columns]).with_metadata(batch.schema.metadata)
        if not columns:
            return batch.select([])  # keeps the number of rows
        return pa.RecordBatch.from_arrays([array for _, _, array in columns], schema=schema)

    def _columns(self, batch: pa.RecordBatch) -> Iterator[_Column]:
        for field, array in zip(batch.schema, batch.columns, strict=True):
            if self.columns and field.name not in self.columns:
                yield field.name, field, array
            elif not (self.columns and pt.is_null(field.type)):
                yield from self._fields(field.name, field, array, 0)

    def _fields(self, origin: str, field: pa.Field[Any], array: Any, level: int) -> Iterator[_Column]:
        """What a column becomes: itself, or its fields, null where it is null."""
        if not pt.is_struct(field.type) or level == self.depth:
            yield origin, field, array
            return
        for inner, values in zip(field.type, array.flatten(), strict=True):
            made = inner.with_name(field.name + self.separator + inner.name)
            made = made.with_nullable(field.nullable or inner.nullable)
            yield from self._fields(f"{origin}.{inner.name}", made, values, level + 1)

    def _check_structs(self, schema: pa.Schema) -> None:
        kinds = [(name, schema.field(name).type) for name in self.columns]
        wrong = [f"{name!r} ({kind})" for name, kind in kinds if not (pt.is_struct(kind) or pt.is_null(kind))]
        if wrong:
            raise SchemaMismatch(
                repr(self),
                f"no struct: column {', '.join(wrong)}",
                "Name columns of structs only; lists go to Explode.",
            )

    def _check_unique(self, columns: Sequence[_Column]) -> None:
        origins: dict[str, list[str]] = {}
        for origin, field, _ in columns:
            origins.setdefault(field.name, []).append(origin)
        shared = [f"{name!r} of {listed(of)}" for name, of in origins.items() if len(of) > 1]
        if shared:
            raise SchemaMismatch(
                repr(self),
                f"several columns would have one name: {'; '.join(shared)}",
                "Choose another separator, or rename or leave out one of them before.",
            )
