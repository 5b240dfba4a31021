#!/usr/bin/env python3
"""How long an API's pages take to become columns, against fetching them and parsing them to objects.

usage: benchmarks/api_to_columns.py [--runs 3] [--pages 500] [CONTENDER ...]

A server of its own process sends pages of 1,000 nested records (about 1.4 MB; all alike but for the first record) over
the loopback. Each contender reads them all in a process of its own, and they take turns:

    discard   fetch, and throw away                       arrow      ApiSource to batches, the schema inferred
    objects   fetch, and decode to objects with msgspec   declared   the same, the schema declared
    parquet   ApiSource to a dataset through a Pipeline

Printed are medians, how they relate to `objects`, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import msgspec
from _pages import RECORDS, Server, page_text

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.formats.records import infer_schema
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa


def bodies(url: str, pages: int) -> Iterator[bytes]:
    """The pages, fetched by httpx2 alone."""
    with httpx2.Client() as client:
        for number in range(1, pages + 1):
            yield client.get(f"{url}/orders", params={"page": number}).content


def discard(url: str, pages: int) -> None:
    """Fetch."""
    for _ in bodies(url, pages):
        pass


def objects(url: str, pages: int) -> None:
    """Fetch and decode."""
    for body in bodies(url, pages):
        msgspec.json.decode(body)


def source(url: str, schema: pa.Schema | None = None) -> ApiSource:
    """Ours."""
    paging = PageNumber(total_pages_at="pages", max_pages=10**6, stable=True)
    return ApiSource(ApiClient(url), [Resource("orders", "/orders", records_at="data", paging=paging, schema=schema)])


def arrow(url: str, pages: int, schema: pa.Schema | None = None) -> None:
    """To batches."""
    api = source(url, schema)
    with api.plan(api.streams()[0], None) as plan:
        rows = sum(batch.records.num_rows for split in plan.splits for batch in split.read())
    check(rows, pages)


def declared(url: str, pages: int) -> None:
    """To batches, with a schema."""
    arrow(url, pages, infer_schema("orders", json.loads(b"[%b]" % page_text(), parse_float=Decimal), "here"))


def parquet(url: str, pages: int) -> None:
    """To files."""
    with tempfile.TemporaryDirectory() as folder:
        run = Pipeline("orders", source(url), DatasetDestination(LocalStore(folder))).run()
    check(run.rows, pages)


def check(rows: int, pages: int) -> None:
    """Nobody wins by leaving rows out."""
    if rows != pages * RECORDS:
        raise SystemExit(f"{rows} rows came of {pages * RECORDS}")


CONTENDERS: dict[str, Callable[[str, int], None]] = {
    "discard": discard,
    "objects": objects,
    "arrow": arrow,
    "declared": declared,
    "parquet": parquet,
}


def run_alone(name: str, url: str, pages: int) -> None:
    """Run one contender here, and print seconds and peak memory in bytes."""
    began, began_cpu = time.perf_counter(), time.process_time()
    CONTENDERS[name](url, pages)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps([time.perf_counter() - began, time.process_time() - began_cpu, peak]))


def measured(name: str, url: str, pages: int) -> list[float]:
    """What one contender says in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--alone", url, "--pages", str(pages), name]
    result: list[float] = json.loads(subprocess.check_output(command))  # noqa: S603 -- our own command
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", choices=[[], *CONTENDERS], default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        run_alone(asked.contenders[0], asked.alone, asked.pages)
        return
    names = asked.contenders or list(CONTENDERS)
    server = Server(asked.pages)
    try:
        rounds = [{name: measured(name, server.url, asked.pages) for name in names} for _ in range(asked.runs)]
    finally:
        server.close()
    medians = {name: [statistics.median(one[name][n] for one in rounds) for n in range(3)] for name in names}
    print(f"{asked.pages} pages, {asked.pages * len(page_text()) / 1e6:.0f} MB, {asked.runs} runs")
    print(f"{'':10} {'seconds':>8} {'of CPU':>8} {'x objects':>10} {'peak MiB':>9}")
    for name, (seconds, cpu, peak) in medians.items():
        ratio = f"{seconds / medians['objects'][0]:.2f}" if "objects" in medians else ""
        print(f"{name:10} {seconds:>8.2f} {cpu:>8.2f} {ratio:>10} {peak / 2**20:>9.0f}")


if __name__ == "__main__":
    main()
