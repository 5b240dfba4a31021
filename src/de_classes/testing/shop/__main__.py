"""`python -m de_classes.testing.shop`: serve the sample shop until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from de_classes.errors import DeClassesError

from ._server import ShopServer, Trouble
from ._shop import Shop


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m de_classes.testing.shop",
        description="Serve the sample shop over HTTP on loopback; prints its URL.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default)")
    parser.add_argument("--orders", type=int, default=100_000, help="orders on day 0 (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it (default %(default)s)")
    parser.add_argument("--days", type=int, default=0, help="the day it is (default %(default)s)")
    parser.add_argument(
        "--token-seconds", type=float, default=300.0, help="how long a login lasts (default %(default)s)"
    )
    parser.add_argument("--trouble-seed", type=int, default=0, help="decides which requests meet trouble")
    for name in ("rate429", "rate500", "drop", "slow"):
        parser.add_argument(f"--{name}", type=float, default=0.0, help="share of requests, from 0 to 1")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started this one")
    return parser.parse_args()


def _wait_for_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main() -> int:
    """Serve until interrupted, terminated or, if asked, left alone."""
    asked = _arguments()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    try:
        trouble = Trouble(
            seed=asked.trouble_seed, rate429=asked.rate429, rate500=asked.rate500, drop=asked.drop, slow=asked.slow
        )
        shop = Shop(asked.orders, seed=asked.seed, day=asked.days)
        with ShopServer(shop, trouble=trouble, token_seconds=asked.token_seconds, port=asked.port) as server:
            print(server.url, flush=True)  # noqa: T201 -- what whoever started it waits for
            if asked.until_stdin_closes:
                threading.Thread(target=_wait_for_end, args=(over,), daemon=True).start()
            over.wait()
    except (DeClassesError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the message of a command
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
