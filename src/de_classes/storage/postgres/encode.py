"""RecordBatches become the bytes of a COPY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from pyarrow import csv

from .copy_text import for_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from .copy_text import Refuse

__all__ = ["CopyEncoder", "CsvEncoder"]


class CopyEncoder(Protocol):
    """A form of COPY and how to write it; picklable."""

    @property
    def options(self) -> str:
        """What stands after COPY ... FROM STDIN WITH."""
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

    options: str = "(FORMAT csv)"

    def encode(self, records: pa.RecordBatch, refuse: Callable[[str], Refuse]) -> bytes:
        """Spell the columns that need it, and let pyarrow write the lines."""
        names = records.schema.names
        spelled = [for_csv(array, refuse(name)) for name, array in zip(names, records.columns, strict=True)]
        sink = pa.BufferOutputStream()
        options = csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=1 << 16)
        csv.write_csv(pa.RecordBatch.from_arrays(spelled, names), sink, options)
        return sink.getvalue().to_pybytes()
