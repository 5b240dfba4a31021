"""Security schemes to auths, whose secrets stand in environment variables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from .code import Code, Item, atom, call, literal
from .document import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .document import Document
    from .lists import Listing

__all__ = ["Auth", "auth_of"]

_PLAIN = {"http", "apiKey"}
"""Schemes that leave nothing open; of oauth2 there are several ways, and openIdConnect says how to get a token only."""
_FLOWS = ("clientCredentials", "authorizationCode", "password")


@dataclass(frozen=True, slots=True)
class Auth:
    """An auth as source, and what is to be said of it; without code there is none."""

    code: Code | None
    why: str
    guessed: bool = False


def auth_of(document: Document, listings: list[Listing], base_url: str, prefix: str) -> Auth:
    """The auth of an API: that of the scheme which most of its lists ask for, of those that are known here."""
    schemes = mapping(mapping(document.root.get("components")).get("securitySchemes"))
    asked: Counter[str] = Counter()
    scopes: dict[str, dict[str, None]] = {}
    for listing in listings:
        for requirement in sequence(listing.operation.get("security", document.root.get("security"))):
            for name, wanted in mapping(requirement).items():
                asked[str(name)] += 1
                scopes.setdefault(str(name), {}).update(dict.fromkeys(map(str, sequence(wanted))))
    whys = []
    for name, _ in asked.most_common():
        scheme = document.followed(schemes.get(name))
        code = _code(scheme, " ".join(scopes[name]), base_url, prefix)
        if code is not None:
            others = ", ".join(repr(other) for other in asked if other != name)
            more = f", of several: there is {others}, too" if others else ""
            return Auth(code, f"the security scheme {name!r}{more}", bool(others) or scheme.get("type") not in _PLAIN)
        whys.append(f"{name!r} ({scheme.get('type')}, {scheme.get('in', scheme.get('scheme', ''))})")
    if whys:
        return Auth(
            None, f"the security schemes {', '.join(whys)} are none that is known here; see de_classes.api.auth"
        )
    return Auth(None, "the document asks for no credentials")


def _code(scheme: Mapping[str, Any], scope: str, base_url: str, prefix: str) -> Code | None:
    kind, way = scheme.get("type"), str(scheme.get("scheme", "")).lower()
    if kind == "http" and way == "bearer":
        return call("BearerToken", [_secret(prefix, "TOKEN")])
    if kind == "http" and way in {"basic", "digest"}:
        return call(way.capitalize(), [_variable(prefix, "USER"), _secret(prefix, "PASSWORD")])
    if kind == "apiKey" and scheme.get("in") in ("header", "query") and isinstance(scheme.get("name"), str):
        where = [Item(atom(literal(scheme["name"])), "name="), Item(atom(literal(scheme["in"])), "place=")]
        return call("ApiKey", [_secret(prefix, "API_KEY"), *where])
    if kind == "oauth2":
        return _oauth2(mapping(scheme.get("flows")), scope, base_url, prefix)
    if kind == "openIdConnect":
        return call("BearerToken", [_secret(prefix, "TOKEN")])
    return None


def _oauth2(flows: Mapping[str, Any], scope: str, base_url: str, prefix: str) -> Code | None:
    name = next((name for name in _FLOWS if isinstance(mapping(flows.get(name)).get("tokenUrl"), str)), None)
    if name is None:
        return None
    url = atom(literal(_absolute(base_url, flows[name]["tokenUrl"])))
    identity = [url, _variable(prefix, "CLIENT_ID")]
    scopes = [Item(atom(literal(scope)), "scope=")] if scope else []
    if name == "clientCredentials":
        return call("OAuth2ClientCredentials", [*identity, _secret(prefix, "CLIENT_SECRET"), *scopes])
    secret = Item(_secret(prefix, "CLIENT_SECRET"), "client_secret=")
    return call("OAuth2RefreshToken", [*identity, _secret(prefix, "REFRESH_TOKEN"), secret, *scopes])


def _absolute(base_url: str, url: str) -> str:
    try:
        return urljoin(f"{base_url}/", url)
    except ValueError:
        return url


def _secret(prefix: str, name: str) -> Code:
    return call("Secret.from_env", [atom(literal(f"{prefix}_{name}"))])


def _variable(prefix: str, name: str) -> Code:
    return Code("os.environ[", (Item(atom(literal(f"{prefix}_{name}"))),), "]")
