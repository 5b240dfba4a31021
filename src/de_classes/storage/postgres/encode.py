"""RecordBatches become the bytes of a COPY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from pyarrow import csv

from .arrow_values import pc
from .copy_text import for_csv, plain
from .json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .arrow_values import Array
    from .copy_text import Refuse

__all__ = ["CopyEncoder", "CsvEncoder"]


class CopyEncoder(Protocol):
    """A form of COPY and how to write it; picklable."""

    @property
    def options(self) -> str:
        """What stands in the brackets after COPY ... FROM STDIN WITH."""
        ...

    @property
    def header(self) -> bytes:
        """What comes before the first row."""
        ...

    def lines(self, encoded: bytes, rows: int) -> int:
        """How many lines COPY counts in so many rows when it says where it was."""
        ...

    def encode(self, records: pa.RecordBatch, refuse: Callable[[str], Refuse]) -> bytes:
        """Write a batch's rows; what is written of several batches, one after the other, is one COPY.

        `refuse` gives for a column what makes the error for one of its rows, counted from 0 in the batch.

        Raises:
            ValueNotHeld: a value that PostgreSQL cannot hold.

        """
        ...


@dataclass(frozen=True, slots=True)
class CsvEncoder:
    """Writes CSV: text stands in quotes, always, so that nothing in it means anything; what is empty is NULL."""

    options: str = "FORMAT csv"
    header: bytes = b""

    def lines(self, encoded: bytes, rows: int) -> int:
        """Those within text count as well."""
        del rows
        return encoded.count(b"\n")

    def encode(self, records: pa.RecordBatch, refuse: Callable[[str], Refuse]) -> bytes:
        """Spell the columns that need it, and let pyarrow write the lines."""
        names = records.schema.names
        spelled = [_spelled(array, refuse(name)) for name, array in zip(names, records.columns, strict=True)]
        sink = pa.BufferOutputStream()
        options = csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=1 << 16)
        csv.write_csv(pa.RecordBatch.from_arrays(spelled, names), sink, options)
        return sink.getvalue().to_pybytes()


def _spelled(array: Array, refuse: Refuse) -> Array:
    array = plain(array)
    nested = pa.types.is_struct(array.type)
    if pa.types.is_list(array.type):
        nested = pa.types.is_nested(plain(array.values).type)
    if not nested:
        return for_csv(array, refuse)
    return pc.if_else(array.is_null(), pa.scalar(None, pa.string()), json_text(array, refuse))
