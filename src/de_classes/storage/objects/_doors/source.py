"""`python -m de_classes.storage.objects.source`: the datasets of a folder, and what came to one of them since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes._doors.reading import add_reading, since_of, write_plan
from de_classes.contracts import Stream
from de_classes.storage.objects.source import DatasetSource
from de_classes.storage.objects.store import open_store

from .dataset import add_moment, moment_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """List datasets, or read one."""
    parser = door(
        "storage.objects.source",
        "List the datasets of a store; or write the rows of one, perhaps only those that came after a position."
        "\nThe position reached is told on stderr.",
        "s3://lake",
        "lake/ orders > orders.ndjson",
        'lake/ orders --since \'{"commit": 12, "id": "..."}\' --format parquet --to new.parquet',
    )
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("stream", nargs="?", help="the dataset to read")
    parser.add_argument("--prefix", default="", help="the folder of the datasets' folders")
    add_moment(parser)
    add_reading(parser)
    return run(parser, _read, arguments)


def _read(asked: argparse.Namespace) -> None:
    source = DatasetSource(open_store(asked.store), asked.prefix, as_of=moment_of(asked))
    if asked.stream is None:
        for stream in source.streams():
            key = f"  key {', '.join(stream.primary_key)}" if stream.primary_key else ""
            say(f"{stream.name}  {len(stream.schema or ())} columns{key}")
        return
    with source.plan(Stream(asked.stream), since_of(asked)) as plan:
        write_plan(plan, asked)
