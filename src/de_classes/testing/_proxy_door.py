"""`python -m de_classes.testing.proxy`: stand before a server, and break connections."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError
from de_classes.testing.proxy import Cut, CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pass on until interrupted or terminated."""
    asked = _parser().parse_args(arguments)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    try:
        cut = Cut(asked.at.encode(), asked.after.encode(), asked.more, asked.when, asked.times)
        with CuttingProxy(asked.server, port=asked.port) as proxy:
            proxy.cut(cut)
            print(proxy.address, flush=True)  # noqa: T201 -- what whoever started it waits for
            over.wait()
            print(f"{proxy.cuts} connections broken")  # noqa: T201 -- the end of a command
    except (ConfigurationError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the message of a command
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m de_classes.testing.proxy",
        description="Stand before a server on loopback, and break connections at a text that the client sends.",
        epilog="example: python -m de_classes.testing.proxy 127.0.0.1:5432 --at COMMIT --when answered",
    )
    parser.add_argument("server", help="host:port, or the path of a Unix socket")
    parser.add_argument("--at", required=True, help="the text")
    parser.add_argument("--after", default="", help="a text that must have been sent before on the connection")
    parser.add_argument("--more", type=int, default=0, help="bytes behind the text that are passed on (default 0)")
    parser.add_argument(
        "--when", choices=("sent", "answered", "unnoticed"), default="sent", help="(default %(default)s)"
    )
    parser.add_argument("--times", type=int, default=1, help="how many connections break (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default)")
    return parser
