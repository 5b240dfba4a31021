"""`python -m de_classes.storage.postgres.pieces`: how a table would be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.postgres.pieces import KeyHashes, KeyRanges
from de_classes.storage.postgres.source import PostgresSource

from .asking import add_server, add_table, client_of, condition_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from de_classes.storage.postgres.pieces import Cut

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the pieces of a table."""
    parser = door(
        "storage.postgres.pieces",
        "Tell the pieces that a table or a view would be read in: ranges of pages, or what --by makes.",
        "postgresql://me@localhost/shop orders --split-bytes 16777216",
        "postgresql://me@localhost/shop paid_orders --by ranges --column id --pieces 8",
    )
    add_server(parser)
    add_table(parser)
    parser.add_argument("--by", choices=tuple(_CUTS), help="of a column: for views, and what has no pages of its own")
    parser.add_argument("--column", default="id", help="for --by (default %(default)s)")
    parser.add_argument("--pieces", type=int, default=8, help="for --by (default %(default)s)")
    parser.add_argument("--split-bytes", type=int, default=64 << 20, help="of pages (default %(default)s)")
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    source = PostgresSource(
        client_of(asked), tables={"rows": asked.table}, splits=_cuts(asked), split_bytes=asked.split_bytes
    )
    (stream,) = source.streams()
    with source.plan(stream, None) as plan:
        for split in plan.splits:
            say(condition_of(split))


def _cuts(asked: argparse.Namespace) -> dict[str, Cut]:
    return {} if asked.by is None else {"rows": _CUTS[asked.by](asked.column, asked.pieces)}


_CUTS: dict[str, Callable[[str, int], Cut]] = {"ranges": KeyRanges, "hashes": KeyHashes}
