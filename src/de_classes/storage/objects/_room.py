"""Where a load keeps its files until a commit lists them, and what becomes of those that none lists."""

from __future__ import annotations

import itertools
import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING
from uuid import uuid4

from de_classes.errors import DatasetError, ObjectNotFound, Overtaken, StoreError
from de_classes.storage.objects._keys import join
from de_classes.storage.objects._ledger import sizes_of_files
from de_classes.storage.objects._partitions import cut_up, folder_of
from de_classes.storage.objects._writing import write_files
from de_classes.storage.objects.log import DataFile
from de_classes.storage.objects.parquet import ParquetFormat
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from de_classes.storage.objects._folders import Folders
    from de_classes.storage.objects._writing import FileSizes
    from de_classes.storage.objects.dataset import Dataset
    from de_classes.storage.objects.formats import Format
    from de_classes.storage.objects.log import Commit

__all__ = ["Room"]

_PARQUET = ParquetFormat()
_BUFFERED = 4
"""Row groups of rows that are kept back so that partitions get files worth their while."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """The folders of a pipeline's epoch in a dataset."""

    dataset: Dataset
    folders: Folders

    def refuse_overtaken(self, newest: Commit | None) -> None:
        """See that the pipeline has not committed since the load began.

        Raises:
            Overtaken: it has.

        """
        known = newest.pipelines.get(self.folders.pipeline) if newest is not None else None
        if (known.epoch if known is not None else 0) != self.folders.epoch:
            raise Overtaken(
                f"pipeline {self.folders.pipeline!r}, {self.dataset.url}",
                "another run of the pipeline has committed since this one began",
                "Run it again: it goes on from there. Run one at a time.",
            )

    def open(self) -> None:
        """Say that there may be something to remove."""
        self.put(self.folders.marker, b"{}")

    def partitioned(
        self, folder: str, batches: Iterable[pa.RecordBatch], sizes: FileSizes, form: Format, columns: Sequence[str]
    ) -> list[DataFile]:
        """Write files under names of their own, in a folder for each partition; one is written at a time."""
        files: list[DataFile] = []
        pieces = cut_up(batches, columns, _BUFFERED * sizes.row_group)
        try:
            for partition, rows in itertools.groupby(pieces, itemgetter(0)):
                inside = f"{folder}/{folder_of(columns, partition)}"
                told = dict(zip(columns, partition, strict=True))
                written = self.written(inside, (piece for _, piece in rows), sizes, form)
                files += [replace(file, partition=told) for file in written]
        except BaseException:
            with suppress(StoreError):
                self.delete(file.key for file in files)
            raise
        return files

    def written(
        self, folder: str, batches: Iterable[pa.RecordBatch], sizes: FileSizes, form: Format = _PARQUET
    ) -> list[DataFile]:
        """Write files under names of their own."""
        dataset = self.dataset
        try:
            written = write_files(
                dataset.store, batches, lambda: self._inside(f"{folder}/{uuid4().hex}{form.suffix}"), sizes, form
            )
        except (DatasetError, ObjectNotFound):
            # Whoever committed meanwhile has removed what can never be committed any more: the file just written.
            self.refuse_overtaken(dataset.log.newest())
            raise
        return [
            DataFile(
                dataset.key_of(file.key),
                file.rows,
                file.bytes,
                file.memory,
                file.checksum,
                columns=file.columns,
                format=file.format,
            )
            for file in written
        ]

    def check_files(self, files: Sequence[DataFile], rejected: Sequence[DataFile] = ()) -> None:
        """See that the files are there as they were written.

        Raises:
            DatasetError: one is not.
            Overtaken: one is not since another run has committed, and has removed what can never be any more.

        """
        folders = [self.folders.data, self.folders.quarantine] if rejected else [self.folders.data]
        there = sizes_of_files(self.dataset, *folders)
        for file in (*files, *rejected):
            if there.get(file.key) != file.bytes:
                self.refuse_overtaken(self.dataset.log.newest())
                raise DatasetError(
                    f"{self.dataset.url}/{file.key}",
                    f"the file has {there.get(file.key)} bytes, and {file.bytes} were written"
                    if file.key in there
                    else "the file is gone before it was committed",
                    "Run again; and keep others from changing the folder.",
                )

    def clean_earlier(self) -> None:
        """Remove what loads of earlier epochs left: overtaken ones, and those that died between commit and cleaning."""
        with self.cleaning():
            for earlier in self.folders.earlier(self.dataset.store.folders(self._inside("_staged"))):
                ended = self.dataset.log.of_epoch(self.folders.pipeline, earlier.epoch)
                if ended is not None:
                    Room(self.dataset, earlier).clear({file.key for file in (*ended.files, *ended.rejected)})
            self.dataset.store.sweep(self.dataset.log.folder)

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """What cannot be removed now is left to the next load."""
        try:
            yield
        except StoreError as error:
            _log.warning("%s: leftovers stay until the next load: %s", self.dataset.url, error.fact)

    def clear(self, listed: set[str]) -> None:
        """Remove what the commit that ended the epoch does not list."""
        store = self.dataset.store
        for folder in (self.folders.data, self.folders.quarantine):
            self.delete(key for key in sizes_of_files(self.dataset, folder) if key not in listed)
            store.sweep(self._inside(folder))
        reach("dataset.cleanup.before_ledger")
        # The ledger goes last, the marker at the very end: as long as they are there, the next commit looks again.
        ledger = [self.dataset.key_of(info.key) for info in store.list(self._inside(self.folders.ledger))]
        self.delete(key for key in ledger if key != self.folders.marker)
        store.sweep(self._inside(self.folders.ledger))
        reach("dataset.cleanup.before_marker")
        self.delete([self.folders.marker])

    def put(self, key: str, data: bytes) -> None:
        """Write an object of the dataset."""
        self.dataset.store.put(self._inside(key), data)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects of the dataset."""
        self.dataset.store.delete(*map(self._inside, keys))

    def _inside(self, key: str) -> str:
        return join(self.dataset.prefix, key)
