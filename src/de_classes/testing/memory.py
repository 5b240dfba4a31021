"""A source and a destination in memory: the smallest complete examples of the contracts, and fakes for tests."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch, Mode, Plan, Receipt, Stream
from de_classes.errors import ConfigurationError, CountMismatch, Overtaken, SchemaMismatch, ValueNotHeld
from de_classes.utils.checksum import checksum
from de_classes.utils.deletes import refuse_too_many
from de_classes.utils.quarantine import REJECTED
from de_classes.utils.schemas import fitted, united, without_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.contracts import Ledger, Position
    from de_classes.utils.schemas import SchemaChanges

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
    rejected: Mapping[str, tuple[pa.RecordBatch, ...]] = field(default_factory=dict)
    """By pipeline."""
    positions: Mapping[str, Position | None] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The versions of items by their names, by pipeline."""


@dataclass
class _Target:
    """What a destination holds of one stream."""

    shown: _Shown = _Shown()
    staged: dict[str, _Piece] = field(default_factory=dict)

    def forget(self, pipeline: str, epoch: int) -> None:
        """Drop what loads of the pipeline have staged up to this epoch: they can commit no more."""
        for name, piece in list(self.staged.items()):
            if piece.pipeline == pipeline and piece.epoch <= epoch:
                del self.staged[name]


@dataclass(frozen=True)
class _Piece:
    """What was written and not committed."""

    pipeline: str
    epoch: int
    receipt: Receipt
    records: Sequence[pa.RecordBatch]
    rejected: Sequence[pa.RecordBatch]
    alive: Sequence[pa.RecordBatch] = ()


_destinations: dict[str, MemoryDestination] = {}


class MemoryDestination:
    """Keeps what is loaded in memory, with every promise of the contract.

    With `schema_changes="evolve"` its tables grow with what comes; otherwise other columns are refused. A merge that is
    told which keys are alive deletes the other rows, `max_deleted_share` of them at most. A pickle of it is good in its
    own process only.
    """

    def __init__(self, *, schema_changes: SchemaChanges = "freeze", max_deleted_share: float = 0.5) -> None:
        self._evolves = schema_changes == "evolve"
        self._max_deleted_share = max_deleted_share
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

    def rejected(self, stream: str) -> pa.Table:
        """The records of a stream that do not fit, as `de_classes.utils.quarantine.REJECTED` has them."""
        target = self._targets.get(stream)
        batches = chain.from_iterable(target.shown.rejected.values()) if target else ()
        return pa.Table.from_batches(batches, REJECTED)

    def leftovers(self) -> list[str]:
        """What is staged and not committed."""
        return [name for target in self._targets.values() for name in target.staged]

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position of the pipeline's last commit."""
        target = self._targets.get(stream.name)
        return target.shown.positions.get(pipeline) if target else None

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        """The items of the pipeline's commits."""
        target = self._targets.get(stream.name)
        known = target.shown.items.get(pipeline, {}) if target else {}
        return lambda names: {name: known[name] for name in names if name in known}

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[MemoryLoad]:
        """Begin a load at the pipeline's present epoch."""
        if mode is Mode.HISTORY:
            raise ConfigurationError(f"stream {stream.name!r}", "no history is kept here", "Merge, or append.")
        if mode is Mode.MERGE and not stream.primary_key:
            raise ConfigurationError(f"stream {stream.name!r}", "has no primary key, so nothing can be merged into it")
        target = self._target(stream.name)
        with self._lock:
            epoch = target.shown.epochs.get(pipeline, 0)
            target.forget(pipeline, epoch - 1)
            own = [piece for piece in target.staged.values() if (piece.pipeline, piece.epoch) == (pipeline, epoch)]
        staged = {piece.receipt.split_id: piece.receipt for piece in own}
        yield MemoryLoad(self, pipeline, stream, mode, epoch, staged)

    def _target(self, name: str) -> _Target:
        with self._lock:
            return self._targets.setdefault(name, _Target())

    def _stage(self, load: MemoryLoad, piece: _Piece) -> None:
        with self._lock:
            self._targets[load.stream.name].staged[str(piece.receipt.details["name"])] = piece

    def _commit(self, load: MemoryLoad, receipts: Sequence[Receipt], position: Position | None) -> int | None:
        target = self._target(load.stream.name)
        position = json.loads(json.dumps(position))
        with self._lock:
            shown = target.shown
            if shown.epochs.get(load.pipeline, 0) != load.epoch:
                raise _overtaken(load.stream)
            pieces = [_checked(target.staged[str(receipt.details["name"])], receipt) for receipt in receipts]
            positions = {**shown.positions, load.pipeline: position}
            epochs = {**shown.epochs, load.pipeline: load.epoch + 1}
            items = _items(shown, pieces, load)
            whole = self._table(_without_former(shown, pieces, load), pieces, load)
            table = self._living(whole, pieces, load)
            target.shown = _Shown(table, _rejected(shown, pieces, load), positions, epochs, items)
            target.forget(load.pipeline, load.epoch)
        return None if table is whole or whole is None or table is None else whole.num_rows - table.num_rows

    def _table(self, shown: pa.Table | None, pieces: Sequence[_Piece], load: MemoryLoad) -> pa.Table | None:
        table = None if shown is None or (load.mode is Mode.REPLACE and self._evolves) else shown
        if table is not None and load.mode is Mode.REPLACE:
            table = table.slice(0, 0)
        if table is None and load.stream.schema is not None:
            table = pa.Table.from_batches([without_rows(load.stream.schema)])
        for piece in pieces:
            if piece.records:
                table = _added(table, pa.Table.from_batches(piece.records), load, evolves=self._evolves)
        return shown.slice(0, 0) if table is None and shown is not None else table

    def _living(self, table: pa.Table | None, pieces: Sequence[_Piece], load: MemoryLoad) -> pa.Table | None:
        """The rows whose keys are among those that exist; all, where nobody tells which do."""
        if table is None or not any(piece.receipt.alive is not None for piece in pieces):
            return table
        names = load.stream.primary_key
        alive = chain.from_iterable(piece.alive for piece in pieces)
        keys = {tuple(row[name] for name in names) for batch in alive for row in batch.to_pylist()}
        kept = [row for row in table.to_pylist() if tuple(row[name] for name in names) in keys]
        refuse_too_many(load.stream.name, table.num_rows - len(kept), table.num_rows, self._max_deleted_share)
        return pa.Table.from_pylist(kept, schema=table.schema)


def _checked(piece: _Piece, receipt: Receipt) -> _Piece:
    counted = [sum(batch.num_rows for batch in batches) for batches in (piece.records, piece.rejected, piece.alive)]
    if counted != [receipt.rows, receipt.rejected, receipt.alive or 0]:
        raise CountMismatch(
            f"split {receipt.split_id!r}", f"{receipt.rows} rows and {receipt.rejected} rejected ones were promised"
        )
    return piece


def _rejected(shown: _Shown, pieces: Sequence[_Piece], load: MemoryLoad) -> Mapping[str, tuple[pa.RecordBatch, ...]]:
    kept = () if load.mode is Mode.REPLACE else shown.rejected.get(load.pipeline, ())
    coming = chain.from_iterable(piece.rejected for piece in pieces)
    return {**shown.rejected, load.pipeline: (*kept, *coming)}


def _items(shown: _Shown, pieces: Sequence[_Piece], load: MemoryLoad) -> Mapping[str, Mapping[str, str]]:
    known = {} if load.mode is Mode.REPLACE else shown.items.get(load.pipeline, {})
    coming = {item.name: item.version for piece in pieces for item in piece.receipt.items}
    return {**shown.items, load.pipeline: {**known, **coming}}


def _without_former(shown: _Shown, pieces: Sequence[_Piece], load: MemoryLoad) -> pa.Table | None:
    """What is visible, without the rows of items that come in another version."""
    known, table = shown.items.get(load.pipeline, {}), shown.table
    for item in (item for piece in pieces for item in piece.receipt.items):
        if table is not None and item.column is not None and known.get(item.name, item.version) != item.version:
            table = pa.Table.from_pylist(
                [row for row in table.to_pylist() if row[item.column] != item.name], table.schema
            )
    return table


def _same_destination(token: str) -> MemoryDestination:
    try:
        return _destinations[token]
    except KeyError:
        raise ConfigurationError(
            "a MemoryDestination", "was sent to another process, which cannot reach this one's memory", "Use threads."
        ) from None


def _added(table: pa.Table | None, new: pa.Table, load: MemoryLoad, *, evolves: bool) -> pa.Table:
    if table is None:
        table = pa.Table.from_batches([without_rows(new.schema)])
    if evolves:
        both = united([table.schema, new.schema], f"stream {load.stream.name!r}")
        table, new = (pa.Table.from_batches([fitted(b, both) for b in t.to_batches()], both) for t in (table, new))
    if table.schema != new.schema:
        raise SchemaMismatch(
            f"stream {load.stream.name!r}",
            f"has {table.schema}, not {new.schema}",
            'Let its columns grow with MemoryDestination(schema_changes="evolve").',
        )
    if load.mode is not Mode.MERGE:
        return pa.concat_tables([table, new])
    for column in load.stream.primary_key:
        if new[column].null_count:
            raise ValueNotHeld(f"stream {load.stream.name!r}", f"a row has no {column!r}, which is its key")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_pylist() + new.to_pylist():
        rows[tuple(row[column] for column in load.stream.primary_key)] = row
    return pa.Table.from_pylist(list(rows.values()), schema=table.schema)


def _overtaken(stream: Stream) -> Overtaken:
    return Overtaken(f"stream {stream.name!r}", "another run has committed since this load began")


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
        rejected: list[pa.RecordBatch] = []
        alive: list[pa.RecordBatch] | None = None
        receipt = Receipt(split_id, 0, 0, None, details={"name": uuid.uuid4().hex})
        for batch in batches:
            if kept and kept[0].schema != batch.records.schema:
                raise SchemaMismatch(f"split {split_id!r}", "its batches differ in their schemas")
            kept += [batch.records] if batch.records.num_columns else []
            rejected += [batch.rejected] if batch.rejected is not None else []
            alive = alive if batch.alive is None else [*(alive or []), batch.alive]
            receipt = replace(
                receipt,
                rows=receipt.rows + batch.records.num_rows,
                bytes=receipt.bytes + batch.records.nbytes,
                schema=kept[0].schema if kept else None,
                position=batch.position or receipt.position,
                rejected=sum(each.num_rows for each in rejected),
                alive=None if alive is None else sum(each.num_rows for each in alive),
                items=receipt.items + batch.items,
                checksum=batch.checksum,
            )
        piece = _Piece(self.pipeline, self.epoch, receipt, kept, rejected, alive or [])
        self.destination._stage(self, piece)  # noqa: SLF001 -- the two are one thing
        return receipt

    def checkable(self, schema: pa.Schema) -> Sequence[str]:
        """All columns."""
        return schema.names

    def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
        """The sum of what is kept aside of a piece.

        Raises:
            Overtaken: it is not kept any more, since another load was committed.

        """
        piece = self.destination._targets[self.stream.name].staged.get(str(receipt.details["name"]))  # noqa: SLF001 -- the two are one thing
        if piece is None:
            raise _overtaken(self.stream)
        return str(checksum(piece.records, columns))

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> int | None:
        """Show what was kept aside."""
        return self.destination._commit(self, receipts, position)  # noqa: SLF001 -- the two are one thing
