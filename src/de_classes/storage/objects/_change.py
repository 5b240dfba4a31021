"""What a load wants to become a commit, and what keeps it from that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from de_classes.storage.objects._columns import united
from de_classes.storage.objects._nullability import relaxed_schema
from de_classes.storage.objects.log import Commit, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from de_classes.contracts import Position
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

    def after(self, newest: Commit | None) -> Commit:
        """The commit that follows `newest`.

        Raises:
            Overtaken: the pipeline has committed since the load began.
            SchemaMismatch: the columns are not those of the dataset, and cannot become so or must not.

        """
        load = self.load
        load.room.refuse_overtaken(newest)
        load.room.check_files(self.files, self.rejected)
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
            at=following(newest),
            base=number if replaces or newest is None else newest.base,
            rows=rows if replaces or newest is None else newest.rows + rows,
            schema=self._schema(newest),
            primary_key=load.stream.primary_key or (newest.primary_key if newest is not None else ()),
            files=self.files,
            pipelines=before,
            rejected=self.rejected,
            lost=() if replaces or newest is None else newest.lost,
        )

    def _schema(self, newest: Commit | None) -> pa.Schema | None:
        """The columns of the dataset: whoever committed meanwhile may have let them grow as well."""
        coming = self.schema
        known = newest.schema if newest is not None else None
        declared = self.load.stream.schema
        declared = None if declared is None else relaxed_schema(declared)
        if self.load.mode is Mode.REPLACE:
            return coming or declared or known
        if coming is None and known is None:
            return declared
        return united([known, coming], self.load.dataset.url, self.load.schema_changes)


def following(newest: Commit | None) -> datetime:
    """The time of the commit after the newest: clocks of machines differ, and times in a log do not go back."""
    now = datetime.now(UTC)
    return now if newest is None else max(now, newest.at)
