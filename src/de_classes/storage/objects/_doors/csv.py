"""`python -m de_classes.storage.objects.csv`: a Parquet file as CSV that keeps every digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door
from de_classes.storage.objects.csv import CsvFormat

from .formats import convert

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a Parquet file as CSV."""
    parser = door(
        "storage.objects.csv",
        "Write a Parquet file as CSV, as a dataset would.",
        "orders.parquet orders.csv",
        r"orders.parquet orders.csv.gz --delimiter ';' --null '\N' --compression gzip",
    )
    parser.add_argument("--delimiter", default=",", help="default %(default)s")
    parser.add_argument("--quote", default='"', help="default %(default)s")
    parser.add_argument("--escape", help="what stands before quotes; default: they are doubled")
    parser.add_argument("--null", default="", help="the text for null (default: nothing)")
    parser.add_argument("--no-header", action="store_true", help="no line with the names of the columns")
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), default="none", help="default %(default)s")
    return convert(parser, _form, arguments)


def _form(asked: argparse.Namespace) -> CsvFormat:
    return CsvFormat(
        delimiter=asked.delimiter,
        quote=asked.quote,
        escape=asked.escape,
        null=asked.null,
        header=not asked.no_header,
        compression=asked.compression,
    )
