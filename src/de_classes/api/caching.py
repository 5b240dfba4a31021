"""Answers that are kept and given again as HTTP allows it (RFC 9111), in a file; needs the extra `cache`.

    client = ApiClient("https://api.example.com", auth=..., transport=HttpCache("~/.cache/shop.db"))

and, in a shell, `python -m de_classes.api.caching https://api.example.com/countries --file countries.db`.

The rules are hishel's, by its states that know no HTTP library; storing and asking are done here. What hishel leaves to
its user, or does not see, is said in `HttpCache` and done in `_dated.Dated`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
import time
import uuid
import weakref
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError, MissingExtra

from ._dated import Dated
from .messages import Response, Streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import hishel

    from .messages import Request, Transport

__all__ = ["HttpCache"]

_MEBIBYTE = 1024 * 1024
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_CONDITIONS = frozenset(
    {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}
)
_WHO = "x-asked-as"
_ABOUT_CACHES = frozenset({"cache-control", "pragma"})
_DIRECTIVE = re.compile(r"[\w-]+")


class HttpCache:
    """A transport that keeps answers to GET as their headers allow, and gives them again.

    A fresh answer is given without asking. A stale one is asked for with its ETag or Last-Modified, and given again if
    the API says that it has not changed (304). `no-store` is kept to, of requests and answers; a success of POST, PUT,
    PATCH or DELETE drops what was kept of the same URL.

    It is stricter than it must be. An answer is given only to a request with exactly the same URL, headers and
    credentials: never to another user, and not with a token that was renewed either. Without `max-age` or `Expires`
    nothing counts as fresh: no guess is made from Last-Modified. Only status 200 is kept, no logins, no answers that
    are read in pieces, and none that could not be asked for again cheaply. What cannot be reached is an error, however
    good the stale answer.

    The file (SQLite) may be shared by processes. It holds bodies and headers as they came, and of the requests no
    secrets but a digest of them; only its owner may read it. Above `max_bytes`, what was not used for longest is
    dropped, save what was used within the last three minutes; where that fills it, nothing more is kept.

    Safe to share between threads, and picklable. A kept answer takes a turn of the client's rate limit like any other.

    Raises:
        MissingExtra: the package hishel is not installed.

    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        transport: Transport | None = None,
        *,
        max_bytes: int = 256 * _MEBIBYTE,
        max_answer_bytes: int = 16 * _MEBIBYTE,
    ) -> None:
        if find_spec("hishel") is None:
            raise MissingExtra("HttpCache", "the package hishel is not installed", "pip install 'de-classes[cache]'")
        sizes: list[Any] = [max_bytes, max_answer_bytes]
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ConfigurationError(
                "HttpCache", f"max_bytes={max_bytes!r}, max_answer_bytes={max_answer_bytes!r}", "Give 1 or more."
            )
        self._file = Path(file).expanduser()
        self._transport = transport or _http()
        self._max_bytes = max_bytes
        self._max_answer_bytes = max_answer_bytes
        self._unopened()

    def _unopened(self) -> None:
        self._opening = threading.Lock()
        self._opened: tuple[int, hishel.SqliteStorage, Callable[[], object]] | None = None
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many answers were `kept` ones, `confirmed` ones (304), and `asked` for whole."""
        with self._opening:
            return dict(self._counts)

    def __call__(self, request: Request) -> Response:
        """Give the answer that is kept, or ask.

        Raises:
            ApiError: as the transport does.
            ConfigurationError: the file cannot be used.

        """
        if not _is_of_the_cache(request):
            return self._transport(request)
        exchange = _Exchange(self._transport, self._storage(), request, self._max_answer_bytes)
        try:
            response, how = exchange.answer()
        except (sqlite3.Error, RuntimeError):
            # Another thread has closed the file, or it is full: a cache that fails keeps nobody from asking, once.
            if exchange.asking:
                raise  # it was the transport
            response, how = exchange.without_cache(), "asked"
        with self._opening:
            self._counts[how] += 1
        return response

    @contextmanager
    def stream(self, request: Request, **limits: Any) -> Iterator[Streamed]:
        """Read an answer in pieces, past the cache."""
        stream = getattr(self._transport, "stream", None)
        if stream is None:
            whole = self._transport(request)
            yield Streamed(request, whole.status, whole.headers, iter([whole.body]))
            return
        with stream(request, **limits) as answer:
            yield answer

    def close(self) -> None:
        """Close the file and the transport, which ends what other threads ask; another request opens them again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[2]()
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def _storage(self) -> hishel.SqliteStorage:
        with self._opening:
            # A connection must not be carried into a forked child, hence the process id.
            if self._opened is None or self._opened[0] != os.getpid():
                storage, process = self._made(), os.getpid()
                self._opened = process, storage, weakref.finalize(self, _close, storage, process)
            return self._opened[1]

    def _made(self) -> hishel.SqliteStorage:
        import hishel  # noqa: PLC0415 -- an extra

        with ExitStack() as undo:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                file = os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600)
                os.fchmod(file, 0o600)  # also of one that was there, and with it of what SQLite puts beside it
                os.close(file)
                # Given a path, hishel would put a .gitignore beside it.
                connection = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
                undo.callback(connection.close)
                connection.execute("PRAGMA schema_version").fetchone()
                storage = hishel.SqliteStorage(connection=connection, max_size=self._max_bytes)
                storage.remove_entry(uuid.UUID(int=0))  # looks whether the tables are its own
            except (OSError, sqlite3.Error, RuntimeError) as error:
                raise ConfigurationError(
                    f"the cache {str(self._file)!r}", f"cannot be used: {error}", "Remove the file, or name another."
                ) from error
            undo.pop_all()
        return storage

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in {"_opening", "_opened", "_counts"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._unopened()


@dataclass
class _Exchange:
    """A request, and what answers it."""

    transport: Transport
    storage: hishel.SqliteStorage
    request: Request
    max_answer_bytes: int
    asking: bool = False
    came: Response | None = None

    def without_cache(self) -> Response:
        """What came, where the cache failed after it; what is asked for, where it failed before."""
        confirmed = self.came is not None and self.came.status == HTTPStatus.NOT_MODIFIED
        return self.transport(self.request) if self.came is None or confirmed else self.came

    def answer(self) -> tuple[Response, str]:
        """The answer, and whether it was kept, confirmed or asked for."""
        import hishel  # noqa: PLC0415 -- an extra

        key, told, entries = self._key(), self._told(), list[Any]()
        state: Any = hishel.IdleClient(options={"shared": False, "supported_methods": ["GET"]})
        how = "kept"
        while True:
            if isinstance(state, hishel.IdleClient):
                entries = self._entries(key, told)
                state = state.next(told, entries)
            elif isinstance(state, hishel.CacheMiss | hishel.NeedRevalidation):
                began = time.time()
                came, how = self._asked(self._conditional(state.request)), "asked"
                state = state.next(Dated.of(came.headers, began, time.time()).response(came.status))
            elif isinstance(state, hishel.NeedToBeUpdated):
                for entry in state.updating_entries:
                    self.storage.update_headers(entry.id, entry.response.headers)
                state, how = state.next(), "confirmed"
            elif isinstance(state, hishel.InvalidateEntries):
                self._drop(state.entry_ids)
                state = state.next()
            elif isinstance(state, hishel.FromCache):
                kept = self._kept(state.entry)
                return (kept, how) if kept is not None else (self.transport(self.request), "asked")
            else:
                response = cast("Response", self.came)
                if isinstance(state, hishel.StoreAndUse):
                    self._keep(key, told, state.response, response.body, entries)
                return response, how

    def _asked(self, request: Request) -> Response:
        self.asking = True
        self.came = self.transport(request)
        self.asking = False
        return self.came

    def _key(self) -> str:
        return hashlib.sha256(self.request.masked(self.request.full_url()).encode()).hexdigest()

    def _told(self) -> hishel.Request:
        """The request as it is kept: who asks, and how, is a digest, for it holds secrets."""
        import hishel  # noqa: PLC0415 -- an extra

        request = self.request
        headers = {name.lower(): _revealed(value) for name, value in request.headers.items()}
        of_who = sorted((name, value) for name, value in headers.items() if name not in _ABOUT_CACHES)
        asked = (request.method, request.full_url(), of_who)
        told = {_WHO: hashlib.sha256(repr(asked).encode()).hexdigest()}
        if {"no-cache", "max-age", "min-fresh"} & _directives(headers) or headers.get("pragma") == "no-cache":
            told["cache-control"] = "no-cache"
        return hishel.Request(request.method, request.masked(request.full_url()), hishel.Headers(told))

    def _entries(self, key: str, told: hishel.Request) -> list[Any]:
        """What is kept for this very request; for one that changes something, all that is kept of its URL."""
        entries = self.storage.get_entries(key)
        if self.request.method not in _SAFE:
            return list(entries)
        return [entry for entry in entries if entry.request.headers.get(_WHO) == told.headers.get(_WHO)]

    def _conditional(self, asked: hishel.Request) -> Request:
        request = self.request
        for name in ("If-None-Match", "If-Modified-Since"):
            value = asked.headers.get(name)
            if value is not None:
                request = request.with_header(name, value)
        return request

    def _keep(self, key: str, told: hishel.Request, answer: Any, body: bytes, before: list[Any]) -> None:
        useful = {"etag", "last-modified"} & set(map(str.lower, answer.headers)) or _lasts(answer.headers)
        if answer.status_code != HTTPStatus.OK or len(body) > self.max_answer_bytes or not useful:
            return
        self._drop([entry.id for entry in before])
        answer.stream = iter([body])
        entry = self.storage.create_entry(told, answer, key)
        for _ in cast("Iterator[bytes]", entry.response.stream):
            pass  # it is kept once it has been read

    def _kept(self, entry: hishel.Entry) -> Response | None:
        try:
            body = b"".join(cast("Iterator[bytes]", entry.response.stream))
        except (RuntimeError, sqlite3.Error):  # it was dropped meanwhile, or the file is damaged
            return None
        headers = {name.lower(): value for name, value in entry.response.headers.items()}
        return Response(self.request, entry.response.status_code, headers, body)

    def _drop(self, ids: list[Any]) -> None:
        for entry in ids:
            self.storage.remove_entry(entry)


def _close(storage: hishel.SqliteStorage, process: int) -> None:
    if process == os.getpid():
        storage.close()


def _is_of_the_cache(request: Request) -> bool:
    names = set(map(str.lower, request.headers))
    if request.purpose != "ask" or request.away or _OWN_CONDITIONS & names:
        return False
    if request.method not in _SAFE:
        return True  # it may change what is kept
    headers = {name.lower(): _revealed(value) for name, value in request.headers.items()}
    return request.method == "GET" and request.body() is None and "no-store" not in _directives(headers)


def _lasts(headers: Mapping[str, str]) -> bool:
    """Whether an answer is fresh for any time at all."""
    return "max-age" in _directives(headers) or headers["expires"] != headers["date"]


def _directives(headers: Mapping[str, str]) -> set[str]:
    told = (_DIRECTIVE.match(part.strip()) for part in headers.get("cache-control", "").lower().split(","))
    return {found[0] for found in told if found is not None}


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _http() -> Transport:
    from .transport import HttpTransport  # noqa: PLC0415 -- httpx2 is loaded only where the network is used

    return HttpTransport()


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.caching")
