"""`python -m de_classes.storage.postgres.cursors`: whether a column tells of rows that were written since."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from de_classes._doors.frame import door
from de_classes.storage.postgres.cursors import CursorColumn

from .changed import look

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for changes by a column."""
    parser = door(
        "storage.postgres.cursors",
        "Tell from where a column such as updated_at would be read on, so that what commits late is not missed.",
        "postgresql://me@localhost/shop orders --column updated_at",
        "postgresql://me@localhost/shop orders --column updated_at --lag 300 --since '{...}'",
    )
    parser.add_argument("--column", required=True, help="a timestamp that the server fills")
    parser.add_argument("--lag", type=float, metavar="SECONDS", help="how late a row may become visible")
    return look(parser, _column, arguments)


def _column(asked: argparse.Namespace) -> CursorColumn:
    return CursorColumn(asked.column, None if asked.lag is None else timedelta(seconds=asked.lag))
