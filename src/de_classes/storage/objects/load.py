"""One load into a dataset: files that nobody sees, until one commit lists them."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from uuid import uuid4

from de_classes.contracts import Mode
from de_classes.errors import CountMismatch, DatasetError, Overtaken, StoreError
from de_classes.storage.objects._change import Change, refuse_overtaken
from de_classes.storage.objects._columns import united
from de_classes.storage.objects._keys import join
from de_classes.storage.objects._ledger import encode_receipt, files_of, sizes_of_files
from de_classes.storage.objects._taking import Rejects, Taken
from de_classes.storage.objects.log import DataFile
from de_classes.storage.objects.parquet import write_parquet
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Position, Receipt, Stream
    from de_classes.storage.objects._folders import Folders
    from de_classes.storage.objects.dataset import Dataset
    from de_classes.storage.objects.parquet import ParquetSizes
    from de_classes.utils.schemas import SchemaChanges

__all__ = ["DatasetLoad"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetLoad:
    """One load into one dataset. Its files get names of their own and count only when the commit lists them."""

    dataset: Dataset
    pipeline: str
    stream: Stream
    mode: Mode
    folders: Folders
    sizes: ParquetSizes
    expected: pa.Schema | None
    """The columns that the dataset had when the load began, where its rows stay."""
    staged: Mapping[str, Receipt] = field(default_factory=dict)
    keep_replaced_seconds: float = 86_400.0
    schema_changes: SchemaChanges = "freeze"
    id: str = field(default_factory=lambda: uuid4().hex)
    """Becomes the commit's."""

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Write the batches to files that nobody sees yet, and a receipt into the ledger."""
        taken = Taken(split_id, self.expected, self.dataset.url, self.schema_changes)
        self._put(self.folders.marker, b"{}")
        reach("dataset.write.before_upload")
        with self._rejects() as rejects:
            files = self._written(self.folders.data, taken.records(batches, rejects))
        reach("dataset.write.after_upload")
        receipt = taken.receipt(files, rejects)
        # When this fails, the receipt may be there all the same, and another run may take it over: the files stay, and
        # go with the next commit that does not list them.
        self._put(self.folders.entry(split_id), encode_receipt(receipt))
        return receipt

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Make the files of these receipts part of the dataset, in this order, together with the position."""
        counted = [self._counted(receipt) for receipt in receipts]
        files = tuple(chain.from_iterable(rows for rows, _ in counted))
        rejected = tuple(chain.from_iterable(records for _, records in counted))
        listed = {file.key for file in (*files, *rejected)}
        if len(listed) != len(files) + len(rejected):
            raise CountMismatch(self.dataset.url, "a receipt was given twice", "Commit every split once.")
        subject = f"the splits of {self.stream.name}"
        schema = united((receipt.schema for receipt in receipts), subject, self.schema_changes)
        change = Change(self, files, rejected, schema, position)
        reach("dataset.commit.before")
        try:
            self.dataset.log.append(change.after)
        except Overtaken:
            if not self._is_committed(change):
                raise
        reach("dataset.commit.after")
        self._clean(listed)

    def check_files(self, files: Sequence[DataFile], rejected: Sequence[DataFile] = ()) -> None:
        """See that the files are there as they were written.

        Raises:
            DatasetError: one is not.

        """
        folders = [self.folders.data, self.folders.quarantine] if rejected else [self.folders.data]
        there = sizes_of_files(self.dataset, *folders)
        for file in (*files, *rejected):
            if there.get(file.key) != file.bytes:
                raise DatasetError(
                    f"{self.dataset.url}/{file.key}",
                    f"the file has {there.get(file.key)} bytes, and {file.bytes} were written"
                    if file.key in there
                    else "the file is gone before it was committed",
                    "Run again; and keep others from changing the folder.",
                )

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

    def clean_earlier(self) -> None:
        """Remove what loads of earlier epochs left: overtaken ones, and those that died between commit and cleaning."""
        with self._cleaning():
            for earlier in self.folders.earlier(self.dataset.store.folders(self._inside("_staged"))):
                ended = self.dataset.log.of_epoch(self.pipeline, earlier.epoch)
                if ended is not None:
                    self._clear(earlier, {file.key for file in (*ended.files, *ended.rejected)})
            self.dataset.store.sweep(self.dataset.log.folder)

    def _clean(self, listed: set[str]) -> None:
        """Remove what loads of this epoch, which has just ended, wrote and did not commit."""
        reach("dataset.cleanup.before")
        with self._cleaning():
            self._clear(self.folders, listed)
            if self.mode is Mode.REPLACE:
                self.dataset.vacuum(self.keep_replaced_seconds)

    @contextmanager
    def _cleaning(self) -> Iterator[None]:
        """What cannot be removed now is left to the next load."""
        try:
            yield
        except StoreError as error:
            _log.warning("%s: leftovers stay until the next load: %s", self.dataset.url, error.fact)

    def _clear(self, folders: Folders, listed: set[str]) -> None:
        store = self.dataset.store
        for folder in (folders.data, folders.quarantine):
            self._delete(key for key in sizes_of_files(self.dataset, folder) if key not in listed)
            store.sweep(self._inside(folder))
        # The ledger goes last, the marker at the very end: as long as they are there, the next commit looks again.
        ledger = [self.dataset.key_of(info.key) for info in store.list(self._inside(folders.ledger))]
        self._delete(key for key in ledger if key != folders.marker)
        store.sweep(self._inside(folders.ledger))
        self._delete([folders.marker])

    @contextmanager
    def _rejects(self) -> Iterator[Rejects]:
        """Where rejected records go; when anything fails, their files are removed again."""
        rejects = Rejects(partial(self._written, self.folders.quarantine), self.sizes.row_group)
        try:
            yield rejects
        except BaseException:
            with suppress(StoreError):
                self._delete(file.key for file in rejects.files)
            raise

    def _written(self, folder: str, batches: Iterable[pa.RecordBatch]) -> list[DataFile]:
        dataset = self.dataset
        try:
            written = write_parquet(
                dataset.store, batches, lambda: self._inside(f"{folder}/{uuid4().hex}.parquet"), self.sizes
            )
        except DatasetError:
            # Whoever committed meanwhile has removed what can never be committed any more: the file just written.
            refuse_overtaken(self, dataset.log.newest())
            raise
        return [
            DataFile(dataset.key_of(file.key), file.rows, file.bytes, file.memory, file.checksum, columns=file.columns)
            for file in written
        ]

    def _inside(self, key: str) -> str:
        return join(self.dataset.prefix, key)

    def _put(self, key: str, data: bytes) -> None:
        self.dataset.store.put(self._inside(key), data)

    def _delete(self, keys: Iterable[str]) -> None:
        self.dataset.store.delete(*map(self._inside, keys))
