"""What is learnt of a split, and kept aside of it, while its batches go by on their way to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.contracts import Receipt
from de_classes.errors import CountMismatch, SchemaMismatch
from de_classes.storage.objects._columns import united
from de_classes.storage.objects._ledger import details_of
from de_classes.storage.objects._nullability import relaxed
from de_classes.utils.quarantine import REJECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Item, Position
    from de_classes.storage.objects.log import DataFile
    from de_classes.utils.schemas import SchemaChanges

__all__ = ["Rejects", "Taken"]


class Rejects:
    """Rejected records on their way to files of their own: `write` is given them once they take `most` bytes."""

    def __init__(self, write: Callable[[Sequence[pa.RecordBatch]], Sequence[DataFile]], most: int) -> None:
        self._write, self._most = write, most
        self._kept: list[pa.RecordBatch] = []
        self._size = 0
        self.count = 0
        self.files: list[DataFile] = []

    def add(self, records: pa.RecordBatch) -> None:
        """Take some more."""
        if not records.schema.equals(REJECTED):
            raise SchemaMismatch(
                "rejected records",
                f"they have the columns {', '.join(records.schema.names)}",
                "Give them the schema de_classes.utils.quarantine.REJECTED.",
            )
        self._kept.append(records)
        self.count += records.num_rows
        self._size += records.nbytes
        if self._size >= self._most:
            self.flush()

    def flush(self) -> None:
        """Write what was kept back."""
        kept, self._kept, self._size = self._kept, [], 0
        self.files += self._write(kept)


class Taken:
    """The rows, columns and position of a split so far."""

    def __init__(self, split_id: str, expected: pa.Schema | None, subject: str, changes: SchemaChanges) -> None:
        self._split_id, self._expected, self._subject, self._changes = split_id, expected, subject, changes
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._position: Position | None = None
        self._items: tuple[Item, ...] = ()
        self._checksum: str | None = None

    def records(self, batches: Iterator[Batch], rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The records to write; those that do not fit go to the rejects."""
        for batch in batches:
            if batch.rejected is not None:
                rejects.add(batch.rejected)
            if batch.position is not None:
                self._position = batch.position
            self._items += batch.items
            self._checksum = batch.checksum
            if self._has_columns(batch.records):
                self._rows += batch.records.num_rows
                yield self._with_known_columns(relaxed(batch.records))
        rejects.flush()

    def receipt(self, files: Sequence[DataFile], rejects: Rejects) -> Receipt:
        """What the split was, once all of it is written."""
        for told, came, kept in (("rows", self._rows, files), ("rejected records", rejects.count, rejects.files)):
            written = sum(file.rows for file in kept)
            if written != came:
                subject = f"{self._subject}, split {self._split_id}"
                raise CountMismatch(subject, f"{came} {told} came, {written} were written", "Run again.")
        return Receipt(
            split_id=self._split_id,
            rows=self._rows,
            bytes=sum(file.bytes for file in (*files, *rejects.files)),
            schema=self._schema,
            position=self._position,
            details=details_of(files, rejects.files),
            rejected=rejects.count,
            items=self._items,
            checksum=self._checksum,
        )

    def _has_columns(self, records: pa.RecordBatch) -> bool:
        """Whether there are; a batch without brings a position or rejected records, and says nothing of columns."""
        if records.num_rows and not records.num_columns:
            raise SchemaMismatch(
                f"{self._subject}, split {self._split_id}",
                f"{records.num_rows} rows come without a column, and no file can hold them",
                "Add a column in a transform, or leave such rows out.",
            )
        return bool(records.num_columns)

    def _with_known_columns(self, records: pa.RecordBatch) -> pa.RecordBatch:
        if self._schema is None:
            self._schema = records.schema
            # Better told now than after hours of writing.
            united([self._expected, self._schema], self._subject, self._changes)
        return records
