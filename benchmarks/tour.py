#!/usr/bin/env python3
"""How long the tour takes, and how much memory, by the number of orders.

usage: benchmarks/tour.py [--runs 3] [ORDERS ...]        100000 and 1000000 unless given

Each run is a fresh tour in a temporary folder, with a database of its own, in a process of its own. Printed are
medians; peak memory is that of the process that moves the data (neither the shop's nor PostgreSQL's).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MAIN = Path(__file__).resolve().parent.parent / "src" / "main.py"


def tour(orders: int) -> dict[str, Any]:
    """One fresh tour; what it says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(MAIN), "--orders", str(orders), "--folder", folder, "--json"]
        told = subprocess.check_output(command, stderr=subprocess.DEVNULL)  # noqa: S603 -- our own command
        result: dict[str, Any] = json.loads(told)
        return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orders", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print(f"{'orders':>10} {'seconds':>8} {'peak MiB':>9}   seconds by pipeline")
    for orders in asked.orders:
        runs = [tour(orders) for _ in range(asked.runs)]
        seconds = statistics.median(run["seconds"] for run in runs)
        peak = statistics.median(run["peak_bytes"] for run in runs) / 2**20
        names = [pipeline["name"] for pipeline in runs[0]["pipelines"]]
        parts = [
            f"{name} {statistics.median(run['pipelines'][n]['seconds'] for run in runs):.1f}"
            for n, name in enumerate(names)
        ]
        print(f"{orders:>10,} {seconds:>8.1f} {peak:>9.0f}   {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
