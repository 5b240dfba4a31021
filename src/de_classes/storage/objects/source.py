"""Datasets of an object store as a Source."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects._keys import check_prefix, check_store, join
from de_classes.storage.objects.dataset import BATCH_BYTES, Dataset, checked_moment, columns_of, dataset_of
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from de_classes.contracts import Position, Split
    from de_classes.storage.objects._state import Piece
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
        as_of: read the datasets as they were with the commit of this number, or at this time.

    """

    def __init__(
        self,
        store: ObjectStore,
        prefix: str = "",
        *,
        split_bytes: int = 16 << 20,
        batch_bytes: int = BATCH_BYTES,
        as_of: int | datetime | None = None,
    ) -> None:
        if min(split_bytes, batch_bytes) <= 0:
            raise ConfigurationError(f"datasets in {store.url}", "sizes must be more than 0", "Give bytes.")
        self._store, self._prefix = check_store(store), check_prefix(prefix)
        self._split_bytes, self._batch_bytes = split_bytes, batch_bytes
        self._as_of = checked_moment(as_of)

    def streams(self) -> Sequence[Stream]:
        """The datasets that have a commit, by name."""
        found = []
        for folder in self._store.folders(self._prefix):
            name = folder.rpartition("/")[2]
            present = Dataset(self._store, folder, as_of=self._as_of).present()
            if present is not None:
                found.append(Stream(name, present.primary_key, present.schema))
        return found

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """Plan the rows that were committed after `since`, or all of the present state.

        Raises:
            DatasetError: there is no such dataset, or its log is damaged.

        """
        dataset = dataset_of(self._store, self._prefix, stream.name, self._as_of)
        present = dataset.present()
        if present is None:
            raise DatasetError(dataset.url, dataset.absence, f"There are: {self._names()}.")
        later = None if since is None else dataset.since(present, *_taken(since, dataset.url))
        pieces = dataset.state(present).since(0) if later is None else later
        schema = columns_of(present)
        splits: list[Split] = [
            DatasetSplit(dataset, tuple(some), schema, self._batch_bytes, _named(some, schema))
            for some in _grouped(pieces, self._split_bytes)
        ]
        anew = since is not None and later is None
        yield Plan(splits, {"commit": present.number, "id": present.id}, anew=anew)

    def _names(self) -> str:
        names = [folder.rpartition("/")[2] for folder in self._store.folders(self._prefix)]
        return ", ".join(names) or f"no folders in {join(self._store.url, self._prefix)}"


@dataclass(frozen=True)
class DatasetSplit:
    """Some files of a dataset."""

    dataset: Dataset
    pieces: tuple[Piece, ...]
    schema: pa.Schema
    batch_bytes: int
    id: str
    """Names the files by their keys, which no two share, and the columns."""

    def read(self) -> Iterator[Batch]:
        """The rows of the files, in order."""
        for piece in self.pieces:
            for records in self.dataset.read(piece, self.schema, batch_bytes=self.batch_bytes):
                reach("dataset.read.batch")
                yield Batch(records)


def _grouped(pieces: Iterable[Piece], most: int) -> Iterator[Sequence[Piece]]:
    """Cut into runs of at most `most` bytes. From one beginning, all runs but the last stay the same."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + piece.file.bytes > most:
            yield group
            group, size = [], 0
        group.append(piece)
        size += piece.file.bytes
    if group:
        yield group


def _named(pieces: Sequence[Piece], schema: pa.Schema) -> str:
    content = [f"{piece.file.key} {piece.skip}" for piece in pieces]
    return f"files-{hashlib.sha256(repr([content, _types(schema)]).encode()).hexdigest()[:20]}"


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


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.source")
