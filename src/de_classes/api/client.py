"""Asking an HTTP API: a base URL, credentials, patience and manners. Knows nothing of tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from de_classes.errors import ApiStatusError, ApiUnreachable, ConfigurationError, InvalidAnswer
from de_classes.utils.retry import Again, RetryBudget, RetryPolicy

from ._home import Home
from ._refusals import REDIRECTS, accepted, refusal
from .limits import RETRIED_STATUSES, Turns, refused_for_rate
from .messages import Request, merged, without_query
from .streaming import Opening

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType
    from typing import Self

    from de_classes.configs.secrets import Secret
    from de_classes.contracts import Observer
    from de_classes.utils.rate_limit import RateLimiter

    from .auth import Auth
    from .messages import Param, Response, Streamed, Transport

__all__ = ["ApiClient"]

_MAX_REDIRECTS = 5
_PATIENT = RetryPolicy()


class ApiClient:
    """Sends requests to one API, with credentials, a rate limit and retries.

    Connection errors, timeouts and the `retry_statuses` are tried again as `retry` says, when the method is idempotent
    or the request has an idempotency key (sent as `idempotency_header`), never sooner than `Retry-After` asks;
    `observer` is told. With 429 goes a 403 that says when to come back. `retry_budget`, one of its own when none is
    given, bounds the retries of all requests together; those of 429 take nothing from it. Every attempt, logins and
    redirects included, counts against `rate_limit`, and a limiter that learns is told what the answers say.
    Redirects are followed for GET and HEAD alone: nothing else is sent twice to where nobody asked for it.

    Credentials belong to the origin of `base_url`: nothing is sent elsewhere, save what an auth asks of its own token
    endpoint. With `follow_foreign_redirects`, for downloads that an API leaves to an object store, redirects may lead
    elsewhere, never from https to http: they are followed without headers, credentials and secret parameters, and
    without them to the end, even where they come back.

    Safe to share between threads. Picklable: the copy opens connections, logs in and counts its rate for itself, and
    has no observer, which belongs to the process it was made in. `transport` replaces the network, and with it the
    timeouts.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        timeout_seconds: float = 30.0,
        connect_timeout_seconds: float = 10.0,
        retry: RetryPolicy = _PATIENT,
        retry_budget: RetryBudget | None = None,
        retry_statuses: Collection[int] = RETRIED_STATUSES,
        idempotency_header: str = "Idempotency-Key",
        rate_limit: RateLimiter | None = None,
        observer: Observer | None = None,
        follow_foreign_redirects: bool = False,
        transport: Transport | None = None,
    ) -> None:
        self._home = Home(base_url, follow_foreign_redirects)
        _refuse_other_kinds({"auth": (auth, "flow"), "retry": (retry, "call"), "rate_limit": (rate_limit, "line_up")})
        _refuse_other_kinds({"retry_budget": (retry_budget, "spend")})
        _refuse_other_kinds({"observer": (observer, "__call__"), "transport": (transport, "__call__")})
        _refuse_odd_settings(timeout_seconds, connect_timeout_seconds, headers, retry_statuses)
        if "://" in (token_url := getattr(auth, "token_url", "")):
            self._home.refuse_token_url(token_url)
        self._auth = auth
        self._headers = dict(headers or {})
        self._retry = retry
        self._retry_budget = retry_budget or RetryBudget()
        self._retry_statuses = frozenset(retry_statuses)
        self._idempotency_header = idempotency_header
        self._rate_limit = rate_limit
        self._observer = observer
        self._transport = transport or _http(timeout_seconds, connect_timeout_seconds)

    @property
    def base_url(self) -> str:
        """Where the API is, without a slash at its end."""
        return self._home.base_url

    def get_json(self, path: str, params: Mapping[str, Param] | None = None, *, exact: bool = False) -> Any:
        """Get and decode; `exact` gives numbers with a fraction as Decimal, digit for digit."""
        return self.request("GET", path, params=params).json(exact=exact)

    def request(  # noqa: PLR0913 -- what a request is made of
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
        repeatable: bool = False,
    ) -> Response:
        """Send a request and return its response, whose status is below 400.

        `path` is appended to the base URL, with or without a slash at its front; a whole URL is taken as it is when its
        origin is the base URL's. `idempotency_key` is the same for all attempts, by which the API knows a repetition:
        with it any method is tried again. It names what is done, such as the order, or is drawn for it (a UUID).
        `repeatable` says that the request only reads, whatever its method.

        Raises:
            ApiUnreachable: no connection or no answer, after all attempts.
            AuthenticationFailed: status 401, 403 or 407.
            ApiStatusError: another status of 400 or above; `status` has it.
            InvalidAnswer: a redirect (or a URL given as path) to another origin, or too many redirects.

        """
        named = dict(headers or {})
        if idempotency_key is not None:
            named[self._idempotency_header] = idempotency_key
        asked = self._asked(method, path, params, named, json, repeatable=repeatable)
        return accepted(self._sent(asked, self._transport))

    @contextmanager
    def stream(  # noqa: PLR0913 -- what a request is made of
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        json: Any = None,
        repeatable: bool = False,
        max_body_bytes: int | None = None,
        deadline_seconds: float | None = None,
    ) -> Iterator[Streamed]:
        """Send a request and read its answer's `pieces` while the context lasts.

        All is as with `request`, up to the first piece; what breaks after it is not tried again. The body may be of any
        size and take any time unless `max_body_bytes` and `deadline_seconds` say otherwise.

        Raises:
            ApiError: as `request` does; the pieces raise ApiUnreachable and InvalidAnswer, too.

        """
        asked = self._asked(method, path, params, headers or {}, json, repeatable=repeatable)
        with Opening(self._transport, max_body_bytes=max_body_bytes, deadline_seconds=deadline_seconds) as opening:
            yield opening.answer(accepted(self._sent(asked, opening)))

    def _asked(  # noqa: PLR0913 -- what a request is made of
        self,
        method: str,
        path: str,
        params: Mapping[str, Param] | None,
        headers: Mapping[str, str | Secret],
        json: Any,
        *,
        repeatable: bool,
    ) -> Request:
        _refuse_odd_question(method, path, params)
        keyed = self._idempotency_header.lower() in map(str.lower, headers)
        sent = merged(self._headers, headers)
        url = self._home.resolved(path)
        return Request(method.upper(), url, params or {}, sent, json, repeatable=keyed or repeatable)

    def close(self) -> None:
        """Close the connections, and end what other threads ask; another request opens them again."""
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ApiClient({self.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_observer": None}

    def _addressed(self, request: Request) -> Request:
        if request.purpose == "token" and "://" in request.url:
            self._home.check_token_url(request)
            return request
        headers = request.headers if request.purpose == "token" else merged(self._headers, request.headers)
        return replace(request, url=self._home.resolved(request.url), headers=headers)

    def _sent(self, asked: Request, transport: Transport) -> Response:
        """Send with retries. Each attempt asks for credentials anew: the wait before it may outlast a token."""
        sent = [asked]
        return self._retry.call(
            lambda: self._attempt(asked, sent, transport),
            # A login may be repeated although the request that needs it may not.
            on=lambda error: sent[-1].may_repeat and self._again(error),
            name=asked.name,
            budget=self._retry_budget,
            observer=self._observer,
        )

    def _attempt(self, asked: Request, sent: list[Request], transport: Transport) -> Response:
        """One attempt. Statuses worth another one are raised; others returned, for the auth may know what to do."""
        with Turns(self._rate_limit) as turns:
            turns.wait()  # before there are credentials: they may not last
            flow = _open(asked) if self._auth is None else self._auth.flow(asked)
            try:
                request = next(flow)
                while True:
                    sent.append(self._addressed(request))
                    response = self._followed(sent[-1], turns, transport)
                    if self._may_pass(response):
                        raise refusal(response)
                    if response.request.away:
                        return response  # credentials have nothing to learn from another origin
                    try:
                        request = flow.send(response)
                    except StopIteration:
                        return response
            finally:
                flow.close()

    def _may_pass(self, response: Response) -> bool:
        status = response.status
        if status == HTTPStatus.FORBIDDEN and HTTPStatus.TOO_MANY_REQUESTS in self._retry_statuses:
            return refused_for_rate(status, response.headers)
        return status in self._retry_statuses

    def _again(self, error: Exception) -> bool | Again:
        if isinstance(error, ApiStatusError):
            for_rate = error.context.get("for_rate", False)
            return (for_rate or error.status in self._retry_statuses) and Again(
                error.context.get("retry_after_seconds") or 0.0, free=for_rate
            )
        return isinstance(error, ApiUnreachable) and not error.context.get("for_good", False)

    def _followed(self, request: Request, turns: Turns, transport: Transport) -> Response:
        for _ in range(_MAX_REDIRECTS + 1):
            # What another origin is asked is no matter of this API's rate limit.
            own = self._home.is_own(request.url)
            response = turns.send(transport, request) if own else transport(request)
            location = response.headers.get("location")
            followed = request.method in {"GET", "HEAD"} and request.purpose != "token"
            if response.status not in REDIRECTS or location is None or not followed:
                return response
            request = self._home.redirected(request, location)
        raise InvalidAnswer(request.name, f"more than {_MAX_REDIRECTS} redirects in a row", "Check the URL.")


def _open(request: Request) -> Generator[Request, Response, None]:
    """The flow of an API that asks for no credentials."""
    yield request


def _refuse_other_kinds(given: Mapping[str, tuple[object, str]]) -> None:
    """Refuse what lacks the method by which it would be used. Values are not shown: a text for auth is a secret."""
    wrong = [
        f"{name}= is a {type(value).__name__}, not what has a method {method!r}"
        for name, (value, method) in given.items()
        if value is not None and (isinstance(value, type) or not hasattr(value, method))
    ]
    if wrong:
        raise ConfigurationError(
            "ApiClient",
            "; ".join(wrong),
            "Give objects: auth=BearerToken(...), retry=RetryPolicy(...), rate_limit=RateLimiter(...), and functions.",
        )


def _refuse_odd_settings(
    timeout_seconds: object, connect_timeout_seconds: object, headers: object, retry_statuses: Any
) -> None:
    timeouts = {"timeout_seconds": timeout_seconds, "connect_timeout_seconds": connect_timeout_seconds}
    wrong = [
        f"{name}={value!r} is no number of seconds"
        for name, value in timeouts.items()
        if isinstance(value, bool) or not isinstance(value, int | float)
    ]
    if not isinstance(headers, Mapping | None):
        wrong.append(f"headers= is a {type(headers).__name__}, not a mapping of names to values")
    if not isinstance(retry_statuses, Collection) or not all(type(status) is int for status in retry_statuses):
        wrong.append(f"retry_statuses={retry_statuses!r} are no whole numbers")
    if wrong:
        remedy = "Write timeout_seconds=30, headers={'X-Name': 'value'}, retry_statuses={429, 503}."
        raise ConfigurationError("ApiClient", "; ".join(wrong), remedy)


def _refuse_odd_question(method: str, path: object, params: object) -> None:
    if not isinstance(path, str):
        raise ConfigurationError(f"{method} {path!r}", "the path is no text", "Give one like '/orders'.")
    if not isinstance(params, Mapping | None):
        fact = f"the parameters are a {type(params).__name__}, and no mapping"
        raise ConfigurationError(f"{method} {without_query(path)}", fact, "Write {'page': 2}.")


def _http(timeout_seconds: float, connect_timeout_seconds: float) -> Transport:
    from .transport import HttpTransport  # noqa: PLC0415 -- httpx2 is loaded only where the network is used

    return HttpTransport(timeout_seconds=timeout_seconds, connect_timeout_seconds=connect_timeout_seconds)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.client")
