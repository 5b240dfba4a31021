"""What doors of sources share: the records of a plan, into a file or a pipe."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import pyarrow as pa

from de_classes.errors import ConfigurationError
from de_classes.utils.schemas import fitted, united

from .frame import position_of, say, whole_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from de_classes.contracts import Batch, Plan, Position

__all__ = ["add_reading", "add_writing", "since_of", "write_plan", "write_records"]


def add_reading(parser: argparse.ArgumentParser) -> None:
    """From where on to read, and what to write."""
    parser.add_argument("--since", metavar="JSON", help="a position to go on from, as it was told")
    add_writing(parser)


def add_writing(parser: argparse.ArgumentParser) -> None:
    """What to write, and where."""
    parser.add_argument("--format", choices=tuple(_WRITERS), default="ndjson", help="default %(default)s")
    parser.add_argument("--to", metavar="FILE", help="write there, not to standard output")


def since_of(asked: argparse.Namespace) -> Position | None:
    """The position to go on from."""
    return position_of("--since", asked.since)


def write_plan(plan: Plan, asked: argparse.Namespace, *, alike: bool = True) -> None:
    """Write the records of all splits, one after the other; how many, and the position reached, are told on stderr."""
    taken = _Taken(plan.position)
    write_records(taken.records(batch for split in plan.splits for batch in split.read()), asked, alike=alike)
    taken.tell()


def write_records(batches: Iterable[pa.RecordBatch], asked: argparse.Namespace, *, alike: bool = True) -> None:
    """Write batches as they come; those that are not `alike` in their columns are held until all of them are there.

    Raises:
        ConfigurationError: the format does not hold the columns or their values.
        DeClassesError: the file cannot be written.

    """
    tables = iter(batches) if alike or asked.format == "ndjson" else _together(batches)
    write = _WRITERS[asked.format]
    if asked.to is None:
        write(tables, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with whole_file(asked.to) as file:
        write(tables, file)


@dataclass
class _Taken:
    """What was read: to be told once it is written, for who keeps a position counts on the records before it."""

    position: Position | None
    rows: int = 0
    rejected: int = 0

    def records(self, batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        """The records, counted."""
        for batch in batches:
            self.rows += batch.records.num_rows
            self.rejected += 0 if batch.rejected is None else batch.rejected.num_rows
            self.position = self.position if batch.position is None else batch.position
            yield batch.records

    def tell(self) -> None:
        """Say how much it was, and where another reading goes on."""
        say(f"{self.rows} records" + (f", {self.rejected} that do not fit" if self.rejected else ""), aside=True)
        say(f"position: {json.dumps(self.position)}", aside=True)


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    read = [batch for batch in batches if batch.schema.names]
    schema = united([batch.schema for batch in read], "the resource") if read else pa.schema([])
    yield from [fitted(batch, schema) for batch in read] or [pa.RecordBatch.from_pylist([], schema)]


def _write_ndjson(batches: Iterator[pa.RecordBatch], file: BinaryIO) -> None:
    encoder = msgspec.json.Encoder(decimal_format="number")
    for batch in batches:
        try:
            lines = encoder.encode_lines(batch.to_pylist())
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
            raise _not_held("ndjson", error) from error
        file.write(lines)


def _write_csv(batches: Iterator[pa.RecordBatch], file: BinaryIO) -> None:
    from pyarrow import csv  # noqa: PLC0415 -- only where it is wanted

    _write_tables("csv", batches, lambda schema: csv.CSVWriter(file, _flat(schema)))


def _write_parquet(batches: Iterator[pa.RecordBatch], file: BinaryIO) -> None:
    from pyarrow import parquet  # noqa: PLC0415 -- only where it is wanted

    _write_tables("parquet", batches, lambda schema: parquet.ParquetWriter(file, schema))


def _write_tables(kind: str, batches: Iterator[pa.RecordBatch], opened: Callable[[pa.Schema], Any]) -> None:
    first = next(batches, pa.RecordBatch.from_pylist([], pa.schema([])))
    try:
        with opened(first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
    except pa.ArrowException as error:
        raise _not_held(kind, error) from error


def _flat(schema: pa.Schema) -> pa.Schema:
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise ConfigurationError(
            "--format csv", f"cannot hold the nested columns {', '.join(nested)}", "Use ndjson or parquet."
        )
    return schema


def _not_held(kind: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"--format {kind}", f"does not hold what was read: {error}", "Use --format parquet.")


_WRITERS: dict[str, Callable[[Iterator[pa.RecordBatch], BinaryIO], None]] = {
    "ndjson": _write_ndjson,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
