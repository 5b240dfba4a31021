"""What the doors of formats share: a Parquet file, written as one of another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes._doors.frame import run, say
from de_classes.errors import ConfigurationError
from de_classes.storage.objects._writing import FileSizes, write_files
from de_classes.storage.objects.store import LocalStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from de_classes.storage.objects.formats import Format

__all__ = ["convert"]

_ONE_FILE = 1 << 62


def convert(
    parser: argparse.ArgumentParser, form: Callable[[argparse.Namespace], Format], arguments: Sequence[str] | None
) -> int:
    """Run a door that writes a Parquet file anew, in the format that its options make."""
    parser.add_argument("origin", metavar="FILE.parquet")
    parser.add_argument("target", metavar="FILE", help="what to write; one that is there is written over")
    return run(parser, lambda asked: _convert(asked.origin, Path(asked.target), form(asked)), arguments)


def _convert(origin: str, target: Path, form: Format) -> None:
    sizes = FileSizes(file=_ONE_FILE, row_group=16 << 20)
    written = write_files(LocalStore(target.parent), _read(origin), lambda: target.name, sizes, form)
    if not written:
        raise ConfigurationError(f"the file {origin!r}", "has no rows", "There is nothing to write.")
    say(f"{written[0].rows:,} rows, {written[0].bytes:,} bytes in {target}")


def _read(origin: str) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(origin) as file:
            yield from file.iter_batches()
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"the file {origin!r}", f"cannot be read: {error}", "Give a Parquet file.") from error
