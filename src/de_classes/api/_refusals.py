"""What a status says: an answer is taken, or becomes an error with its remedy."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from de_classes.errors import ApiStatusError, AuthenticationFailed, InvalidAnswer

from .limits import asked_seconds, refused_for_rate
from .messages import without_query

if TYPE_CHECKING:
    from .messages import Response

__all__ = ["REDIRECTS", "accepted", "refusal"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ABOUT_CREDENTIALS = frozenset({401, 403, 407})
_AWAY = "A redirect led to another origin, which says so; credentials are not sent there."


def accepted(response: Response) -> Response:
    """The response, if it is what was asked for.

    Raises:
        AuthenticationFailed: status 401, 403 or 407, unless it is about the rate.
        ApiStatusError: another status of 400 or above.
        InvalidAnswer: a redirect, which nobody follows any more.

    """
    if response.status >= HTTPStatus.BAD_REQUEST:
        raise refusal(response)
    if response.status in REDIRECTS:
        location = without_query(response.request.masked(response.headers.get("location", "nowhere")))
        raise InvalidAnswer(
            response.request.name,
            f"a redirect (status {response.status}) to {location}, which is not followed for {response.request.method}",
            "Ask there, if that is where the API is now.",
        )
    return response


def refusal(response: Response) -> ApiStatusError:
    """The error that a status of 400 or above is told as."""
    status = response.status
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown"
    said = response.excerpt()
    away = response.request.away
    for_rate = refused_for_rate(status, response.headers)
    kind = AuthenticationFailed if status in _ABOUT_CREDENTIALS and not for_rate and not away else ApiStatusError
    return kind(
        response.request.name,
        f"status {status} ({phrase})" + (f": {said}" if said else ""),
        _AWAY if away else _remedy(HTTPStatus.TOO_MANY_REQUESTS if for_rate else status),
        status=status,
        for_rate=for_rate,
        retry_after_seconds=asked_seconds(status, response.headers),
    )


def _remedy(status: int) -> str:
    if status in _ABOUT_CREDENTIALS:
        return "Check the credentials, and what they are allowed."
    if status == HTTPStatus.NOT_FOUND:
        return "Check the base URL and the path."
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "Ask less often (rate_limit=...), or be more patient (retry=...)."
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "The server has a problem: try later, or be more patient (retry=...)."
    return "Check the path and the parameters."
