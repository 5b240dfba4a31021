"""`python -m de_classes.api.recording`: an answer, kept without secrets, or played back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run
from de_classes.api.recording import Player, Recorder

from .door import add_asking, client_of, path_of, query_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask for a URL and keep the exchange, or answer from what was kept."""
    parser = door(
        "api.recording",
        "Ask for a URL, print the answer, and keep the exchange as a readable file without secrets; or play it back.",
        "https://api.example.com/orders --into recorded --auth bearer --secret-env SHOP_TOKEN",
        "https://api.example.com/orders --from recorded",
    )
    add_asking(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", metavar="FOLDER", help="keep the exchange in this folder")
    where.add_argument("--from", dest="played", metavar="FOLDER", help="answer from this folder, without a network")
    return run(parser, _answered, arguments)


def _answered(asked: argparse.Namespace) -> None:
    transport = Player(asked.played) if asked.into is None else Recorder(asked.into)
    with client_of(asked, transport=transport) as client:
        answer = client.request("GET", path_of(asked.url), params=query_of(asked.url))
    sys.stdout.buffer.write(answer.body)
