#!/usr/bin/env python3
"""How long an API's pages take to become tables, for us and for dlt.

usage: benchmarks/api_to_tables.py [--runs 3] [--pages 500] [--dlt PYTHON] [CONTENDER ...]

A server of its own process sends pages of 1,000 nested records (about 1.4 MB: 30 fields, two objects, one list) over
the loopback. Each contender reads them all in a process of its own, and they take turns:

    objects             fetch, and decode to objects with msgspec: the unit
    parquet             to a dataset in a local folder, nested values kept, columns inferred
    postgres            to PostgreSQL, likewise
    parquet-exploded    objects flattened, the list in a child table, timestamps parsed: what dlt does
    postgres-exploded   likewise
    dlt-parquet         dlt's rest_api source to its filesystem destination
    dlt-postgres        to PostgreSQL

dlt is an optional install in an environment of its own, whose Python is named by --dlt:

    python3 -m venv dlt-venv && dlt-venv/bin/pip install "dlt[filesystem,parquet,postgres]"

Printed are medians, how they relate to `objects`, and the most memory that the process held. PostgreSQL is an embedded
one, in its own processes, without fsync; all contenders load into the same server.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import msgspec
import psycopg
import pyarrow as pa
from _pages import RECORDS, Server, page_text

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.pipelines import Pipeline, Route
from de_classes.storage.objects import DatasetDestination, LocalStore
from de_classes.storage.postgres import PostgresDestination
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.transforms import Cast, Drop, Explode, Flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from de_classes.contracts import Destination

HERE = Path(__file__).resolve().parent
INSTANT = pa.timestamp("us", "UTC")
ROUTES = [
    Route("orders", transforms=[Drop("lines"), Flatten(), Cast({"created_at": INSTANT, "updated_at": INSTANT})]),
    Route("orders", into="order_lines", transforms=[Explode("lines", key={"order_id": "id"})]),
]


@dataclass(frozen=True)
class Task:
    """What a contender is to load, and where to."""

    api: str
    pages: int
    folder: str
    postgres: str


def objects(task: Task) -> None:
    """Fetch and decode."""
    with httpx2.Client() as client:
        for number in range(1, task.pages + 1):
            msgspec.json.decode(client.get(f"{task.api}/orders", params={"page": number}).content)


def load(task: Task, destination: Destination, routes: list[Route] | None = None) -> None:
    """Run a pipeline."""
    paging = PageNumber(total_pages_at="pages", max_pages=10**6, stable=True)
    source = ApiSource(ApiClient(task.api), [Resource("orders", "/orders", records_at="data", paging=paging)])
    report = Pipeline("orders", source, destination, routes=routes).run()
    rows = next(stream.rows for stream in report.streams if stream.into == "orders")
    if rows != task.pages * RECORDS:
        raise SystemExit(f"{rows} rows came of {task.pages * RECORDS}")


def parquet(task: Task) -> None:
    """To files."""
    load(task, DatasetDestination(LocalStore(task.folder)))


def parquet_exploded(task: Task) -> None:
    """To files, as dlt does."""
    load(task, DatasetDestination(LocalStore(task.folder)), ROUTES)


def postgres(task: Task) -> None:
    """To PostgreSQL."""
    load(task, PostgresDestination(task.postgres))


def postgres_exploded(task: Task) -> None:
    """To PostgreSQL, as dlt does."""
    load(task, PostgresDestination(task.postgres), ROUTES)


OURS: dict[str, Callable[[Task], None]] = {
    "objects": objects,
    "parquet": parquet,
    "postgres": postgres,
    "parquet-exploded": parquet_exploded,
    "postgres-exploded": postgres_exploded,
}
DLT = ("dlt-parquet", "dlt-postgres")


def run_alone(name: str, task: Task) -> None:
    """Run one contender here, and print seconds and peak memory in bytes."""
    began = time.perf_counter()
    OURS[name](task)
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit]))


def measured(name: str, api: str, pages: int, postgres_url: str, dlt: str) -> list[float]:
    """What one contender says in a process of its own, which loads into a folder and a database of its own."""
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bench")
        connection.execute("CREATE DATABASE bench")
    with tempfile.TemporaryDirectory() as folder:
        task = [api, str(pages), folder, f"{postgres_url}/bench"]
        if name in DLT:
            command = [dlt, str(HERE / "peers" / "dlt_api.py"), name, *task]
        else:
            command = [sys.executable, str(Path(__file__).resolve()), "--alone", *task, name]
        # What a run leaves of itself, dlt's working folder among it, goes with the folder.
        answer = subprocess.run(  # noqa: S603 -- our own command
            command, check=False, capture_output=True, cwd=folder, env={**os.environ, "HOME": folder}, text=True
        )
    if answer.returncode:
        raise SystemExit(f"{name} failed:\n{answer.stderr}")
    result: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return result


@contextmanager
def server_over_tcp() -> Iterator[str]:
    """A PostgreSQL that everybody reaches the same way: dlt's client knows no sockets in folders."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedPostgres(settings={"listen_addresses": "127.0.0.1", "port": str(port)}):
        yield f"postgresql://postgres:any@127.0.0.1:{port}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", choices=[[], *OURS, *DLT], default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--dlt", default="", help="the Python of an environment that has dlt")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        api, pages, folder, postgres_url = asked.alone
        run_alone(asked.contenders[0], Task(api, int(pages), folder, postgres_url))
        return
    names = asked.contenders or [*OURS, *(DLT if asked.dlt else ())]
    server = Server(asked.pages)
    try:
        with server_over_tcp() as postgres_url:
            rounds = [
                {name: measured(name, server.url, asked.pages, postgres_url, asked.dlt) for name in names}
                for _ in range(asked.runs)
            ]
    finally:
        server.close()
    print(f"{asked.pages} pages, {asked.pages * len(page_text()) / 1e6:.0f} MB, {asked.runs} runs")
    print(f"{'':18} {'seconds':>8} {'x objects':>10} {'peak MiB':>9}")
    unit = statistics.median(one["objects"][0] for one in rounds) if "objects" in names else float("nan")
    for name in names:
        seconds, peak = (statistics.median(one[name][n] for one in rounds) for n in range(2))
        print(f"{name:18} {seconds:>8.2f} {seconds / unit:>10.2f} {peak / 2**20:>9.0f}")


if __name__ == "__main__":
    main()
