"""Datasets of an object store as a Destination."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from de_classes.contracts import Mode, Receipt
from de_classes.errors import ConfigurationError, CountMismatch, DatasetError, Overtaken, StoreError
from de_classes.storage.objects._folders import Folders
from de_classes.storage.objects._keys import check_prefix, join
from de_classes.storage.objects._ledger import encode_receipt, files_of, plain, sizes_of_files, staged_in
from de_classes.storage.objects._nullability import relaxed, relaxed_schema
from de_classes.storage.objects.dataset import dataset_of
from de_classes.storage.objects.log import Commit, DataFile, Progress, united
from de_classes.storage.objects.parquet import ParquetSizes, write_parquet
from de_classes.storage.objects.probe import probe
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Position, Stream
    from de_classes.storage.objects.dataset import Dataset
    from de_classes.storage.objects.parquet import WrittenFile
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["DatasetDestination", "DatasetLoad"]

_log = logging.getLogger(__name__)


class DatasetDestination:
    """Loads each stream into a dataset of its name, in the folder `prefix` of a store.

    The modes are append and replace. The files that a replacement drops stay for `keep_replaced_seconds`, since
    somebody may be reading them, and go with the first replacement after that. Several pipelines may feed one dataset;
    a replacement drops the rows of all and leaves the positions of the others as they are.

    Args:
        store: where the datasets go. It must keep to `If-None-Match`, and is asked before the first load.
        prefix: the folder of the datasets' folders.
        target_file_bytes: a new file is begun when one has become this long.
        row_group_bytes: rows are collected up to this much memory and written as one row group. A worker takes about
            four times as much.
        keep_replaced_seconds: how long files that a replacement dropped are kept for those who still read them.

    """

    def __init__(
        self,
        store: ObjectStore,
        prefix: str = "",
        *,
        target_file_bytes: int = 256 << 20,
        row_group_bytes: int = 16 << 20,
        keep_replaced_seconds: float = 86_400.0,
    ) -> None:
        if keep_replaced_seconds < 0:
            raise ConfigurationError(
                "DatasetDestination", f"keep_replaced_seconds={keep_replaced_seconds!r}", "Give 0 or more."
            )
        self._store, self._prefix = store, check_prefix(prefix)
        self._keep_replaced_seconds = keep_replaced_seconds
        self._sizes = ParquetSizes(file=target_file_bytes, row_group=row_group_bytes)

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position in the pipeline's last commit to the stream; None before the first."""
        newest = dataset_of(self._store, self._prefix, stream.name).log.newest()
        progress = newest.pipelines.get(pipeline) if newest is not None else None
        return progress.position if progress is not None else None

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[DatasetLoad]:
        """Begin a load, offering what an interrupted one of the same pipeline had written.

        Raises:
            ConfigurationError: the mode is merge.
            UnsafeStore: the store ignores conditions.

        """
        mode = Mode(mode)
        dataset = dataset_of(self._store, self._prefix, stream.name)
        if mode is Mode.MERGE:
            raise ConfigurationError(
                dataset.url,
                "a dataset of files cannot merge",
                "Append here, and merge when the dataset is loaded into PostgreSQL.",
            )
        probe(self._store, self._prefix)
        newest = dataset.log.newest()
        progress = newest.pipelines.get(pipeline) if newest is not None else None
        own = Folders(pipeline, progress.epoch if progress is not None else 0)
        expected = newest.schema if newest is not None and mode is Mode.APPEND else None
        load = DatasetLoad(
            dataset=dataset,
            pipeline=pipeline,
            stream=stream,
            mode=mode,
            folders=own,
            sizes=self._sizes,
            expected=expected,
            staged=staged_in(dataset, own),
            keep_replaced_seconds=self._keep_replaced_seconds,
        )
        load.clean_earlier()
        yield load

    def __repr__(self) -> str:
        return f"DatasetDestination({self._store!r}, {self._prefix!r})"


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
    """The columns that the dataset had when the load began, where they must stay."""
    staged: Mapping[str, Receipt] = field(default_factory=dict)
    keep_replaced_seconds: float = 86_400.0
    id: str = field(default_factory=lambda: uuid4().hex)
    """Becomes the commit's."""

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Write the batches to files that nobody sees yet, and a receipt into the ledger."""
        taken = _Taken(split_id, self.expected, self.dataset.url)
        self._put(self.folders.marker, b"{}")
        reach("dataset.write.before_upload")
        try:
            files = write_parquet(self.dataset.store, taken.records(batches), self._name_of_a_file, self.sizes)
        except DatasetError:
            # Whoever committed meanwhile has removed what can never be committed any more: the file just written.
            refuse_overtaken(self, self.dataset.log.newest())
            raise
        reach("dataset.write.after_upload")
        receipt = taken.receipt([self._relative(file) for file in files])
        # When this fails, the receipt may be there all the same, and another run may take it over: the files stay, and
        # go with the next commit that does not list them.
        self._put(self.folders.entry(split_id), encode_receipt(receipt))
        return receipt

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Make the files of these receipts part of the dataset, in this order, together with the position."""
        files = [file for receipt in receipts for file in self._counted(receipt)]
        if len({file.key for file in files}) != len(files):
            raise CountMismatch(self.dataset.url, "a receipt was given twice", "Commit every split once.")
        schema: pa.Schema | None = None
        for receipt in receipts:
            schema = united(schema, receipt.schema, f"the splits of {self.stream.name}")
        change = Change(self, tuple(files), schema, position)
        reach("dataset.commit.before")
        try:
            self.dataset.log.append(change.after)
        except Overtaken:
            if not self._is_committed(files, position):
                raise
        reach("dataset.commit.after")
        self._clean({file.key for file in files})

    def check_files(self, files: Sequence[DataFile]) -> None:
        """See that the files are there as they were written.

        Raises:
            DatasetError: one is not.

        """
        there = sizes_of_files(self.dataset, self.folders)
        for file in files:
            if there.get(file.key) != file.bytes:
                raise DatasetError(
                    f"{self.dataset.url}/{file.key}",
                    f"the file has {there.get(file.key)} bytes, and {file.bytes} were written"
                    if file.key in there
                    else "the file is gone before it was committed",
                    "Run again; and keep others from changing the folder.",
                )

    def _counted(self, receipt: Receipt) -> Sequence[DataFile]:
        files = files_of(receipt, self.dataset.url)
        rows = sum(file.rows for file in files)
        if rows != receipt.rows:
            raise CountMismatch(
                f"{self.dataset.url}, split {receipt.split_id}",
                f"its files hold {rows} rows, and its receipt says {receipt.rows}",
                "Run again; nothing has been committed.",
            )
        return files

    def _is_committed(self, files: Sequence[DataFile], position: Position | None) -> bool:
        """Whether it is this very load that ended the epoch, with just this: it is asked to commit the same again."""
        ended = self.dataset.log.of_epoch(self.pipeline, self.folders.epoch)
        if ended is None or ended.id != self.id:
            return False
        return (ended.files, ended.pipelines[self.pipeline].position) == (tuple(files), position)

    def clean_earlier(self) -> None:
        """Remove what loads of earlier epochs left: overtaken ones, and those that died between commit and cleaning."""
        with self._cleaning():
            for earlier in self.folders.earlier(self.dataset.store.folders(self._inside("_staged"))):
                ended = self.dataset.log.of_epoch(self.pipeline, earlier.epoch)
                if ended is not None:
                    self._clear(earlier, {file.key for file in ended.files})
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
        data = [self.dataset.key_of(info.key) for info in store.list(self._inside(folders.data))]
        self._delete(key for key in data if key not in listed)
        store.sweep(self._inside(folders.data))
        # The ledger goes last, the marker at the very end: as long as they are there, the next commit looks again.
        ledger = [self.dataset.key_of(info.key) for info in store.list(self._inside(folders.ledger))]
        self._delete(key for key in ledger if key != folders.marker)
        store.sweep(self._inside(folders.ledger))
        self._delete([folders.marker])

    def _name_of_a_file(self) -> str:
        return self._inside(f"{self.folders.data}/{uuid4().hex}.parquet")

    def _relative(self, file: WrittenFile) -> DataFile:
        return DataFile(self.dataset.key_of(file.key), file.rows, file.bytes, file.memory, file.checksum)

    def _inside(self, key: str) -> str:
        return join(self.dataset.prefix, key)

    def _put(self, key: str, data: bytes) -> None:
        self.dataset.store.put(self._inside(key), data)

    def _delete(self, keys: Iterable[str]) -> None:
        self.dataset.store.delete(*map(self._inside, keys))


def refuse_overtaken(load: DatasetLoad, newest: Commit | None) -> None:
    """See that the pipeline has not committed since the load began.

    Raises:
        Overtaken: it has.

    """
    known = newest.pipelines.get(load.pipeline) if newest is not None else None
    if (known.epoch if known is not None else 0) != load.folders.epoch:
        raise Overtaken(
            f"pipeline {load.pipeline!r}, {load.dataset.url}",
            "another run of the pipeline has committed since this one began",
            "Run it again: it goes on from there. Run one at a time.",
        )


@dataclass(frozen=True)
class Change:
    """What a load wants to become a commit."""

    load: DatasetLoad
    files: tuple[DataFile, ...]
    schema: pa.Schema | None
    position: Position | None

    def after(self, newest: Commit | None) -> Commit:
        """The commit that follows `newest`.

        Raises:
            Overtaken: the pipeline has committed since the load began.
            SchemaMismatch: the columns are not those of the dataset.

        """
        load = self.load
        refuse_overtaken(load, newest)
        try:
            load.check_files(self.files)
        except DatasetError:
            # Whoever committed since `newest` was read has removed what can never be committed any more: this load's.
            refuse_overtaken(load, load.dataset.log.newest())
            raise
        before = dict(newest.pipelines) if newest is not None else {}
        number = newest.number + 1 if newest is not None else 1
        replaces = load.mode is Mode.REPLACE
        rows = sum(file.rows for file in self.files)
        before[load.pipeline] = Progress(self.position, load.folders.epoch + 1, number)
        return Commit(
            number=number,
            id=load.id,
            pipeline=load.pipeline,
            mode=load.mode,
            at=datetime.now(UTC),
            base=number if replaces or newest is None else newest.base,
            rows=rows if replaces or newest is None else newest.rows + rows,
            schema=self._schema(newest),
            primary_key=load.stream.primary_key or (newest.primary_key if newest is not None else ()),
            files=self.files,
            pipelines=before,
        )

    def _schema(self, newest: Commit | None) -> pa.Schema | None:
        coming = self.schema
        known = newest.schema if newest is not None else None
        declared = self.load.stream.schema
        declared = None if declared is None else relaxed_schema(declared)
        if self.load.mode is Mode.REPLACE:
            return coming or declared or known
        if coming is None and known is None:
            return declared
        return united(known, coming, self.load.dataset.url)


class _Taken:
    """What is learnt of a split while its batches go by."""

    def __init__(self, split_id: str, expected: pa.Schema | None, subject: str) -> None:
        self._split_id, self._expected, self._subject = split_id, expected, subject
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._position: Position | None = None

    def records(self, batches: Iterator[Batch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            records = relaxed(batch.records)
            if self._schema is None:
                self._schema = records.schema
                united(self._expected, self._schema, self._subject)  # better told now than after hours of writing
            self._rows += records.num_rows
            if batch.position is not None:
                self._position = batch.position
            yield records

    def receipt(self, files: Sequence[DataFile]) -> Receipt:
        written = sum(file.rows for file in files)
        if written != self._rows:
            raise CountMismatch(
                f"{self._subject}, split {self._split_id}",
                f"{self._rows} rows came, {written} were written",
                "Run again.",
            )
        return Receipt(
            split_id=self._split_id,
            rows=self._rows,
            bytes=sum(file.bytes for file in files),
            schema=self._schema,
            position=self._position,
            details={"files": [plain(file) for file in files]},
        )
