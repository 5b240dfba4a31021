"""The API of the benchmarks: pages of nested records, answered by a process of its own over the loopback."""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

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
            {
                "sku": f"SKU-{dice.randrange(10**5):05d}",
                "name": f"Garden chair {dice.randrange(100)}, foldable",
                "quantity": dice.randrange(1, 9),
                "price": 9.99,
            }
            for _ in range(dice.randrange(3, 9))
        ],
    }


def page_text(records: int = RECORDS) -> bytes:
    """The records of a page, but for the first."""
    dice = random.Random(7)  # noqa: S311 -- the same pages each time
    return b",".join(json.dumps(record(n, dice)).encode() for n in range(1, records))


class Server:
    """Answers `?page=N` on the loopback, each after `latency` seconds, with so many records."""

    def __init__(self, pages: int, *, records: int = RECORDS, latency: float = 0.0) -> None:
        ours, theirs = multiprocessing.Pipe()
        api = Api(pages, records, latency)
        self._process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, api), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{ours.recv()}"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()


@dataclass(frozen=True)
class Api:
    """What is answered."""

    pages: int
    records: int
    latency: float


def serve(told: Connection, api: Api) -> None:
    """Listen, tell the port, and answer until the end of the process."""
    rest, dice = page_text(api.records), random.Random(8)  # noqa: S311 -- no secret
    with socket.create_server(("127.0.0.1", 0)) as listening:
        told.send(listening.getsockname()[1])
        while True:
            caller, _ = listening.accept()
            threading.Thread(target=answer, args=(caller, rest, api, dice), daemon=True).start()


def answer(caller: socket.socket, rest: bytes, api: Api, dice: random.Random) -> None:
    """One connection, kept alive."""
    with caller, caller.makefile("rb") as asked:
        while (line := asked.readline()).strip():
            while asked.readline().strip():
                pass
            number = int(line.split(b"page=")[1].split()[0].split(b"&")[0])
            first = json.dumps(record(number * RECORDS, dice)).encode()
            body = b'{"pages": %d, "data": [%b]}' % (api.pages, b",".join([first, *([rest] if rest else [])]))
            time.sleep(api.latency)
            caller.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            caller.sendall(body)
