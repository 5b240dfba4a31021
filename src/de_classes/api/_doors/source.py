"""`python -m de_classes.api.source`: the records of a resource, as a file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import pyarrow as pa

from de_classes.api.source import ApiSource
from de_classes.errors import ConfigurationError, DeClassesError
from de_classes.utils.schemas import fitted, united

from .door import client_of, door, run, say
from .walking import add_walking, resource_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from de_classes.contracts import Batch, Position

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a resource and write its records."""
    parser = door(
        "source",
        "Read a list of an API, page by page, and write its records; the position reached is told on stderr.",
        "https://api.example.com/orders --paging page --records-at items --key id > orders.ndjson",
        "https://api.example.com/orders --paging page --records-at items --key id --format parquet --to orders.parquet",
    )
    add_walking(parser)
    parser.add_argument(
        "--format",
        choices=("ndjson", "csv", "parquet"),
        default="ndjson",
        help="default %(default)s; the others hold all records in memory until they are written",
    )
    parser.add_argument("--to", metavar="FILE", help="write there, not to standard output")
    parser.add_argument("--since", metavar="JSON", help="a position to go on from, as it was told")
    return run(parser, _read, arguments)


def _read(asked: argparse.Namespace) -> None:
    resource, taken = resource_of(asked), _Taken()
    with client_of(asked) as client, ApiSource(client, [resource]).plan(resource.stream, _since(asked)) as plan:
        records = taken.records(batch for split in plan.splits for batch in split.read())
        if asked.to is None:
            _write(records, asked.format, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            _write_file(records, asked.format, asked.to)
    taken.tell()


def _since(asked: argparse.Namespace) -> Any:
    try:
        return None if asked.since is None else json.loads(asked.since)
    except ValueError as error:
        raise ConfigurationError("--since", f"is no JSON: {error}", "Give it as it was told.") from None


@dataclass
class _Taken:
    """What was read: to be told once it is written, for who keeps a position counts on the records before it."""

    rows: int = 0
    rejected: int = 0
    position: Position | None = None

    def records(self, batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        """The records, counted."""
        for batch in batches:
            self.rows += batch.records.num_rows
            self.rejected += 0 if batch.rejected is None else batch.rejected.num_rows
            self.position = batch.position
            yield batch.records

    def tell(self) -> None:
        """Say how much it was, and where another walk goes on."""
        say(f"{self.rows} records" + (f", {self.rejected} that do not fit" if self.rejected else ""), aside=True)
        say(f"position: {json.dumps(self.position)}", aside=True)


def _write_file(records: Iterator[pa.RecordBatch], kind: str, name: str) -> None:
    try:
        with open(name, "wb") as file:  # noqa: PTH123 -- one file, opened
            _write(records, kind, file)
    except OSError as error:
        raise DeClassesError(f"the file {name!r}", f"cannot be written: {error.strerror}") from error


def _write(batches: Iterator[pa.RecordBatch], kind: str, file: BinaryIO) -> None:
    if kind == "ndjson":
        encoder = msgspec.json.Encoder(decimal_format="number")
        file.writelines(encoder.encode_lines(batch.to_pylist()) for batch in batches)
        return
    read = [batch for batch in batches if batch.schema.names]
    schema = united([batch.schema for batch in read], "the resource") if read else pa.schema([])
    table = pa.Table.from_batches([fitted(batch, schema) for batch in read], schema)
    (_write_csv if kind == "csv" else _write_parquet)(table, file)


def _write_csv(table: pa.Table, file: BinaryIO) -> None:
    from pyarrow import csv  # noqa: PLC0415 -- only where it is wanted

    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise ConfigurationError(
            "--format csv", f"cannot hold the nested columns {', '.join(nested)}", "Use ndjson or parquet."
        )
    csv.write_csv(table, file)


def _write_parquet(table: pa.Table, file: BinaryIO) -> None:
    from pyarrow import parquet  # noqa: PLC0415 -- only where it is wanted

    parquet.write_table(table, file)
