"""What the commit log tells: the files that a commit adds and drops, and how far each pipeline has come with it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 -- msgspec looks annotations up
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 -- msgspec looks annotations up
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode  # noqa: TC001 -- msgspec looks annotations up

if TYPE_CHECKING:
    import pyarrow as pa

    from de_classes.contracts import JsonValue

__all__ = ["COMPACTION", "Commit", "DataFile", "Progress"]

COMPACTION = "(compaction)"
"""The name under which compactions commit, as pipelines do under theirs."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a commit adds."""

    key: str
    """Relative to the dataset's folder."""
    rows: int
    bytes: int
    memory: int
    """What its rows took in memory when they were written, in bytes."""
    checksum: str
    """Of the file's bytes, such as `sha256:…`."""
    values: str | None = None
    """A checksum of the values that does not depend on their order, where one was taken."""
    columns: str | None = None
    """A checksum of the columns that it was written with, which may be fewer and narrower than its commit's."""
    format: Mapping[str, Any] | None = None
    """Name, options, columns and widest row of a file that is no Parquet, which does not tell them itself."""
    partition: Mapping[str, str | None] | None = None
    """Where the rows are partitioned: the columns that are not in the file, and their one value as text."""
    rewrites: tuple[str, ...] = ()
    """Where a compaction wrote it: the files whose rows it has, in this order. It takes the place of the first."""
    origins: tuple[tuple[int, int], ...] = ()
    """Of such a file: the numbers of the commits that its rows came with, ascending, and how many came with each."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one pipeline has come with a dataset."""

    position: Mapping[str, JsonValue] | None
    epoch: int
    """How many commits it has made."""
    commit: int
    """The number of its last one."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of the log."""

    number: int
    id: str
    """Unlike the number, no two attempts share it: an outcome that is unknown is looked up by it."""
    pipeline: str
    mode: Mode
    at: datetime
    base: int
    """The number of the commit at which the present state begins: the last one that replaced, or the first."""
    rows: int
    """Rows of the whole dataset with this commit."""
    schema: pa.Schema | None
    """The columns of the whole dataset with this commit; a file may have fewer, and narrower ones."""
    primary_key: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    pipelines: Mapping[str, Progress] = field(default_factory=dict)
    rejected: tuple[DataFile, ...] = ()
    """The files of this commit with records that do not fit, as `de_classes.utils.quarantine.REJECTED` has them."""
    dropped: tuple[str, ...] = ()
    """Keys of files that are part of the dataset no longer, where not all of them went."""
    lost: tuple[tuple[int, int], ...] = ()
    """From the first commit to the last of each range: who read up to there has read rows that were dropped since."""
    items: tuple[tuple[str, str], ...] = ()
    """Names and versions of the items, such as files of others, whose rows the pipeline brought with this commit."""

    @property
    def rejected_records(self) -> int:
        """How many records went to quarantine with this commit."""
        return sum(file.rows for file in self.rejected)
