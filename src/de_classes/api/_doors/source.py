"""`python -m de_classes.api.source`: the records of a resource, as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run
from de_classes._doors.reading import add_reading, since_of, write_plan
from de_classes.api.source import ApiSource

from .door import client_of
from .walking import add_walking, resource_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a resource and write its records."""
    parser = door(
        "api.source",
        "Read a list of an API, page by page, and write its records; the position reached is told on stderr.",
        "https://api.example.com/orders --paging page --records-at items --key id > orders.ndjson",
        "https://api.example.com/orders --paging page --records-at items --key id --format parquet --to orders.parquet",
    )
    add_walking(parser)
    add_reading(parser)
    return run(parser, _read, arguments)


def _read(asked: argparse.Namespace) -> None:
    resource = resource_of(asked)
    with client_of(asked) as client, ApiSource(client, [resource]).plan(resource.stream, since_of(asked)) as plan:
        write_plan(plan, asked, alike=False)
