"""What a load wants to become a commit, and what keeps it from that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError
from de_classes.storage.objects._columns import united
from de_classes.storage.objects._nullability import relaxed_schema
from de_classes.storage.objects._partitions import partition_of
from de_classes.storage.objects.log import Commit, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from de_classes.contracts import Item, Position
    from de_classes.storage.objects._state import Held
    from de_classes.storage.objects.load import DatasetLoad
    from de_classes.storage.objects.log import DataFile

__all__ = ["Change", "following"]


@dataclass(frozen=True)
class Change:
    """What a load wants to become a commit."""

    load: DatasetLoad
    files: tuple[DataFile, ...]
    rejected: tuple[DataFile, ...]
    schema: pa.Schema | None
    """Of the pieces, united."""
    position: Position | None
    items: tuple[Item, ...] = ()

    def after(self, newest: Commit | None) -> Commit:
        """The commit that follows `newest`.

        Raises:
            Overtaken: the pipeline has committed since the load began.
            SchemaMismatch: the columns are not those of the dataset, and cannot become so or must not.

        """
        load = self.load
        load.room.refuse_overtaken(newest)
        load.room.check_files(self.files, self.rejected)
        self._refuse_changed(newest)
        before = dict(newest.pipelines) if newest is not None else {}
        number = newest.number + 1 if newest is not None else 1
        before[load.pipeline] = Progress(self.position, load.folders.epoch + 1, number)
        commit = Commit(
            number=number,
            id=load.id,
            pipeline=load.pipeline,
            mode=load.mode,
            at=following(newest),
            base=number,
            rows=sum(file.rows for file in self.files),
            schema=self._schema(newest),
            primary_key=load.stream.primary_key or (newest.primary_key if newest is not None else ()),
            files=self.files,
            pipelines=before,
            rejected=self.rejected,
            items=tuple((item.name, item.version) for item in self.items),
        )
        return commit if newest is None or not self._rows_stay else self._added(commit, newest)

    def _refuse_changed(self, newest: Commit | None) -> None:
        """See that no item comes in another version than the one whose rows are there, and would stay."""
        if newest is None or not self.items or self.load.mode is Mode.REPLACE:
            return
        known = self.load.dataset.state(newest).items.get(self.load.pipeline, {})
        changed = sorted(item.name for item in self.items if known.get(item.name, item.version) != item.version)
        if changed:
            raise ConfigurationError(
                self.load.dataset.url,
                f"{len(changed)} items were loaded in another version ({', '.join(changed[:3])}), and a dataset drops"
                " files, not rows",
                "Leave changed items as they were loaded (changed='ignore'), or load with mode='replace'.",
            )

    @property
    def _rows_stay(self) -> bool:
        return self.load.mode is not Mode.REPLACE or self.load.replaces_partitions

    def _added(self, commit: Commit, newest: Commit) -> Commit:
        """The commit as one that leaves the rows which are there, or those of partitions for which none come."""
        commit = replace(commit, base=newest.base, rows=newest.rows + commit.rows, lost=newest.lost)
        dropped = self._partitions_dropped(newest) if self.load.replaces_partitions else []
        if not dropped:
            return commit
        return replace(
            commit,
            rows=commit.rows - sum(held.file.rows for held in dropped),
            dropped=tuple(held.file.key for held in dropped),
            lost=_united([*newest.lost, (min(held.origins[0][0] for held in dropped), newest.number)]),
        )

    def _partitions_dropped(self, newest: Commit) -> Sequence[Held]:
        columns, dataset = self.load.partition_by, self.load.dataset
        coming = {partition_of(file.partition, columns) for file in self.files}
        there = [(held, partition_of(held.file.partition, columns)) for held in dataset.state(newest).files]
        if any(partition is None for _, partition in there):
            raise ConfigurationError(
                dataset.url,
                f"it has files that are not partitioned by {', '.join(columns)}",
                "Replace the whole dataset once with replace='all'; partitions can be replaced from then on.",
            )
        return [held for held, partition in there if partition in coming]

    def _schema(self, newest: Commit | None) -> pa.Schema | None:
        """The columns of the dataset: whoever committed meanwhile may have let them grow as well."""
        coming = self.schema
        known = newest.schema if newest is not None else None
        declared = self.load.stream.schema
        declared = None if declared is None else relaxed_schema(declared)
        if not self._rows_stay:
            return coming or declared or known
        if coming is None and known is None:
            return declared
        return united([known, coming], self.load.dataset.url, self.load.schema_changes)


def following(newest: Commit | None) -> datetime:
    """The time of the commit after the newest: clocks of machines differ, and times in a log do not go back."""
    now = datetime.now(UTC)
    return now if newest is None else max(now, newest.at)


def _united(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same numbers in as few ranges as can be, so that what a log carries along stays small."""
    united: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(last, united[-1][1]))
        else:
            united.append((first, last))
    return tuple(united)
