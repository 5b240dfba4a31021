"""A dataset: Parquet files in a folder of an object store, and the commit log that says which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects._folders import FOLDERS_OF_FILES, Folders
from de_classes.storage.objects._keys import check_key, check_prefix, check_store, join
from de_classes.storage.objects._partitions import restored, stored_columns
from de_classes.storage.objects._reading import read_text
from de_classes.storage.objects._state import Piece
from de_classes.storage.objects.log import CommitLog
from de_classes.storage.objects.parquet import read_parquet
from de_classes.utils.faults import reach
from de_classes.utils.quarantine import REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.storage.objects._state import State
    from de_classes.storage.objects.log import Commit
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["Compacted", "Dataset", "Vacuumed"]

BATCH_BYTES = 4 << 20
_ENTRIES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was removed."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was rewritten."""

    files: int
    """How many files there were."""
    into: int
    """How many there are instead."""
    rows: int


class Dataset:
    """The dataset in the folder `prefix` of a store.

    Anything that takes Arrow can read it::

        pyarrow.table(Dataset(LocalStore("lake"), "orders"))

    What is read is the state of the last commit at that moment, under the columns that it has then: files that were
    written before a column came have nulls there, and those of a column that was narrower give it as it is now.
    With `as_of`, the number of a commit or a time with a zone, it is the state of that commit, or of the last one by
    that time, as long as `vacuum` has left its files. Touches nothing until it is asked.

    An engine that reads the files of `data/` by itself does not know the log: it sees what was replaced and is not yet
    removed, and must unite columns by name where they have grown. DuckDB does so with
    `read_parquet('.../data/**', union_by_name = true)`, Polars with a scan of each file and
    `concat(scans, how="diagonal_relaxed")`. Records that do not fit lie in `_quarantine/`, where a glob over `data/`
    does not come; `rejected` reads them.
    """

    def __init__(self, store: ObjectStore, prefix: str, *, as_of: int | datetime | None = None) -> None:
        self.store = check_store(store)
        self.prefix = check_prefix(prefix)
        self._as_of = checked_moment(as_of)
        self.log = CommitLog(store, self.prefix)

    @property
    def url(self) -> str:
        """Where this is."""
        return f"{self.store.url}/{self.prefix}" if self.prefix else self.store.url

    def present(self) -> Commit | None:
        """The commit that is read: the last one, or that of `as_of`; None where there is none."""
        return self.log.newest() if self._as_of is None else self.log.as_of(self._as_of)

    def state(self, commit: Commit) -> State:
        """The files of which the dataset consists as of a commit."""
        return self.log.state(commit)

    def since(self, present: Commit, number: int, commit_id: str) -> Sequence[Piece] | None:
        """The rows that came after the commit of this number and id; None where that is no part of the present state.

        Rows that were only rewritten since are no new ones.
        """
        if (number, commit_id) == (present.number, present.id):
            return []
        lost = any(first <= number <= last for first, last in present.lost)
        if lost or not present.base <= number < present.number or self.log.read(number).id != commit_id:
            return None
        return list(self.state(present).since(number))

    def batches(self, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of the last commit's state, in batches of about that much memory."""
        commit = self._there()
        for held in self.state(commit).files:
            yield from self.read(Piece(held.file), columns_of(commit), batch_bytes=batch_bytes)

    def rejected(self, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The records of the last commit's state that do not fit, as `de_classes.utils.quarantine.REJECTED` has them.

        They came with the commits that the rows came with, and go with them: a replacement drops the records of all
        pipelines, as it drops the rows of all.
        """
        for held in self.state(self._there()).rejected:
            yield from self.read(Piece(held.file), REJECTED, batch_bytes=batch_bytes)

    def read(self, piece: Piece, schema: pa.Schema, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of a file, under the schema of its commit or of a later one that it has grown into.

        Raises DatasetError or CountMismatch if the file is not what the log says.
        """
        file, key = piece.file, join(self.prefix, piece.file.key)
        columns = stored_columns(schema, file.partition)
        if file.format is not None:
            batches = read_text(self.store, key, piece, columns, batch_bytes)
            return (restored(batch, file.partition, schema) for batch in batches)
        batches = read_parquet(
            self.store,
            key,
            schema=columns,
            size=file.bytes,
            rows=file.rows,
            memory=file.memory,
            columns=file.columns,
            skip=piece.skip,
            batch_bytes=batch_bytes,
        )
        return (restored(batch, file.partition, schema) for batch in batches)

    def key_of(self, key: str) -> str:
        """An object's key in the store, as the log of this dataset has it."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def vacuum(self, keep_seconds: float = 86_400.0) -> Vacuumed:
        """Remove files that commits have listed, and that replacements and compactions dropped so long ago.

        What the present state consists of stays, and so does what loads that are under way have written. A reader that
        began before such a commit, and is still at it, fails. Reading as of a commit is possible no more once its
        files are gone.
        """
        newest = self.log.newest()
        if newest is None:
            return Vacuumed(0, 0)
        kept = self._kept(newest, datetime.now(UTC) - timedelta(seconds=keep_seconds))
        open_folders = [Folders(name, progress.epoch) for name, progress in newest.pipelines.items()]
        known = {folders.owner for folders in open_folders}
        gone = [
            info
            for folder in FOLDERS_OF_FILES
            for info in self.store.list(join(self.prefix, folder))
            if (key := self.key_of(info.key)) not in kept
            and Folders.owner_of(key) in known
            and not any(folders.holds(key) for folders in open_folders)
        ]
        reach("dataset.vacuum.before_delete")
        self.store.delete(*[info.key for info in gone])
        reach("dataset.vacuum.before_sweep")
        for folder in FOLDERS_OF_FILES:
            self.store.sweep(join(self.prefix, folder))
        return Vacuumed(len(gone), sum(info.size for info in gone))

    def compact(self, target_bytes: int = 256 << 20) -> Compacted:
        """Rewrite neighbouring small files into files of up to `target_bytes`, in one commit that changes no row.

        Rows keep their order, and who has read up to some commit is given the same rows as ever after it. Loads go on
        meanwhile: files that one of them drops are left out. What was rewritten stays until `vacuum`.

        Raises:
            ConfigurationError: the size is none.
            Overtaken: another compaction has committed since this one began.
            UnsafeStore: the store ignores conditions.

        """
        from ._compaction import compacted  # noqa: PLC0415 -- writes by way of a load, which knows datasets

        return compacted(self, target_bytes)

    def _kept(self, newest: Commit, cutoff: datetime) -> set[str]:
        """The files of each state that was the present one at the cutoff or has been since."""
        later = [newest]
        while later[-1].number > 1 and later[-1].at > cutoff:
            before = later[-1].number - 1
            later += reversed(self.log.between(max(1, before - _ENTRIES_AT_ONCE), before))
        then = next((n for n, commit in enumerate(later) if commit.at <= cutoff), len(later) - 1)
        state = self.state(later[then])
        files = [held.file for held in (*state.files, *state.rejected)]
        files += [file for commit in later[:then] for file in (*commit.files, *commit.rejected)]
        return {file.key for file in files}

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        schema = columns_of(self._there())
        reader: Any = pa.RecordBatchReader.from_batches(schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Dataset({self.url!r})"

    def _there(self) -> Commit:
        present = self.present()
        if present is None:
            raise DatasetError(self.url, self.absence, "Check store, prefix and name.")
        return present

    @property
    def absence(self) -> str:
        """What to say where there is nothing to read."""
        when = f" as of {self._as_of}" if self._as_of is not None else ""
        return f"there is no dataset here: it has no commits{when}"


def dataset_of(store: ObjectStore, prefix: str, stream: str, as_of: int | datetime | None = None) -> Dataset:
    """The dataset of a stream: the folder of its name.

    Raises:
        ConfigurationError: the stream's name has a slash.

    """
    if "/" in stream:
        raise ConfigurationError(
            f"stream {stream!r}",
            "a dataset's name cannot have a slash",
            "Rename the stream; folders go into the prefix.",
        )
    return Dataset(store, join(prefix, check_key(stream)), as_of=as_of)


def checked_moment(as_of: int | datetime | None) -> int | datetime | None:
    """A number of a commit or a time; ConfigurationError if it cannot be one."""
    if (isinstance(as_of, int) and as_of < 1) or (isinstance(as_of, datetime) and as_of.tzinfo is None):
        raise ConfigurationError(
            "as_of", f"{as_of!r} is no commit's number and no time with a zone", "Give 1 or more, or a datetime in UTC."
        )
    return as_of


def columns_of(commit: Commit) -> pa.Schema:
    """The columns of the dataset with a commit, perhaps none yet."""
    return commit.schema if commit.schema is not None else pa.schema([])


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.dataset")
