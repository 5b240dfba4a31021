"""Datasets of an object store as a Destination."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError
from de_classes.storage.objects._folders import Folders
from de_classes.storage.objects._keys import check_prefix, check_store
from de_classes.storage.objects._ledger import staged_in
from de_classes.storage.objects._writing import FileSizes
from de_classes.storage.objects.dataset import dataset_of
from de_classes.storage.objects.load import DatasetLoad
from de_classes.storage.objects.parquet import ParquetFormat
from de_classes.storage.objects.probe import probe
from de_classes.utils.schemas import SchemaChanges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Ledger, Position, Stream
    from de_classes.storage.objects.formats import Format
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["DatasetDestination"]


class DatasetDestination:
    """Loads each stream into a dataset of its name, in the folder `prefix` of a store.

    The modes are append and replace. The files that a replacement drops stay for `keep_replaced_seconds`, since
    somebody may be reading them, and go with the first replacement after that. Several pipelines may feed one dataset;
    a replacement drops the rows of all and leaves the positions of the others as they are.

    Where columns evolve, a dataset gets those that come and widens those it has, in the commit that brings them. No
    file is written anew: readers fit the older ones in. A column that brought only nulls, `[]` or `{}` so far becomes
    what comes first. What would lose a value is refused, see `de_classes.utils.schemas`.

    Records that do not fit go to files of their own beside the rows, in the same commit: `Dataset.rejected` reads them.

    Args:
        store: where the datasets go. It must keep to `If-None-Match`, and is asked before the first load.
        prefix: the folder of the datasets' folders.
        format: how files are written: ParquetFormat (where none is given), CsvFormat or NdjsonFormat. A dataset may
            have files of several; readers know them from the log.
        target_file_bytes: a new file is begun when one has become this long.
        row_group_bytes: rows are collected up to this much memory and written at once, as one row group of a Parquet
            file. A worker takes about four times as much.
        keep_replaced_seconds: how long files that a replacement dropped are kept for those who still read them.
        partition_by: columns of whose values each combination gets a folder, as Hive names them: `day=2026-01-01`.
            They are not in the files, and readers get them from the log. A worker keeps four row groups back.
        replace: "all" for a mode replace that leaves nothing of what was there; "partitions" for one that takes out,
            in the same commit, only the partitions that rows come for. Nothing comes, nothing goes.
        schema_changes: "freeze" refuses columns that a dataset lacks or has otherwise; with "evolve" it grows to hold
            them. A replacement begins with the columns that it brings, either way.

    """

    def __init__(  # noqa: PLR0913 -- its configuration
        self,
        store: ObjectStore,
        prefix: str = "",
        *,
        format: Format | None = None,  # noqa: A002 -- the word for it
        target_file_bytes: int = 256 << 20,
        row_group_bytes: int = 16 << 20,
        keep_replaced_seconds: float = 86_400.0,
        schema_changes: SchemaChanges = "freeze",
        partition_by: Sequence[str] = (),
        replace: Literal["all", "partitions"] = "all",
    ) -> None:
        _check_partitions(partition_by, replace)
        if keep_replaced_seconds < 0:
            raise ConfigurationError(
                "DatasetDestination", f"keep_replaced_seconds={keep_replaced_seconds!r}", "Give 0 or more."
            )
        if schema_changes not in get_args(SchemaChanges):
            raise ConfigurationError(
                "DatasetDestination", f"schema_changes={schema_changes!r}", "Give 'freeze' or 'evolve'."
            )
        self._store, self._prefix = check_store(store), check_prefix(prefix)
        self._schema_changes = schema_changes
        self._partition_by, self._replaces_partitions = tuple(partition_by), replace == "partitions"
        self._keep_replaced_seconds = keep_replaced_seconds
        self._format: Format = format if format is not None else ParquetFormat()
        self._sizes = FileSizes(file=target_file_bytes, row_group=row_group_bytes)

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position in the pipeline's last commit to the stream; None before the first."""
        newest = dataset_of(self._store, self._prefix, stream.name).log.newest()
        progress = newest.pipelines.get(pipeline) if newest is not None else None
        return progress.position if progress is not None else None

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        """The items that the pipeline brought since the dataset was last replaced, as of the last commit."""
        dataset = dataset_of(self._store, self._prefix, stream.name)
        newest = dataset.log.newest()
        known = dataset.state(newest).items.get(pipeline, {}) if newest is not None else {}
        return lambda names: {name: known[name] for name in names if name in known}

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[DatasetLoad]:
        """Begin a load, offering what an interrupted one of the same pipeline had written.

        Raises:
            ConfigurationError: the mode is merge or history.
            UnsafeStore: the store ignores conditions.

        """
        mode = Mode(mode)
        dataset = dataset_of(self._store, self._prefix, stream.name)
        if mode in {Mode.MERGE, Mode.HISTORY}:
            raise ConfigurationError(
                dataset.url,
                f"a dataset of files has no mode {mode.value}",
                "Append here, and merge when the dataset is loaded into PostgreSQL.",
            )
        probe(self._store, self._prefix)
        newest = dataset.log.newest()
        progress = newest.pipelines.get(pipeline) if newest is not None else None
        own = Folders(pipeline, progress.epoch if progress is not None else 0)
        rows_stay = mode is Mode.APPEND or self._replaces_partitions
        expected = newest.schema if newest is not None and rows_stay else None
        load = DatasetLoad(
            dataset=dataset,
            pipeline=pipeline,
            stream=stream,
            mode=mode,
            folders=own,
            sizes=self._sizes,
            expected=expected,
            staged=staged_in(dataset, own, self._partition_by),
            keep_replaced_seconds=self._keep_replaced_seconds,
            schema_changes=self._schema_changes,
            format=self._format,
            partition_by=self._partition_by,
            replaces_partitions=self._replaces_partitions and mode is Mode.REPLACE,
        )
        load.room.clean_earlier()
        yield load

    def __repr__(self) -> str:
        return f"DatasetDestination({self._store!r}, {self._prefix!r})"


def _check_partitions(partition_by: Sequence[str], replace: str) -> None:
    wrong = [f"replace={replace!r}"] if replace not in {"all", "partitions"} else []
    if isinstance(partition_by, str) or len(set(partition_by)) < len(partition_by) or not all(partition_by):
        wrong.append(f"partition_by={partition_by!r}")
    elif replace == "partitions" and not partition_by:
        wrong.append("replace='partitions' without partition_by")
    if wrong:
        raise ConfigurationError(
            "DatasetDestination", "; ".join(wrong), "Give names of columns, once each, and 'all' or 'partitions'."
        )


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.destination")
