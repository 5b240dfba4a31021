"""What a type checker must accept of people who write parts of their own, and what it must know of ours.

Checked by mypy, never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import assert_type

import pyarrow as pa

from de_classes.api import ApiSource, RandomNumbers
from de_classes.contracts import (
    Batch,
    Committed,
    Destination,
    Event,
    Load,
    Mode,
    Observer,
    Plan,
    Position,
    Receipt,
    Source,
    Split,
    Stream,
    Transform,
)
from de_classes.pipelines import EltPipeline, Pipeline, RunReport
from de_classes.pipelines.pipeline import SqlDestination
from de_classes.storage.objects import DatasetDestination, DatasetSource
from de_classes.storage.postgres import PostgresDestination, PostgresSource
from de_classes.testing.memory import MemoryDestination, MemorySource
from de_classes.transforms import Select


@dataclass(frozen=True)
class LettersSplit:
    """A split of a stranger's: a frozen dataclass is enough."""

    id: str

    def read(self) -> Iterator[Batch]:
        yield Batch(pa.record_batch({"letter": ["a"]}), {"letters": 1})


class Letters:
    """A source of a stranger's: it inherits nothing."""

    def streams(self) -> Sequence[Stream]:
        return [Stream("letters", ("letter",))]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        yield Plan([LettersSplit(stream.name)] if since is None else [])


@dataclass(frozen=True)
class Printed:
    """A load of a stranger's."""

    staged: Mapping[str, Receipt]

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        return Receipt(split_id, sum(batch.records.num_rows for batch in batches), 0, None)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        print(receipts, position)  # noqa: T201 -- it is what this destination does


class Printer:
    """A destination of a stranger's."""

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        return None

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Load]:
        yield Printed({})


def upper(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A transform of a stranger's: a function."""
    return batch


def count(event: Event) -> None:
    """An observer of a stranger's: a function."""
    if isinstance(event, Committed):
        assert_type(event.rows, int)


def strangers_parts_fit(workers: Executor) -> None:
    """Parts that inherit nothing fit where the contracts are asked for."""
    source: Source = Letters()
    destination: Destination = Printer()
    split: Split = LettersSplit("a")
    transform: Transform = upper
    observer: Observer = count
    pipeline = Pipeline("letters", source, destination, transforms=[transform, Select("letter")], mode="append")
    assert_type(pipeline.run(executor=workers, observers=[observer]), RunReport)
    assert_type(split.id, str)
    assert_type(source.plan(Stream("letters"), None), AbstractContextManager[Plan, bool | None])


def our_parts_keep_the_contracts(  # noqa: PLR0913 -- one of each
    api: ApiSource,
    numbers: RandomNumbers,
    dataset: DatasetSource,
    tables: PostgresSource,
    memory: MemorySource,
    lake: DatasetDestination,
    warehouse: PostgresDestination,
    fake: MemoryDestination,
) -> None:
    """Every source and destination of ours is one to the type checker."""
    sources: list[Source] = [api, numbers, dataset, tables, memory]
    destinations: list[Destination] = [lake, warehouse, fake]
    sql: SqlDestination = warehouse
    EltPipeline("p", sources[0], sql, statements=["SELECT 1"])
    assert destinations
