from __future__ import annotations

import hashlib
import pickle
import threading
from typing import Any

import httpx2
import pytest

from de_classes.api.auth import Digest, digest
from de_classes.api.auth.digest import challenges, target
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import AuthenticationFailed

ASKED = Request("GET", "http://www.example.org/dir/index.html")
RFC_7616 = (
    'realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
OWN = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def _said(request: Request) -> dict[str, str]:
    header = request.headers["Authorization"]
    assert isinstance(header, Secret)
    ((scheme, said),) = challenges(header.reveal())
    assert scheme == "digest"
    return dict(said)


def _challenged(auth: Digest, header: str, request: Request = ASKED) -> dict[str, str]:
    flow = auth.flow(request)
    first = next(flow)
    return _said(flow.send(Response(first, 401, {"www-authenticate": header}, b"")))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers of RFC 7616, 3.9.1, with all that goes along."""
    monkeypatch.setattr(digest, "_random_nonce", lambda: OWN)
    auth = Digest("Mufasa", "Circle of Life")
    said = _challenged(auth, "Digest " + RFC_7616.format(algorithm))
    assert said["response"] == response
    assert (said["algorithm"], said["qop"], said["nc"], said["cnonce"]) == (algorithm, "auth", "00000001", OWN)
    assert (said["uri"], said["opaque"][:4], said["username"]) == ("/dir/index.html", "FQhe", "Mufasa")


def test_the_strongest_of_several_challenges_is_answered() -> None:
    """Of SHA-256, MD5, Basic and one that nobody knows, offered in one header, SHA-256 is taken."""
    offered = f"Basic realm=x, Digest {RFC_7616.format('MD5')}, Negotiate aGk=, Digest {RFC_7616.format('SHA-256')}"
    assert (
        _challenged(Digest("ann", "pw"), f'Digest realm="?", nonce="n", algorithm=SHA3, {offered}')["algorithm"]
        == "SHA-256"
    )


@pytest.mark.parametrize(("algorithm", "name"), [("MD5-sess", "md5"), ("SHA-256-sess", "sha256")])
def test_session_variants_hash_the_nonces_with_the_password(algorithm: str, name: str) -> None:
    """A1 of the -sess variants is H(user:realm:password):nonce:cnonce (RFC 7616, 3.4.2)."""

    def h(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    said = _challenged(Digest("ann", "pw"), f'Digest realm="r", nonce="n", qop="auth", algorithm={algorithm}')
    key = h(h("ann:r:pw") + f":n:{said['cnonce']}")
    expected = h(f"{key}:n:00000001:{said['cnonce']}:auth:{h('GET:/dir/index.html')}")
    assert said["response"] == expected


def test_servers_without_qop_are_answered_the_old_way() -> None:
    """Where no qop is offered there is neither count nor cnonce, and MD5 is meant (RFC 2069)."""
    said = _challenged(Digest("ann", "pw"), 'Digest realm="r", nonce="n"')
    key, asked = (hashlib.md5(t.encode()).hexdigest() for t in ("ann:r:pw", "GET:/dir/index.html"))  # noqa: S324 -- the protocol's hash
    assert said["response"] == hashlib.md5(f"{key}:n:{asked}".encode()).hexdigest()  # noqa: S324 -- same
    assert not {"nc", "cnonce", "qop", "algorithm"} & set(said)


def test_later_requests_answer_the_same_challenge_and_count() -> None:
    """The nonce is used again with a count that grows, also by threads at once, until the server wants another."""
    auth = Digest("ann", "pw")
    _challenged(auth, 'Digest realm="r", nonce="n", qop="auth"')
    counts: list[str] = []
    threads = [threading.Thread(target=lambda: counts.append(_said(next(auth.flow(ASKED)))["nc"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [f"{n:08x}" for n in range(2, 10)]


@pytest.mark.parametrize("header", ['nonce="m", stale=TRUE', 'nonce="n", stale=true', 'nonce="m"'])
def test_a_stale_nonce_is_replaced_once(header: str) -> None:
    """A new nonce, or the word stale, leads to one more answer; what comes then is final."""
    auth = Digest("ann", "pw")
    _challenged(auth, 'Digest realm="r", nonce="n", qop="auth"')
    flow = auth.flow(ASKED)
    refusal = {"www-authenticate": f'Digest realm="r", qop="auth", {header}'}
    again = flow.send(Response(next(flow), 401, refusal, b""))
    assert _said(again)["nonce"] in {"m", "n"}
    with pytest.raises(StopIteration):
        flow.send(Response(again, 401, refusal, b""))


def test_a_wrong_password_is_not_tried_again() -> None:
    """The same nonce, refused and not stale, is a refusal of the password."""
    auth = Digest("ann", "pw")
    header = 'Digest realm="r", nonce="n", qop="auth"'
    _challenged(auth, header)
    flow = auth.flow(ASKED)
    first = next(flow)
    with pytest.raises(StopIteration):
        flow.send(Response(first, 401, {"www-authenticate": header}, b""))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic realm=x",
        'Digest realm="r", nonce="n", qop="auth-int"',
        "Digest realm=r",
        "Digest nonce=n, algorithm=X",
        '"',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_told(header: str) -> None:
    """Where there is no digest challenge, or none of ours, the error says what was offered."""
    with pytest.raises(AuthenticationFailed, match="no digest challenge") as caught:
        _challenged(Digest("ann", "pw"), header)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("http://a/ü b?q=ö x&r=%20", "/%C3%BC%20b?q=%C3%B6%20x&r=%20"),
        ("http://a", "/"),
        ("http://a/x?", "/x"),
        ("http://a/x?u=http://b/?c", "/x?u=http://b/?c"),
    ],
)
def test_the_target_is_hashed_as_it_is_sent(url: str, uri: str) -> None:
    """Path and query are encoded as on the request line."""
    assert _challenged(Digest("ann", "pw"), "Digest realm=r, nonce=n, qop=auth", Request("GET", url))["uri"] == uri


def test_every_character_is_hashed_as_it_is_sent() -> None:
    """Whatever stands in a path or a query, what is hashed is what httpx2 puts on the request line."""
    for letter in [*map(chr, range(0x20, 0x7F)), "%41", "%zz", "\u00fc", "\u20ac", "\U0001f600"]:
        if letter not in "#?":
            auth = Digest("ann", "pw")
            asked = Request("GET", f"http://a/p{letter}q?r{letter}s", params={letter: Secret(letter)})
            uri = _challenged(auth, "Digest realm=r, nonce=n, qop=auth", asked)["uri"]
            sent = next(auth.flow(asked)).full_url()
            assert httpx2.URL(sent).raw_path.decode() == uri == target(asked.full_url()), letter


def test_users_that_are_not_ascii_or_are_hashed() -> None:
    """A user goes as username* where it is not ASCII, and as a hash where the server asks for that."""
    auth = Digest("Jäsøn Doe", "pw")
    assert _challenged(auth, "Digest realm=r, nonce=n, qop=auth")["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    said = _challenged(Digest("ann", "pw"), "Digest realm=r, nonce=n, qop=auth, userhash=true")
    assert (said["username"], said["userhash"]) == (hashlib.md5(b"ann:r").hexdigest(), "true")  # noqa: S324 -- same
    assert _challenged(Digest('a"\\n', "pw"), "Digest realm=r, nonce=n, qop=auth")["username"] == 'a"\\n'


def test_a_copy_is_challenged_for_itself() -> None:
    """A copy in another process knows no challenge; the password is in no repr, nor in what is told of a request."""
    auth = Digest("ann", "s3cret")
    _challenged(auth, "Digest realm=r, nonce=n, qop=auth")
    copy: Any = pickle.loads(pickle.dumps(auth))
    assert "Authorization" not in next(copy.flow(ASKED)).headers
    assert Response(next(auth.flow(ASKED)), 401, {}, b"s3cret").excerpt() == "***"
    assert "s3cret" not in repr(auth)
