"""An end to every wait for the network: of connecting, of headers and of bodies that drip.

httpx2's timeouts are for one wait each, so an answer that comes byte by byte never meets them. Here the sockets
themselves know until when the thread that waits for them may wait.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore2

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["Deadlines"]


class Deadlines(httpcore2.NetworkBackend):
    """Opens connections on which no wait lasts longer than the deadline of the waiting thread."""

    def __init__(self) -> None:
        self._network = httpcore2.SyncBackend()
        self._of_thread = threading.local()

    @contextmanager
    def until(self, moment: float | None) -> Iterator[None]:
        """End the waits of this thread at a moment of `time.monotonic()`; None: when their own timeouts say."""
        before = getattr(self._of_thread, "moment", None)
        self._of_thread.moment = moment
        try:
            yield
        finally:
            self._of_thread.moment = before

    def left(self, timeout: float | None) -> float | None:
        """The timeout, or what is left until the deadline if that is less."""
        moment: float | None = getattr(self._of_thread, "moment", None)
        if moment is None:
            return timeout
        left = moment - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        """Connect."""
        opened = self._network.connect_tcp(host, port, self.left(timeout), local_address, socket_options)
        return _Stream(opened, self)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, deadlines: Deadlines) -> None:
        self._stream = stream
        self._deadlines = deadlines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadlines.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadlines.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadlines.left(timeout))
        return _Stream(secured, self._deadlines)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
