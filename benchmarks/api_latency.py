#!/usr/bin/env python3
"""How close pages that are asked for ahead come to the ideal, where each answer takes its time.

usage: benchmarks/api_latency.py [--runs 3] [--pages 400] [--latency 0.05] [--at-once 8] [--records 100]

The ideal is pages x latency / pages at once; the first page is asked for alone, since it tells how many there are.
Printed is the median of the runs, to batches and through a pipeline to Parquet.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from _pages import Server

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable


def batches(source: ApiSource) -> int:
    """Read, and count rows."""
    with source.plan(source.streams()[0], None) as plan:
        return sum(batch.records.num_rows for split in plan.splits for batch in split.read())


def parquet(source: ApiSource) -> int:
    """Load, and count rows."""
    with tempfile.TemporaryDirectory() as folder:
        return Pipeline("orders", source, DatasetDestination(LocalStore(folder))).run().rows


def seconds(read: Callable[[ApiSource], int], server: Server, asked: argparse.Namespace) -> float:
    """Of one run."""
    paging = PageNumber(total_pages_at="pages", max_pages=10**6, stable=True)
    orders = Resource("orders", "/orders", records_at="data", paging=paging, at_once=asked.at_once)
    with ApiClient(server.url) as client:
        began = time.perf_counter()
        rows = read(ApiSource(client, [orders]))
        took = time.perf_counter() - began
    if rows != asked.pages * asked.records:
        raise SystemExit(f"{rows} rows came of {asked.pages * asked.records}")
    return took


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--at-once", type=int, default=8)
    asked = parser.parse_args()
    ideal = asked.pages * asked.latency / asked.at_once
    server = Server(asked.pages, records=asked.records, latency=asked.latency)
    try:
        rounds = [[seconds(read, server, asked) for read in (batches, parquet)] for _ in range(asked.runs)]
    finally:
        server.close()
    print(f"{asked.pages} pages of {asked.records} records, {asked.at_once} at once: ideal {ideal:.2f} s")
    for name, times in zip(("batches", "parquet"), zip(*rounds, strict=True), strict=True):
        middle = statistics.median(times)
        print(f"{name:8} {middle:.2f} s, {middle / ideal:.2f} x the ideal")


if __name__ == "__main__":
    main()
