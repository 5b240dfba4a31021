"""A file behind a URL: its pieces as they arrive, all of them or an error."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from de_classes.errors import ApiStatusError, ApiUnreachable, InvalidAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from de_classes.api.client import ApiClient
    from de_classes.api.messages import Param, Streamed
    from de_classes.configs.secrets import Secret

__all__ = ["RemoteFile", "Told"]

_MOST_RESUMPTIONS = 20
_PARTIAL = 206


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a file."""

    etag: str | None = None
    """The strong ETag, by which one content is told from any other."""
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Where a file is, and how it is asked for."""

    client: ApiClient
    path: str
    params: Mapping[str, Param] = field(default_factory=dict)
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it is, without parameters."""
        return urljoin(f"{self.client.base_url}/", self.path.partition("?")[0].lstrip("/"))

    def told(self) -> Told:
        """What the server says of the file without giving it.

        Not every server answers HEAD, so a refusal is no error here: the download will tell.
        """
        try:
            answer = self.client.request("HEAD", self.path, params=self.params, headers=self.headers)
        except ApiStatusError as error:
            if error.status >= 500:  # noqa: PLR2004 -- the server's own failures
                raise
            return Told()
        return Told(_strong(answer.headers), _length(answer.headers))

    def pieces(self, etag: str | None = None, heard: MutableMapping[str, str] | None = None) -> Iterator[bytes]:
        """The file as it arrives. Where it breaks off, it is taken up if a strong ETag vouches for the rest.

        The headers that it comes with are put into `heard` before the first piece.

        Raises:
            ApiUnreachable: it broke off.
            InvalidAnswer: it is not the one with the `etag` any more.

        """
        arrived, known, resumed = 0, etag, 0
        while True:
            before = arrived
            try:
                with self._asked(arrived, known) as answer:
                    # The server need not say again what the file is; where half of it is here, it must.
                    _refuse_another(answer, known, "none" if arrived else known)
                    known = known or _strong(answer.headers)
                    if heard is not None and not arrived:
                        heard.update(answer.headers)
                    # What is packed for the way has bytes of its own, which no range counts.
                    resumable = known is not None and not _is_packed(answer)
                    skipped = 0 if answer.status == _PARTIAL else arrived
                    for piece in _whole(answer):
                        fresh = piece[skipped:] if skipped else piece
                        skipped -= len(piece) - len(fresh)
                        arrived += len(fresh)
                        yield fresh
                    return
            except ApiUnreachable as error:
                resumed += 1
                for_good = error.context.get("for_good", False)
                if arrived == before or not resumable or for_good or resumed > _MOST_RESUMPTIONS:
                    raise

    @contextmanager
    def _asked(self, arrived: int, etag: str | None) -> Iterator[Streamed]:
        headers = dict(self.headers)
        if arrived and etag is not None:
            headers.update({"Range": f"bytes={arrived}-", "If-Range": etag})
        with self.client.stream("GET", self.path, params=self.params, headers=headers) as answer:
            told = answer.headers.get("content-range", "")
            if answer.status == _PARTIAL and not (arrived and told.startswith(f"bytes {arrived}-")):
                raise InvalidAnswer(
                    answer.request.name,
                    f"a part of the file came ({told or 'nobody says which'}) that was not asked for",
                    "Report it to the server's makers.",
                )
            yield answer


def _length(headers: Mapping[str, str]) -> int | None:
    """How many bytes come, where the headers say so."""
    told = headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdecimal() and not headers.get("content-encoding") else None


def _whole(answer: Streamed) -> Iterator[bytes]:
    """The pieces, as many bytes as were announced."""
    expected, arrived = _length(answer.headers), 0
    for piece in answer.pieces:
        arrived += len(piece)
        yield piece
    if expected is not None and arrived != expected:
        raise ApiUnreachable(
            answer.request.name, f"the file ended after {arrived} of {expected} bytes", "Try again: it is not whole."
        )


def _refuse_another(answer: Streamed, etag: str | None, unsaid: str | None) -> None:
    found = answer.headers.get("etag", unsaid)
    if etag is not None and found != etag:
        raise InvalidAnswer(
            answer.request.name,
            f"the file has changed: its ETag was {etag} and is {found}",
            "Run it again, to read the file that is there now.",
        )


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def _is_packed(answer: Streamed) -> bool:
    return answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"}
