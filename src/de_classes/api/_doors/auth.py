"""`python -m de_classes.api.auth`: what an auth puts on a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.api.client import ApiClient
from de_classes.api.messages import Response
from de_classes.api.transport import HttpTransport
from de_classes.utils.retry import RetryPolicy

from .door import add_credentials, auth_of, origin_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from de_classes.api.messages import Request
    from de_classes.configs.secrets import Secret

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the requests that an auth makes of one, their secrets masked."""
    parser = door(
        "api.auth",
        "Show what an auth makes of GET URL, secrets masked. Nothing is sent unless --send says so.",
        "--auth bearer --secret-env SHOP_TOKEN https://api.example.com/orders",
        "--auth oauth2 --token-url https://login.example.com/token --user me --secret-env SHOP_SECRET"
        " https://api.example.com --send",
    )
    parser.add_argument("url", help="what would be asked")
    parser.add_argument("--send", action="store_true", help="send it: log in, obtain a token, ask")
    add_credentials(parser, required=True)
    return run(parser, _show, arguments)


def _show(asked: argparse.Namespace) -> None:
    showing = _Showing(HttpTransport() if asked.send else None)
    try:
        client = ApiClient(origin_of(asked.url), auth=auth_of(asked), retry=RetryPolicy(attempts=1), transport=showing)
        client.request("GET", asked.url)
    except _NotSentError:
        say("(not sent; with --send it would be, and the request itself after it)")
    finally:
        showing.close()


class _NotSentError(Exception):
    """An auth wants an answer that nobody has asked for."""


@dataclass(frozen=True)
class _Showing:
    """A transport that tells what goes through it, and perhaps lets it through."""

    through: HttpTransport | None

    def __call__(self, request: Request) -> Response:
        say(request.name)
        for name, value in request.headers.items():
            say(f"  {name}: {_masked(value)}")
        if request.form is not None:
            say(f"  form: {', '.join(name for name, value in request.form.items() if value is not None)}")
        if self.through is not None:
            response = self.through(request)
            say(f"  -> status {response.status}, {len(response.body)} bytes")
            return response
        if request.purpose != "ask":
            raise _NotSentError
        return Response(request, 200, {}, b"")

    def close(self) -> None:
        if self.through is not None:
            self.through.close()


def _masked(value: str | Secret) -> str:
    """A header without its secret; the scheme before it, such as Bearer, is none."""
    if isinstance(value, str):
        return value
    scheme, blank, _ = value.reveal().partition(" ")
    return f"{scheme} ***" if blank else "***"
