from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from de_classes.api import ApiClient
from de_classes.api.transport import HttpTransport
from de_classes.errors import ApiUnreachable
from de_classes.utils.retry import RetryPolicy
from tests.scenarios.certificates import certificate_of

ONCE = RetryPolicy(attempts=1)


class _One(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"1")

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class _Silent(_One):
    asked, over = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.over.wait(20)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that do not trust it."""


@contextmanager
def _secured(certificate: Path, answering: type[_One] = _One) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with _Server(("127.0.0.1", 0), answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _get(url: str, **options: Any) -> Any:
    with ApiClient(url, transport=HttpTransport(**options), retry=ONCE) as client:
        return client.get_json("/x")


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """TLS is always verified: an unknown authority is refused with the remedy, and trusted once it is named."""
    own, other = certificate_of(tmp_path, "127.0.0.1"), certificate_of(tmp_path, "127.0.0.2")
    with _secured(own) as url:
        for options in ({}, {"ca_file": str(other)}, {"trust_env": True}):
            with pytest.raises(ApiUnreachable, match=r"(?s)CERTIFICATE_VERIFY_FAILED.*ca_file") as refused:
                _get(url, **options)
            assert refused.value.for_good
        assert _get(url, ca_file=str(own)) == 1


@pytest.mark.parametrize(("host", "days"), [("127.0.0.2", 1), ("127.0.0.1", -1)], ids=["other host", "expired"])
def test_a_trusted_authority_does_not_excuse_the_rest(tmp_path: Path, host: str, days: int) -> None:
    """A certificate for another host, or one that has expired, is refused although its authority is named."""
    certificate = certificate_of(tmp_path, host, days)
    with _secured(certificate) as url, pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        _get(url, ca_file=str(certificate))


def test_closing_ends_what_other_threads_ask_over_tls(tmp_path: Path) -> None:
    """A thread that waits for an answer on an encrypted connection is told at once that it was closed."""
    certificate = certificate_of(tmp_path, "127.0.0.1")
    with _secured(certificate, _Silent) as url, ThreadPoolExecutor() as pool:
        client = ApiClient(url, transport=HttpTransport(ca_file=str(certificate)))
        asked = pool.submit(client.request, "GET", "/x")
        assert _Silent.asked.wait(10)
        client.close()
        with pytest.raises(ApiUnreachable, match=r"closed by close\(\)"):
            asked.result(5)
        _Silent.over.set()


def test_named_authorities_are_added_to_the_known_ones(tmp_path: Path) -> None:
    """With a ca_file, the authorities that are trusted without it are trusted still."""
    known = httpx2.create_ssl_context(trust_env=False).cert_store_stats()["x509_ca"]
    client, _ = HttpTransport(ca_file=str(certificate_of(tmp_path, "127.0.0.1")))._client()
    transport: Any = client._transport
    context = transport._pool._ssl_context
    assert context.cert_store_stats()["x509_ca"] == known + 1
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    client.close()


def test_drips_over_tls_end_at_the_deadline(tmp_path: Path) -> None:
    """The deadline holds for TLS, too: a server that takes the connection and shakes no hands is cut."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiUnreachable, match=r"not whole after 0\.1 s"):
            _get(url, deadline_seconds=0.1)
