"""`python -m de_classes.api.caching`: how an answer is kept and given again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.api.caching import HttpCache

from .door import add_asking, client_of, path_of, query_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask for a URL some times through a cache, and tell where each answer came from."""
    parser = door(
        "api.caching",
        "Ask for a URL some times through a cache; tell of each answer whether it was asked for, confirmed or kept.",
        "https://api.example.com/countries --file countries.db",
        "https://api.example.com/countries --file countries.db --times 5",
    )
    add_asking(parser)
    parser.add_argument("--file", required=True, help="the cache; it is made where it is not there")
    parser.add_argument("--times", type=int, default=2, help="how often to ask (default %(default)s)")
    return run(parser, _asked, arguments)


def _asked(asked: argparse.Namespace) -> None:
    cache = HttpCache(asked.file)
    with client_of(asked, transport=cache) as client:
        for _ in range(asked.times):
            before, began = cache.counts, time.perf_counter()
            answer = client.request("GET", path_of(asked.url), params=query_of(asked.url))
            how = next((name for name, count in cache.counts.items() if count > before.get(name, 0)), "asked")
            took = 1000 * (time.perf_counter() - began)
            say(f"{how:9} {len(answer.body)} bytes in {took:.1f} ms, {answer.headers.get('cache-control', 'no rules')}")
