"""The shop's API, on loopback: it wants a login, gives pages, and misbehaves as much as it is told to."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlencode

from de_classes.errors import ConfigurationError
from de_classes.testing.http import LoopbackServer, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from de_classes.testing.http import Asked

    from ._shop import Shop

__all__ = ["PASSWORD", "USER", "ShopProcess", "ShopServer", "Trouble"]

USER = "demo"
PASSWORD = "correct horse"  # noqa: S105 -- the sample shop's, known to all
_MAX_PER_PAGE = 10_000
Kind: TypeAlias = Literal["", "429", "500", "before", "within", "slow"]
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """How often a request meets trouble, as shares of 1, decided by the seed, the request and how often it was made.

    After `most_in_a_row` times the same request is answered, so a client that tries once more than that always gets
    through.
    """

    seed: int = 0
    rate429: float = 0.0
    """Too many requests, with Retry-After: 0."""
    rate500: float = 0.0
    drop: float = 0.0
    """Broken connections, half of them in the middle of an answer."""
    slow: float = 0.0
    slow_seconds: float = 0.05
    retry_after_seconds: int = 0
    most_in_a_row: int = 2

    def __post_init__(self) -> None:
        shares = (self.rate429, self.rate500, self.drop, self.slow)
        if min(shares) < 0 or sum(shares) > 1:
            raise ConfigurationError(
                "Trouble", f"the shares are {shares}", "Give shares from 0 that sum up to 1 at most."
            )

    def of(self, target: str, times: int, in_a_row: int) -> Kind:
        """What happens to a request made for the `times`-th time: "429", "500", "before", "within", "slow" or ""."""
        digest = hashlib.blake2b(f"{self.seed} {times} {target}".encode(), digest_size=6).digest()
        draw = int.from_bytes(digest, "big") / 2**48
        shares: tuple[tuple[Kind, float], ...] = (
            ("429", self.rate429),
            ("500", self.rate500),
            ("before", self.drop / 2),
            ("within", self.drop / 2),
            ("slow", self.slow),
        )
        for name, share in shares:
            draw -= share
            if draw < 0:
                return "" if in_a_row >= self.most_in_a_row and name != "slow" else name
        return ""


class ShopServer:
    """A shop's API while its context lasts.

    - `POST /login` with user and password gives `access_token` and `expires_in`; everything else wants that token.
    - `GET /customers?updated_since&page&per_page&as_of` gives items, page, pages and as_of: pages of the shop as of
      that day.
    - `GET /orders?updated_since&per_page&cursor` gives items and next, the absolute URL of the page that follows.

    `updated_since` is exclusive. Lists are sorted by (updated_at, id) and have every row once, at its last change. A
    token lasts `token_seconds`, and `token_requests` requests where that is given: the way to have one expire at a
    certain point.
    """

    def __init__(
        self,
        shop: Shop,
        *,
        trouble: Trouble | None = None,
        token_seconds: float = 300.0,
        token_requests: int | None = None,
        port: int = 0,
    ) -> None:
        self.shop = shop
        self.troubled: Counter[str] = Counter()
        """How often each kind of trouble was made."""
        self.logins = 0
        self._trouble = trouble or Trouble()
        self._token_seconds, self._token_requests = token_seconds, token_requests
        self._tokens: dict[str, list[float]] = {}
        self._times: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._server = LoopbackServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def _answer(self, asked: Asked) -> Reply:
        trouble = self._troubled(asked.target)
        if trouble == "429":
            wait = str(self._trouble.retry_after_seconds)
            return json_reply({"error": "too many requests"}, 429, Retry_After=wait)
        if trouble == "500":
            return json_reply({"error": "the shop has a bad moment"}, 500)
        reply = self._routed(asked)
        if trouble == "slow":
            return Reply(reply.status, reply.body, reply.headers, delay_seconds=self._trouble.slow_seconds)
        if trouble == "before" or trouble == "within":  # noqa: PLR1714 -- so that the type is narrowed
            return Reply(reply.status, reply.body, reply.headers, cut=trouble)
        return reply

    def _troubled(self, target: str) -> Kind:
        with self._guard:
            self._times[target] += 1
            trouble = self._trouble.of(target, self._times[target], self._in_a_row[target])
            if trouble in {"", "slow"}:
                del self._in_a_row[target]
            else:
                self._in_a_row[target] += 1
            if trouble:
                self.troubled[trouble] += 1
            return trouble

    def _routed(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("POST", "/login"):
            return self._login(asked)
        routes: dict[str, Callable[[Asked], Reply]] = {"/customers": self._customers, "/orders": self._orders}
        route = routes.get(asked.path)
        if route is None or asked.method != "GET":
            return json_reply({"error": f"there is no {asked.path}; there are {', '.join(routes)}"}, 404)
        if not self._admitted(asked.headers.get("authorization", "")):
            return json_reply({"error": "the token is missing, unknown or expired"}, 401)
        try:
            return route(asked)
        except ValueError as error:
            return json_reply({"error": str(error)}, 400)

    def _login(self, asked: Asked) -> Reply:
        given = asked.json()
        if (given.get("user"), given.get("password")) != (USER, PASSWORD):
            return json_reply({"error": "wrong user or password"}, 401)
        token = secrets.token_urlsafe(24)
        with self._guard:
            self.logins += 1
            now = time.monotonic()
            self._tokens = {kept: life for kept, life in self._tokens.items() if life[0] > now}
            self._tokens[token] = [now + self._token_seconds, self._token_requests or float("inf")]
        return json_reply({"access_token": token, "expires_in": self._token_seconds})

    def _admitted(self, authorization: str) -> bool:
        with self._guard:
            life = self._tokens.get(authorization.removeprefix("Bearer "))
            if life is None or life[0] <= time.monotonic() or life[1] <= 0:
                return False
            life[1] -= 1
            return True

    def _customers(self, asked: Asked) -> Reply:
        page = _whole(asked, "page", 1, least=1)
        day = _whole(asked, "as_of", self.shop.day, most=self.shop.day)
        items, pages = self.shop.customers_feed(day, _since(asked), page, _per_page(asked))
        return json_reply({"items": items, "page": page, "pages": pages, "as_of": day})

    def _orders(self, asked: Asked) -> Reply:
        # The cursor is the moment of the last order given: no two orders share one.
        after = _whole(asked, "cursor", 0) if "cursor" in asked.query else _since(asked)
        per_page = _per_page(asked)
        items, last = self.shop.orders_feed(self.shop.day, after, per_page)
        link = None
        if last is not None:
            query = urlencode({"per_page": per_page, "cursor": last})
            link = f"http://{asked.headers.get('host', '')}{asked.path}?{query}"
        return json_reply({"items": items, "next": link})


class ShopProcess:
    """The same server in a process of its own, so that it does not take turns with the client in one interpreter.

    It ends with the context, and when the process that started it dies, however it dies.
    """

    def __init__(
        self, orders: int, *, seed: int = 1, day: int = 0, port: int = 0, options: tuple[str, ...] = ()
    ) -> None:
        self._arguments = (
            *("--orders", str(orders), "--seed", str(seed), "--days", str(day), "--port", str(port)),
            "--until-stdin-closes",
            *options,
        )
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        if not self._url:
            raise ConfigurationError("the shop's process", "is not started", "Use it in a with statement.")
        return self._url

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "de_classes.testing.shop", *self._arguments]
        process = subprocess.Popen(  # noqa: S603 -- our own module, with numbers for arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_importable()
        )
        self._process = process
        self._url = process.stdout.readline().strip() if process.stdout else ""
        if not self._url:
            self.__exit__(None, None, None)
            raise ConfigurationError("the shop's process", "did not start", "Its message stands on standard error.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process, self._url = self._process, None, ""
        if process is not None:
            process.terminate()
            process.communicate()


def _importable() -> dict[str, str]:
    """An environment in which Python finds this package, also when it runs from a checkout without being installed."""
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


def _whole(asked: Asked, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
    text = asked.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def _per_page(asked: Asked) -> int:
    return min(_whole(asked, "per_page", 100, least=1), _MAX_PER_PAGE)


def _since(asked: Asked) -> int:
    text = asked.query.get("updated_since")
    if text is None:
        return 0
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("updated_since must have an offset or Z")
    return (moment - _EPOCH) // timedelta(microseconds=1)
