"""`python -m de_classes.api.paging`: the pages of a list."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.api._walking.asking import asking_since

from .door import client_of
from .walking import add_walking, resource_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk over the pages of a URL and tell each."""
    parser = door(
        "api.paging",
        "Walk over the pages of a list: a line for each, with its records and its URL.",
        "https://api.example.com/orders --paging page --set per_page=100 --set total_pages_at=pages --records-at items",
        "https://api.example.com/events --paging cursor --set at=meta.next --records-at data --pages 3",
        "https://api.example.com/graphql --paging graphql --set connection=data.orders --records-at data.orders.nodes"
        " --set 'query=query($after: String) { orders(after: $after)"
        " { nodes { id } pageInfo { hasNextPage endCursor } } }'",
    )
    add_walking(parser)
    parser.add_argument("--pages", type=int, default=None, metavar="N", help="stop after so many")
    return run(parser, _walk, arguments)


def _walk(asked: argparse.Namespace) -> None:
    resource, records = resource_of(asked), 0
    with client_of(asked) as client, asking_since(client, resource, None).opened() as asking:
        state = resource.paging.start()
        for number in count(1):
            page = asking.page(state)
            records += len(page.records)
            say(f"{number:5} {len(page.records):7} records  {page.url}")
            following = resource.paging.after(state, page)
            if following is None or number == asked.pages:
                break
            state = following
    more = "" if following is None else "; there are more pages"
    say(f"{records} records on {number} pages{more}")
