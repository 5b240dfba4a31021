from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from de_classes.api._doors import auth, client, incremental, limits, paging, records, source, transport, watermark
from de_classes.testing.http import Reply, ScriptedServer, json_reply

Capture = pytest.CaptureFixture[str]
LAST_PAGE = {"items": [{"id": 3, "total": 1.5}], "pages": 2}
PAGES = [json_reply({"items": [{"id": 1, "total": 0.5}, {"id": 2, "total": None}], "pages": 2}), json_reply(LAST_PAGE)]
WALK = ["--paging", "page", "--set", "total_pages_at=pages", "--records-at", "items", "--key", "id"]


def test_a_door_is_a_program() -> None:
    """From a shell, a door prints what was asked for and ends with 0; for the user's mistakes it ends with 2."""
    values = ["2024-01-01T00:00:00Z", "2024-01-01T00:30:00+01:00"]
    done = subprocess.run(
        [sys.executable, "-m", "de_classes.api.watermark", *values], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{values[0]}\n", "")
    assert watermark.main(["7", "x"]) == 2


class TestClient:
    def test_prints_the_answer(self, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        """The body is printed as it came, with retries told aside, and credentials come from the environment."""
        monkeypatch.setenv("SHOP_TOKEN", "hush")
        with ScriptedServer([Reply(503, headers={"Retry-After": "0"}), Reply(body=b'{"a": 1.10}')]) as server:
            url = f"{server.url}/orders?page=2"
            asked = ["--auth", "bearer", "--secret-env", "SHOP_TOKEN", "--header", "X-Way: north"]
            assert client.main([url, *asked]) == 0
        told = capsys.readouterr()
        assert told.out == '{"a": 1.10}'
        assert "status 503" in told.err
        assert "hush" not in told.err
        headers = server.asked[1].headers
        assert (headers["authorization"], headers["x-way"], server.asked[1].query) == (
            "Bearer hush",
            "north",
            {"page": "2"},
        )

    @pytest.mark.parametrize(
        ("url", "shown"), [("host:80/orders", "host:80/orders"), ("me:hush@host/orders?key=hush", "host/orders")]
    )
    def test_a_url_without_its_scheme_is_shown_as_it_was_given(self, url: str, shown: str, capsys: Capture) -> None:
        """What was left out of a URL is told beside what was given of it, secrets apart."""
        assert client.main([url]) == 2
        assert f"url '{shown}': has no scheme or no host" in capsys.readouterr().err

    def test_a_failure_is_told_without_a_traceback(self, capsys: Capture) -> None:
        """What went wrong is one message and an exit code, and with --debug the error itself."""
        with ScriptedServer([Reply(404)] * 2) as server:
            assert client.main([server.url]) == 1
            with pytest.raises(Exception, match="404"):
                client.main([server.url, "--debug"])
        told = capsys.readouterr()
        assert "Check the base URL and the path" in told.err
        assert "Traceback" not in told.err

    @pytest.mark.parametrize("wrong", [["--header", "nonsense"], ["--auth", "oauth2"], ["--attempts", "0"]])
    def test_what_the_user_got_wrong(self, wrong: list[str], capsys: Capture) -> None:
        """Mistakes in the arguments end with 2, before anything is sent."""
        assert client.main(["http://127.0.0.1:1/", *wrong]) == 2
        assert capsys.readouterr().err


def test_transport_tells_what_came_back(capsys: Capture) -> None:
    """One request is sent and its status, size and headers told, whatever the status."""
    with ScriptedServer([Reply(500, b"oh", {"X-Way": "north"})]) as server:
        assert transport.main([server.url]) == 0
    told = capsys.readouterr().out
    assert told.startswith("status 500, 2 bytes, ")
    assert "x-way: north" in told


class TestAuth:
    def test_shows_headers_without_secrets(self, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        """What would be sent is shown, and the secret masked, wherever it stands."""
        monkeypatch.setenv("KEY", "hush")
        shop = ["http://shop.example/orders", "--secret-env", "KEY"]
        assert auth.main([*shop, "--auth", "bearer"]) == 0
        assert auth.main([*shop, "--auth", "key", "--key-place", "query", "--key-name", "key"]) == 0
        told = capsys.readouterr().out
        assert told == (
            "GET http://shop.example/orders\n  Authorization: Bearer ***\nGET http://shop.example/orders?key=***\n"
        )

    def test_a_token_is_obtained_where_that_was_asked_for(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without --send the token is not asked for; with it, the token and then the request go out."""
        monkeypatch.setenv("KEY", "hush")
        asked = ["--auth", "oauth2", "--user", "me", "--secret-env", "KEY"]
        with ScriptedServer([json_reply({"access_token": "t0ken", "expires_in": 60}), json_reply([])]) as server:
            asked += ["--token-url", f"{server.url}/token", f"{server.url}/orders"]
            assert auth.main(asked) == 0
            assert server.asked == []
            assert auth.main([*asked, "--send"]) == 0
        told = capsys.readouterr().out
        assert [request.path for request in server.asked] == ["/token", "/orders"]
        assert "not sent" in told
        assert "t0ken" not in told
        assert "hush" not in told


class TestPaging:
    def test_walks_over_pages(self, capsys: Capture) -> None:
        """Each page is a line, with what it has and where it was found."""
        with ScriptedServer(PAGES) as server:
            url = f"{server.url}/orders"
            assert paging.main([url, *WALK]) == 0
        told = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert told[0] == ["1", "2", "records", f"{url}?page=1"]
        assert " ".join(told[2]) == "3 records on 2 pages"

    def test_stops_where_it_was_told_to(self, capsys: Capture) -> None:
        """A walk that is cut short says that there is more."""
        with ScriptedServer(PAGES) as server:
            assert paging.main([f"{server.url}/orders", *WALK, "--pages", "1"]) == 0
        assert capsys.readouterr().out.endswith("2 records on 1 pages; there are more pages\n")

    def test_braces_are_meant(self) -> None:
        """A URL is asked as it is given, whatever stands in it."""
        with ScriptedServer([json_reply([])]) as server:
            assert paging.main([f"{server.url}/a{{b}}?c={{d}}"]) == 0
        assert (server.asked[0].path.replace("%7B", "{").replace("%7D", "}"), server.asked[0].query) == (
            "/a{b}",
            {"c": "{d}"},
        )

    def test_graphql(self, capsys: Capture) -> None:
        """A query is walked by its connection, with its variables."""

        def page(number: int, *, more: bool) -> Reply:
            told = {"hasNextPage": more, "endCursor": f"c{number}"}
            return json_reply({"data": {"orders": {"nodes": [{"id": number}], "pageInfo": told}}})

        query = "query($after: String) { orders(after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
        asked = ["--paging", "graphql", "--set", f"query={query}", "--set", "connection=data.orders"]
        asked += ["--set", 'variables={"status": "open"}', "--records-at", "data.orders.nodes"]
        with ScriptedServer([page(1, more=True), page(2, more=False)]) as server:
            assert paging.main([server.url, *asked]) == 0
        assert [request.json() for request in server.asked] == [
            {"query": query, "variables": {"status": "open"}},
            {"query": query, "variables": {"status": "open", "after": "c1"}},
        ]
        assert capsys.readouterr().out.endswith("2 records on 2 pages\n")

    def test_a_body_is_posted(self, capsys: Capture) -> None:
        """With a body the pages are asked for by POST; one that is no object is refused."""
        with ScriptedServer([json_reply({"items": [{"id": 1}], "next": None})]) as server:
            walk = ["--paging", "cursor", "--set", "at=next", "--set", "in_body=true", "--records-at", "items"]
            assert paging.main([server.url, *walk, "--body", '{"status": "open"}']) == 0
        assert (server.asked[0].method, server.asked[0].json()) == ("POST", {"status": "open"})
        assert paging.main(["http://x.example", *walk, "--body", "[1]"]) == 2
        assert "--body: is no object of JSON" in capsys.readouterr().err

    def test_options_that_a_paging_lacks(self, capsys: Capture) -> None:
        """An option that is none, or that is missing, is told with those there are."""
        assert paging.main(["http://x.example", "--paging", "page", "--set", "size=3"]) == 2
        assert "it has no option size" in capsys.readouterr().err
        assert paging.main(["http://x.example", "--paging", "offset"]) == 2
        assert "limit" in capsys.readouterr().err


class TestSource:
    def test_lines_of_json(self, capsys: Capture) -> None:
        """Records are printed one a line; the position that was reached is told aside."""
        with ScriptedServer(PAGES) as server:
            assert source.main([f"{server.url}/orders", *WALK]) == 0
        told = capsys.readouterr()
        assert [json.loads(line)["total"] for line in told.out.splitlines()] == [0.5, None, 1.5]
        assert "3 records\nposition: " in told.err

    def test_a_walk_is_taken_up(self, capsys: Capture) -> None:
        """A position that was told is where another walk goes on."""
        with ScriptedServer([json_reply(LAST_PAGE)]) as server:
            assert source.main([f"{server.url}/orders", *WALK, "--since", '{"page": {"number": 2}}']) == 0
        assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == [3]
        assert server.asked[0].query["page"] == "2"
        assert source.main(["http://127.0.0.1:1/", "--since", "{"]) == 2

    def test_files(self, tmp_path: Path) -> None:
        """The same records as Parquet and as CSV."""
        for kind in ("parquet", "csv"):
            with ScriptedServer(PAGES) as server:
                to = str(tmp_path / f"orders.{kind}")
                assert source.main([f"{server.url}/orders", *WALK, "--format", kind, "--to", to]) == 0
        assert pq.read_table(tmp_path / "orders.parquet").to_pydict() == {"id": [1, 2, 3], "total": [0.5, None, 1.5]}
        assert (tmp_path / "orders.csv").read_text() == '"id","total"\n1,0.5\n2,\n3,1.5\n'

    def test_what_a_file_cannot_hold(self, tmp_path: Path, capsys: Capture) -> None:
        """Nested columns are refused for CSV, a place that cannot be written to is told; no position is told then."""
        for asked in (["--format", "csv"], ["--to", str(tmp_path / "no" / "such")]):
            with ScriptedServer([json_reply([{"a": {"b": 1}}])]) as server:
                assert source.main([server.url, *asked]) in {1, 2}
        assert "nested columns a" in (told := capsys.readouterr().err)
        assert "cannot be written" in told
        assert "position" not in told


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\n\r\n", "pause_seconds 30\nwait 30 s\n"),
        (
            "HTTP/2 200\nX-RateLimit-Limit: 100\nX-RateLimit-Remaining: 5\n",
            "limit 100, remaining 5\nno wait is asked for\n",
        ),
        ("HTTP/2 200\nServer: x\n", "it says nothing of limits\n"),
    ],
)
def test_limits_of_a_head(head: str, told: str, tmp_path: Path, capsys: Capture) -> None:
    """What `curl -sI` printed is read for limits and waits."""
    (tmp_path / "head.txt").write_text(head, newline="")
    assert limits.main([str(tmp_path / "head.txt")]) == 0
    assert capsys.readouterr().out == told


class TestRecords:
    @pytest.mark.parametrize(
        ("text", "more"),
        [('{"items": [{"a": 1, "b": {"c": "x"}}]}', ["--records-at", "items"]), ('{"a": 1}\n{"b": {"c": "x"}}\n', [])],
    )
    def test_infers_columns(self, text: str, more: list[str], tmp_path: Path, capsys: Capture) -> None:
        """A file of JSON, or of JSON lines, has these columns."""
        file = tmp_path / "page.json"
        file.write_text(text)
        assert records.main([str(file), *more]) == 0
        assert capsys.readouterr().out == "a  int64\nb  struct<c: string>\n"
        assert records.main([str(file), "--json", *more]) == 0
        assert [*json.loads(capsys.readouterr().out)] == ["a", "b"]

    @pytest.mark.parametrize("text", ["{", "7", '{"a": 1e999999999999999999999}'])
    def test_what_is_no_records(self, text: str, tmp_path: Path, capsys: Capture) -> None:
        """What is no JSON, or no list, is told."""
        file: Any = tmp_path / "page.json"
        file.write_text(text)
        assert records.main([str(file)]) == 1
        assert records.main([str(tmp_path / "none.json")]) == 2
        assert "page.json" in capsys.readouterr().err


class TestIncremental:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--since", "2026-03-01T12:00:00Z", "--format", "unix", "--overlap-seconds", "3600"], "1772362800"),
            (["--since", "7"], "updated_since=7"),
            (["--param", "from", "--start", "a b"], "from=a+b"),
            ([], "(no parameters: everything is asked for)"),
        ],
    )
    def test_tells_what_is_asked(self, arguments: list[str], told: str, capsys: Capture) -> None:
        """The parameters are printed as they are sent."""
        assert incremental.main(arguments) == 0
        assert capsys.readouterr().out.strip().endswith(told)

    def test_tells_the_windows(self, capsys: Capture) -> None:
        """A line for each window, from its beginning on."""
        bounds = ["--start", "2026-01-01", "--end", "2026-01-04", "--param", "from", "--end-param", "to"]
        assert incremental.main([*bounds, "--window-seconds", "86400"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition("T")[0] for line in lines] == ["2026-01-01", "2026-01-02", "2026-01-03"]

    @pytest.mark.parametrize("arguments", [["--format", "%"], ["--end", "3"], ["--window-seconds", "0"]])
    def test_refuses_what_cannot_be(self, arguments: list[str]) -> None:
        """Options that contradict each other are the user's mistake."""
        assert incremental.main(arguments) == 2
