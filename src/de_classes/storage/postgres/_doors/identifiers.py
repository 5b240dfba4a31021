"""`python -m de_classes.storage.postgres.identifiers`: names of tables, as SQL has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.postgres.identifiers import TableName

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Quote names."""
    parser = door(
        "storage.postgres.identifiers",
        "Tell how names of tables are read, quoted for SQL.",
        "orders shop.Orders",
        '\'"Odd.Schema"."Table"\'',
    )
    parser.add_argument("name", nargs="+")
    return run(parser, _quote, arguments)


def _quote(asked: argparse.Namespace) -> None:
    for name in asked.name:
        say(TableName.parse(name).sql)
