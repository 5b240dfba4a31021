"""What a worker does: one split, through the transforms, into a load. Everything here travels to other processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from de_classes.contracts import Batch
from de_classes.errors import CountMismatch, DeClassesError
from de_classes.transforms.chain import apply
from de_classes.utils.read_ahead import Stopped, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Load, Position, Receipt, Split, Transform

__all__ = ["Carried", "Limit", "Watch", "Way", "carry"]

READ_AHEAD_BYTES = 8 * 2**20
"""Arrow bytes that may wait between reading and writing, per split at work."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Stop at the first position that is reached after so many rows or seconds."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Way:
    """How far a split is carried, and in what."""

    limit: Limit | None = None
    """None: to its end."""
    grows: bool = False
    """Whether its columns may grow on the way. Each growth begins another piece, so the id is then no name for the rows
    of the whole split, and must be used once only."""


WHOLE = Way()


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a split, or of its beginning."""

    split_id: str
    receipts: tuple[Receipt, ...]
    """One for each piece: none when no row was left, several when the columns grew on the way."""
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
    way: Way = WHOLE,
    watch: Watch | None = None,
) -> Carried:
    """Read the split, transform each batch and write it; reading runs ahead of writing in a thread of its own.

    Raises:
        Stopped: the watch said so.
        DeClassesError: anything that keeps the split from arriving whole.

    """
    began = time.perf_counter()
    watch = watch or _Nobody()
    reading, passing = _Reading(way.limit), _Passing(transforms, watch)
    receipts = []
    with read_ahead(reading.of(split), _size, READ_AHEAD_BYTES, watch.stopped) as batches:
        for number, piece in enumerate(_pieces(passing.through(batches), grows=way.grows)):
            receipts.append(load.write(f"{split_id}~{number}" if number else split_id, piece))
            if next(piece, None) is not None:
                raise CountMismatch(f"split {split.id!r}", "the destination wrote its beginning only")
    reading.check_end()
    passing.check(split, receipts)
    return Carried(split_id, tuple(receipts), reading.position, reading.ended, time.perf_counter() - began)


def _size(batch: Batch) -> int:
    return batch.records.nbytes + (batch.rejected.nbytes if batch.rejected is not None else 0)


def _pieces(batches: Iterator[Batch], *, grows: bool) -> Iterator[Iterator[Batch]]:
    """The batches, in runs of one schema where it may grow; each run is to be taken before the next is asked for."""
    following = next(batches, None)
    while following is not None:
        first, following = following, None

        def piece(first: Batch) -> Iterator[Batch]:
            nonlocal following
            yield first
            for batch in batches:
                if grows and not batch.records.schema.equals(first.records.schema, check_metadata=True):
                    following = batch
                    return
                yield batch

        yield piece(first)


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
            rows = batch.records.num_rows + _rejected(batch)
            self._rows += rows
            self._rows_behind += rows
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
    """Transforms what passes, counts it, and lets go of batches that bring nothing."""

    def __init__(self, transforms: Sequence[Transform], watch: Watch) -> None:
        self._transforms = transforms
        self._watch = watch
        self._rows = 0
        self._rejected = 0

    def through(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self._watch.stopped():
                raise Stopped
            # A batch without columns is a position alone, of a stream whose columns nobody knows yet, or rejects alone.
            records = apply(self._transforms, batch.records) if batch.records.num_columns else batch.records
            self._rows += records.num_rows
            self._rejected += _rejected(batch)
            self._watch.progressed(records.num_rows)
            if records.num_rows or _rejected(batch):
                yield Batch(records, batch.position, batch.rejected)

    def check(self, split: Split, receipts: Sequence[Receipt]) -> None:
        """See that the destination has all that was handed to it."""
        wrote, rejected = sum(receipt.rows for receipt in receipts), sum(receipt.rejected for receipt in receipts)
        if wrote != self._rows:
            fact = f"{self._rows} rows were handed to the destination, which wrote {wrote}"
            raise CountMismatch(f"split {split.id!r}", fact)
        if rejected != self._rejected:
            raise CountMismatch(
                f"split {split.id!r}",
                f"{self._rejected} records do not fit, and the destination keeps {rejected} of them in quarantine",
                "Load into a destination that has a quarantine, or let such records fail the run.",
            )


def _rejected(batch: Batch) -> int:
    return batch.rejected.num_rows if batch.rejected is not None else 0
