from __future__ import annotations

import base64
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import (
    ApiClient,
    ApiKey,
    ApiSource,
    Basic,
    BearerToken,
    Digest,
    OAuth2ClientCredentials,
    PageNumber,
    Resource,
    TokenLogin,
)
from de_classes.api._doors.recording import main
from de_classes.api._masking import Mask
from de_classes.api.messages import Request, Response
from de_classes.api.recording import Player, Recorder
from de_classes.configs.secrets import Secret
from de_classes.errors import ApiStatusError, ApiUnreachable, ConfigurationError
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply

PASSWORD = 'hush/"näive"+key=='
TOKEN = "tok/hush+hush=="  # headers are ASCII
SCHEMA = pa.schema([("id", pa.int64()), ("price", pa.decimal128(20, 2)), ("name", pa.string())])
RESOURCE = Resource("orders", "/orders", paging=PageNumber(total_pages_at="pages", stable=True), schema=SCHEMA)


def shop(asked: Asked) -> Reply:
    """An API that gives tokens and tells everything that it was told."""
    if asked.path in {"/login", "/token"}:
        return json_reply({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "extra": {"jwt": TOKEN}})
    if asked.path == "/digest" and "authorization" not in asked.headers:
        return Reply(401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'})
    page = int(asked.query.get("page", 1))
    said = {"headers": dict(asked.headers), "query": dict(asked.query), "body": asked.body.decode()}
    return json_reply(
        {"items": [{"id": page, "price": 1.10, "name": "a\nb"}], "pages": 2, "said": said},
        Set_Cookie=f"session={TOKEN}",
    )


def table(client: ApiClient) -> list[dict[str, Any]]:
    source = ApiSource(client, [RESOURCE])
    with source.plan(RESOURCE.stream, None) as plan:
        return [row for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def spellings(secret: str) -> list[bytes]:
    plain = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]]
    plain += [json.dumps(secret, ensure_ascii=False)[1:-1], base64.b64encode(f"me:{secret}".encode()).decode()]
    return [text.encode() for text in plain]


AUTHS: dict[str, Callable[[str, str], Any]] = {
    "bearer": lambda _, secret: BearerToken(secret),
    "key": lambda _, secret: ApiKey(secret),
    "parameter": lambda _, secret: ApiKey(secret, name="k", place="query"),
    "basic": lambda _, secret: Basic("me", secret),
    "login": lambda _, secret: TokenLogin("/login", "me", secret),
    "nested": lambda _, secret: TokenLogin("/login", "me", secret, token_at="extra.jwt"),
    "oauth2": lambda url, secret: OAuth2ClientCredentials(f"{url}/token", "me", secret),
    "form": lambda url, secret: OAuth2ClientCredentials(f"{url}/token", "me", secret, client_auth="body"),
    "digest": lambda _, secret: Digest("me", secret),
}


@pytest.mark.parametrize("kind", AUTHS)
def test_what_was_recorded_is_played_back_without_secrets(kind: str, tmp_path: Path) -> None:
    """With every kind of credentials, a recording gives the same table, to others too, and holds no secret."""
    with LoopbackServer(shop) as server:
        url, recorder = server.url, Recorder(tmp_path)
        secret = TOKEN if kind in {"bearer", "key"} else PASSWORD
        with ApiClient(url, auth=AUTHS[kind](url, secret), transport=recorder) as client:
            recorded = table(client)
    assert [row["id"] for row in recorded] == [1, 2]
    for spelling in [*spellings(TOKEN), *spellings(PASSWORD)]:
        assert spelling not in written(tmp_path)
    other = ApiClient(url, auth=AUTHS[kind](url, "another"), transport=Player(tmp_path))
    assert table(other) == recorded


def test_files_are_for_people(tmp_path: Path) -> None:
    """Each exchange is a numbered file whose name says what was asked, with JSON as JSON."""
    with LoopbackServer(shop) as server:
        url = server.url
        client = ApiClient(url, auth=BearerToken("hush-hush"), transport=Recorder(tmp_path))
        client.request("POST", "/orders/new", json={"n": 1, "password": "open"}, params={"page": 3})
        client.request("GET", "/orders")
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["0001-post-orders-new.json", "0002-get-orders.json"]
    told = json.loads((tmp_path / names[0]).read_text(encoding="utf-8"))
    assert told["request"] == {
        "method": "POST",
        "url": f"{url}/orders/new?page=3",
        "headers": {"Authorization": "***"},
        "json": {"n": 1, "password": "***"},
    }
    assert (told["response"]["status"], told["response"]["headers"]["set-cookie"]) == (200, "***")
    assert told["response"]["json"]["items"] == [{"id": 3, "price": 1.1, "name": "a\nb"}]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1.10, "b": 123456789012345678901234567890, "c": 1e400, "d": -0.0}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\u00e9", "b": "\xc3\xa9"}',
        b"[1, 2",
        "grüße".encode(),
        bytes(range(256)),
        b"",
        b"null",
    ],
)
def test_bodies_come_back_as_they_were(body: bytes, tmp_path: Path) -> None:
    """JSON keeps its digits and doubled names, text its letters, and anything else its bytes."""
    request = Request("GET", "http://shop/x")
    Recorder(tmp_path, lambda asked: Response(asked, 200, {"content-type": "x"}, body))(request)
    played = Player(tmp_path)(request)
    assert (played.status, played.headers) == (200, {"content-type": "x"})
    if "json" in json.loads((tmp_path / "0001-get-x.json").read_bytes())["response"]:
        assert re.sub(rb"\s", b"", played.body) == re.sub(rb"\s", b"", body)
    else:
        assert played.body == body


def test_a_secret_is_taken_out_of_what_was_written_before_it_was_seen(tmp_path: Path) -> None:
    """What turns out to be a secret leaves the earlier files, too, whatever their bodies are."""
    bodies = [b'{"hint": "swordfish"}', b"<swordfish>", b"\xffswordfish"]
    recorder = Recorder(tmp_path, lambda asked: Response(asked, 200, {}, bodies.pop(0) if bodies else b"{}"))
    for _ in range(3):
        recorder(Request("GET", "http://shop/x"))
    recorder(Request("GET", "http://shop/x", headers={"X-Way": Secret("swordfish")}))
    assert b"swordfish" not in written(tmp_path)
    assert base64.b64encode(b"\xffswordfish") not in written(tmp_path)
    player = Player(tmp_path)
    assert [player(Request("GET", "http://shop/x")).body for _ in range(3)] == [b'{"hint":"***"}', b"<***>", b"\xff***"]


@given(st.text(min_size=6, max_size=20), st.text(max_size=5), st.text(max_size=5), st.booleans())
def test_base64_hides_no_secret(secret: str, before: str, after: str, urlsafe: bool) -> None:
    """Whatever stands before and after a secret, Base64 of it shows at most the letters at its edges."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    masked = Mask([secret]).text(encode((before + secret + after).encode()).decode())
    assert "***" in masked


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "iso-8859-2"])
@pytest.mark.parametrize("says", [True, False])
def test_no_charset_hides_a_secret(charset: str, says: bool, tmp_path: Path) -> None:
    """In recordings and in errors a secret is masked in whatever charset it comes back, whether headers say which."""
    body = '{"key": "hush-hush", "name": "Żółć", "access_token": "n3w"}'.encode(charset)
    kind = f"application/json; charset={charset}" if says else "application/json"
    for status in (200, 400):
        reply = Reply(status, body, {"Content-Type": kind})
        recorder = Recorder(tmp_path / str(status))
        with LoopbackServer(lambda _, reply=reply: reply) as server:  # type: ignore[misc]
            client = ApiClient(server.url, auth=BearerToken("hush-hush"), transport=recorder)
            if status == 200:
                client.request("GET", "/x")
            else:
                with pytest.raises(ApiStatusError, match=r"^(?!.*h.?u.?s.?h.?-)"):
                    client.request("GET", "/x")
        (file,) = (tmp_path / str(status)).iterdir()
        told = json.loads(file.read_text())["response"]
        kept = base64.b64decode(told["base64"]) if "base64" in told else json.dumps(told).encode()
        assert b"hush" not in kept.replace(b"\0", b"")
        assert not says or b"n3w" not in kept.replace(b"\0", b"")


def test_known_names_are_secret_without_any_value_known(tmp_path: Path) -> None:
    """Signed URLs, cookies and tokens in bodies are taken out by their names."""
    answer = {"refreshToken": "rrr-1", "client_secret": "ccc-1", "data": {"id_token": "iii-1"}, "next_token": "page-2"}
    recorder = Recorder(
        tmp_path,
        lambda asked: Response(asked, 200, {"x-next-token": "page-2"}, json.dumps(answer).encode()),
        secrets=["given-1"],
    )
    url = "http://me:uuu-1@shop/x?X-Amz-Signature=sss-1&api_key=kkk-1&page=1&note=given-1"
    recorder(Request("GET", url, headers={"Cookie": "a=ooo-1", "X-Auth-Token": "ttt-1", "Accept": "x"}))
    kept = written(tmp_path).decode()
    assert re.findall(r"\b(\w)\1\1-1|given-1", kept) == []
    assert kept.count("page-2") == 2
    assert "?X-Amz-Signature=***&api_key=***&page=1&note=***" in kept


class TestPlayer:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        answers = iter([b"1", b"2", b'{"said": 3}'])
        recorder = Recorder(tmp_path, lambda asked: Response(asked, 200, {}, next(answers)))
        for request in (GET, GET, POST):
            recorder(request)
        return tmp_path

    def test_repeated_questions_are_answered_in_order(self, folder: Path) -> None:
        """Each recording is given once; a copy begins anew."""
        player = Player(folder)
        assert [player(GET).body, player(GET).body] == [b"1", b"2"]
        with pytest.raises(ConfigurationError, match="more often than it was recorded"):
            player(GET)
        assert pickle.loads(pickle.dumps(player))(GET).body == b"1"

    def test_the_order_of_parameters_and_fields_does_not_matter(self, folder: Path) -> None:
        """The same question in another spelling is the same question."""
        asked = Request("POST", "http://shop/orders?b=2", {"a": 1}, json={"y": [2], "x": 1})
        assert Player(folder)(asked).json() == {"said": 3}

    def test_an_unknown_question_names_the_nearest(self, folder: Path) -> None:
        """The error tells what was asked and what was recorded that is most like it."""
        asked = Request("POST", "http://shop/orders?a=1&b=2", json={"x": 1, "y": [3]})
        with pytest.raises(ConfigurationError) as caught:
            Player(folder)(asked)
        assert '{"json":{"x":1,"y":[3]}}: was not recorded' in str(caught.value)
        assert 'nearest that was: POST http://shop/orders?a=1&b=2 {"json":{"x":1,"y":[2]}}' in str(caught.value)

    def test_is_not_asked_again(self, folder: Path) -> None:
        """A client does not retry what was not recorded."""
        with pytest.raises(ConfigurationError, match="was not recorded"):
            ApiClient("http://shop", transport=Player(folder)).get_json("/nothing")

    def test_refuses_what_are_no_recordings(self, tmp_path: Path) -> None:
        """An empty folder, and files of another kind, are told by name."""
        with pytest.raises(ConfigurationError, match="has no recordings"):
            Player(tmp_path)(GET)
        for text in ("{", "[]", '{"request": {}, "response": {}}', '{"request": 1, "response": 2}'):
            (tmp_path / "0001.json").write_text(text)
            with pytest.raises(ConfigurationError, match=r"0001\.json.* is no recording"):
                Player(tmp_path)(GET)


GET = Request("GET", "http://shop/orders?page=1")
POST = Request("POST", "http://shop/orders?a=1&b=2", json={"x": 1, "y": [2]})


def test_refusals_are_recorded_and_failures_are_not(tmp_path: Path) -> None:
    """An answer that says no is an answer; no answer is none."""

    def broken(request: Request) -> Response:
        if request.url.endswith("/gone"):
            return Response(request, 404, {}, b"no")
        raise ApiUnreachable(request.name, "nobody there")

    recorder = Recorder(tmp_path / "new" / "folder", broken)
    with pytest.raises(ApiUnreachable):
        recorder(GET)
    with pytest.raises(ApiStatusError):
        ApiClient("http://shop", transport=recorder).get_json("/gone")
    with pytest.raises(ApiStatusError, match="404"):
        ApiClient("http://shop", transport=Player(tmp_path / "new" / "folder")).get_json("/gone")


def test_two_recordings_do_not_mix(tmp_path: Path) -> None:
    """A folder that has recordings is refused, before anything is written."""
    (tmp_path / "0001-get-old.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="has recordings already"):
        Recorder(tmp_path, lambda asked: Response(asked, 200, {}, b""))(GET)


def test_the_door_records_and_plays(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """From a shell an exchange is kept, and given again without a server."""
    with LoopbackServer(lambda _: Reply(body=b'{"a": 1}')) as server:
        url = f"{server.url}/orders?page=1"
        assert main([url, "--into", str(tmp_path)]) == 0
    assert main([url, "--from", str(tmp_path)]) == 0
    assert main([f"{url}2", "--from", str(tmp_path)]) == 2
    told = capfdbinary.readouterr()
    assert told.out == b'{"a": 1}{"a":1}'
    assert b"nearest" in told.err
