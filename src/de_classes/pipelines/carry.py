"""What a worker does: one split, through the transforms, into a load. Everything here travels to other processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from de_classes.contracts import Batch
from de_classes.errors import CountMismatch, DeClassesError
from de_classes.transforms.chain import apply
from de_classes.utils.read_ahead import Stopped, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Load, Position, Receipt, Split, Transform

__all__ = ["Carried", "Limit", "Watch", "carry"]

READ_AHEAD_BYTES = 8 * 2**20
"""Arrow bytes that may wait between reading and writing, per split at work."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Stop at the first position that is reached after so many rows or seconds."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a split, or of its beginning."""

    split_id: str
    receipt: Receipt | None
    """None when no row was left of it, and so nothing was written."""
    position: Position | None
    """What the stream has reached with it, if its batches say."""
    ended: bool
    """Whether the split was read to its end, or only to a position on the way."""
    seconds: float


class Watch(Protocol):
    """Whoever looks on while a split is carried, in a worker that shares memory with the runner."""

    def progressed(self, rows: int) -> None:
        """So many rows more have been read and transformed."""
        ...

    def stopped(self) -> bool:
        """Whether nobody wants the split any more."""
        ...


class _Nobody:
    def progressed(self, rows: int) -> None:
        """Heard by nobody."""

    def stopped(self) -> bool:
        """The work goes on."""
        return False


def carry(  # noqa: PLR0913 -- one call, sent over a wire
    split: Split,
    split_id: str,
    transforms: Sequence[Transform],
    load: Load,
    limit: Limit | None = None,
    watch: Watch | None = None,
) -> Carried:
    """Read the split, transform each batch and write it; reading runs ahead of writing in a thread of its own.

    Raises:
        Stopped: the watch said so.
        DeClassesError: anything that keeps the split from arriving whole.

    """
    began = time.perf_counter()
    watch = watch or _Nobody()
    reading, passing = _Reading(limit), _Passing(transforms, watch)
    receipt = None
    size = READ_AHEAD_BYTES
    with read_ahead(reading.of(split), lambda batch: batch.records.nbytes, size, watch.stopped) as batches:
        rows = passing.through(batches)
        first = next(rows, None)
        if first is not None:
            receipt = load.write(split_id, chain([first], rows))
            if next(rows, None) is not None:
                raise CountMismatch(f"split {split.id!r}", "the destination wrote its beginning only")
    reading.check_end()
    if receipt is not None and receipt.rows != passing.rows:
        raise CountMismatch(
            f"split {split.id!r}", f"{passing.rows} rows were handed to the destination, which wrote {receipt.rows}"
        )
    return Carried(split_id, receipt, reading.position, reading.ended, time.perf_counter() - began)


class _Reading:
    """Reads a split, and stops at a position once the limit is reached; nothing is read that is not carried."""

    def __init__(self, limit: Limit | None) -> None:
        self._limit = limit
        self._began = time.monotonic()
        self._rows = 0
        self._rows_behind = 0
        self.position: Position | None = None
        self.ended = False

    def of(self, split: Split) -> Iterator[Batch]:
        for batch in split.read():
            self._rows += batch.records.num_rows
            self._rows_behind += batch.records.num_rows
            if batch.position is not None:
                self.position, self._rows_behind = batch.position, 0
            yield batch
            if batch.position is not None and self._limit_reached():
                return
        self.ended = True

    def check_end(self) -> None:
        """See that the last position stands for all the rows; otherwise the next run would read some of them again."""
        if self.position is not None and self._rows_behind:
            raise DeClassesError(
                "a source",
                f"it gave {self._rows_behind} rows after its last position {dict(self.position)!r}",
                "A source whose batches carry positions gives one with its last rows.",
            )

    def _limit_reached(self) -> bool:
        limit = self._limit
        return limit is not None and (self._rows >= limit.rows or time.monotonic() - self._began >= limit.seconds)


class _Passing:
    """Transforms what passes, counts it, and lets go of batches without rows."""

    def __init__(self, transforms: Sequence[Transform], watch: Watch) -> None:
        self._transforms = transforms
        self._watch = watch
        self.rows = 0

    def through(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self._watch.stopped():
                raise Stopped
            if not batch.records.num_columns:
                continue  # a position alone, of a stream whose columns nobody knows yet
            records = apply(self._transforms, batch.records)
            self.rows += records.num_rows
            self._watch.progressed(records.num_rows)
            if records.num_rows:
                yield Batch(records, batch.position)
