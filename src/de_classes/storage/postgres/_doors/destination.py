"""`python -m de_classes.storage.postgres.destination`: what a load would do to a table, and from where one goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes._doors.frame import door, run, say
from de_classes.contracts import Stream
from de_classes.errors import ConfigurationError
from de_classes.storage.postgres.destination import PostgresDestination

from .asking import add_server, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the DDL of a load, or the position of a pipeline."""
    parser = door(
        "storage.postgres.destination",
        "Print the statements with which a load of a Parquet file's columns would make a table or let it grow; or the"
        "\nposition of a pipeline. Nothing is changed. To load: `python -m de_classes.pipelines.arrow --help`.",
        "postgresql://me@localhost/shop orders --columns-of orders.parquet --key id",
        "postgresql://me@localhost/shop orders --pipeline nightly",
    )
    add_server(parser)
    parser.add_argument("stream", help="whose table it is")
    parser.add_argument("--schema", default="public", help="of the table (default %(default)s)")
    parser.add_argument("--state-schema", default="de_classes", help="of positions (default %(default)s)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--columns-of", metavar="FILE.parquet", help="tell the DDL for its columns")
    what.add_argument("--pipeline", metavar="NAME", help="tell its position")
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="of the primary key")
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    destination = PostgresDestination(client_of(asked), schema=asked.schema, state_schema=asked.state_schema)
    if asked.pipeline is not None:
        say(json.dumps(destination.position(asked.pipeline, Stream(asked.stream))))
        return
    for statement in destination.changes(asked.stream, _columns(asked.columns_of), asked.key):
        say(f"{statement};")


def _columns(name: str) -> pa.Schema:
    try:
        return pq.read_schema(name)
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"the file {name!r}", f"cannot be read: {error}", "Give a Parquet file.") from error
