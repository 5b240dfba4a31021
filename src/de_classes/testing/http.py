"""HTTP servers on loopback for tests: one that answers by a function, one that answers by a script."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["Answering", "Asked", "LoopbackServer", "Reply", "ScriptedServer", "json_reply"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server got it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def target(self) -> str:
        """Method, path and query, in one order whatever the client's."""
        return f"{self.method} {self.path}?{sorted(self.query.items())}"

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server does."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: Literal["", "before", "within"] = ""
    """Break the connection before a byte is answered, or in the middle of the body."""
    drip_seconds: float = 0.0
    """Wait so long before each byte of the body."""


Answering: TypeAlias = Callable[[Asked], Reply]


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply of JSON; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, msgspec.json.encode(value), {"Content-Type": "application/json", **named})


class LoopbackServer:
    """Answers on 127.0.0.1, a thread per connection, while its context lasts; leaving it breaks what is connected.

    With `tls`, a server's context that has its certificate, it speaks HTTPS.
    """

    def __init__(self, answer: Answering, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._port = port
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        if self._server is None:
            raise ConfigurationError("the loopback server", "is not started", "Use it in a with statement.")
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(self._port, self._answer, self._tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="loopback-server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, thread = self._server, self._thread
        if server is not None and thread is not None:
            server.shutdown()
            thread.join()
            server.server_close()
            server.break_connections()
        self._server = self._thread = None


class ScriptedServer(LoopbackServer):
    """Gives the replies of a script, one per request in order, and keeps what it was asked.

    Past the end of the script it answers 500. Entries may also be functions of the request.
    """

    def __init__(self, script: Sequence[Reply | Answering]) -> None:
        super().__init__(self._next)
        self._script = list(script)
        self._turn = threading.Lock()
        self.asked: list[Asked] = []

    def _next(self, asked: Asked) -> Reply:
        with self._turn:
            self.asked.append(asked)
            entry = self._script.pop(0) if self._script else Reply(500, b"the script is over")
        return entry if isinstance(entry, Reply) else entry(asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, answer: Answering, tls: ssl.SSLContext | None) -> None:
        self.answer = answer
        self._connected: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connected.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connected.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        with self._guard:
            connected = list(self._connected)
        for connection in connected:
            _break(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that clients go away in the middle is what the tests are about."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these, headers and body travel apart and wait 40 ms for each other (Nagle meets delayed acknowledgement).
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _do(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(self.command, parts.path, query, headers, self.rfile.read(length))
        self._give(self.server.answer(asked))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 -- the names that http.server asks for

    def _give(self, reply: Reply) -> None:
        if reply.delay_seconds:
            time.sleep(reply.delay_seconds)
        if reply.cut == "before":
            self._cut()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        for piece in [sent] if not reply.drip_seconds else [sent[at : at + 1] for at in range(len(sent))]:
            time.sleep(reply.drip_seconds)
            self.wfile.write(piece)
        if reply.cut:
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        _break(self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's name
        """Write nothing."""


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is broken already
