"""`python -m de_classes.storage.objects.files`: plain files that others wrote, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes._doors.reading import add_writing, write_plan
from de_classes.contracts import Stream
from de_classes.formats.packing import COMPRESSIONS
from de_classes.storage.objects.files import Csv, Files, FileSource, Ndjson, Parquet
from de_classes.storage.objects.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from de_classes.formats.file_format import FileFormat

__all__ = ["add_format", "files_of", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read files of a pattern."""
    parser = door(
        "storage.objects.files",
        "Read the plain files of a pattern as one table, and write its rows; or say with --plan what would be read.",
        "s3://landing 'incoming/orders-*.csv.gz' --plan",
        "landing/ 'orders-*.csv' --delimiter ';' --null '' --guess --file-column file > orders.ndjson",
        "landing/ 'events/**/*.parquet' --format csv --to events.csv",
    )
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("pattern", help="of keys: * ? [a-z] {a,b}, and ** for any folders")
    parser.add_argument("--plan", action="store_true", help="only tell columns and splits")
    add_format(parser)
    add_writing(parser)
    return run(parser, _read, arguments)


def add_format(parser: argparse.ArgumentParser) -> None:
    """How the files are read."""
    parser.add_argument(
        "--kind", choices=("csv", "ndjson", "parquet"), help="of the files; default: by the pattern, else ndjson"
    )
    parser.add_argument("--compression", choices=COMPRESSIONS, default="auto", help="default %(default)s")
    parser.add_argument("--delimiter", default=",", help="of CSV (default %(default)s)")
    parser.add_argument("--encoding", default="utf-8", help="of CSV (default %(default)s)")
    parser.add_argument("--null", action="append", default=[], metavar="TEXT", help="of CSV: this text stands for null")
    parser.add_argument("--guess", action="store_true", help="of CSV: guess types, instead of text throughout")
    parser.add_argument("--file-column", metavar="NAME", help="add a column with the file's key")
    parser.add_argument("--allowed-misfits", type=float, default=0.0, metavar="SHARE", help="of a file's rows; 0 to 1")


def _read(asked: argparse.Namespace) -> None:
    source = FileSource(open_store(asked.store), {"files": files_of(asked.pattern, asked)})
    with source.plan(Stream("files"), None) as plan:
        if not asked.plan:
            write_plan(plan, asked)
            return
        for split in plan.splits:
            say(split.id)
        say(f"{len(plan.splits)} splits")


def files_of(pattern: str, asked: argparse.Namespace, primary_key: Sequence[str] = ()) -> Files:
    """The files of a pattern."""
    return Files(
        pattern,
        _format(pattern, asked),
        primary_key=tuple(primary_key),
        compression=asked.compression,
        file_column=asked.file_column,
        allowed_misfits=asked.allowed_misfits,
    )


def _format(pattern: str, asked: argparse.Namespace) -> FileFormat | Parquet:
    kind = asked.kind or next((kind for kind in ("parquet", "csv") if f".{kind}" in pattern), "ndjson")
    if kind == "csv":
        null = tuple(asked.null)
        return Csv(delimiter=asked.delimiter, encoding=asked.encoding, null_values=null, guess=asked.guess)
    return Parquet() if kind == "parquet" else Ndjson()
