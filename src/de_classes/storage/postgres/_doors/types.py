"""`python -m de_classes.storage.postgres.types`: what the columns of a table become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.postgres.source import PostgresSource
from de_classes.storage.postgres.types import TYPE_KEY

from .asking import add_server, add_table, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell types."""
    parser = door(
        "storage.postgres.types",
        "Tell the type of each column of a table, in PostgreSQL and in Arrow.",
        "postgresql://me@localhost/shop orders",
        "postgresql://me@localhost/shop 'shop.orders'",
    )
    add_server(parser)
    add_table(parser)
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    (stream,) = PostgresSource(client_of(asked), tables={"rows": asked.table}).streams()
    for field in stream.schema or ():
        told = (field.metadata or {}).get(TYPE_KEY, b"").decode()
        say(f"{field.name}  {told}  {field.type}")
