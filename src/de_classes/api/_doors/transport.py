"""`python -m de_classes.api.transport`: one request, one answer, whatever its status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.api.messages import Request
from de_classes.api.transport import HttpTransport

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one request and tell what came back, and how fast."""
    parser = door(
        "api.transport",
        "Send one request, without retries, redirects or credentials, and tell what comes back.",
        "https://api.example.com/orders",
        "https://api.example.com/orders --method HEAD --deadline 5",
    )
    parser.add_argument("url")
    parser.add_argument("--method", default="GET", help="default %(default)s")
    parser.add_argument("--deadline", type=float, default=300.0, help="seconds for all of it (default %(default)s)")
    return run(parser, _send, arguments)


def _send(asked: argparse.Namespace) -> None:
    transport = HttpTransport(deadline_seconds=asked.deadline)
    try:
        began = time.perf_counter()
        response = transport(Request(asked.method.upper(), asked.url))
        say(f"status {response.status}, {len(response.body)} bytes, {time.perf_counter() - began:.3f} s")
    finally:
        transport.close()
    for name, value in response.headers.items():
        say(f"{name}: {value}")
