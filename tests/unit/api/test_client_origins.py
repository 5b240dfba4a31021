"""Where credentials go: redirects and links in every spelling, read by the parser that sends them."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import httpx2
import pytest

from de_classes.api import (
    ApiClient,
    ApiKey,
    ApiSource,
    Basic,
    BearerToken,
    NextLink,
    OAuth2ClientCredentials,
    Resource,
    Signed,
)
from de_classes.api.messages import Request, Response, origin, same_origin_path
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiError, ConfigurationError, InvalidAnswer
from de_classes.utils.retry import RetryPolicy

HOME = ("https", "api.example", 443)
ONCE = RetryPolicy(attempts=1)
SECRETS = ("t0ken", "k3y", "hush", "QWxpY2U6cHc=")

OWN = [
    "/v2/next",
    "next?page=2",
    "?page=2",
    "https://api.example/x",
    "HTTPS://API.EXAMPLE/x",
    "https://api.example:443/x",
    "https://api.example:/x",
    "//api.example/x",
    "https:x",
    "https:/x",
    "///evil.example/x",
    "https:///evil.example/x",
    "https://api.example?@evil.example",
    "https://api.example#@evil.example",
    "https://api.example/@evil.example",
    "https://api.example//evil.example/x",
    "https://api.example/x?to=https://evil.example\\",
    "/x?q=\\evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "x%5C@evil.example",
]
FOREIGN = [
    "https://evil.example/x",
    "//evil.example/x",
    "http://api.example/x",
    "HTTP://api.example/x",
    "http://api.example:443/x",
    "https://api.example:444/x",
    "https://api.example:80/x",
    "https://api.example:0/x",
    "https://api.example:99999/x",
    "https://api.example:44e/x",
    "https://api.example:-1/x",
    "https://api.example:\u0664\u0664\u0663/x",
    "https://api.example./x",
    "https://.api.example/x",
    "https://api..example/x",
    "https://sub.api.example/x",
    "https://example/x",
    "https://api.example.evil.example/x",
    "https://api-example/x",
    "https://evil.example:443/x",
    "https://api.example@evil.example/x",
    "https://api.example:443@evil.example/x",
    "https://api.example%40evil.example/x",
    "https://user@api.example/x",
    "https://user:pw@api.example/x",
    "https://evil.example@api.example/x",
    "https://@api.example/x",
    "https://api.example\\@evil.example/x",
    "https://evil.example\\@api.example/x",
    "https://evil.example\\.api.example/x",
    "https:\\\\evil.example/x",
    "https:/\\evil.example/x",
    "/\\evil.example/x",
    "\\\\evil.example/x",
    "\\/evil.example/x",
    "//evil.example\\@api.example/x",
    "///\\evil.example/x",
    "/\t/evil.example/x",
    "ht\ttps://evil.example/x",
    "https://api.exam\tple/x",
    "https://evil.example\t.api.example/x",
    "https://api.example\r\n.evil.example/x",
    "\x00https://api.example/x",
    "https://api.example\x00.evil.example/x",
    "https://api .example/x",
    "https://api.example%2eevil.example/x",
    "https://api%2eexample/x",
    "https://%61pi.example/x",
    "https://api\u3002example/x",
    "https://api\uff0eexample/x",
    "https://\uff41pi.example/x",
    "https://ap\u0131.example/x",
    "https://api.exam\u017fple/x",
    "https://\u0430pi.example/x",
    "https://xn--pi-7kc.example/x",
    "https://api.example\u2044evil.example/x",
    "https://api.example\uff0fevil.example/x",
    "https://api.e\u00adxample/x",
    "https://api\u200b.example/x",
    "https://127.0.0.1/x",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::1]:443/x",
    "https://[api.example]/x",
    "https://[/x",
    "ftp://api.example/x",
    "file:///etc/passwd",
    "ws://api.example/x",
    "javascript://api.example/x",
    "data:text/plain,x",
    "https://api.example;evil.example/x",
    "https://api.example,evil.example/x",
    "https://api.example&evil.example/x",
]
AUTHS: list[Any] = [
    BearerToken("t0ken"),
    ApiKey("k3y"),
    ApiKey("k3y", name="key", place="query"),
    Basic("Alice", "pw"),
]


class Network:
    """A transport that reads URLs as httpx2 does, and keeps what arrives where.

    The API answers with the redirects, then with an empty list; every other origin does the same.
    """

    def __init__(self, *redirects: tuple[int, str]) -> None:
        self.redirects = list(redirects)
        self.arrived: list[tuple[tuple[str, str, int], str]] = []

    def __call__(self, request: Request) -> Response:
        """Note what arrives, and answer."""
        try:
            url = httpx2.URL(request.full_url())
        except (httpx2.InvalidURL, UnicodeError):
            return Response(request, 400, {}, b"")
        port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
        headers = {k: v.reveal() if isinstance(v, Secret) else v for k, v in request.headers.items()}
        place = (url.scheme, url.raw_host.decode(), port)
        self.arrived.append((place, f"{url} {url.userinfo!r} {headers} {request.body()!r}"))
        if self.redirects:
            status, location = self.redirects.pop(0)
            return Response(request, status, {"location": location}, b"")
        return Response(request, 200, {}, b"[]")

    def leaked(self) -> list[str]:
        """What arrived at another origin and has a credential in it."""
        return [told for place, told in self.arrived if place != HOME and any(secret in told for secret in SECRETS)]

    def places(self) -> set[tuple[str, str, int]]:
        return {place for place, _ in self.arrived}


def _client(network: Network, auth: Any = AUTHS[0], **options: Any) -> ApiClient:
    return ApiClient(
        "https://api.example/v2",
        auth=auth,
        headers={"X-Hush": Secret("hush"), "X-Plain": "hush"},
        transport=network,
        retry=ONCE,
        **options,
    )


@pytest.mark.parametrize(("status", "location"), list(product([301, 308], OWN)))
def test_redirects_to_the_api_itself_are_followed(status: int, location: str) -> None:
    """A redirect to the same origin, in whatever spelling, is followed with the credentials."""
    network = Network((status, location))
    assert _client(network).get_json("orders") == []
    assert network.places() == {HOME}
    assert [("t0ken" in told) for _, told in network.arrived] == [True, True]


@pytest.mark.parametrize("location", FOREIGN)
@pytest.mark.parametrize("auth", AUTHS, ids=["bearer", "header", "query", "basic"])
def test_redirects_elsewhere_are_refused(auth: Any, location: str) -> None:
    """No redirect of any status, in no spelling, makes anything arrive at another origin."""
    for status in (301, 302, 303, 307, 308):
        network = Network((status, location))
        with pytest.raises(InvalidAnswer, match="another origin") as caught:
            _client(network, auth).get_json("orders", {"token": Secret("hush")})
        assert network.places() == {HOME}
        assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize("location", FOREIGN)
@pytest.mark.parametrize("auth", AUTHS, ids=["bearer", "header", "query", "basic"])
def test_redirects_elsewhere_are_followed_bare(auth: Any, location: str) -> None:
    """Where foreign redirects are followed, nothing that arrives there has a credential, a header or a parameter."""
    network = Network((302, location))
    with suppress(ApiError):
        _client(network, auth, follow_foreign_redirects=True).get_json("orders", {"token": Secret("hush")})
    assert network.leaked() == []
    assert all(place[0] == "https" for place in network.places())


@pytest.mark.parametrize(
    "locations",
    [
        ["https://evil.example/a", "https://api.example/b"],
        ["https://evil.example/a", "https://api.example/b", "/c", "https://evil.example/d"],
        ["/a", "https://evil.example/a", "https://api.example/b"],
        ["https://cdn.example/a", "//evil.example", "/x"],
        ["https://evil.example/?token=hush&key=k3y&x=1"],
        ["https://evil.example/?t=t0ken#hush"],
    ],
)
def test_what_has_left_stays_bare(locations: list[str]) -> None:
    """A chain that leaves and comes back has no credentials from where it left; secrets it repeats are taken out."""
    network = Network(*[(302, location) for location in locations])
    client = _client(network, follow_foreign_redirects=True)
    assert client.get_json("orders", {"token": Secret("hush"), "key": Secret("k3y")}) == []
    assert network.leaked() == []
    left = next(n for n, (place, _) in enumerate(network.arrived) if place != HOME)
    assert not any(secret in told for _, told in network.arrived[left:] for secret in SECRETS)


@pytest.mark.parametrize(
    "location",
    [
        "http://cdn.example/x",
        "https://hush.evil.example/",
        "https://evil.example/hush",
        "https://evil.example/?x=ahush",
        "https://user:hush@evil.example/",
    ],
)
def test_what_would_take_a_secret_along_is_refused(location: str) -> None:
    """A foreign redirect with a secret in its path or host, or from https to http, is not followed."""
    network = Network((302, location))
    with pytest.raises(InvalidAnswer) as caught:
        _client(network, follow_foreign_redirects=True).get_json("orders")
    assert network.places() == {HOME}
    assert "hush" not in str(caught.value)


def test_https_does_not_fall_to_http_on_a_detour() -> None:
    """From an API on http over https there is no way back to http."""
    network = Network((302, "https://cdn.example/x"), (302, "http://cdn.example/x"))
    client = ApiClient("http://api.example", transport=network, retry=ONCE, follow_foreign_redirects=True)
    with pytest.raises(InvalidAnswer, match="https to http"):
        client.get_json("x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_follows_no_redirect(status: int) -> None:
    """What has a body goes nowhere else, not even within the API."""
    for location in ("/x", "https://evil.example/"):
        network = Network((status, location))
        with pytest.raises(InvalidAnswer, match="not followed for POST"):
            _client(network, follow_foreign_redirects=True).request("POST", "x", json={"p": Secret("hush")})
        assert len(network.arrived) == 1


@pytest.mark.parametrize("path", [*FOREIGN, *OWN])
def test_whole_urls_given_as_paths_go_nowhere_else(path: str) -> None:
    """A path or URL that a caller passes on from an answer is the API's, or is refused."""
    network = Network()
    with suppress(InvalidAnswer):
        _client(network).get_json(path)
    assert network.places() <= {HOME}


@pytest.mark.parametrize("link", [*FOREIGN, *OWN])
def test_next_links_go_nowhere_else(link: str) -> None:
    """A next link is followed within the API or refused; nothing arrives at another origin."""

    class Pages(Network):
        def __call__(self, request: Request) -> Response:
            """A page with the link, then one without."""
            response = super().__call__(request)
            body = [b"{", b'"next": null,', b'"items": [{"a": 1}]}']
            if len(self.arrived) == 1:
                body[1] = f'"next": {json.dumps(link)},'.encode()
            return Response(request, response.status, {}, b"".join(body))

    network = Pages()
    resource = Resource("items", "items", paging=NextLink("next"), records_at="items")
    source = ApiSource(_client(network), [resource])
    with source.plan(source.streams()[0], None) as plan:
        walk = (batch for split in plan.splits for batch in split.read())
        if link in OWN:
            assert len(list(walk)) == 2
            assert len(network.arrived) == 2
        else:
            with pytest.raises(InvalidAnswer):
                list(walk)
    assert network.places() == {HOME}


def test_the_token_endpoint_gets_its_own_alone() -> None:
    """A token endpoint of another origin gets the token request with its own credentials, the API the token."""

    class Granting(Network):
        def __call__(self, request: Request) -> Response:
            """Grant a token."""
            super().__call__(request)
            granted = b'{"access_token": "t0ken", "token_type": "bearer"}'
            return Response(request, 200, {}, granted if request.purpose == "token" else b"[]")

    network = Granting()
    auth = OAuth2ClientCredentials("https://login.example/token", "Alice", "pw")
    assert _client(network, auth).get_json("orders", {"k": Secret("k3y")}) == []
    (at_login, asked), (at_api, sent) = network.arrived
    assert (at_login, at_api) == (("https", "login.example", 443), HOME)
    assert "QWxpY2U6cHc=" in asked
    assert not any(secret in asked for secret in ("t0ken", "hush", "k3y"))
    assert "t0ken" in sent
    assert "QWxpY2U6cHc=" not in sent


class _OwnEndpoint:
    """An auth of a user's own, whose token endpoint is a path of the API."""

    def flow(self, request: Request) -> Generator[Request, Response, None]:
        yield Request("POST", "/token", form={"grant_type": "x"}, purpose="token")
        yield request


def test_a_token_endpoint_of_the_api_gets_no_headers_of_the_client() -> None:
    """A token is asked for without the client's headers at the API's own origin, too."""
    network = Network()
    assert _client(network, _OwnEndpoint()).get_json("orders") == []
    assert ["hush" in told for _, told in network.arrived] == [False, True]
    assert "https://api.example/v2/token" in network.arrived[0][1]


def test_the_token_endpoint_is_asked_by_https() -> None:
    """An API on https has no token endpoint on http: that is seen before anything is sent."""
    network = Network()
    with pytest.raises(ConfigurationError, match="from https to http"):
        _client(network, OAuth2ClientCredentials("http://login.example/token", "Alice", "pw"))
    assert network.arrived == []


@pytest.mark.parametrize("url", ["https://a:b@login.example/token", "https://login\\@x/"])
def test_the_token_endpoint_holds_no_user(url: str) -> None:
    """A URL with a user in it, or one that may be read so, is refused without showing the password."""
    with pytest.raises(ConfigurationError, match="holds a user") as caught:
        OAuth2ClientCredentials(url, "Alice", "pw")
    assert "a:b" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_endpoint_redirects_nowhere(status: int) -> None:
    """A token endpoint that redirects is no token endpoint."""
    network = Network((status, "https://evil.example/"))
    with pytest.raises(InvalidAnswer):
        _client(network, OAuth2ClientCredentials("https://login.example/token", "Alice", "pw")).get_json("orders")
    assert network.places() == {("https", "login.example", 443)}


def _elsewhere(request: Request) -> Request:
    return replace(request, url="https://evil.example/")


def test_a_signature_changes_no_origin() -> None:
    """A function that signs cannot lead a request, with the client's headers, to another origin."""
    network = Network()
    with pytest.raises(InvalidAnswer, match="another origin"):
        _client(network, Signed(_elsewhere)).get_json("orders")
    assert network.arrived == []


def test_origins_of_urls() -> None:
    """Scheme and host compare in lower case, ports by number with their defaults; a host keeps any other spelling."""
    assert origin("HTTPS://Api.Example/x") == origin("https://api.example:443") == HOME
    assert origin("https://b\u00fccher.example") == origin("https://b\u00fccher.example/x")
    assert origin("https://\u212aelvin.example") != origin("https://kelvin.example")
    assert same_origin_path("https://api.example/x", "https://api.example//evil.example/y?z") == "/.//evil.example/y?z"


@pytest.mark.parametrize(
    ("location", "query"),
    [("/v2/orders/", "key=t0ken"), ("/v2/orders/?page=2", "page=2&key=t0ken"), ("/v2/orders/?key=other", "key=other")],
)
def test_a_key_in_the_query_goes_with_redirects_to_the_api(location: str, query: str) -> None:
    """A redirect within the API that does not repeat the key is followed with it; one that has it is left alone."""
    network = Network((308, location))
    key = ApiKey("t0ken", name="key", place="query")
    assert _client(network, key).get_json("orders", {"plain": 1}) == []
    assert f"{query} " in f"{network.arrived[-1][1].partition('?')[2].split()[0]} "
