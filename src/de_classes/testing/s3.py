"""An S3 server for tests: moto's, over HTTP on loopback, with signatures checked and failures on demand.

::

    with S3Server() as server:
        store = server.store("lake")
        with server.ignoring_conditions():
            ...
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

import boto3  # type: ignore[import-untyped]  # it has no stubs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from de_classes.storage.objects.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from werkzeug.serving import BaseWSGIServer

__all__ = ["S3Server"]

_REGION = "us-east-1"


@dataclass
class _Misbehaviour:
    """What is to happen to some of the requests."""

    method: str
    path: str
    """A part of the path."""
    status: int
    """The answer given instead of doing anything; 0 to do it, and break the connection before answering."""
    times: int


@dataclass
class _Manners:
    """How the server behaves just now, and what it was asked."""

    ignores_conditions: bool = False
    misbehaviours: list[_Misbehaviour] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def asked(self, method: str, path: str) -> _Misbehaviour | None:
        """Note a request, and say what is to go wrong with it."""
        with self.lock:
            self.requests.append((method, path))
            for wrong in self.misbehaviours:
                if wrong.times > 0 and wrong.method == method and wrong.path in path:
                    wrong.times -= 1
                    return wrong
        return None


class S3Server:
    """A server that keeps its buckets in memory; use it as a context manager.

    Conditional puts are atomic, signatures (version 4) are checked, and a key or secret other than the server's own is
    refused as Amazon does it. All servers of one process share their buckets.
    """

    def __init__(self, *, access_key_id: str = "test-key", secret_access_key: str = "test-secret") -> None:  # noqa: S107 -- invented, and public
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self._manners = _Manners()
        self._server: BaseWSGIServer | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        app = _Front(DomainDispatcherApplication(create_backend_app), self._manners, self._secrets())
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="s3-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the server is not running: use it in a `with`")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> Sequence[tuple[str, str]]:
        """Method and path of each request so far."""
        with self._manners.lock:
            return list(self._manners.requests)

    def create_bucket(self, name: str) -> None:
        """Create a bucket, unless it is there."""
        self._client().create_bucket(Bucket=name)

    def store(self, bucket: str, **settings: Any) -> S3Store:
        """A store for a bucket that is created if it is not there; `settings` go to S3Store and win."""
        self.create_bucket(bucket)
        own = {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}
        return S3Store(bucket, **{"endpoint": self.endpoint, "region": _REGION, **own, **settings})

    def unfinished_uploads(self, bucket: str) -> Sequence[str]:
        """Keys of multipart uploads that were begun and neither completed nor aborted."""
        answer = self._client().list_multipart_uploads(Bucket=bucket)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    @contextmanager
    def ignoring_conditions(self) -> Iterator[None]:
        """Pretend: take conditional puts, and do them whatever is there."""
        self._manners.ignores_conditions = True
        try:
            yield
        finally:
            self._manners.ignores_conditions = False

    def losing_answers(self, method: str, path: str, *, times: int = 1) -> Callable[[], int]:
        """Do what such requests ask for, but break the connection before the answer.

        Returns a function that tells how often this is still going to happen.
        """
        return self._misbehave(_Misbehaviour(method, path, 0, times))

    def failing(self, method: str, path: str, status: int, *, times: int = 1) -> Callable[[], int]:
        """Answer such requests with a status, such as 503, instead of doing anything."""
        return self._misbehave(_Misbehaviour(method, path, status, times))

    def forgive(self) -> None:
        """Forget what was still to go wrong."""
        with self._manners.lock:
            self._manners.misbehaviours.clear()

    def _misbehave(self, wrong: _Misbehaviour) -> Callable[[], int]:
        with self._manners.lock:
            self._manners.misbehaviours.append(wrong)
        return lambda: wrong.times

    def _secrets(self) -> Mapping[str, str]:
        return {self.access_key_id: self.secret_access_key}

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 -- werkzeug's signature
        logging.getLogger(__name__).debug(message, *args)


class _Front:
    """Stands before moto: checks the signature, keeps conditional puts apart, and misbehaves as it is told."""

    def __init__(self, app: Any, manners: _Manners, secrets: Mapping[str, str]) -> None:
        self._app, self._manners, self._secrets = app, manners, secrets
        self._one_put_at_a_time = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, uri = environ["REQUEST_METHOD"], environ.get("REQUEST_URI") or environ["RAW_URI"]
        refused = _refusal(environ, method, uri, self._secrets)
        if refused:
            return _error(start_response, 403, refused)
        wrong = self._manners.asked(method, uri)
        if wrong is not None and wrong.status:
            return _error(start_response, wrong.status, "SlowDown")
        if self._manners.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        answer = self._done(environ, start_response if wrong is None else _nobody, method)
        if wrong is None:
            return answer
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError("the connection is broken, as the test asked for")

    def _done(self, environ: dict[str, Any], start_response: Any, method: str) -> Iterable[bytes]:
        if method != "PUT":
            return list(self._app(environ, start_response))
        # moto looks and writes in two steps, between which another thread may write.
        with self._one_put_at_a_time:
            return list(self._app(environ, start_response))


def _nobody(*_: object) -> Callable[[bytes], None]:
    return lambda _: None


def _error(start_response: Any, status: int, code: str) -> Iterable[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test asked for</Message></Error>".encode()
    start_response(f"{status} {code}", [("Content-Length", str(len(body))), ("Content-Type", "application/xml")])
    return [body]


def _refusal(environ: Mapping[str, Any], method: str, uri: str, secrets: Mapping[str, str]) -> str:
    """The code of the error with which S3 refuses the request, or nothing.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    kind, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return "AccessDenied"
    told = dict(part.strip().split("=", 1) for part in rest.split(","))
    key, date, region, service, end = told["Credential"].split("/")
    if key not in secrets:
        return "InvalidAccessKeyId"
    scope = f"{date}/{region}/{service}/{end}"
    request = _canonical(environ, method, uri, told["SignedHeaders"])
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = "\n".join(["AWS4-HMAC-SHA256", environ["HTTP_X_AMZ_DATE"], scope, digest])
    secret = b"AWS4" + secrets[key].encode()
    for part in (date, region, service, end, signed):
        secret = hmac.digest(secret, part.encode(), "sha256")
    return "" if hmac.compare_digest(secret.hex(), told["Signature"]) else "SignatureDoesNotMatch"


def _canonical(environ: Mapping[str, Any], method: str, uri: str, names: str) -> str:
    url = urlsplit(uri)
    query = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in parse_qsl(url.query, keep_blank_values=True))
    headers = [f"{name}:{' '.join(_header(environ, name).split())}\n" for name in names.split(";")]
    return "\n".join(
        [
            method,
            url.path or "/",
            "&".join(f"{k}={v}" for k, v in query),
            "".join(headers),
            names,
            environ["HTTP_X_AMZ_CONTENT_SHA256"],
        ]
    )


def _header(environ: Mapping[str, Any], name: str) -> str:
    plain = name.upper().replace("-", "_")
    return str(environ.get(f"HTTP_{plain}") or environ.get(plain, ""))
