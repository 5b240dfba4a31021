from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Load, Mode, Receipt, Stream
from de_classes.errors import ConfigurationError, ValuesDiffer
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import CsvFormat, DatasetDestination, LocalStore, MemoryStore
from de_classes.testing.memory import MemoryDestination, MemoryLoad, MemorySource
from de_classes.utils.checksum import checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from de_classes.contracts import Batch, Position

TABLE = pa.table({"id": range(25), "x": [f"text {n}" for n in range(25)]})


@dataclass(frozen=True)
class Meddled:
    """A load that keeps other values than it was given."""

    inner: MemoryLoad

    @property
    def staged(self) -> Mapping[str, Receipt]:
        return self.inner.staged

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        return self.inner.write(split_id, map(self._other, batches))

    def _other(self, batch: Batch) -> Batch:
        rows = [{**row, "x": row["x"].replace("17", "71")} for row in batch.records.to_pylist()]
        return type(batch)(
            pa.RecordBatch.from_pylist(rows, batch.records.schema), batch.position, checksum=batch.checksum
        )

    def checkable(self, schema: pa.Schema) -> Sequence[str]:
        return self.inner.checkable(schema)

    def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
        return self.inner.checksum(receipt, columns)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        self.inner.commit(receipts, position)


class Meddling(MemoryDestination):
    """A destination of such loads."""

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Any]:
        with super().begin(pipeline, stream, mode) as load:
            yield Meddled(load)


def run(source: Any, destination: Any, **settings: Any) -> Any:
    return Pipeline("p", source, destination, **{"verify": "values", **settings}).run()


@pytest.mark.parametrize("resumable", [False, True])
def test_the_report_has_sums_of_each_split_and_of_all(resumable: bool) -> None:
    """They are those of the values, however these were cut; rows of each split are counted."""
    report = run(MemorySource({"t": TABLE}, resumable=resumable), MemoryDestination())
    (stream,) = report.streams
    assert stream.checksum == str(checksum(TABLE))
    assert sum(split.rows for split in stream.splits) == 25
    assert len(stream.splits) == (1 if resumable else 3)


def test_counts_are_reported_without_sums() -> None:
    """As it is, values are not read back, and the report has no sums."""
    (stream,) = run(MemorySource({"t": TABLE}), MemoryDestination(), verify="counts").streams
    assert stream.checksum is None
    assert [split.rows for split in stream.splits] == [9, 9, 7]


def test_a_value_that_was_changed_is_found_before_anything_is_visible() -> None:
    """One text in one row is enough; the same run with counts alone would not notice."""
    destination = Meddling()
    with pytest.raises(ValuesDiffer, match=r"t:9-18"):
        run(MemorySource({"t": TABLE}), destination)
    assert destination.table("t") is None
    run(MemorySource({"t": TABLE}), Meddling(), verify="counts")


@pytest.mark.parametrize("form", [None, CsvFormat(compression="gzip")], ids=["parquet", "csv"])
def test_files_are_read_back(tmp_path: Path, form: Any) -> None:
    """Datasets are read back from the store."""
    (stream,) = run(MemorySource({"t": TABLE}), DatasetDestination(LocalStore(tmp_path), format=form)).streams
    assert stream.checksum == str(checksum(TABLE))


class Interrupted(MemoryDestination):
    """Fails its first commit, when all is staged."""

    failed = False

    def _commit(self, load: MemoryLoad, receipts: Sequence[Receipt], position: Position | None) -> None:
        if not self.failed:
            self.failed = True
            raise ConnectionResetError
        super()._commit(load, receipts, position)


def test_what_was_staged_before_is_verified_too() -> None:
    """A piece of an interrupted run is taken over with its sum, and read back; without a sum it is written anew."""
    for first, staged in (("values", 3), ("counts", 0)):
        destination, source = Interrupted(), MemorySource({"t": TABLE})
        with pytest.raises(ConnectionResetError):
            run(source, destination, verify=first)
        told: list[Any] = []
        report = Pipeline("p", source, destination, verify="values").run(observers=[told.append])
        assert report.streams[0].checksum == str(checksum(TABLE))
        assert [event.staged for event in told if hasattr(event, "staged")] == [staged]


@dataclass(frozen=True)
class Plain:
    """A load that reads nothing back."""

    staged: Any = None

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        raise AssertionError(split_id)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        raise AssertionError


class PlainDestination:
    def position(self, pipeline: str, stream: Stream) -> Position | None:
        return None

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[Load]:
        yield Plain({})


def test_a_destination_that_reads_nothing_back_is_refused() -> None:
    """The user is told that its values cannot be verified."""
    with pytest.raises(ConfigurationError, match="cannot read back"):
        run(MemorySource({"t": TABLE}), PlainDestination())
    with pytest.raises(ConfigurationError, match="verify='all' is none of counts, values"):
        run(MemorySource({"t": TABLE}), DatasetDestination(MemoryStore()), verify="all")
