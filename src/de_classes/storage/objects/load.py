"""One load into a dataset: files that nobody sees, until one commit lists them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from de_classes.contracts import Mode
from de_classes.errors import CountMismatch, DatasetError, Overtaken, StoreError
from de_classes.storage.objects._change import Change
from de_classes.storage.objects._columns import united
from de_classes.storage.objects._ledger import encode_receipt, files_of
from de_classes.storage.objects._room import Room
from de_classes.storage.objects._state import Piece
from de_classes.storage.objects._taking import Rejects, Taken
from de_classes.storage.objects.parquet import ParquetFormat
from de_classes.utils.checksum import TableChecksum
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from de_classes.contracts import Batch, Position, Receipt, Stream
    from de_classes.storage.objects._folders import Folders
    from de_classes.storage.objects._writing import FileSizes
    from de_classes.storage.objects.dataset import Dataset
    from de_classes.storage.objects.formats import Format
    from de_classes.storage.objects.log import DataFile
    from de_classes.utils.schemas import SchemaChanges

__all__ = ["DatasetLoad"]


@dataclass(frozen=True)
class DatasetLoad:
    """One load into one dataset. Its files get names of their own and count only when the commit lists them."""

    dataset: Dataset
    pipeline: str
    stream: Stream
    mode: Mode
    folders: Folders
    sizes: FileSizes
    expected: pa.Schema | None
    """The columns that the dataset had when the load began, where its rows stay."""
    staged: Mapping[str, Receipt] = field(default_factory=dict)
    keep_replaced_seconds: float = 86_400.0
    schema_changes: SchemaChanges = "freeze"
    format: Format = field(default_factory=ParquetFormat)
    partition_by: tuple[str, ...] = ()
    replaces_partitions: bool = False
    """Whether the mode replace leaves the partitions that do not come."""
    id: str = field(default_factory=lambda: uuid4().hex)
    """Becomes the commit's."""

    @property
    def room(self) -> Room:
        """Where its files are."""
        return Room(self.dataset, self.folders)

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Write the batches to files that nobody sees yet, and a receipt into the ledger."""
        taken = Taken(split_id, self.expected, self.dataset.url, self.schema_changes)
        self.room.open()
        reach("dataset.write.before_upload")
        with self._rejects() as rejects:
            files = self._rows_written(taken.records(batches, rejects))
        reach("dataset.write.after_upload")
        receipt = taken.receipt(files, rejects)
        # When this fails, the receipt may be there all the same, and another run may take it over: the files stay, and
        # go with the next commit that does not list them.
        self.room.put(self.folders.entry(split_id), encode_receipt(receipt))
        reach("dataset.write.after_receipt")
        return receipt

    def checkable(self, schema: pa.Schema) -> Sequence[str]:
        """All columns: files give back the very values."""
        return schema.names

    def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
        """The sum of what the files of a piece hold, by their own count and footers.

        Raises:
            Overtaken: a file is gone since another load of the pipeline to this stream was committed.
            DatasetError: a file is gone, or is not what was written.

        """
        summed = TableChecksum(columns)
        try:
            for file in files_of(receipt, self.dataset.url)[0]:
                for batch in self.dataset.read(Piece(file), receipt.schema or pa.schema([])):
                    summed.update(batch)
        except DatasetError:
            # Whoever committed meanwhile has removed what can never be committed any more.
            self.room.refuse_overtaken(self.dataset.log.newest())
            raise
        return str(summed.value)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Make the files of these receipts part of the dataset, in this order, together with the position.

        Raises:
            CountMismatch: a receipt was given twice, or does not have the rows of its files.
            Overtaken: another load of the pipeline to this stream was committed since this one began.
            SchemaMismatch: the columns are not the dataset's, or it cannot grow for them.

        """
        counted = [self._counted(receipt) for receipt in receipts]
        files = tuple(chain.from_iterable(rows for rows, _ in counted))
        rejected = tuple(chain.from_iterable(records for _, records in counted))
        listed = {file.key for file in (*files, *rejected)}
        if len(listed) != len(files) + len(rejected):
            raise CountMismatch(self.dataset.url, "a receipt was given twice", "Commit every split once.")
        subject = f"the splits of {self.stream.name}"
        schema = united((receipt.schema for receipt in receipts), subject, self.schema_changes)
        items = tuple(chain.from_iterable(receipt.items for receipt in receipts))
        change = Change(self, files, rejected, schema, position, items)
        reach("dataset.commit.before")
        try:
            self.dataset.log.append(change.after)
        except Overtaken:
            if not self._is_committed(change):
                raise
        reach("dataset.commit.after")
        self._clean(listed)

    def _counted(self, receipt: Receipt) -> tuple[Sequence[DataFile], Sequence[DataFile]]:
        """The files of a receipt: those with rows, and those with rejected records."""
        files, rejected = files_of(receipt, self.dataset.url)
        for told, kept, count in (("rows", files, receipt.rows), ("rejected records", rejected, receipt.rejected)):
            there = sum(file.rows for file in kept)
            if there != count:
                raise CountMismatch(
                    f"{self.dataset.url}, split {receipt.split_id}",
                    f"its files hold {there} {told}, and its receipt says {count}",
                    "Run again; nothing has been committed.",
                )
        return files, rejected

    def _is_committed(self, change: Change) -> bool:
        """Whether it is this very load that ended the epoch, with just this: it is asked to commit the same again."""
        ended = self.dataset.log.of_epoch(self.pipeline, self.folders.epoch)
        if ended is None or ended.id != self.id:
            return False
        told = (ended.files, ended.rejected, ended.pipelines[self.pipeline].position)
        return told == (change.files, change.rejected, change.position)

    def _clean(self, listed: set[str]) -> None:
        """Remove what loads of this epoch, which has just ended, wrote and did not commit."""
        reach("dataset.cleanup.before")
        with self.room.cleaning():
            self.room.clear(listed)
            if self.mode is Mode.REPLACE:
                self.dataset.vacuum(self.keep_replaced_seconds)

    @contextmanager
    def _rejects(self) -> Iterator[Rejects]:
        """Where rejected records go; when anything fails, their files are removed again."""
        rejects = Rejects(partial(self._written, self.folders.quarantine), self.sizes.row_group)
        try:
            yield rejects
        except BaseException:
            with suppress(StoreError):
                self.room.delete(file.key for file in rejects.files)
            raise

    def _rows_written(self, records: Iterable[pa.RecordBatch]) -> list[DataFile]:
        if self.partition_by:
            return self.room.partitioned(self.folders.data, records, self.sizes, self.format, self.partition_by)
        return self.room.written(self.folders.data, records, self.sizes, self.format)

    def _written(self, folder: str, batches: Iterable[pa.RecordBatch]) -> list[DataFile]:
        return self.room.written(folder, batches, self.sizes)
