"""What a worker does: one split, through transforms, into loads. Everything here travels to other processes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from de_classes.contracts import Batch, Takes
from de_classes.errors import CountMismatch, DeClassesError
from de_classes.transforms.chain import apply
from de_classes.utils.fan_out import fan_out
from de_classes.utils.read_ahead import Stopped, read_ahead

from .verifying import Verifying

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Item, Load, Position, Receipt, Split, Transform

__all__ = ["Carried", "Kept", "Limit", "Outlet", "Watch", "Way", "carry", "kept"]

READ_AHEAD_BYTES = 8 * 2**20
"""Arrow bytes that may wait between reading and writing, per split at work."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Stop at the first position that is reached after so many rows or seconds."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outlet:
    """What rows go through, where to, and under which id."""

    split_id: str
    transforms: Sequence[Transform]
    load: Load
    deletes: bool = False
    """Whether the load is told which keys are alive, to delete the others."""
    remembers: bool = False
    """Whether the load is told which items are complete, to remember them."""
    verifies: bool = False
    """Whether the values that were written are read back and compared."""


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

    receipts: tuple[tuple[Receipt, ...], ...]
    """For each outlet, one for each piece: none when no row was left, several when the columns grew on the way."""
    position: Position | None
    """What the stream has reached with it, if its batches say."""
    ended: bool
    """Whether the split was read to its end, or only to a position on the way."""
    seconds: float


class Watch(Protocol):
    """Whoever looks on while a split is carried, in a worker that shares memory with the runner."""

    def progressed(self, outlet: int, rows: int) -> None:
        """So many rows more have been read and transformed, for the outlet of that number."""
        ...

    def stopped(self) -> bool:
        """Whether nobody wants the split any more."""
        ...


class _Nobody:
    def progressed(self, outlet: int, rows: int) -> None:
        """Heard by nobody."""

    def stopped(self) -> bool:
        """The work goes on."""
        return False


def carry(split: Split, outlets: Sequence[Outlet], way: Way = WHOLE, watch: Watch | None = None) -> Carried:
    """Read the split once, and for each outlet transform each batch and write it.

    Reading runs ahead of writing in a thread of its own; several outlets have one each.

    Raises:
        Stopped: the watch said so.
        DeClassesError: anything that keeps the split from arriving whole.

    """
    began = time.perf_counter()
    watch = watch or _Nobody()
    if (taken := _taken(split, outlets, way)) is not None:
        watch.progressed(0, taken.rows)
        return Carried(((taken,),), None, ended=True, seconds=time.perf_counter() - began)
    reading = _Reading(way.limit)
    writings = [_Writing(split, outlet, number, way.grows, watch) for number, outlet in enumerate(outlets)]
    with read_ahead(reading.of(split), _size, READ_AHEAD_BYTES, watch.stopped) as batches:
        receipts = fan_out(batches, [writing.written for writing in writings])
    reading.check_end()
    return Carried(tuple(receipts), reading.position, reading.ended, time.perf_counter() - began)


def _taken(split: Split, outlets: Sequence[Outlet], way: Way) -> Receipt | None:
    """The receipt of a load that took the split whole, without its rows becoming batches, where that can be."""
    (outlet, *others) = outlets
    if others or outlet.transforms or outlet.verifies or way != WHOLE or not isinstance(outlet.load, Takes):
        return None
    return outlet.load.take(outlet.split_id, split)


@dataclass(frozen=True, slots=True)
class Kept:
    """A split that is being read, and that is carried in parts: each goes on where the one before stopped."""

    id: str
    batches: Iterator[Batch]

    def read(self) -> Iterator[Batch]:
        """What has not been read yet."""
        while (batch := next(self.batches, None)) is not None:
            yield batch


@contextmanager
def kept(split: Split) -> Iterator[Kept]:
    """Read a split ahead of whoever carries it in parts, also between these, in the memory of this process."""
    given_up = threading.Event()
    with read_ahead(split.read(), _size, READ_AHEAD_BYTES, given_up.is_set) as batches:
        try:
            yield Kept(split.id, batches)
        except BaseException:
            given_up.set()
            raise


def _size(batch: Batch) -> int:
    return sum(part.nbytes for part in (batch.records, batch.rejected, batch.alive) if part is not None)


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


@dataclass(slots=True)
class _Writing:
    """Takes the batches of a split through the transforms of one outlet into its load, and counts them."""

    split: Split
    outlet: Outlet
    number: int
    grows: bool
    watch: Watch
    rows: int = 0
    rejected: int = 0
    alive: int | None = None
    items: tuple[Item, ...] = ()
    verifying: Verifying | None = None

    def written(self, batches: Iterator[Batch]) -> tuple[Receipt, ...]:
        """Write all of them."""
        if self.outlet.verifies:
            self.verifying = Verifying(self.outlet.load)
        receipts = []
        split_id = self.outlet.split_id
        for number, piece in enumerate(_pieces(self._passing(batches), grows=self.grows)):
            receipts.append(self.outlet.load.write(f"{split_id}~{number}" if number else split_id, piece))
            if next(piece, None) is not None:
                raise CountMismatch(f"split {self.split.id!r}", "the destination wrote its beginning only")
        self._check(receipts)
        if self.verifying is not None:
            self.verifying.compare(receipts)
        return tuple(receipts)

    def _passing(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches as they are to be written, without those that bring nothing."""
        for batch in batches:
            if self.watch.stopped():
                raise Stopped
            # A batch without columns is a position alone, of a stream whose columns nobody knows yet, or rejects alone.
            records = apply(self.outlet.transforms, batch.records) if batch.records.num_columns else batch.records
            self.rows += records.num_rows
            self.rejected += _rejected(batch)
            alive = batch.alive if self.outlet.deletes else None
            if alive is not None:
                self.alive = (self.alive or 0) + alive.num_rows
            items = batch.items if self.outlet.remembers else ()
            self.items += items
            self.watch.progressed(self.number, records.num_rows)
            if records.num_rows or _rejected(batch) or alive is not None or items:
                summed = None if self.verifying is None else self.verifying.passed(records)
                yield Batch(records, batch.position, batch.rejected, alive, items, summed)

    def _check(self, receipts: Sequence[Receipt]) -> None:
        """See that the destination has all that was handed to it."""
        wrote, rejected, left_out, replaced = (
            sum(getattr(receipt, name) for receipt in receipts) for name in ("rows", "rejected", "left_out", "replaced")
        )
        if wrote + left_out != self.rows:
            without = f", and left out {left_out}" if left_out else ""
            fact = f"{self.rows} rows were handed to the destination, which wrote {wrote}{without}"
            raise CountMismatch(f"split {self.split.id!r}", fact)
        unfit = self.rejected + left_out + replaced
        if rejected != unfit:
            raise CountMismatch(
                f"split {self.split.id!r}",
                f"{unfit} records do not fit, and the destination keeps {rejected} of them in quarantine",
                "Load into a destination that has a quarantine, or let such records fail the run.",
            )
        told = [receipt.alive for receipt in receipts if receipt.alive is not None]
        if (sum(told) if told else None) != self.alive:
            raise CountMismatch(
                f"split {self.split.id!r}",
                f"{self.alive} keys of existing rows were handed to the destination, which has {sum(told)}",
                "Load into a destination that deletes by key, or do not ask for deletes.",
            )
        if tuple(item for receipt in receipts for item in receipt.items) != self.items:
            raise CountMismatch(
                f"split {self.split.id!r}",
                f"{len(self.items)} items were handed to the destination, whose receipts have others",
                "A destination that remembers items says in its receipts which it was given.",
            )


def _rejected(batch: Batch) -> int:
    return batch.rejected.num_rows if batch.rejected is not None else 0
