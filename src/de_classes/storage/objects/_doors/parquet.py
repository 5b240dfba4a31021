"""`python -m de_classes.storage.objects.parquet`: a Parquet file, packed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door
from de_classes.storage.objects.parquet import ParquetFormat

from .formats import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a Parquet file as another one."""
    parser = door(
        "storage.objects.parquet",
        "Write a Parquet file anew, as a dataset would: row groups of 16 MiB of memory, checksums on its pages.",
        "orders.parquet packed.parquet",
        "orders.parquet packed.parquet --compression zstd --level 19",
    )
    kinds = ("zstd", "snappy", "gzip", "none")
    parser.add_argument("--compression", choices=kinds, default="zstd", help="default %(default)s")
    parser.add_argument("--level", type=int, help="how hard to try, for zstd and gzip")
    return convert(parser, lambda asked: ParquetFormat(asked.compression, level=asked.level), arguments)
