"""`python -m de_classes.api.client`: an answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say

from .door import add_asking, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask a URL, with retries and credentials, and print the answer."""
    parser = door(
        "api.client",
        "Ask a URL by GET, patiently, and print the answer. Retries are told on stderr.",
        "https://api.example.com/orders?page=1",
        "https://api.example.com/orders --auth bearer --secret-env SHOP_TOKEN --include",
    )
    add_asking(parser)
    parser.add_argument("--include", action="store_true", help="print status and headers first, on stderr")
    return run(parser, _ask, arguments)


def _ask(asked: argparse.Namespace) -> None:
    with client_of(asked) as client:
        response = client.request("GET", asked.url)
    if asked.include:
        say(f"status {response.status}", aside=True)
        for name, value in response.headers.items():
            say(f"{name}: {value}", aside=True)
    sys.stdout.buffer.write(response.body)
    sys.stdout.buffer.flush()
