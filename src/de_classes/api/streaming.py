"""A transport that leaves the answer open, so that a client's own rules hold for what is read in pieces."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from de_classes.errors import DeClassesError

from .messages import Response, Streamed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from .messages import Request, Transport

__all__ = ["Opening"]

_MOST_OF_A_REFUSAL = 1024 * 1024


_Stream: TypeAlias = "Callable[..., AbstractContextManager[Streamed]]"
"""How a transport gives an answer in pieces, by a method `stream` as `HttpTransport` has it; others give it whole."""


class Opening:
    """Sends requests, and leaves open what answers with success; everything else is read whole, as is a login.

    An answer counts as having come when the first piece of its body is there: until then, whoever calls may call again.
    """

    def __init__(
        self, transport: Transport, *, max_body_bytes: float | None = None, deadline_seconds: float | None = None
    ) -> None:
        self._transport = transport
        self._limits = {"max_body_bytes": max_body_bytes, "deadline_seconds": deadline_seconds}
        self._open = ExitStack()
        self._answer: Streamed | None = None

    def __call__(self, request: Request) -> Response:
        """Send; the response to what is left open has no body."""
        self.let_go()
        if request.purpose in {"login", "token"}:
            return self._transport(request)
        stream: _Stream | None = getattr(self._transport, "stream", None)
        if stream is None:
            whole = self._transport(request)
            if _succeeded(whole.status):
                self._answer = Streamed(request, whole.status, whole.headers, iter([whole.body]))
            return whole
        answer = self._open.enter_context(stream(request, **self._limits))
        if not _succeeded(answer.status):
            body = _excerpt(answer)
            self._open.close()
            return Response(request, answer.status, answer.headers, body)
        first = next(answer.pieces, b"")
        self._answer = Streamed(request, answer.status, answer.headers, chain(filter(None, [first]), answer.pieces))
        return Response(request, answer.status, answer.headers, b"")

    def keep(self, until_ended: ExitStack) -> None:
        """Close this after the answer that was left open: a body under way is a call that still runs."""
        answer = self._open.pop_all()
        self._open.push(until_ended)
        self._open.push(answer)
        if self._answer is None:
            self._open.close()

    def let_go(self) -> None:
        """End the answer that was left open."""
        self._answer = None
        self._open.close()

    def answer(self, response: Response) -> Streamed:
        """What was left open; an answer of another kind, whole."""
        return self._answer or Streamed(response.request, response.status, response.headers, iter([response.body]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _succeeded(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 -- the statuses of success


def _excerpt(answer: Streamed) -> bytes:
    """Enough of a refusal to be told."""
    read = b""
    try:
        for piece in answer.pieces:
            read += piece
            if len(read) > _MOST_OF_A_REFUSAL:
                break
    except DeClassesError:
        return read  # that it says no is known; what it says is less important
    return read
