"""Datasets of an object store as a Source."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects._keys import check_prefix, join
from de_classes.storage.objects.dataset import BATCH_BYTES, Dataset, dataset_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from de_classes.contracts import Position, Split
    from de_classes.storage.objects.log import Commit, DataFile
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["DatasetSource", "DatasetSplit"]


class DatasetSource:
    """The datasets in the folder `prefix` of a store, each a stream of its name.

    A position is the last commit that was read: `{"commit": 12, "id": "..."}`. Planning since a position gives the
    files that later commits added. If one of them replaced the dataset, or the commit of that number has another id
    (the dataset was removed and made anew), what was read before does not exist any more: the plan is then `anew`, with
    the whole present state from the last replacement on, which pipelines load with the mode replace only.

    All splits of a plan come under the dataset's columns as they are when it is planned, whatever their files were
    written with. A position stays good when the columns grow; what was read before is not given again with the new
    ones, in which its rows are null.

    Args:
        store: where the datasets are.
        prefix: the folder of the datasets' folders.
        split_bytes: small files are read together, up to this many bytes of Parquet.
        batch_bytes: about how much memory a batch takes.

    """

    def __init__(
        self, store: ObjectStore, prefix: str = "", *, split_bytes: int = 64 << 20, batch_bytes: int = BATCH_BYTES
    ) -> None:
        if min(split_bytes, batch_bytes) <= 0:
            raise ConfigurationError(f"datasets in {store.url}", "sizes must be more than 0", "Give bytes.")
        self._store, self._prefix = store, check_prefix(prefix)
        self._split_bytes, self._batch_bytes = split_bytes, batch_bytes

    def streams(self) -> Sequence[Stream]:
        """The datasets that have a commit, by name."""
        found = []
        for folder in self._store.folders(self._prefix):
            name = folder.rpartition("/")[2]
            newest = Dataset(self._store, folder).log.newest()
            if newest is not None:
                found.append(Stream(name, newest.primary_key, newest.schema))
        return found

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """Plan the files that were committed after `since`, or all of the present state.

        Raises:
            DatasetError: there is no such dataset, or its log is damaged.

        """
        dataset = dataset_of(self._store, self._prefix, stream.name)
        newest = dataset.log.newest()
        if newest is None:
            raise DatasetError(
                dataset.url, "there is no dataset here: it has no commits", f"There are: {self._names()}."
            )
        later = None if since is None else dataset.since(newest, *_taken(since, dataset.url))
        commits = dataset.state(newest) if later is None else later
        schema = newest.schema if newest.schema is not None else pa.schema([])
        splits: list[Split] = [
            DatasetSplit(dataset, tuple(file for _, file in files), schema, self._batch_bytes, _named(files, schema))
            for files in _grouped(listed(commits), self._split_bytes)
        ]
        anew = since is not None and later is None
        yield Plan(splits, {"commit": newest.number, "id": newest.id}, anew=anew)

    def _names(self) -> str:
        names = [folder.rpartition("/")[2] for folder in self._store.folders(self._prefix)]
        return ", ".join(names) or f"no folders in {join(self._store.url, self._prefix)}"


@dataclass(frozen=True)
class DatasetSplit:
    """Some files of a dataset."""

    dataset: Dataset
    files: tuple[DataFile, ...]
    schema: pa.Schema
    batch_bytes: int
    id: str
    """Names the files by their commits' ids and their own keys, and the columns where these have grown since."""

    def read(self) -> Iterator[Batch]:
        """The rows of the files, in order."""
        for file in self.files:
            for records in self.dataset.read(file, self.schema, batch_bytes=self.batch_bytes):
                yield Batch(records)


def _grouped(files: Iterable[tuple[Commit, DataFile]], most: int) -> Iterator[Sequence[tuple[Commit, DataFile]]]:
    """Cut into runs of at most `most` bytes. From one beginning, all runs but the last stay the same."""
    group: list[tuple[Commit, DataFile]] = []
    size = 0
    for commit, file in files:
        if group and size + file.bytes > most:
            yield group
            group, size = [], 0
        group.append((commit, file))
        size += file.bytes
    if group:
        yield group


def _named(files: Sequence[tuple[Commit, DataFile]], schema: pa.Schema) -> str:
    content = "\n".join(f"{commit.id} {file.key}" for commit, file in files)
    last = files[-1][0].schema
    if last is None or _types(last) != _types(schema):
        content += f"\n{_types(schema)}"
    return f"commit-{files[0][0].number}-{hashlib.sha256(content.encode()).hexdigest()[:20]}"


def _types(schema: pa.Schema) -> list[tuple[str, str]]:
    """What rows depend on: metadata, and whether a column may be null, are no part of it."""
    return [(field.name, str(field.type)) for field in schema]


def _taken(since: Mapping[str, Any], url: str) -> tuple[int, str]:
    number, commit_id = since.get("commit"), since.get("id")
    if isinstance(number, int) and isinstance(commit_id, str):
        return number, commit_id
    raise ConfigurationError(
        url,
        f"{dict(since)!r} is no position of a dataset",
        "Give what a plan gave: commit and id; or None for everything.",
    )
