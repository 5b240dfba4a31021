"""Real exchanges as files that people can read, without secrets, and the same exchanges again without a network.

    client = ApiClient("https://api.example.com", auth=..., transport=Recorder("tests/recorded/orders"))    # once
    client = ApiClient("https://api.example.com", auth=..., transport=Player("tests/recorded/orders"))      # in tests

and, in a shell, `python -m de_classes.api.recording https://api.example.com/orders --into recorded`.

Each exchange is a file, numbered as they came: `0001-get-orders.json` with the `request` and the `response`. A body is
there as `json` where writing it that way changes nothing about it, as `text`, or as `base64`.
"""

from __future__ import annotations

import re
import threading
from base64 import b64decode, b64encode
from collections import defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError

from ._masking import MASK, Mask
from ._reading import readable
from .messages import Response

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from .messages import Request, Transport

__all__ = ["Player", "Recorder"]

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_OF_THE_WAY = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"})
"""Headers about bytes on the wire, which are not the ones that are kept."""


class Recorder:
    """A transport that keeps each exchange as a file in a folder that has no recording yet.

    Not written are: the values of every Secret that a request has, wherever and however they are spelled, also in
    answers and in files written before the secret was seen; `secrets`, likewise; headers such as Authorization and
    Cookie; parameters and fields such as `access_token` and `password`; and every text in the answer to a login, save
    the token's type and scope. A secret of very few characters takes much else with it. Exchanges that end without an
    answer are not kept.

    An answer that is read in pieces is first read whole, to be kept. Safe to share between threads, not processes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        transport: Transport | None = None,
        *,
        secrets: Iterable[str | Secret] = (),
    ) -> None:
        self._folder = Path(folder)
        self._transport = transport or _http()
        self._mask = Mask(value.reveal() if isinstance(value, Secret) else value for value in secrets)
        self._written: list[Path] = []
        self._writing = threading.Lock()

    def __call__(self, request: Request) -> Response:
        """Send, and keep what was sent and what came."""
        response = self._transport(request)
        with self._writing:
            self._keep(request, response)
        return response

    def close(self) -> None:
        """Close the transport that this one sends through."""
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def _keep(self, request: Request, response: Response) -> None:
        if not self._written:
            self._begin()
        if self._mask.learn(secret.reveal() for secret in request.secrets()):
            for path in self._written:
                _write(path, _masked(_read(path), self._mask))
        told = {"request": _asked(request, self._mask), "response": _answered(response, self._mask)}
        words = re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(told["request"]["url"]).path).strip("-")[:60]
        name = "-".join(filter(None, [f"{len(self._written) + 1:04}", request.method.lower(), words]))
        path = self._folder / f"{name}.json"
        _write(path, told)
        self._written.append(path)

    def _begin(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self._folder, f"cannot be made: {error.strerror}", "Name another.") from error
        if any(self._folder.glob("*.json")):
            raise _unusable(
                self._folder, "has recordings already", "Remove them, or name another: two recordings do not mix."
            )


class Player:
    """A transport that answers from recordings, without a network.

    A request is answered by the recording of its method, URL and body; the order of parameters does not matter, nor do
    headers, nor secrets, which may be others than those that were recorded, save words of the URL or the body: they
    are taken out of these, too. Each recording is given once, in order.
    Safe to share between threads; a pickled copy begins anew.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._opened = threading.Lock()
        self._left: dict[_Question, deque[Mapping[str, Any]]] | None = None

    def __call__(self, request: Request) -> Response:
        """The next recorded answer.

        Raises:
            ConfigurationError: there is none, or none any more; the nearest question that was recorded is told.

        """
        asked = _asked(request, Mask(secret.reveal() for secret in request.secrets()))
        question = _Question.of(asked)
        with self._opened:
            if self._left is None:
                self._left = _recordings(self._folder)
            answers = self._left.get(question)
            if not answers:
                raise _unknown(self._folder, question, self._left)
            told = answers.popleft()
        return Response(request, told["status"], told["headers"], _bytes_of(told))

    def __reduce__(self) -> tuple[Any, ...]:
        return Player, (self._folder,)


@dataclass(frozen=True, slots=True)
class _Question:
    """What tells one request from another."""

    method: str
    url: str
    body: bytes

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> _Question:
        url, _, query = asked["url"].partition("?")
        body = {name: value for name, value in asked.items() if name in _BODIES}
        return cls(asked["method"], f"{url}?{'&'.join(sorted(query.split('&')))}".rstrip("?"), _ordered(body))

    def __str__(self) -> str:
        return f"{self.method} {self.url}" + (f" {self.body.decode()}" if len(self.body) > 2 else "")  # noqa: PLR2004 -- {}


_BODIES = ("json", "text", "base64")


def _asked(request: Request, mask: Mask) -> dict[str, Any]:
    headers = {name: MASK if isinstance(value, Secret) else value for name, value in request.headers.items()}
    told = {"method": request.method, "url": mask.url(request.full_url()), "headers": mask.headers(headers)}
    body = request.body()
    if body is None:
        return told
    if request.form is not None:
        return {**told, "text": mask.query(body.decode())}
    return {**told, **_body(body, mask)}


def _answered(response: Response, mask: Mask) -> dict[str, Any]:
    headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_WAY}
    told = {"status": response.status, "headers": mask.headers(headers, of_answer=True)}
    return {**told, **_body(readable(response), mask, login=response.request.purpose in {"login", "token"})}


def _body(body: bytes, mask: Mask, *, login: bool = False) -> dict[str, Any]:
    """The body as it is written down."""
    if not body:
        return {}
    try:
        value = _DECODER.decode(body)
        written = mask.tree(value, texts=login)
        if written != value or _ENCODER.encode(value) == msgspec.json.format(body, indent=-1):
            return {"json": written}
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        pass  # it is no JSON, or none that is the same when it is written again
    if login:
        return {"text": MASK}
    try:
        return {"text": mask.text(body.decode())}
    except UnicodeDecodeError:
        return {"base64": b64encode(mask.bytes(body)).decode()}


def _masked(told: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """A recording once more, without secrets that were not known when it was written."""
    parts = {}
    for name, part in told.items():
        packed = {"base64": b64encode(mask.bytes(b64decode(part["base64"]))).decode()} if "base64" in part else {}
        parts[name] = {**mask.tree({key: value for key, value in part.items() if key != "base64"}), **packed}
    return parts


def _bytes_of(told: Mapping[str, Any]) -> bytes:
    if "json" in told:
        return _ENCODER.encode(told["json"])
    return b64decode(told["base64"]) if "base64" in told else told.get("text", "").encode()


def _ordered(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted", enc_hook=str)


def _write(path: Path, told: Mapping[str, Any]) -> None:
    try:
        path.write_bytes(msgspec.json.format(_ENCODER.encode(told), indent=2) + b"\n")
    except OSError as error:
        raise _unusable(path, f"cannot be written: {error.strerror}", "Check the folder.") from error


def _read(path: Path) -> dict[str, Any]:
    """A recording.

    Raises:
        ConfigurationError: the file is none.

    """
    try:
        told = _DECODER.decode(path.read_bytes())
        asked, answered = told["request"], told["response"]
        sound = (
            isinstance(asked["method"], str) and isinstance(asked["url"], str) and isinstance(answered["status"], int)
        )
        sound = sound and isinstance(answered["headers"], dict)
        _bytes_of(answered)
    except (OSError, msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(path, f"is no recording ({type(error).__name__}: {error})", "Record it again.") from error
    if not sound:
        raise _unusable(path, "is no recording: method, URL, status or headers are missing", "Record it again.")
    return dict(told)


def _recordings(folder: Path) -> dict[_Question, deque[Mapping[str, Any]]]:
    found: dict[_Question, deque[Mapping[str, Any]]] = defaultdict(deque)
    for path in sorted(folder.glob("*.json")):
        told = _read(path)
        found[_Question.of(told["request"])].append(told["response"])
    if not found:
        raise _unusable(folder, "has no recordings", "Record some first, with Recorder.")
    return dict(found)


def _unknown(folder: Path, question: _Question, known: Mapping[_Question, Any]) -> ConfigurationError:
    if question in known:
        return ConfigurationError(
            str(question),
            f"is asked more often than it was recorded in {folder}",
            "Record it again as it is asked now.",
        )
    wanted = str(question)
    nearest = max(map(str, known), key=lambda other: SequenceMatcher(None, wanted, other, autojunk=False).ratio())
    return ConfigurationError(
        wanted, f"was not recorded in {folder}; the nearest that was: {nearest}", "Record it, or ask what was recorded."
    )


def _unusable(path: Path, fact: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"the recording {str(path)!r}", fact, remedy)


def _http() -> Transport:
    from .transport import HttpTransport  # noqa: PLC0415 -- httpx2 is loaded only where the network is used

    return HttpTransport()


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.recording")
