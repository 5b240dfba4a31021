"""`python -m de_classes.storage.objects.ndjson`: a Parquet file as a JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door
from de_classes.storage.objects.ndjson import NdjsonFormat

from .formats import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a Parquet file as NDJSON."""
    parser = door(
        "storage.objects.ndjson",
        "Write a Parquet file as NDJSON, as a dataset would: decimals are text, so that nobody makes doubles of them.",
        "orders.parquet orders.ndjson",
        "orders.parquet orders.ndjson.zst --compression zstd",
    )
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), default="none", help="default %(default)s")
    return convert(parser, lambda asked: NdjsonFormat(compression=asked.compression), arguments)
