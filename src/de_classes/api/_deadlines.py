"""An end to every wait for the network: of connecting, of headers and of bodies that drip.

httpx2's timeouts are for one wait each, so an answer that comes byte by byte never meets them. Here the sockets
themselves know until when the thread that waits for them may wait, and whoever closes them ends the waits of all.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpcore2

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["Deadlines"]


class Deadlines(httpcore2.NetworkBackend):
    """Opens connections on which no wait lasts longer than the deadline of the waiting thread, or than `end()`."""

    def __init__(self) -> None:
        self._network = httpcore2.SyncBackend()
        self._of_thread = threading.local()
        self._guard = threading.Lock()
        self._open: set[_Stream] = set()
        self.ended = False

    def end(self) -> None:
        """Break all connections, so that nobody waits for them any more; none is opened afterwards.

        One that is being made, with its handshake, ends by its own timeout.
        """
        with self._guard:
            self.ended = True
            streams = list(self._open)
        for stream in streams:
            stream.break_off()

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
        self.refuse_if_ended()
        moment: float | None = getattr(self._of_thread, "moment", None)
        if moment is None:
            return timeout
        left = moment - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(timeout, left)

    def refuse_if_ended(self) -> None:
        """Raise what a broken connection raises, once all have been ended."""
        if self.ended:
            raise httpcore2.ReadError("the connections were closed")

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
        return self.kept(opened)

    def kept(self, opened: httpcore2.NetworkStream, before: _Stream | None = None) -> _Stream:
        """A connection that the end reaches, in place of the one that it was made of."""
        stream = _Stream(opened, self)
        with self._guard:
            self._open.discard(before or stream)
            if not self.ended:
                self._open.add(stream)
                return stream
        stream.close()
        raise httpcore2.ConnectError("the connections were closed")

    def forget(self, stream: _Stream) -> None:
        """Let go of a connection that is closed."""
        with self._guard:
            self._open.discard(stream)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, deadlines: Deadlines) -> None:
        self._stream = stream
        self._deadlines = deadlines
        self._in_use = threading.Lock()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._in_use:
            read = self._stream.read(max_bytes, self._deadlines.left(timeout))
        self._deadlines.refuse_if_ended()  # or an answer that lasts until the connection ends would be taken for whole
        return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._in_use:
            self._stream.write(buffer, self._deadlines.left(timeout))

    def break_off(self) -> None:
        """End what waits on it, in whatever thread; its socket stays that thread's until it has noticed."""
        with suppress(OSError):
            # Not the shutdown of TLS, which is no other thread's to do.
            socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def close(self) -> None:
        with self._in_use:
            self._stream.close()
        self._deadlines.forget(self)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadlines.left(timeout))
        return self._deadlines.kept(secured, before=self)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
