"""`python -m de_classes.storage.postgres.choosing`: which tables patterns find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.postgres.choosing import Patterns

from .asking import add_server, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """List what patterns find."""
    parser = door(
        "storage.postgres.choosing",
        "List the tables that patterns of schema.table find; a partitioned table once.",
        "postgresql://me@localhost/shop 'shop.*'",
        "postgresql://me@localhost/shop 'shop.*' 'order_?' --exclude 'shop.tmp_*'",
    )
    add_server(parser)
    parser.add_argument("include", nargs="+", help="such as 'shop.*'; a name alone is one of the schema public")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="leave these out")
    return run(parser, _list, arguments)


def _list(asked: argparse.Namespace) -> None:
    with client_of(asked).reading().connect() as connection:
        for name in Patterns(tuple(asked.include), tuple(asked.exclude)).found(connection).values():
            say(str(name))
