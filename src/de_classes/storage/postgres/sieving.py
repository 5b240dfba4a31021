"""Columns that a table does not take, where rows that have a value in them are to be set aside.

=========================================  =============================================================================
What comes                                 goes to quarantine
=========================================  =============================================================================
a column that the table lacks              rows with a value in it; the others are loaded without it
a column of a kind that the table's own    rows with a value in it; in the others it is NULL
would round, cut or read otherwise
a narrower column (`types.holds`)          rows whose value it refuses: see setting_aside.py
=========================================  =============================================================================

Types decide about a column, so that it can be told beforehand; whether there is a value decides about a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .copy_text import plain
from .growing import wider
from .types import columns_of_schema, holds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .catalogue import Table

__all__ = ["Sieve"]


@dataclass(frozen=True, slots=True)
class Sieve:
    """Parts the rows of one schema for one table."""

    schema: pa.Schema
    """What is left to load: without the columns that the table lacks, and with nulls in those of another kind."""
    refused: tuple[tuple[int, str], ...]
    """The columns that are not taken, by their place in what comes, and why."""
    narrower: tuple[str, ...] = ()
    """What is said of columns that are taken, and may refuse a value."""

    @classmethod
    def of(cls, subject: str, schema: pa.Schema, table: Table | None) -> Sieve:
        """The sieve for what comes; where there is no table yet, it lets everything through."""
        known = {column.name: column.type for column in table.columns} if table is not None else None
        fields: list[pa.Field[Any]] = []
        refused: list[tuple[int, str]] = []
        narrower: list[str] = []
        for n, (column, field) in enumerate(zip(columns_of_schema(subject, schema), schema, strict=True)):
            type_ = None if known is None else known.get(column.name)
            told = f"column {column.name!r} is {type_}, and {column.type} comes"
            if known is not None and type_ is None:
                refused.append((n, f"column {column.name!r} is not in the table"))
            elif type_ is None or pa.types.is_null(field.type) or holds(type_, column.type):
                fields.append(field)
                narrower += [] if type_ is None or wider(type_, column.type) == type_ else [told]
            else:
                refused.append((n, told))
                fields.append(pa.field(field.name, pa.null()))
        return cls(pa.schema(fields), tuple(refused), tuple(narrower))

    def wrong(self, records: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Which rows have a value in a column that is not taken; `records` are as they came."""
        found = np.zeros(records.num_rows, np.bool_)
        for n, _ in self.refused:
            found |= plain(records.column(n)).is_valid().to_numpy(zero_copy_only=False)
        return found

    def reasons(self, records: pa.RecordBatch) -> Sequence[str]:
        """Why each of these rows is not taken."""
        valid = [(plain(records.column(n)).is_valid(), reason) for n, reason in self.refused]
        return ["; ".join(why for there, why in valid if there[at].as_py()) for at in range(records.num_rows)]

    def left(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as they are to be loaded: those without a value in a column that is not taken."""
        if not self.refused:
            return records
        places = {field.name: n for n, field in enumerate(records.schema)}
        null = pa.null()
        arrays = [
            pa.nulls(records.num_rows) if field.type == null else records.column(places[field.name])
            for field in self.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
