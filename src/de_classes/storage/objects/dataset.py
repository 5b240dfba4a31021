"""A dataset: Parquet files in a folder of an object store, and the commit log that says which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects._folders import FOLDERS_OF_FILES, Folders
from de_classes.storage.objects._keys import check_key, check_prefix, join
from de_classes.storage.objects.log import CommitLog
from de_classes.storage.objects.parquet import read_parquet
from de_classes.utils.quarantine import REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from de_classes.storage.objects.log import Commit, DataFile
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["Dataset", "Vacuumed"]

BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was removed."""

    files: int
    bytes: int


class Dataset:
    """The dataset in the folder `prefix` of a store.

    Anything that takes Arrow can read it::

        pyarrow.table(Dataset(LocalStore("lake"), "orders"))

    What is read is the state of the last commit at that moment, under the columns that it has then: files that were
    written before a column came have nulls there, and those of a column that was narrower give it as it is now.
    Touches nothing until it is asked.

    An engine that reads the files of `data/` by itself does not know the log: it sees what was replaced and is not yet
    removed, and must unite columns by name where they have grown. DuckDB does so with
    `read_parquet('.../data/**', union_by_name = true)`, Polars with a scan of each file and
    `concat(scans, how="diagonal_relaxed")`. Records that do not fit lie in `_quarantine/`, where a glob over `data/`
    does not come; `rejected` reads them.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self.store = store
        self.prefix = check_prefix(prefix)
        self.log = CommitLog(store, self.prefix)

    @property
    def url(self) -> str:
        """Where this is."""
        return f"{self.store.url}/{self.prefix}" if self.prefix else self.store.url

    def state(self, newest: Commit) -> Sequence[Commit]:
        """The commits that make up the state as of one: from the last that replaced."""
        return self._with_last(newest.base, newest)

    def since(self, newest: Commit, number: int, commit_id: str) -> Sequence[Commit] | None:
        """The commits after the one of this number and id; None where that one is no part of the present state."""
        if (number, commit_id) == (newest.number, newest.id):
            return []
        if newest.base <= number < newest.number and self.log.read(number).id == commit_id:
            return self._with_last(number + 1, newest)
        return None

    def batches(self, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of the last commit's state, in batches of about that much memory."""
        newest = self._there()
        for commit in self.state(newest):
            for file in commit.files:
                yield from self.read(file, _columns(newest), batch_bytes=batch_bytes)

    def rejected(self, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The records of the last commit's state that do not fit, as `de_classes.utils.quarantine.REJECTED` has them.

        They came with the commits that the rows came with, and go with them: a replacement drops the records of all
        pipelines, as it drops the rows of all.
        """
        for commit in self.state(self._there()):
            for file in commit.rejected:
                yield from self.read(file, REJECTED, batch_bytes=batch_bytes)

    def read(self, file: DataFile, schema: pa.Schema, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of one file, under the schema of its commit or of a later one that it has grown into.

        Raises DatasetError or CountMismatch if the file is not what the log says.
        """
        return read_parquet(
            self.store,
            join(self.prefix, file.key),
            schema=schema,
            size=file.bytes,
            rows=file.rows,
            memory=file.memory,
            columns=file.columns,
            batch_bytes=batch_bytes,
        )

    def key_of(self, key: str) -> str:
        """An object's key in the store, as the log of this dataset has it."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def vacuum(self, keep_seconds: float = 86_400.0) -> Vacuumed:
        """Remove files that commits have listed and that replacements dropped so long ago.

        What the present state consists of stays, and so does what loads that are under way have written. A reader that
        began before the replacement, and is still at it, fails. Reading as of a commit is possible no more once its
        files are gone.
        """
        newest = self.log.newest()
        if newest is None:
            return Vacuumed(0, 0)
        first = self._first_kept(newest, datetime.now(UTC) - timedelta(seconds=keep_seconds))
        kept = {file.key for commit in self._with_last(first, newest) for file in (*commit.files, *commit.rejected)}
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
        self.store.delete(*[info.key for info in gone])
        for folder in FOLDERS_OF_FILES:
            self.store.sweep(join(self.prefix, folder))
        return Vacuumed(len(gone), sum(info.size for info in gone))

    def _first_kept(self, newest: Commit, cutoff: datetime) -> int:
        """The first commit that is part of a state which was the present one at the cutoff or since."""
        first = newest.base
        while first > 1 and self.log.read(first).at > cutoff:
            first = self.log.read(first - 1).base
        return first

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        schema = _columns(self._there())
        reader: Any = pa.RecordBatchReader.from_batches(schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Dataset({self.url!r})"

    def _there(self) -> Commit:
        newest = self.log.newest()
        if newest is None:
            raise DatasetError(self.url, "there is no dataset here: it has no commits", "Check store, prefix and name.")
        return newest

    def _with_last(self, first: int, newest: Commit) -> Sequence[Commit]:
        return [*self.log.between(first, newest.number - 1), newest]


def dataset_of(store: ObjectStore, prefix: str, stream: str) -> Dataset:
    """The dataset of a stream: the folder of its name."""
    if "/" in stream:
        raise ConfigurationError(
            f"stream {stream!r}",
            "a dataset's name cannot have a slash",
            "Rename the stream; folders go into the prefix.",
        )
    return Dataset(store, join(prefix, check_key(stream)))


def listed(commits: Iterable[Commit]) -> Iterator[tuple[Commit, DataFile]]:
    """The files of commits, in order."""
    return ((commit, file) for commit in commits for file in commit.files)


def _columns(commit: Commit) -> pa.Schema:
    return commit.schema if commit.schema is not None else pa.schema([])
