"""What the doors of changes share: whether there is something new in a table, and the position that tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from de_classes._doors.frame import position_of, run, say
from de_classes.storage.postgres.source import PostgresSource

from .asking import add_server, add_table, client_of, condition_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from de_classes.storage.postgres.versions import Changes

__all__ = ["look"]


def look(
    parser: argparse.ArgumentParser, changes: Callable[[argparse.Namespace], Changes], arguments: Sequence[str] | None
) -> int:
    """Run a door that looks for what has changed since a position."""
    add_server(parser)
    add_table(parser)
    parser.add_argument("--since", metavar="JSON", help="a position, as it was told")
    return run(parser, lambda asked: _tell(asked, changes(asked)), arguments)


def _tell(asked: argparse.Namespace, changes: Changes) -> None:
    source = PostgresSource(client_of(asked), tables={"rows": asked.table}, changes={"rows": changes})
    (stream,) = source.streams()
    with source.plan(stream, position_of("--since", asked.since)) as plan:
        if not plan.splits:
            say("nothing new")
        for split in plan.splits:
            say(f"to read: {condition_of(split)}")
        say(f"position: {json.dumps(plan.position)}")
