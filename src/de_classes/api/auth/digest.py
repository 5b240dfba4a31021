"""Digest access authentication (RFC 7616): user and password that never travel, only hashes of them with a nonce."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from de_classes.configs.secrets import Secret
from de_classes.errors import AuthenticationFailed

from .interface import wanted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from de_classes.api.messages import Request, Response

__all__ = ["Challenge", "Digest", "challenges"]

_UNAUTHORIZED = 401
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 -- a token of RFC 9110, no secret
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*("(?:[^"\\]|\\.)*"|{_TOKEN})\s*')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$|(?=,))")
_OTHER_CREDENTIALS = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?=,|$)")
_NONCES_KEPT = 16
"""Whose counts are known still: other threads may be answering with a nonce that was replaced just now."""
_HASHES = {"SHA-256": "sha256", "MD5": "md5"}
"""The strongest first, which is the one that is taken."""


class Challenge(NamedTuple):
    """What a server asks for."""

    realm: str
    nonce: str
    algorithm: str
    """As the server spells it, which is how it gets it back; empty where it names none."""
    qop: bool
    """Whether the hash is over a count and a nonce of the client, too (qop=auth)."""
    opaque: str | None
    stale: bool
    """Whether only the nonce is too old."""
    hashed_user: bool

    @property
    def family(self) -> str:
        """The algorithm without its variant: MD5 where none is named."""
        return (self.algorithm.upper() or "MD5").removesuffix("-SESS")

    @property
    def of_session(self) -> bool:
        """Whether the password is hashed together with the nonces."""
        return self.algorithm.upper().endswith("-SESS")


class Digest:
    """User and password by digest: MD5, SHA-256 and their -sess variants, qop=auth, and servers without qop.

    The first request goes without credentials, to be challenged; those after it answer the same challenge with a count,
    until the server wants another nonce. A refusal of the answer to a fresh challenge is final.
    """

    def __init__(self, user: str, password: str | Secret) -> None:
        self._user = user
        self._password = wanted("Digest", "password", password)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._counts: dict[str, int] = {}

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request, and again with an answer when it is challenged.

        Raises:
            AuthenticationFailed: the server offers no challenge that can be answered.

        """
        known = self._challenge
        response = yield request if known is None else self._answered(request, known)
        if response.status != _UNAUTHORIZED:
            return
        fresh = _strongest(response)
        if known is not None and fresh.nonce == known.nonce and not fresh.stale:
            return
        with self._lock:
            self._challenge = fresh
        yield self._answered(request, fresh)

    def _answered(self, request: Request, challenge: Challenge) -> Request:
        with self._lock:
            count = self._counts.get(challenge.nonce, 0) + 1
            self._counts[challenge.nonce] = count
            if len(self._counts) > _NONCES_KEPT:
                del self._counts[next(iter(self._counts))]
        uri = target(request.full_url())
        said = self._said(challenge, request.method, uri, f"{count:08x}")
        # What is hashed is what is sent: encoded here, so that nobody encodes it in another way.
        scheme, netloc, *_ = urlsplit(request.url)
        exact = replace(
            request,
            url=f"{scheme}://{netloc}{uri}" if netloc else uri,
            params={},
            hidden=(*request.secrets(), self._password),
        )
        return exact.with_header("Authorization", Secret(f"Digest {said}"))

    def _said(self, challenge: Challenge, method: str, uri: str, count: str) -> str:
        def hashed(*parts: str) -> str:
            return hashlib.new(_HASHES[challenge.family], ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        own = _random_nonce() if challenge.qop or challenge.of_session else ""
        key = hashed(self._user, challenge.realm, self._password.reveal())
        if challenge.of_session:
            key = hashed(key, challenge.nonce, own)
        mixed = (count, own, "auth") if challenge.qop else ()
        return ", ".join(
            [
                self._named(hashed(self._user, challenge.realm) if challenge.hashed_user else None),
                f"realm={_quoted(challenge.realm)}",
                f"nonce={_quoted(challenge.nonce)}",
                f"uri={_quoted(uri)}",
                f'response="{hashed(key, challenge.nonce, *mixed, hashed(method, uri))}"',
                *([f"algorithm={challenge.algorithm}"] if challenge.algorithm else []),
                *([f"opaque={_quoted(challenge.opaque)}"] if challenge.opaque is not None else []),
                *([f"qop=auth, nc={count}"] if challenge.qop else []),
                *([f'cnonce="{own}"'] if own else []),
                *(["userhash=true"] if challenge.hashed_user else []),
            ]
        )

    def _named(self, hashed_user: str | None) -> str:
        if hashed_user is not None:
            return f'username="{hashed_user}"'
        if self._user.isascii():
            return f"username={_quoted(self._user)}"
        return f"username*=UTF-8''{quote(self._user, safe='')}"

    def __repr__(self) -> str:
        return f"Digest({self._user!r}, ***)"

    def __getstate__(self) -> dict[str, Any]:
        # A worker is challenged for itself: two that count for one nonce would look like a replay.
        return {"_user": self._user, "_password": self._password}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()


def _random_nonce() -> str:
    return secrets.token_hex(16)


def target(url: str) -> str:
    """Path and query in the form that is sent, which is what the server hashes."""
    _, _, path, query, _ = urlsplit(url)
    safe = "%!$&'()*+,;=:@/~-._"
    return quote(path or "/", safe=safe) + (f"?{quote(query, safe=safe + '?')}" if query else "")


def challenges(header: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The challenges of a WWW-Authenticate header (RFC 9110, 11.6.1), several in one perhaps: scheme, parameters."""
    scheme: str | None = None
    found: dict[str, str] = {}
    place = 0
    while place < len(header):
        if parameter := _PARAMETER.match(header, place):
            found[parameter[1].lower()] = _unquoted(parameter[2])
            place = parameter.end()
        elif scheme is not None and not found and (other := _OTHER_CREDENTIALS.match(header, place)):
            place = other.end()
        elif begun := _SCHEME.match(header, place):
            if scheme is not None:
                yield scheme, found
            scheme, found, place = begun[1].lower(), {}, begun.end()
        elif header[place] in ", \t":
            place += 1
        else:
            break
    if scheme is not None:
        yield scheme, found


def _strongest(response: Response) -> Challenge:
    header = response.headers.get("www-authenticate", "")
    offered = [parameters for scheme, parameters in challenges(header) if scheme == "digest"]
    possible = [challenge for parameters in offered if (challenge := _possible(parameters)) is not None]
    if not possible:
        raise AuthenticationFailed(
            response.request.name,
            f"status {response.status}, and no digest challenge that can be answered: {header[:200]!r}",
            "Digest answers MD5 and SHA-256 with qop=auth. Which kind of credentials does the API want?",
            status=response.status,
        )
    return min(possible, key=lambda challenge: list(_HASHES).index(challenge.family))


def _possible(parameters: Mapping[str, str]) -> Challenge | None:
    qop = [word.strip().lower() for word in parameters.get("qop", "").split(",")]
    challenge = Challenge(
        parameters.get("realm", ""),
        parameters.get("nonce", ""),
        parameters.get("algorithm", ""),
        "auth" in qop,
        parameters.get("opaque"),
        parameters.get("stale", "").lower() == "true",
        parameters.get("userhash", "").lower() == "true",
    )
    answerable = challenge.nonce and challenge.family in _HASHES and (challenge.qop or qop == [""])
    return challenge if answerable else None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
