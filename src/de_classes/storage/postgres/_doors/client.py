"""`python -m de_classes.storage.postgres.client`: whether a server answers, and what a statement touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say

from .asking import add_server, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]

_WHO = "SELECT current_setting('server_version'), current_user, current_database(), pg_is_in_recovery()"


def main(arguments: Sequence[str] | None = None) -> int:
    """Connect, tell who answers, or run a statement."""
    parser = door(
        "storage.postgres.client",
        "Connect, and tell who answers; or run one statement in a transaction of its own, and tell how many rows it"
        "\ntouched. Rows of a query are what `python -m de_classes.storage.postgres.source` gives.",
        "postgresql://me@localhost/shop",
        "postgresql://me@localhost/shop --run \"UPDATE orders SET status = 'paid' WHERE id = 7\" --lock-timeout 5",
    )
    add_server(parser)
    parser.add_argument("--run", dest="statement", metavar="SQL", help="a statement to run")
    return run(parser, _ask, arguments)


def _ask(asked: argparse.Namespace) -> None:
    client = client_of(asked)
    if asked.statement is not None:
        touched = client.run(asked.statement)
        say("done" if touched < 0 else f"{touched:,} rows")
        return
    ((version, user, database, standby),) = client.reading().fetch(_WHO)
    say(f"{client.address}: PostgreSQL {version}, database {database}, as {user}{', a standby' if standby else ''}")
