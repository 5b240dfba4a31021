"""A checksum of the values of a table that does not depend on the order of its rows.

It proves that two places hold the same rows: a table in PostgreSQL and the Parquet files it was made from, say, read
back with other types of the same meaning, in other batches, in another order. Which values are the same is told by
`de_classes.utils.value_hash`.

How it is made: each value's 64-bit hash is mixed with its column's name, the mixed values of a row are added up and
mixed again, and the rows are added up, modulo 2**64; all of it twice, with independent seeds, which gives 128
bits. Therefore

- rows, batches and columns may come in any order (sums do not care), but a value that moves to another row or another
  column is seen (the mixing in between does);
- rows are a multiset: a row twice is not that row once. An exclusive or, the other usual way to forget the order, would
  let two copies of a row cancel each other out;
- the sums of two parts add up to the sum of the whole, so parts may be summed anywhere.

It is made against accidents, not against somebody who wants to deceive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from de_classes.errors import DatasetError, SchemaMismatch, UnknownType
from de_classes.utils.value_hash import hash_values, mix, seed_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import JsonValue
    from de_classes.utils.value_hash import Hashes

__all__ = ["Checksum", "TableChecksum", "checksum"]

ALGORITHM = 1
"""Rises whenever the same values would give another digest."""

_CHUNK_ROWS = 16_384
_CHUNK_BYTES = 4 * 2**20
_WORD = 2**64


@dataclass(frozen=True, slots=True)
class Checksum:
    """How many rows there are and what they hold; equal for the same rows in any order."""

    rows: int
    digest: int
    """128 bits: two sums of 64, which add up each on its own."""

    @classmethod
    def empty(cls) -> Checksum:
        """The checksum of no rows, whatever the columns."""
        return cls(0, 0)

    def __add__(self, other: Checksum) -> Checksum:
        if not isinstance(other, Checksum):
            return NotImplemented
        high = (self.digest // _WORD + other.digest // _WORD) % _WORD
        return Checksum(self.rows + other.rows, high * _WORD + (self.digest + other.digest) % _WORD)

    def __str__(self) -> str:
        """The digest, 32 hexadecimal digits."""
        return f"{self.digest:032x}"

    def to_json(self) -> dict[str, JsonValue]:
        """A small mapping to keep or to send."""
        return {"algorithm": ALGORITHM, "rows": self.rows, "digest": str(self)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Checksum:
        """What `to_json` gave.

        Raises:
            DatasetError: the mapping is none of `to_json`, or of a release that computed checksums in another way.

        """
        if kept.get("algorithm") != ALGORITHM:
            raise DatasetError(
                f"the checksum {dict(kept)}",
                f"made by algorithm {kept.get('algorithm')!r}, and this release knows only {ALGORITHM}",
                "Compute it again from the data.",
            )
        try:
            return cls(int(kept["rows"]), int(kept["digest"], 16))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"the checksum {dict(kept)}", "not a number of rows and a digest", "Compute it again from the data."
            ) from error


class TableChecksum:
    """Sums up batches as they pass; holds two numbers, and memory for a few megabytes of a batch at a time."""

    def __init__(self, columns: Sequence[str] | None = None) -> None:
        self._columns = None if columns is None else tuple(columns)
        self._rows = 0
        self._sums = [0, 0]

    @property
    def value(self) -> Checksum:
        """The checksum of everything so far."""
        return Checksum(self._rows, self._sums[0] * _WORD + self._sums[1])

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch.

        Raises:
            SchemaMismatch: a column that is wanted is not there, or two columns have one name.
            UnknownType: a column has a type whose values cannot be compared, such as a union.

        """
        batch = self._wanted(batch)
        rows = min(_CHUNK_ROWS, max(1, batch.num_rows * _CHUNK_BYTES // max(1, batch.nbytes)))
        for offset in range(0, batch.num_rows, rows):
            self._add(batch.slice(offset, rows))
        self._rows += batch.num_rows

    def _wanted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        there = batch.schema.names
        wanted = there if self._columns is None else self._columns
        wrong = [name for name in dict.fromkeys(wanted) if there.count(name) != 1]
        if wrong:
            raise SchemaMismatch(
                "a checksum",
                f"needs exactly one column each of {', '.join(map(repr, wrong))}; "
                f"the batch has {', '.join(map(repr, there)) or 'none'}",
                "Name columns that are there once.",
            )
        return batch if self._columns is None else batch.select(list(wanted))

    def _add(self, batch: pa.RecordBatch) -> None:
        sums = [np.full(batch.num_rows, seed_of("rows, one")), np.full(batch.num_rows, seed_of("rows, two"))]
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            hashes = _hash_column(name, column)
            sums[0] += mix(hashes ^ seed_of(f"one: {name}"))
            sums[1] += mix(hashes ^ seed_of(f"two: {name}"))
        self._sums = [(kept + _total(rows)) % _WORD for kept, rows in zip(self._sums, sums, strict=True)]


def _hash_column(name: str, column: pa.Array[Any]) -> Hashes:
    try:
        return hash_values(column)
    except UnknownType as error:
        raise UnknownType(f"column {name!r}", f"{error.subject}: {error.fact}", error.remedy) from None


def _total(rows: Hashes) -> int:
    return int(mix(rows).sum(dtype=np.uint64))


def checksum(batches: Any, columns: Sequence[str] | None = None) -> Checksum:
    """Sum up RecordBatches, or any table that speaks Arrow (`__arrow_c_stream__`), or some of the columns.

    Raises:
        SchemaMismatch: a column that is wanted is not there, or two columns have one name.
        UnknownType: a column has a type whose values cannot be compared, such as a union.

    """
    if hasattr(batches, "__arrow_c_stream__"):
        batches = pa.RecordBatchReader.from_stream(batches)
    summed = TableChecksum(columns)
    for batch in batches:
        summed.update(batch)
    return summed.value
