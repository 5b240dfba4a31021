"""`python -m de_classes.pipelines.arrow`: Parquet files into tables or datasets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes._doors.frame import door, run
from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError
from de_classes.pipelines.arrow import ArrowSource
from de_classes.pipelines.pipeline import Pipeline

from .running import add_mode, add_running, carry, destination_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a file."""
    parser = door(
        "pipelines.arrow",
        "Load a Parquet file, which must fit into memory, into a table of PostgreSQL or a dataset of a store. The same"
        "\nbytes are loaded once under one name of the pipeline, whatever the mode but replace.",
        "orders.parquet postgresql://me@localhost/shop --mode merge --key id",
        "orders.parquet s3://lake --stream orders --plan",
    )
    parser.add_argument("file", metavar="FILE.parquet")
    parser.add_argument("into", help="postgresql://..., a folder, or s3://bucket/prefix")
    parser.add_argument("--stream", help="name of the table; default: the file's")
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="of the primary key")
    parser.add_argument("--name", default="files", help="of the pipeline (default %(default)s)")
    add_mode(parser, Mode.REPLACE)
    add_running(parser)
    return run(parser, _load, arguments)


def _load(asked: argparse.Namespace) -> None:
    name, (table, version) = asked.stream or Path(asked.file).stem, _read(asked.file)
    source = ArrowSource({name: table}, primary_key=asked.key, version=None if asked.mode == "replace" else version)
    into = destination_of(asked.into)
    carry(Pipeline(asked.name, source, into, mode=asked.mode, verify=asked.verify), asked)


def _read(name: str) -> tuple[pa.Table, str]:
    """The table, and what tells this file from another."""
    try:
        with pa.OSFile(name, "r") as file:
            # Arrow's own memory: its threads may let go of it while Python ends, where Python's would abort the end.
            data = file.read_buffer()
        return pq.read_table(pa.BufferReader(data)), f"sha256:{hashlib.sha256(data).hexdigest()}"
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"the file {name!r}", f"cannot be read: {error}", "Give a Parquet file.") from error
