"""What answers say of limits: headers turned into facts that a `RateLimiter` keeps to, and how a client takes turns.

The forms understood, of which names and numbers come from many servers and none is sure to be well-formed:

- Retry-After as seconds or date (RFC 9110, 10.2.3)
- `RateLimit: "minute";r=5;t=30` with `RateLimit-Policy: "minute";q=100;w=60` (draft-ietf-httpapi-ratelimit-headers-08
  and later); quotas in another unit than requests are passed over
- `RateLimit: limit=100, remaining=5, reset=30` with `RateLimit-Policy: 100;w=60` (draft 07)
- `RateLimit-Limit`, `-Remaining` and `-Reset` (drafts up to 06), and the same with `X-RateLimit-` or `X-Rate-Limit-`;
  a reset of 10 ** 9 or more is seconds since 1970 (10 ** 11 or more: milliseconds), a smaller one is seconds from now
"""

from __future__ import annotations

import math
import re
import time
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from de_classes.utils.rate_limit import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from de_classes.utils.rate_limit import RateLimiter

    from .messages import Request, Response, Transport

__all__ = ["RETRIED_STATUSES", "Lasting", "Turns", "asked_seconds", "facts", "refused_for_rate", "retry_after_seconds"]

_Member: TypeAlias = "tuple[str, str, dict[str, str]]"

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass: too slow, too early, too many, and a server, or what stands before it, that is not well."""

_EPOCH_FROM = 10**9
_MILLISECONDS_FROM = 10**11
_FAMILIES = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
_MEMBER = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^";])+')


def facts(status: int, headers: Mapping[str, str], now: float | None = None) -> tuple[Told, ...]:
    """What an answer, with its headers by lower-case name, says of limits. `now` is seconds since 1970.

    Moments are taken by the server's own clock where the answer has a Date.
    """
    now = _server_time(headers, now)
    found = list(_combined(headers))
    if "ratelimit" not in headers:
        found += next(filter(None, (_apart(headers, family, now) for family in _FAMILIES)), [])
    pause = retry_after_seconds(headers.get("retry-after"), now) if status >= HTTPStatus.BAD_REQUEST else None
    return (*found, Told(pause_seconds=pause)) if pause is not None else tuple(found)


def asked_seconds(status: int, headers: Mapping[str, str], now: float | None = None) -> float | None:
    """How long a refusal asks to wait: Retry-After, or else until a quota that is used up is there again."""
    told = facts(status, headers, now)
    pauses = [fact.pause_seconds for fact in told if fact.pause_seconds is not None]
    resets = [
        reset
        for fact in told
        if fact.remaining == 0
        and (reset := fact.window_seconds if fact.reset_seconds is None else fact.reset_seconds) is not None
    ]
    return max(pauses or resets, default=None)


def refused_for_rate(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the API is well and only wants fewer requests: 429, or a 403 that says when to come back, as GitHub's."""
    if status == HTTPStatus.FORBIDDEN:
        return asked_seconds(status, headers) is not None
    return status == HTTPStatus.TOO_MANY_REQUESTS


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks to wait: a number, or an HTTP date (RFC 9110, 10.2.3); else None."""
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds)  # in this order "nan" becomes 0


@runtime_checkable
class Lasting(Protocol):
    """A transport whose answers go on after it has given them."""

    def keep(self, until_ended: ExitStack) -> None:
        """Close this when the last answer has ended, which may be at once."""
        ...

    def let_go(self) -> None:
        """End the last answer, before another one is waited for."""
        ...


class Turns:
    """How the requests of one attempt wait for a rate limiter, and tell it what their answers say; none, no waiting.

    `wait` comes before credentials are asked for, since they may not last, and only lines up: requests that have to
    come first, such as another thread's login, are not kept waiting by it.
    """

    def __init__(self, limiter: RateLimiter | None) -> None:
        self._limiter = limiter
        self._lined_up = False

    def wait(self) -> None:
        """Return when a request may be sent."""
        if self._limiter is not None:
            self._limiter.line_up()
            self._lined_up = True

    def send(self, transport: Transport, request: Request) -> Response:
        """Send a request in its turn."""
        if self._limiter is None:
            return transport(request)
        lasting: object = transport
        if isinstance(lasting, Lasting):
            lasting.let_go()
        self._limiter.begin(lined_up=self._lined_up)
        self._lined_up = False
        with ExitStack() as turn:
            turn.callback(self._limiter.end)
            response = transport(request)
            self._limiter.told(*facts(response.status, response.headers))
            if isinstance(lasting, Lasting):
                lasting.keep(turn.pop_all())
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._limiter is not None and self._lined_up:
            self._limiter.leave()


def _server_time(headers: Mapping[str, str], now: float | None) -> float:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time() if now is None else now


def _combined(headers: Mapping[str, str]) -> Iterator[Told]:
    """RateLimit-Policy and RateLimit, quota by quota."""
    policies = dict(map(_policy, _members(headers.get("ratelimit-policy"))))
    current = list(_members(headers.get("ratelimit")))
    apart = {name: _number(value) for name, value, _ in current if name in {"limit", "remaining", "reset"}}
    if apart:
        yield Told(_whole(apart.get("limit")), _whole(apart.get("remaining")), apart.get("reset"))
        current = []
    for name, value, parameters in current:
        key = _key(name or value, parameters)
        policy = policies.pop(key, Told())
        if policy is not None:
            remaining, reset = _whole(_number(parameters.get("r"))), _number(parameters.get("t"))
            yield Told(policy.limit, remaining, reset, window_seconds=policy.window_seconds, name=key)
    yield from filter(None, policies.values())


def _policy(member: _Member) -> tuple[str, Told | None]:
    """A quota by name: `"minute";q=100;w=60`, or `100;w=60` as it was once. None when it counts no requests."""
    _, value, parameters = member
    window = parameters.get("w", parameters.get("window"))
    name = value if "q" in parameters else f"{value};w={window}"
    key = _key(name, parameters)
    limit = _whole(_number(parameters.get("q", value)))
    if limit is None or parameters.get("qu", "requests") != "requests":
        return key, None
    return key, Told(limit, window_seconds=_number(window), name=key)


def _apart(headers: Mapping[str, str], family: str, now: float) -> list[Told]:
    """The form of three headers. What stands with a window in the limit's is a quota of its own."""
    limits = list(_members(headers.get(f"{family}limit")))
    limit = _whole(_number(limits[0][1])) if limits else None
    remaining = _whole(_number(headers.get(f"{family}remaining")))
    told = Told(limit, remaining, _until(headers.get(f"{family}reset"), now))
    policies = [policy for _, policy in (_policy(member) for member in limits if member[2]) if policy]
    return policies if limit is None and remaining is None else [told, *policies]


def _until(text: str | None, now: float) -> float | None:
    number = _number(text)
    if number is None:
        return retry_after_seconds(text, now)
    if number >= _MILLISECONDS_FROM:
        number /= 1000
    return max(0.0, number - now) if number >= _EPOCH_FROM else number


def _members(field: str | None) -> Iterator[_Member]:
    """Members of a list or dictionary of structured fields (RFC 9651): key or "", bare item, parameters.

    More is let through than the RFC does, since a header that is a little wrong still means something.
    """
    for member in _MEMBER.findall(field or ""):
        item, *rest = [part.strip() for part in _PART.findall(member)] or [""]
        key, equals, value = ("", "", item) if item.startswith('"') else item.partition("=")
        parameters = dict(chain.from_iterable(_pair(part) for part in rest))
        if item:
            yield (key.strip(), _bare(value), parameters) if equals else ("", _bare(key or value), parameters)


def _pair(text: str) -> Iterator[tuple[str, str]]:
    name, _, value = text.partition("=")
    yield name.strip().lower(), _bare(value)


def _bare(text: str) -> str:
    text = text.strip()
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _key(name: str, parameters: Mapping[str, str]) -> str:
    """What tells quotas apart: their name, and the partition of those that use them."""
    return f"{name};{parameters['pk']}" if "pk" in parameters else name


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").strip())
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.limits")
