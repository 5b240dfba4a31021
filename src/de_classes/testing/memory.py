"""A source and a destination in memory: the smallest complete examples of the contracts, and fakes for tests."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch, Mode, Plan, Receipt, Stream
from de_classes.errors import ConfigurationError, CountMismatch, Overtaken, SchemaMismatch, ValueNotHeld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.contracts import Position

__all__ = ["MemoryDestination", "MemoryLoad", "MemorySource", "MemorySplit"]


@dataclass(frozen=True)
class MemorySplit:
    """A slice of a table, in batches of at most `batch_rows`."""

    id: str
    table: pa.Table
    start: int
    batch_rows: int

    def read(self) -> Iterator[Batch]:
        """The rows from `start` on; every batch says how many rows of the table have been given with it."""
        for offset in range(self.start, self.table.num_rows, self.batch_rows):
            piece = self.table.slice(offset, self.batch_rows).combine_chunks()
            given = offset + piece.num_rows
            for records in piece.to_batches():
                yield Batch(records, {"rows": given})


@dataclass(frozen=True)
class MemorySource:
    """Tables by name, each an append-only stream: its position is the number of rows given.

    With `resumable` there is one split whose batches carry positions, as an API has it; otherwise the rows are cut into
    `splits` pieces that reach one position together, as a database has it.
    """

    tables: Mapping[str, pa.Table]
    primary_key: tuple[str, ...] = ()
    splits: int = 3
    batch_rows: int = 10
    resumable: bool = False

    def streams(self) -> Sequence[Stream]:
        """One per table."""
        return [Stream(name, self.primary_key, table.schema) for name, table in self.tables.items()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """Cut what lies behind the first `since["rows"]` rows."""
        table = self.tables[stream.name]
        start = int(str(since["rows"])) if since else 0
        if self.resumable:
            whole = MemorySplit(f"{stream.name}:{start}-{table.num_rows}", table, start, self.batch_rows)
            yield Plan([whole] if start < table.num_rows else [])
            return
        step = max(1, -(-(table.num_rows - start) // self.splits))
        pieces = [
            MemorySplit(f"{stream.name}:{at}-{at + step}", table.slice(0, at + step), at, self.batch_rows)
            for at in range(start, table.num_rows, step)
        ]
        yield Plan(pieces, {"rows": table.num_rows})


@dataclass(frozen=True)
class _Shown:
    """What is visible of one stream. A commit puts another in its place, so that it is seen whole or not at all."""

    table: pa.Table | None = None
    positions: Mapping[str, Position | None] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Target:
    """What a destination holds of one stream."""

    shown: _Shown = _Shown()
    staged: dict[str, tuple[str, int, Receipt, list[pa.RecordBatch]]] = field(default_factory=dict)

    def forget(self, pipeline: str, epoch: int) -> None:
        """Drop what loads of the pipeline have staged up to this epoch: they can commit no more."""
        for name, (owner, at, _, _) in list(self.staged.items()):
            if owner == pipeline and at <= epoch:
                del self.staged[name]


_destinations: dict[str, MemoryDestination] = {}


class MemoryDestination:
    """Keeps what is loaded in memory, with every promise of the contract.

    A pickle of it is good in its own process only.
    """

    def __init__(self) -> None:
        self._token = uuid.uuid4().hex
        self._targets: dict[str, _Target] = {}
        self._lock = threading.Lock()
        _destinations[self._token] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _same_destination, (self._token,)

    def table(self, stream: str) -> pa.Table | None:
        """What is visible of a stream; None before its first commit with columns."""
        target = self._targets.get(stream)
        return target.shown.table if target else None

    def leftovers(self) -> list[str]:
        """What is staged and not committed."""
        return [name for target in self._targets.values() for name in target.staged]

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position of the pipeline's last commit."""
        target = self._targets.get(stream.name)
        return target.shown.positions.get(pipeline) if target else None

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[MemoryLoad]:
        """Begin a load at the pipeline's present epoch."""
        if mode is Mode.MERGE and not stream.primary_key:
            raise ConfigurationError(f"stream {stream.name!r}", "has no primary key, so nothing can be merged into it")
        target = self._target(stream.name)
        with self._lock:
            epoch = target.shown.epochs.get(pipeline, 0)
            target.forget(pipeline, epoch - 1)
        staged = {r.split_id: r for owner, at, r, _ in target.staged.values() if (owner, at) == (pipeline, epoch)}
        yield MemoryLoad(self, pipeline, stream, mode, epoch, staged)

    def _target(self, name: str) -> _Target:
        with self._lock:
            return self._targets.setdefault(name, _Target())

    def _stage(self, load: MemoryLoad, receipt: Receipt, batches: list[pa.RecordBatch]) -> None:
        name = str(receipt.details["name"])
        with self._lock:
            self._targets[load.stream.name].staged[name] = (load.pipeline, load.epoch, receipt, batches)

    def _commit(self, load: MemoryLoad, receipts: Sequence[Receipt], position: Position | None) -> None:
        target = self._target(load.stream.name)
        position = json.loads(json.dumps(position))
        with self._lock:
            shown = target.shown
            if shown.epochs.get(load.pipeline, 0) != load.epoch:
                raise Overtaken(f"stream {load.stream.name!r}", "another run has committed since this load began")
            table = shown.table.slice(0, 0) if shown.table and load.mode is Mode.REPLACE else shown.table
            if table is None and load.stream.schema is not None:
                table = load.stream.schema.empty_table()
            for receipt in receipts:
                batches = target.staged[str(receipt.details["name"])][3]
                if sum(batch.num_rows for batch in batches) != receipt.rows:
                    raise CountMismatch(f"split {receipt.split_id!r}", f"{receipt.rows} rows were promised")
                if batches:
                    table = _added(table, pa.Table.from_batches(batches), load)
            positions = {**shown.positions, load.pipeline: position}
            target.shown = _Shown(table, positions, {**shown.epochs, load.pipeline: load.epoch + 1})
            target.forget(load.pipeline, load.epoch)


def _same_destination(token: str) -> MemoryDestination:
    try:
        return _destinations[token]
    except KeyError:
        raise ConfigurationError(
            "a MemoryDestination", "was sent to another process, which cannot reach this one's memory", "Use threads."
        ) from None


def _added(table: pa.Table | None, new: pa.Table, load: MemoryLoad) -> pa.Table:
    if table is None:
        table = new.schema.empty_table()
    if table.schema != new.schema:
        raise SchemaMismatch(f"stream {load.stream.name!r}", f"has {table.schema}, not {new.schema}")
    if load.mode is not Mode.MERGE:
        return pa.concat_tables([table, new])
    for column in load.stream.primary_key:
        if new[column].null_count:
            raise ValueNotHeld(f"stream {load.stream.name!r}", f"a row has no {column!r}, which is its key")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_pylist() + new.to_pylist():
        rows[tuple(row[column] for column in load.stream.primary_key)] = row
    return pa.Table.from_pylist(list(rows.values()), schema=table.schema)


@dataclass(frozen=True)
class MemoryLoad:
    """A load into a `MemoryDestination`."""

    destination: MemoryDestination
    pipeline: str
    stream: Stream
    mode: Mode
    epoch: int
    staged: Mapping[str, Receipt]

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Keep the batches aside."""
        kept: list[pa.RecordBatch] = []
        receipt = Receipt(split_id, 0, 0, None, details={"name": uuid.uuid4().hex})
        for batch in batches:
            if kept and kept[0].schema != batch.records.schema:
                raise SchemaMismatch(f"split {split_id!r}", "its batches differ in their schemas")
            kept.append(batch.records)
            receipt = replace(
                receipt,
                rows=receipt.rows + batch.records.num_rows,
                bytes=receipt.bytes + batch.records.nbytes,
                schema=batch.records.schema,
                position=batch.position or receipt.position,
            )
        self.destination._stage(self, receipt, kept)  # noqa: SLF001 -- the two are one thing
        return receipt

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Show what was kept aside."""
        self.destination._commit(self, receipts, position)  # noqa: SLF001 -- the two are one thing
