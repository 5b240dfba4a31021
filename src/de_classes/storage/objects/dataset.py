"""A dataset: Parquet files in a folder of an object store, and the commit log that says which of them count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects._keys import check_key, check_prefix, join
from de_classes.storage.objects.log import CommitLog
from de_classes.storage.objects.parquet import read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from de_classes.storage.objects.log import Commit, DataFile
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["Dataset"]

BATCH_BYTES = 4 << 20


class Dataset:
    """The dataset in the folder `prefix` of a store.

    Anything that takes Arrow can read it::

        pyarrow.table(Dataset(LocalStore("lake"), "orders"))

    What is read is the state of the last commit at that moment. Touches nothing until it is asked.
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

    def read(self, file: DataFile, schema: pa.Schema, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of one file. Raises DatasetError or CountMismatch if it is not what the log says."""
        return read_parquet(
            self.store,
            join(self.prefix, file.key),
            schema=schema,
            size=file.bytes,
            rows=file.rows,
            memory=file.memory,
            batch_bytes=batch_bytes,
        )

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
