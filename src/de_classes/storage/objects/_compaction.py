"""Small files of a dataset are rewritten into larger ones, and no row changes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, CountMismatch
from de_classes.storage.objects._change import following
from de_classes.storage.objects._folders import Folders
from de_classes.storage.objects._keys import join
from de_classes.storage.objects._partitions import folder_of
from de_classes.storage.objects._reading import format_of
from de_classes.storage.objects._room import Room
from de_classes.storage.objects._state import Piece
from de_classes.storage.objects._writing import FileSizes
from de_classes.storage.objects.dataset import Compacted, columns_of
from de_classes.storage.objects.log import COMPACTION, Progress
from de_classes.storage.objects.parquet import ParquetFormat
from de_classes.storage.objects.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from de_classes.storage.objects._state import Held
    from de_classes.storage.objects.dataset import Dataset
    from de_classes.storage.objects.log import Commit, DataFile

__all__ = ["compacted"]

_ONE_FILE = 1 << 62
_ROW_GROUP_BYTES = 16 << 20


def compacted(dataset: Dataset, target_bytes: int) -> Compacted:
    """See `Dataset.compact`."""
    if target_bytes <= 0:
        raise ConfigurationError(dataset.url, f"target_bytes={target_bytes!r}", "Give bytes, more than 0.")
    newest = dataset.log.newest()
    if newest is None:
        return Compacted(0, 0, 0)
    series = _series(dataset.state(newest).files, newest.primary_key)
    groups = [group for files in series for group in _groups(files, target_bytes)]
    progress = newest.pipelines.get(COMPACTION)
    room = Room(dataset, Folders(COMPACTION, progress.epoch if progress is not None else 0))
    room.clean_earlier()  # also where there is nothing to do: the last one may have died behind its commit
    if not groups:
        return Compacted(0, 0, 0)
    probe(dataset.store, dataset.prefix)
    room.open()
    change = _Rewriting(room, [_rewritten(room, group, newest) for group in groups])
    committed = dataset.log.append(change.after)
    with room.cleaning():
        room.clear({file.key for file in committed.files})
    files = sum(len(file.rewrites) for file in committed.files)
    return Compacted(files, len(committed.files), sum(file.rows for file in committed.files))


@dataclass(frozen=True)
class _Rewriting:
    """Files that stand for others, on their way into a commit."""

    room: Room
    files: Sequence[DataFile]
    id: str = field(default_factory=lambda: uuid4().hex)

    def after(self, newest: Commit | None) -> Commit:
        """The commit that follows `newest`. A load may have dropped some of the files meanwhile: it has its way.

        Raises:
            Overtaken: another compaction has committed since this one began, or the dataset was removed.

        """
        folders, log = self.room.folders, self.room.dataset.log
        self.room.refuse_overtaken(newest)
        there = {held.file.key for held in log.state(newest).files} if newest is not None else set()
        files = tuple(file for file in self.files if there.issuperset(file.rewrites))
        self.room.check_files(files)
        if newest is None:
            raise ConfigurationError(self.room.dataset.url, "the dataset was removed meanwhile", "Load it anew.")
        number = newest.number + 1
        return replace(
            newest,
            number=number,
            id=self.id,
            pipeline=COMPACTION,
            mode=Mode.APPEND,
            at=following(newest),
            files=files,
            rejected=(),
            dropped=(),
            items=(),
            pipelines={**newest.pipelines, COMPACTION: Progress(None, folders.epoch + 1, number)},
        )


def _series(files: Sequence[Held], primary_key: Sequence[str]) -> Iterator[Sequence[Held]]:
    """Runs of files of one partition and format, in each of which rows must keep their order.

    A partition is one run, though files of others stand between, where no primary key can be in two of them: that
    consists of the partitioning columns and more, or there is none.
    """
    apart = all(set(primary_key).issuperset(held.file.partition or ()) for held in files) or not primary_key
    in_order = sorted(files, key=_partition) if apart else files
    return (list(some) for _, some in itertools.groupby(in_order, key=_partition))


def _partition(held: Held) -> str:
    file = held.file
    form = None if file.format is None else (file.format["name"], file.format["options"])
    return repr((file.partition, form))


def _groups(files: Iterable[Held], target_bytes: int) -> Iterator[Sequence[Held]]:
    """Neighbours that fit into one file together. Only neighbours: of rows with one key, the last one counts.

    What is half as long as a file should be stays as it is, or the same rows would be rewritten again and again.
    """
    group: list[Held] = []
    size = 0
    for held in files:
        large = 2 * held.file.bytes >= target_bytes
        if group and (large or size + held.file.bytes > target_bytes):
            yield from [group] if len(group) > 1 else []
            group, size = [], 0
        if not large:
            group.append(held)
            size += held.file.bytes
    yield from [group] if len(group) > 1 else []


def _rewritten(room: Room, group: Sequence[Held], newest: Commit) -> DataFile:
    dataset, schema = room.dataset, columns_of(newest)
    partition = group[0].file.partition or {}
    batches = itertools.chain.from_iterable(dataset.read(Piece(held.file), schema) for held in group)
    inside = (batch.drop_columns(list(partition)) for batch in batches)
    folder = join(room.folders.data, folder_of(list(partition), tuple(partition.values())))
    sizes = FileSizes(file=_ONE_FILE, row_group=_ROW_GROUP_BYTES)
    told = group[0].file.format
    form = ParquetFormat() if told is None else format_of(told, dataset.url)
    (file,) = room.written(folder, inside, sizes, form)
    rows = sum(held.file.rows for held in group)
    if file.rows != rows:
        raise CountMismatch(
            f"{dataset.url}/{file.key}", f"{rows} rows were read and {file.rows} written", "Compact again."
        )
    origins: dict[int, int] = {}
    for commit, count in itertools.chain.from_iterable(held.origins for held in group):
        origins[commit] = origins.get(commit, 0) + count
    rewrites = tuple(held.file.key for held in group)
    return replace(file, partition=group[0].file.partition, rewrites=rewrites, origins=tuple(origins.items()))
