"""HTTP over the network: the module that knows httpx2, and where its errors become ours."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NamedTuple

import httpcore2
import httpx2

from de_classes.configs.secrets import Secret
from de_classes.errors import ApiUnreachable, ConfigurationError, InvalidAnswer
from de_classes.formats.packing import ACCEPTED, bounded, unpacked

from ._deadlines import Deadlines
from .messages import Response, Streamed, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .messages import Request

__all__ = ["HttpTransport"]

_MEBIBYTE = 1024 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
"""RFC 9110, 5.1 and 5.5, of which only ASCII is sure to be understood."""
_CLOSED = (
    "the connections were closed by close() while it was on its way",
    "Close the client, or the transport, once those who ask have ended.",
)
_NAME_AUTHORITY = "If its certificate is of an authority of your own, name that: HttpTransport(ca_file=...)."


# These write every URL, with the keys in it, and headers of answers, to whoever listens to the root logger.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class HttpTransport:
    """Sends requests over a pool of connections that is opened on first use, once per process.

    Safe to share between threads, and picklable: the copy opens a pool of its own. Connections are closed by `close()`,
    or when nobody holds the transport any more, as in a worker that has read its split. Who asks while another thread
    closes them is not left waiting: the request fails, and is not tried again. It follows no redirects, keeps
    no cookies and knows no credentials; those are the client's part.

    Args:
        timeout_seconds: for each wait for bytes of an answer, and for room to send.
        connect_timeout_seconds: for the connection.
        pool_timeout_seconds: for a connection to be free, when `max_connections` are in use.
        deadline_seconds: for the whole answer, from when it is asked for; also one that drips ends there.
        max_body_bytes: of an answer that is read whole, unpacked.
        max_expansion: how many times its size a packed body of more than 16 MiB may grow to.
        ca_file: certificates (PEM) to trust besides those of the system. Certificates are always verified.
        trust_env: take proxies and certificates from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE ...).
        max_connections: at most this many at once.

    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        *,
        timeout_seconds: float = 30.0,
        connect_timeout_seconds: float = 10.0,
        pool_timeout_seconds: float = 30.0,
        deadline_seconds: float = 300.0,
        max_body_bytes: int = 256 * _MEBIBYTE,
        max_expansion: float = 200.0,
        ca_file: str | None = None,
        trust_env: bool = False,
        max_connections: int = 20,
    ) -> None:
        settings: dict[str, float] = {
            "timeout_seconds": timeout_seconds,
            "connect_timeout_seconds": connect_timeout_seconds,
            "pool_timeout_seconds": pool_timeout_seconds,
            "deadline_seconds": deadline_seconds,
            "max_body_bytes": max_body_bytes,
            "max_expansion": max_expansion,
            "max_connections": max_connections,
        }
        if wrong := [f"{name}={value!r}" for name, value in settings.items() if not _is_above_0(name, value)]:
            raise ConfigurationError("HttpTransport", f"{', '.join(wrong)}: not above 0", "Give a number above 0.")
        self.timeout_seconds = timeout_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self.pool_timeout_seconds = pool_timeout_seconds
        self.deadline_seconds = deadline_seconds
        self.max_body_bytes = max_body_bytes
        self.max_expansion = max_expansion
        self.ca_file = ca_file
        self.trust_env = trust_env
        self.max_connections = max_connections
        self._unopened()

    def _unopened(self) -> None:
        self._opening = threading.Lock()
        self._pool: _Pool | None = None

    def __call__(self, request: Request) -> Response:
        """Send, and read the answer whole.

        Raises:
            ApiUnreachable: no connection, no answer in time, or the connection broke.
            InvalidAnswer: the body is not packed as its header says, or is too large.

        """
        limits = {"max_body_bytes": self.max_body_bytes, "deadline_seconds": self.deadline_seconds}
        with self.stream(request, **limits) as answer:
            return Response(request, answer.status, answer.headers, answer.read())

    @contextmanager
    def stream(
        self, request: Request, *, max_body_bytes: float | None = None, deadline_seconds: float | None = None
    ) -> Iterator[Streamed]:
        """Send, and read the answer's body in pieces while the context lasts.

        It may be of any size and take any time unless told otherwise; each piece has to come within the timeout.

        Raises:
            ApiUnreachable: as for a whole answer; the pieces raise it, too.
            InvalidAnswer: same.

        """
        until = None if deadline_seconds is None else time.monotonic() + deadline_seconds
        waiting = _Waiting(self, request, self._opened(), deadline_seconds, until)
        answer = waiting.asked()
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            coding = headers.get("content-encoding", "") if request.method != "HEAD" else ""
            pieces = unpacked(waiting.pieces(answer), coding, request.name, self.max_expansion)
            most = None if max_body_bytes is None else int(max_body_bytes)
            yield Streamed(request, answer.status_code, headers, bounded(pieces, most, request.name))
        finally:
            answer.close()

    def close(self) -> None:
        """Close the connections, and end what is asked through them; the next request would open others."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.end()

    def _opened(self) -> _Pool:
        # A forked child must not use its parent's sockets, hence the process id.
        pool = self._pool
        if pool is not None and pool.process == os.getpid():
            return pool
        with self._opening:
            if self._pool is None or self._pool.process != os.getpid():
                client, deadlines = self._client()
                process = os.getpid()
                self._pool = _Pool(
                    client, deadlines, process, weakref.finalize(self, _close, client, deadlines, process)
                )
            return self._pool

    def _client(self) -> tuple[httpx2.Client, Deadlines]:
        try:
            trusted = httpx2.create_ssl_context(trust_env=self.trust_env)
            if self.ca_file is not None:
                trusted.load_verify_locations(self.ca_file)
            client = httpx2.Client(
                verify=trusted,
                trust_env=self.trust_env,
                timeout=httpx2.Timeout(
                    self.timeout_seconds, connect=self.connect_timeout_seconds, pool=self.pool_timeout_seconds
                ),
                limits=httpx2.Limits(
                    max_connections=self.max_connections, max_keepalive_connections=self.max_connections
                ),
                # Cookies are credentials that know nothing of ports, and threads would share them.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                headers={"Accept-Encoding": ACCEPTED},
                follow_redirects=False,
            )
        except (OSError, ValueError, ImportError) as error:  # an SSLError is an OSError
            raise ConfigurationError(
                "the HTTP client",
                f"cannot be set up ({error})" + (f" with ca_file={self.ca_file!r}" if self.ca_file else ""),
                "Check ca_file, and with trust_env the proxy and certificate settings of the environment.",
            ) from error
        deadlines = Deadlines()
        for pool in _pools(client):
            pool._network_backend = deadlines  # noqa: SLF001 -- httpx2 hands no backend on
        return client, deadlines

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in {"_opening", "_pool"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._unopened()


class _Pool(NamedTuple):
    """Open connections, the end of their waits, the process that they belong to, and what closes them, once."""

    client: httpx2.Client
    deadlines: Deadlines
    process: int
    end: Callable[[], object]


class _Waiting(NamedTuple):
    """One request on its way, and until when its answer may take."""

    transport: HttpTransport
    request: Request
    pool: _Pool
    deadline_seconds: float | None
    until: float | None

    def asked(self) -> httpx2.Response:
        """The answer, up to its headers."""
        with self._translated():
            built = self._built()
            if self.deadline_seconds is not None:
                waits = built.extensions["timeout"]
                waits["pool"] = min(waits["pool"], self.deadline_seconds)
            return self.pool.client.send(built, stream=True)

    def pieces(self, answer: httpx2.Response) -> Iterator[bytes]:
        """The body as it comes over the wire."""
        raw = answer.iter_raw()
        while True:
            with self._translated():
                piece = next(raw, None)
            if piece is None:
                return
            yield piece

    def _built(self) -> httpx2.Request:
        request = self.request
        headers = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in request.headers.items()
        }
        _refuse_unsendable(request.name, headers)
        kind = request.content_type()
        if kind is not None and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = kind
        url = request.full_url()
        built = self.pool.client.build_request(request.method, url, headers=headers, content=request.body())
        # What was checked as the origin is where it goes, whatever httpx2 makes of the URL.
        scheme, host, port = origin(url)
        read = built.url.scheme, built.url.raw_host.decode("ascii"), built.url.port or _DEFAULT_PORTS.get(scheme)
        if (scheme, host if host.isascii() else read[1], port) != read:
            raise httpx2.InvalidURL("it may be read in two ways")
        return built

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of httpx2 become ours."""
        request = self.request
        try:
            with self._ended_by_close(), self.pool.deadlines.until(self.until):
                yield
        except httpx2.TimeoutException as error:
            raise ApiUnreachable(request.name, *self._late(error)) from error
        except httpx2.TransportError as error:
            distrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            remedy = _NAME_AUTHORITY if distrusted else "Check the URL, the network and the server."
            raise ApiUnreachable(request.name, _told(request, error), remedy, for_good=distrusted) from error
        except httpx2.DecodingError as error:
            raise InvalidAnswer(request.name, f"the body cannot be unpacked ({_told(request, error)})") from error
        except (httpx2.InvalidURL, ValueError) as error:
            raise ConfigurationError(
                request.name, f"cannot be sent ({_told(request, error)})", "Check URL and headers."
            ) from error

    @contextmanager
    def _ended_by_close(self) -> Iterator[None]:
        """Whatever breaks once the connections are closed breaks because of that."""
        try:
            yield
        except (httpx2.RequestError, RuntimeError, ValueError) as error:
            if not self.pool.deadlines.ended:
                raise
            raise ApiUnreachable(self.request.name, *_CLOSED, for_good=True) from error

    def _late(self, error: httpx2.TimeoutException) -> tuple[str, str]:
        if self.until is not None and time.monotonic() >= self.until:
            return (
                f"the answer is not whole after {self.deadline_seconds:g} s",
                "If it is that large, ask for less at once, or allow more time: deadline_seconds=...",
            )
        if isinstance(error, httpx2.PoolTimeout):
            return (
                f"no connection was free within {self.transport.pool_timeout_seconds:g} s",
                "Use fewer threads or allow more connections: max_connections=...",
            )
        connecting = isinstance(error, httpx2.ConnectTimeout)
        waited = self.transport.connect_timeout_seconds if connecting else self.transport.timeout_seconds
        return (
            f"no answer within {waited:g} s",
            "Is the server up? If it is only slow, allow more time: timeout_seconds=...",
        )


def _is_above_0(name: str, value: Any) -> bool:
    kind = int if name == "max_connections" else int | float
    return isinstance(value, kind) and not isinstance(value, bool) and value > 0


def _refuse_unsendable(subject: str, headers: Mapping[str, object]) -> None:
    """See that headers can be sent, before a library tells of one that cannot by showing it."""
    wrong = [f"the name {name!r}" for name in headers if not _HEADER_NAME.fullmatch(name)]
    wrong += [
        f"the value of {name!r}"
        for name, value in headers.items()
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value))
    ]
    if wrong:
        raise ConfigurationError(
            subject,
            f"{', '.join(wrong)} cannot be sent in a header",
            "A value is ASCII text on one line, without blanks around it: one that was read from a file may end with a"
            " line break, which strip() takes off.",
        )


def _close(client: httpx2.Client, deadlines: Deadlines, process: int) -> None:
    if process != os.getpid():
        return
    deadlines.end()
    client.close()
    for pool in _pools(client):
        # Those who wait for a connection to be free look again when another one asks.
        with suppress(httpcore2.NetworkError):
            pool.request("GET", "http://closed.invalid")


def _pools(client: httpx2.Client) -> Iterator[httpcore2.ConnectionPool]:
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 -- httpx2 hands them not on
        if isinstance(transport, httpx2.HTTPTransport):
            yield transport._pool  # noqa: SLF001 -- same


def _told(request: Request, error: Exception) -> str:
    """What the library says, on one line and without secrets."""
    text = " ".join(request.masked(str(error)).split())
    return text or type(error).__name__


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.transport")
