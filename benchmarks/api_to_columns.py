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
import multiprocessing
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.api.records import infer_schema
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    import pyarrow as pa

RECORDS = 1000


def record(number: int, dice: random.Random) -> dict[str, Any]:
    """An order of 30 fields, of which two are objects and one is a list."""
    return {
        "id": number,
        "number": f"ORD-{number:010d}",
        "status": dice.choice(["new", "paid", "packed", "sent", "returned"]),
        "created_at": f"2026-01-{number % 28 + 1:02d}T03:04:05.{number % 10**6:06d}Z",
        "updated_at": f"2026-02-{number % 28 + 1:02d}T13:14:15.{number % 10**6:06d}Z",
        "amount": dice.randrange(10**6) / 100,
        "tax": dice.randrange(10**5) / 100,
        "shipping": dice.randrange(10**4) / 100,
        "currency": dice.choice(["EUR", "USD", "GBP"]),
        "weight": dice.randrange(10**5) / 1000,
        "items": dice.randrange(1, 9),
        "priority": dice.randrange(5),
        "paid": dice.randrange(5) > 0,
        "gift": dice.randrange(9) == 0,
        "coupon": None if dice.randrange(3) else f"SAVE{dice.randrange(100)}",
        "note": None if dice.randrange(2) else "Bitte beim Nachbarn abgeben, vielen Dank für Ihre Mühe",
        "channel": dice.choice(["web", "shop", "phone"]),
        "device": dice.choice(["android", "ios", "desktop"]),
        "session": f"{dice.getrandbits(128):032x}",
        "ip": f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}",
        "campaign": f"spring-{dice.randrange(50)}",
        "referrer": f"https://shop.example/landing/{dice.randrange(10**6)}",
        "score": dice.randrange(1000) / 10,
        "visits": dice.randrange(200),
        "language": dice.choice(["de", "en", "fr"]),
        "warehouse": f"W{dice.randrange(20):02d}",
        "carrier": dice.choice(["DHL", "UPS", "GLS"]),
        "customer": {
            "id": dice.randrange(10**6),
            "name": f"Ada Lovelace {dice.randrange(10**4)}",
            "email": f"ada{dice.randrange(10**6)}@example.org",
            "since": "2020-01-01",
            "vip": dice.randrange(9) == 0,
        },
        "address": {
            "street": f"Main Street {dice.randrange(300)}",
            "city": "Springfield",
            "zip": f"{dice.randrange(10**5):05d}",
            "country": "US",
            "position": {"north": dice.randrange(10**8) / 10**6, "east": dice.randrange(10**8) / 10**6},
        },
        "lines": [
            {"sku": f"SKU-{dice.randrange(10**5):05d}", "quantity": dice.randrange(1, 9), "price": 9.99, "tags": ["a"]}
            for _ in range(dice.randrange(3, 9))
        ],
    }


def page_text() -> bytes:
    """The records of a page, but for the first."""
    dice = random.Random(7)  # noqa: S311 -- the same pages each time
    return b",".join(json.dumps(record(n, dice)).encode() for n in range(1, RECORDS))


class Server:
    """Answers `?page=N` on the loopback, in a process of its own."""

    def __init__(self, pages: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, pages), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{ours.recv()}"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()


def serve(told: Connection, pages: int) -> None:
    """Listen, tell the port, and answer until the end of the process."""
    rest, dice = page_text(), random.Random(8)  # noqa: S311 -- no secret
    with socket.create_server(("127.0.0.1", 0)) as listening:
        told.send(listening.getsockname()[1])
        while True:
            caller, _ = listening.accept()
            threading.Thread(target=answer, args=(caller, rest, pages, dice), daemon=True).start()


def answer(caller: socket.socket, rest: bytes, pages: int, dice: random.Random) -> None:
    """One connection, kept alive."""
    with caller, caller.makefile("rb") as asked:
        while (line := asked.readline()).strip():
            while asked.readline().strip():
                pass
            number = int(line.split(b"page=")[1].split()[0].split(b"&")[0])
            first = json.dumps(record(number * RECORDS, dice)).encode()
            body = b'{"pages": %d, "data": [%b,%b]}' % (pages, first, rest)
            caller.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            caller.sendall(body)


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
