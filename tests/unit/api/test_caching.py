from __future__ import annotations

import pickle
import runpy
import sqlite3
import stat
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from de_classes.api import ApiClient, ApiKey, Basic, BearerToken, TokenLogin
from de_classes.api._doors.caching import main
from de_classes.api.caching import HttpCache
from de_classes.api.messages import Request, Response
from de_classes.errors import ApiStatusError, ApiUnreachable, ConfigurationError, MissingExtra
from de_classes.testing.http import LoopbackServer, Reply

pytest.importorskip("hishel")


class Api:
    """A transport that answers with headers that can be changed, counts, and confirms ETags."""

    def __init__(self, cache_control: str | None = "max-age=60", **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if cache_control is not None:
            self.headers["cache-control"] = cache_control
        self.status = 200
        self.body = b'{"n": 1}'
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        sent = {name.lower(): value for name, value in request.headers.items()}
        if self.status == 200 and "etag" in self.headers and sent.get("if-none-match") == self.headers["etag"]:
            return Response(request, 304, self.headers, b"")
        return Response(request, self.status, self.headers, self.body)


def ago(seconds: float) -> str:
    return formatdate(time.time() - seconds, usegmt=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.db"


Get = Callable[..., Any]


def getting(file: Path, api: Api, **settings: Any) -> tuple[HttpCache, Get]:
    cache = HttpCache(file, api)
    return cache, ApiClient("http://shop", transport=cache, **settings).get_json


class TestFreshness:
    def test_a_fresh_answer_is_not_asked_for_again(self, file: Path) -> None:
        """Within its max-age the same answer is given, also by another process that has the file."""
        api = Api("max-age=60", x_page="2")
        _, get = getting(file, api)
        first = [get("/a"), get("/a")]
        cache = HttpCache(file, api)
        response = ApiClient("http://shop", transport=cache).request("GET", "/a")
        assert first == [response.json()] * 2
        assert response.headers["x-page"] == "2"
        assert len(api.asked) == 1
        assert cache.counts == {"kept": 1}

    @pytest.mark.parametrize(
        "headers",
        [
            {"cache_control": "max-age=60", "date": ago(61)},
            {"cache_control": "max-age=60", "age": "61"},
            {"cache_control": "max-age=60", "date": formatdate(time.time() + 3600, usegmt=True), "age": "100"},
            {"cache_control": None, "expires": ago(0), "date": ago(0)},
            {"cache_control": None, "expires": "0"},
            {"cache_control": None, "last_modified": ago(1_000_000)},
            {"cache_control": "no-cache"},
            {"cache_control": "max-age=0"},
            {"cache_control": "max-age=soon", "last_modified": ago(1_000_000)},
        ],
        ids=["old", "aged", "clock", "expired", "broken", "guess", "no-cache", "zero", "nonsense"],
    )
    def test_a_stale_answer_is_asked_for_again(self, headers: dict[str, Any], file: Path) -> None:
        """Age is counted from when it was made, wherever it lay; nothing is guessed where no life is told."""
        api = Api(**headers, etag='"1"')
        cache, get = getting(file, api)
        assert [get("/a"), get("/a")] == [{"n": 1}] * 2
        assert cache.counts == {"asked": 1, "confirmed": 1}
        assert api.asked[1].headers["If-None-Match"] == '"1"'

    def test_expires_is_a_life_from_the_date(self, file: Path) -> None:
        """The server's clock may be wrong: what counts is the time between its Date and its Expires."""
        ahead = time.time() + 7200
        api = Api(None, date=formatdate(ahead, usegmt=True), expires=formatdate(ahead + 60, usegmt=True))
        cache, get = getting(file, api)
        get("/a")
        get("/a")
        assert cache.counts == {"asked": 1, "kept": 1}

    def test_an_answer_that_has_changed_replaces_the_one_that_was_kept(self, file: Path) -> None:
        """Whoever insists is given the new answer, and everybody is from then on, within the same second, too."""
        api = Api(etag='"1"')
        cache = HttpCache(file, api)
        request = Request("GET", "http://shop/a")
        insisting = Request("GET", "http://shop/a", headers={"Cache-Control": "no-cache"})
        assert cache(request).body == b'{"n": 1}'
        api.body, api.headers["etag"] = b'{"n": 2}', '"2"'
        assert [cache(asked).json()["n"] for asked in (request, insisting, request)] == [1, 2, 2]
        assert cache.counts == {"asked": 2, "kept": 2}

    def test_last_modified_confirms_too(self, file: Path) -> None:
        """Without an ETag the date of the last change is asked by."""
        changed = ago(1000)
        api = Api("no-cache", last_modified=changed)
        _, get = getting(file, api)
        get("/a")
        api.status = 304
        assert get("/a") == {"n": 1}
        assert api.asked[1].headers["If-Modified-Since"] == changed

    def test_a_confirmation_gives_new_life(self, file: Path) -> None:
        """The headers of a 304 take the place of the old ones."""
        api = Api("max-age=60", etag='"1"', date=ago(61))
        cache, get = getting(file, api)
        get("/a")
        api.headers["date"] = ago(0)
        get("/a")
        get("/a")
        assert cache.counts == {"asked": 1, "confirmed": 1, "kept": 1}


class TestWhatIsNotKept:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: Api("no-store, max-age=60"),
            lambda: Api(None),
            lambda: Api("max-age=60", vary="*", date=ago(100)),
        ],
        ids=["no-store", "no rules", "vary"],
    )
    def test_answers_that_say_no(self, make: Callable[[], Api], file: Path) -> None:
        """What may not be kept, or could not be asked for again cheaply, is asked for each time."""
        api = make()
        cache, get = getting(file, api)
        get("/a")
        get("/a")
        assert cache.counts == {"asked": 2}

    @pytest.mark.parametrize(
        "request_",
        [
            Request("GET", "http://shop/a", headers={"Cache-Control": "no-store"}),
            Request("GET", "http://shop/a", headers={"If-None-Match": '"1"'}),
            Request("GET", "http://shop/a", headers={"Range": "bytes=0-1"}),
            Request("GET", "http://shop/a", json={"q": 1}),
            Request("GET", "http://shop/a", purpose="login"),
            Request("GET", "http://shop/a", purpose="token"),
            Request("HEAD", "http://shop/a"),
            Request("POST", "http://shop/a"),
        ],
        ids=["no-store", "condition", "range", "body", "login", "token", "head", "post"],
    )
    def test_requests_that_are_not_for_it(self, request_: Request, file: Path) -> None:
        """Logins, conditions of the caller's own and whatever is no plain GET pass by."""
        api = Api()
        cache = HttpCache(file, api)
        for _ in range(2):
            cache(request_)
        assert len(api.asked) == 2
        assert api.asked[0] == request_

    @pytest.mark.parametrize("status", [201, 206, 404, 500])
    def test_other_answers_than_successes(self, status: int, file: Path) -> None:
        """A refusal is not kept, whatever its headers say."""
        api = Api()
        api.status = status
        cache = HttpCache(file, api)
        for _ in range(2):
            cache(Request("GET", "http://shop/a"))
        assert len(api.asked) == 2

    def test_answers_that_are_too_large(self, file: Path) -> None:
        """One answer does not take all the room."""
        api = Api()
        cache = HttpCache(file, api, max_answer_bytes=3)
        for _ in range(2):
            cache(Request("GET", "http://shop/a"))
        assert len(api.asked) == 2

    def test_quotas_and_cookies_are_of_one_answer(self, file: Path) -> None:
        """A limiter is not told again of a quota that was used up then."""
        api = Api(x_ratelimit_remaining="0", retry_after="9", set_cookie="a=hush")
        cache = HttpCache(file, api)
        assert "x-ratelimit-remaining" in cache(Request("GET", "http://shop/a")).headers
        assert set(cache(Request("GET", "http://shop/a")).headers) == {"cache-control", "date", "expires", "age"}
        cache.close()
        assert b"hush" not in file.read_bytes()


class TestWho:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (BearerToken("hush-1"), BearerToken("hush-2")),
            (Basic("me", "hush-1"), Basic("you", "hush-1")),
            (ApiKey("hush-1"), ApiKey("hush-2")),
            (ApiKey("hush-1", name="k", place="query"), ApiKey("hush-2", name="k", place="query")),
            (BearerToken("hush-1"), None),
        ],
        ids=["bearer", "basic", "key", "parameter", "nobody"],
    )
    def test_an_answer_is_only_for_who_asked(self, one: Any, other: Any, file: Path) -> None:
        """Other credentials ask for themselves, and no secret is in the file."""
        api = Api("public, max-age=60", etag='"1"')
        for auth in (one, other, one, other):
            cache, get = getting(file, api, auth=auth)
            assert get("/a") == {"n": 1}
            cache.close()
        assert len(api.asked) == 2
        assert not any("If-None-Match" in asked.headers for asked in api.asked)
        assert b"hush" not in b"".join(path.read_bytes() for path in file.parent.iterdir())

    def test_headers_are_part_of_the_question(self, file: Path) -> None:
        """Another language is another answer, whether Vary says so or not."""
        api = Api()
        cache = HttpCache(file, api)
        for language in ("en", "fr", "en"):
            cache(Request("GET", "http://shop/a", headers={"Accept-Language": language}))
        assert len(api.asked) == 2

    def test_a_refusal_of_credentials_is_not_hidden(self, file: Path) -> None:
        """Who is refused when a stale answer is asked for again, is refused."""
        api = Api("no-cache", etag='"1"')
        _, get = getting(file, api, auth=BearerToken("hush"))
        get("/a")
        api.status = 403
        with pytest.raises(ApiStatusError):
            get("/a")

    def test_logins_are_asked_for_each_time(self, file: Path) -> None:
        """The answer to a login is nobody's to keep."""
        api = Api()
        api.body = b'{"access_token": "hush", "expires_in": 9}'
        for _ in range(2):
            _, get = getting(file, api, auth=TokenLogin("/login", "me", "pw"))
            get("/a")
        assert sum(asked.method == "POST" for asked in api.asked) == 2

    def test_only_the_owner_reads_the_file(self, file: Path) -> None:
        """What was answered is private."""
        HttpCache(file, Api())(Request("GET", "http://shop/a"))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert {path.name.partition("-")[0] for path in file.parent.iterdir()} == {"cache.db"}


@pytest.mark.parametrize(("method", "status", "asked"), [("PUT", 200, 2), ("DELETE", 204, 2), ("PATCH", 500, 1)])
def test_a_change_drops_what_was_kept_for_everybody(method: str, status: int, asked: int, file: Path) -> None:
    """After a success of a method that changes something, its URL is asked for again; a failure changes nothing."""
    api = Api()
    cache = HttpCache(file, api)
    question = Request("GET", "http://shop/a", headers={"X-Who": "me"})
    cache(question)
    api.status = status
    cache(Request(method, "http://shop/a", json={}))
    api.status = 200
    cache(question)
    assert sum(request.method == "GET" for request in api.asked) == asked


def test_what_cannot_be_reached_is_an_error(file: Path) -> None:
    """A stale answer is not given in place of the one that was asked for."""

    def broken(request: Request) -> Response:
        raise ApiUnreachable(request.name, "nobody there")

    question = Request("GET", "http://shop/a")
    HttpCache(file, Api("no-cache", etag='"1"'))(question)
    with pytest.raises(ApiUnreachable):
        HttpCache(file, broken)(question)


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", {}), ("GET", {"etag": '"1"'})])
def test_a_cache_that_fails_after_the_answer_asks_no_second_time(
    method: str, headers: dict[str, str], file: Path
) -> None:
    """Closed by another thread while the answer is on its way, it gives what came: a POST is never sent twice."""
    api = Api(**headers)
    HttpCache(file, api)(Request("GET", "http://shop/a"))  # what a POST would drop

    def closing(request: Request) -> Response:
        cache.close()
        return api(request)

    cache = HttpCache(file, closing)
    asked = Request(method, "http://shop/a", json={}) if method == "POST" else Request(method, "http://shop/b")
    assert cache(asked).body == api.body
    assert len(api.asked) == 2


def test_a_transport_that_fails_is_not_asked_again_by_its_cache(file: Path) -> None:
    """An error of whatever is beneath the cache is told, and not taken for the cache's own."""
    asked: list[Request] = []

    def failing(request: Request) -> Response:
        asked.append(request)
        raise RuntimeError("a user's transport")

    with pytest.raises(RuntimeError, match="a user's transport"):
        HttpCache(file, failing)(Request("POST", "http://shop/a"))
    assert len(asked) == 1


def test_room_is_bounded(file: Path) -> None:
    """However much is asked for, the file stays within its measure, about."""
    api = Api()
    api.body = b"x" * 50_000
    cache = HttpCache(file, api, max_bytes=400_000)
    for page in range(30):
        cache(Request("GET", f"http://shop/a?page={page}"))
    cache.close()
    assert file.stat().st_size < 600_000


def test_a_file_of_another_kind_is_refused(file: Path, tmp_path: Path) -> None:
    """What is no cache is told by name, and left as it is."""
    (tmp_path / "folder").mkdir()
    file.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"cache\.db.* cannot be used"):
        HttpCache(file, Api())(Request("GET", "http://shop/a"))
    assert file.read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "own.db")) as own:
        own.execute("CREATE TABLE entries (name TEXT)")
    with pytest.raises(ConfigurationError, match=r"own\.db.* cannot be used"):
        HttpCache(tmp_path / "own.db", Api())(Request("GET", "http://shop/a"))


def test_is_shared_by_threads_and_travels(file: Path) -> None:
    """Many threads use one cache, and a pickled copy opens the file for itself."""
    cache = HttpCache(file, Api())
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda n: cache(Request("GET", f"http://shop/a?page={n % 3}")).body, range(60)))
    assert bodies == [b'{"n": 1}'] * 60
    assert sum(cache.counts.values()) == 60
    assert pickle.loads(pickle.dumps(cache))(Request("GET", "http://shop/a?page=0")).body == b'{"n": 1}'


def test_names_the_extra_where_it_is_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says what to install."""
    monkeypatch.delitem(sys.modules, "hishel", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(MissingExtra, match=r"de-classes\[cache\]"):
        HttpCache(file, Api())


def test_over_the_network_and_from_a_shell(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The door asks a real server twice, and the second answer is the one that was kept."""
    with LoopbackServer(lambda _: Reply(body=b"[1]", headers={"Cache-Control": "max-age=60"})) as server:
        assert main([f"{server.url}/countries", "--file", str(file), "--times", "3"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["asked", "kept", "kept"]


def test_answers_read_in_pieces_pass_by(file: Path) -> None:
    """A stream goes past the cache, over a transport that streams and over one that does not."""
    with LoopbackServer(lambda _: Reply(body=b"[1]")) as server:
        for cache in (HttpCache(file), HttpCache(file, lambda asked: Response(asked, 200, {}, b"[1]"))):
            with ApiClient(server.url, transport=cache) as client, client.stream("GET", "/x") as answer:
                assert answer.read() == b"[1]"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", ["caching", "downloads", "recording"])
def test_every_part_says_how_it_is_run(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run as a program, each of these modules tells its arguments, with examples."""
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module(f"de_classes.api.{module}", run_name="__main__")
    assert capsys.readouterr().out.count(f"  python -m de_classes.api.{module} ") >= 2
