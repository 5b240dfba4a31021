"""Which columns a Parquet file gives dictionaries.

Where values come again and again, a dictionary makes them small, for writers and readers. Elsewhere it costs as much as
all the rest of writing, and leaves more to compress. So the first rows are looked at.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

__all__ = ["repeating"]

_SAMPLE_ROWS = 1 << 13
_OFTEN = 4
"""How often a value comes in the sample, on average, of a column that gets a dictionary."""

_pc: Any = pyarrow.compute


def repeating(table: pa.Table) -> list[str]:
    """The names of the columns whose first values repeat; none of a column of lists or structs."""
    sample = table.slice(0, _SAMPLE_ROWS).combine_chunks()
    return [name for name, column in zip(sample.column_names, sample.columns, strict=True) if _repeats(column)]


def _repeats(column: Any) -> bool:
    values = column.combine_chunks()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        return True
    try:
        return bool(_pc.count_distinct(values).as_py() * _OFTEN <= len(values))
    except pa.ArrowNotImplementedError:  # nested values, and whatever else is not compared
        return False
