from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from de_classes.api.auth import ApiKey, Basic, BearerToken, Signed
from de_classes.api.messages import Request, Response
from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError

ASKED = Request("GET", "https://api.example/x?a=1", headers={"x-api-key": "old", "authorization": "old"})


def _sent(auth: Any, request: Request = ASKED) -> Request:
    flow = auth.flow(request)
    sent = next(flow)
    with pytest.raises(StopIteration):
        flow.send(Response(sent, 401, {}, b""))
    return sent


def _headers(request: Request) -> dict[str, str]:
    return {k.lower(): v.reveal() if isinstance(v, Secret) else v for k, v in request.headers.items()}


def test_a_key_goes_into_a_header() -> None:
    """The key is a header, in place of one of the same name whatever its case."""
    sent = _sent(ApiKey("k3y"))
    assert _headers(sent) == {"authorization": "old", "x-api-key": "k3y"}
    assert len(sent.headers) == 2
    assert _headers(_sent(ApiKey("k3y", name="Token")))["token"] == "k3y"


def test_a_key_goes_into_a_parameter() -> None:
    """The key is a parameter, masked in what is told, in place of one that a link brought along."""
    sent = _sent(ApiKey("k3y", name="key", place="query"), replace(ASKED, url="https://api.example/x?a=1&key=old"))
    assert sent.full_url() == "https://api.example/x?a=1&key=k3y"
    assert "k3y" not in sent.name


def test_user_and_password_are_sent_as_rfc_7617_says() -> None:
    """The example of RFC 7617, 2 and 2.1: the pair in UTF-8 and base64."""
    assert _headers(_sent(Basic("Aladdin", "open sesame")))["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert _headers(_sent(Basic("test", "123£")))["authorization"] == "Basic dGVzdDoxMjPCow=="


def test_user_and_password_come_from_a_netrc_file_that_is_named(tmp_path: Path) -> None:
    """The machine's own entry is taken, never the default; what is not there is told without what is."""
    file = tmp_path / "netrc"
    file.write_text("machine api.example login Aladdin password sesame\ndefault login x password hush\n")
    sent = _sent(Basic.from_netrc("api.example", str(file)))
    assert _headers(sent)["authorization"] == "Basic QWxhZGRpbjpzZXNhbWU="
    with pytest.raises(ConfigurationError, match=r"no machine 'other\.example'"):
        Basic.from_netrc("other.example", str(file))
    file.write_text("machine api.example password hush and more")
    for missing in (file, tmp_path / "nowhere"):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            Basic.from_netrc("api.example", str(missing))
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("auth", [BearerToken("s3cret"), Basic("ann", "s3cret"), ApiKey("s3cret")])
def test_what_a_header_is_made_of_is_masked(auth: Any) -> None:
    """An answer that repeats the bare token, key or password gives it away in no excerpt, and no repr has it."""
    sent = _sent(auth)
    assert Response(sent, 401, {}, b"wrong: s3cret").excerpt() == "wrong: ***"
    assert "s3cret" not in repr(auth) + repr(sent)
    assert "s3cret" in str(_headers(_sent(pickle.loads(pickle.dumps(auth))))) or isinstance(auth, Basic)


def _sign(request: Request) -> Request:
    return request.with_header("X-Signature", f"{request.method} {request.full_url()} {request.body()!r}")


def test_a_function_signs_what_will_be_sent() -> None:
    """The function sees the whole URL and the very bytes of the body, and what it returns is sent."""
    request = replace(ASKED, method="POST", params={"b": 2}, form={"x": "ü", "gone": None, "s": Secret("t")})
    sent = _sent(pickle.loads(pickle.dumps(Signed(_sign))), request)
    assert _headers(sent)["x-signature"] == "POST https://api.example/x?a=1&b=2 b'x=%C3%BC&s=t'"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ApiKey(""),
        lambda: ApiKey("k", name=""),
        lambda: ApiKey("k", place="body"),  # type: ignore[arg-type]  # the user's mistake
        lambda: Basic("a:b", "p"),
        lambda: Basic("a", ""),
    ],
    ids=["empty key", "no name", "no such place", "colon", "empty password"],
)
def test_credentials_that_cannot_be_sent_are_refused(make: Any) -> None:
    """What could not be sent is the user's mistake, told before anything is."""
    with pytest.raises(ConfigurationError):
        make()
