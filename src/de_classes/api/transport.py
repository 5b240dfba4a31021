"""HTTP over the network: the one module that knows httpx2, and where its errors become ours."""

from __future__ import annotations

import os
import ssl
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from de_classes.configs.secrets import Secret
from de_classes.errors import ApiUnreachable, ConfigurationError, InvalidAnswer

from .messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from .messages import Request

__all__ = ["HttpTransport"]


class HttpTransport:
    """Sends requests over a pool of connections that is opened on first use, once per process.

    Safe to share between threads, and picklable: the copy opens a pool of its own. Connections are closed by `close()`,
    or when nobody holds the transport any more, as in a worker that has read its split. It follows no redirects and
    knows no credentials; that is the client's part.
    """

    def __init__(
        self, *, timeout_seconds: float = 30.0, connect_timeout_seconds: float = 10.0, max_connections: int = 20
    ) -> None:
        settings = {
            "timeout_seconds": timeout_seconds,
            "connect_timeout_seconds": connect_timeout_seconds,
            "max_connections": max_connections,
        }
        if wrong := [f"{name}={value!r}" for name, value in settings.items() if value <= 0]:
            raise ConfigurationError("HttpTransport", f"{', '.join(wrong)}: not above 0", "Give a number above 0.")
        self.timeout_seconds = timeout_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self.max_connections = max_connections
        self._opening = threading.Lock()
        self._pool: _Pool | None = None

    def __call__(self, request: Request) -> Response:
        """Send, and read the answer whole.

        Raises:
            ApiUnreachable: no connection, no answer in time, or the connection broke.
            InvalidAnswer: the body is not encoded as its header says.

        """
        headers = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in request.headers.items()
        }
        body = request.body()
        kind = request.content_type()
        if kind is not None and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = kind
        try:
            answer = self._client().request(request.method, request.full_url(), headers=headers, content=body)
        except httpx2.TimeoutException as error:
            waited = self.connect_timeout_seconds if isinstance(error, httpx2.ConnectTimeout) else self.timeout_seconds
            raise ApiUnreachable(
                request.name,
                f"no answer within {waited:g} s",
                "Is the server up? If it is only slow, allow more time: timeout_seconds=...",
            ) from error
        except httpx2.TransportError as error:
            raise ApiUnreachable(
                request.name, _told(request, error), "Check the URL, the network and the server."
            ) from error
        except httpx2.DecodingError as error:
            raise InvalidAnswer(request.name, f"the body cannot be unpacked ({_told(request, error)})") from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(
                request.name, f"cannot be sent ({_told(request, error)})", "Check URL and headers."
            ) from error
        return Response(request, answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    def close(self) -> None:
        """Close the connections; the next request would open them again."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.end()

    def _client(self) -> httpx2.Client:
        # A forked child must not use its parent's sockets, hence the process id.
        pool = self._pool
        if pool is not None and pool.process == os.getpid():
            return pool.client
        with self._opening:
            if self._pool is None or self._pool.process != os.getpid():
                client, process = self._opened(), os.getpid()
                self._pool = _Pool(client, process, weakref.finalize(self, _close, client, process))
            return self._pool.client

    def _opened(self) -> httpx2.Client:
        try:
            return httpx2.Client(
                timeout=httpx2.Timeout(self.timeout_seconds, connect=self.connect_timeout_seconds),
                limits=httpx2.Limits(
                    max_connections=self.max_connections, max_keepalive_connections=self.max_connections
                ),
                follow_redirects=False,
            )
        except (ssl.SSLError, OSError, ValueError, ImportError) as error:
            raise ConfigurationError(
                "the HTTP client",
                f"cannot be set up ({error})",
                "Check the proxy and certificate settings of the environment.",
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.timeout_seconds, self.connect_timeout_seconds, self.max_connections)


class _Pool(NamedTuple):
    """Open connections, the process that they belong to, and what closes them, once."""

    client: httpx2.Client
    process: int
    end: Callable[[], object]


def _close(client: httpx2.Client, process: int) -> None:
    if process == os.getpid():
        client.close()


def _rebuilt(timeout: float, connect_timeout: float, max_connections: int) -> HttpTransport:
    return HttpTransport(
        timeout_seconds=timeout, connect_timeout_seconds=connect_timeout, max_connections=max_connections
    )


def _told(request: Request, error: Exception) -> str:
    """What the library says, on one line and without secrets."""
    text = " ".join(request.masked(str(error)).split())
    return text or type(error).__name__
