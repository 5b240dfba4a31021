"""A proxy that breaks connections at a chosen place: inside a COPY, at a COMMIT, before the answer to a put.

It stands between a client and a server of any protocol over TCP or a Unix socket, passes bytes on, and looks for texts
in what the client sends. So it sees inside PostgreSQL's protocol and HTTP, and not inside TLS::

    with CuttingProxy("127.0.0.1:5432") as proxy:
        proxy.cut(Cut(b"COMMIT", after=b"epoch + 1", when="answered"))
        run(f"postgresql://user@{proxy.address}/database")
        assert proxy.cuts == 1

`python -m de_classes.testing.proxy` is such a proxy for trying things by hand.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Cut", "CuttingProxy"]

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection breaks."""

    at: bytes
    """A text that the client sends."""
    after: bytes = b""
    """One that it must have sent before on the same connection."""
    more: int = 0
    """So many bytes behind the text are still passed on; with 0 the text itself is not."""
    when: Literal["sent", "answered", "unnoticed"] = "sent"
    """`sent`: before it arrives. `answered`: it arrives, and the answer to it is lost. `unnoticed`: before it arrives,
    and the server is not told that nobody is there any more, as when a network fails."""
    times: int = 1
    """So many connections break; those that come later do not."""

    def __post_init__(self) -> None:
        if not self.at or self.more < 0 or self.times < 1:
            raise ConfigurationError("Cut", "it breaks nowhere", "Give a text, more=0 or above and times=1 or above.")


class CuttingProxy:
    """Passes on what comes to 127.0.0.1 while its context lasts, and breaks connections as it was told last.

    Args:
        server: `host:port`, or the path of a Unix socket.
        port: where it listens; 0 takes any that is free.

    """

    def __init__(self, server: str, *, port: int = 0) -> None:
        host, _, number = server.rpartition(":")
        if not server.startswith("/") and not (host and number.isdecimal()):
            raise ConfigurationError(
                f"proxy to {server!r}", "that is no address", "Give host:port, or a socket's path."
            )
        self._server: str | tuple[str, int] = server if server.startswith("/") else (host, int(number))
        self._port = port
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._cut: Cut | None = None
        self._left = self._cuts = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), name="cutting-proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            _break(listener)
            listener.close()
        with self._lock:
            for connection in self._open:
                _break(connection)

    @property
    def address(self) -> str:
        """Where it listens: `127.0.0.1:port`."""
        if self._listener is None:
            raise ConfigurationError("the proxy", "is not started", "Use it in a with statement.")
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def cuts(self) -> int:
        """How many connections it has broken."""
        return self._cuts

    def cut(self, cut: Cut | None) -> None:
        """Break connections that begin from now on there, and no longer where it was told before; None: nowhere."""
        with self._lock:
            self._cut, self._left = cut, cut.times if cut is not None else 0

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), self._connected() as server:
            with self._lock:
                self._open |= {client, server}
                watch = _Watch(self._cut) if self._cut is not None else None
            broken = threading.Event()
            sending = threading.Thread(target=self._to_server, args=(client, server, watch, broken), daemon=True)
            sending.start()
            _to_client(client, server, broken)
            sending.join()
            with self._lock:
                self._open -= {client, server}

    def _connected(self) -> socket.socket:
        if isinstance(self._server, tuple):
            return socket.create_connection(self._server)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        return server

    def _to_server(
        self, client: socket.socket, server: socket.socket, watch: _Watch | None, broken: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                passing = watch.passing(data) if watch is not None and not broken.is_set() else None
                if watch is None or passing is None or not self._takes(watch):
                    server.sendall(data)
                    continue
                broken.set()
                if watch.cut.when == "answered":
                    server.sendall(data)
                    continue
                server.sendall(data[:passing])
                _break(client)
                if watch.cut.when == "unnoticed":
                    return
        _break(server)

    def _takes(self, watch: _Watch) -> bool:
        """Whether this connection is one of those that break."""
        with self._lock:
            if watch.cut is not self._cut or not self._left:
                return False
            self._left -= 1
            self._cuts += 1
            return True


def _to_client(client: socket.socket, server: socket.socket, broken: threading.Event) -> None:
    with suppress(OSError):
        while (data := server.recv(_CHUNK)) and not broken.is_set():
            client.sendall(data)
    _break(client)
    if broken.is_set():
        _break(server)


class _Watch:
    """Looks for the place of a cut in the bytes of one connection, in whatever pieces they come."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self._sought = [text for text in (cut.after, cut.at) if text]
        self._tail = b""
        self._left: int | None = None

    def passing(self, data: bytes) -> int | None:
        """How many of the bytes come before the place; None: all of them, and it is further on."""
        at = 0
        while self._sought:
            text, window = self._sought[0], self._tail + data[at:]
            found = window.find(text)
            if found < 0:
                self._tail = window[len(window) - len(text) + 1 :] if len(window) >= len(text) else window
                return None
            at += found + len(text) - len(self._tail)
            self._tail = b""
            del self._sought[0]
            if not self._sought:
                self._left = self.cut.more or -len(text)
        if self._left is None:
            return None
        if at + self._left > len(data):
            self._left -= len(data) - at
            return None
        return max(at + self._left, 0)


def _break(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.testing._proxy_door")
