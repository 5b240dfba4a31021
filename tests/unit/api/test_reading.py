from __future__ import annotations

import codecs
from typing import Any

import msgspec
import pytest

from de_classes.api import ApiClient, ApiSource, CursorInBody, Incremental, NextLink, PageNumber, Resource
from de_classes.api.messages import Request, Response
from de_classes.errors import InvalidAnswer
from de_classes.pipelines import Pipeline
from de_classes.testing.memory import MemoryDestination

TEXT = '{"items": [{"id": 1, "name": "Żółć"}], "next": null}'
LATIN = '{"items": [{"id": 1, "name": "Käse"}]}'


def _client(*bodies: bytes, kind: str = "application/json") -> ApiClient:
    waiting = iter(bodies)
    return ApiClient(
        "http://api.example", transport=lambda request: Response(request, 200, {"content-type": kind}, next(waiting))
    )


def _loaded(client: ApiClient, **options: Any) -> tuple[list[Any], list[Any]]:
    """The rows and what was set aside, of the resource `o`."""
    destination = MemoryDestination()
    Pipeline("p", ApiSource(client, [Resource("o", "/o", primary_key=("id",), **options)]), destination).run()
    return destination.table("o").to_pylist(), destination.rejected("o").to_pylist()


class TestCharsets:
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json; charset=iso-8859-2", TEXT.encode("iso-8859-2")),
            ('application/json; charset="Windows-1250"', TEXT.encode("cp1250")),
            ("application/json;charset=UTF-16", TEXT.encode("utf-16")),
            ("application/json;charset=UTF-16", TEXT.encode("utf-16-be")),
            ("application/json;charset=utf-16le", TEXT.encode("utf-16-le")),
            ("application/json;charset=utf-16le", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")),
            ("application/json", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
            ("application/json", codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le")),
            ("application/json; charset=iso-8859-2", TEXT.encode()),
            ("application/json; charset=utf-16", TEXT.encode()),
            ("application/json; charset=iso-8859-2", codecs.BOM_UTF8 + TEXT.encode()),
        ],
    )
    def test_json_is_utf8_or_what_it_says(self, kind: str, body: bytes) -> None:
        """What is UTF-8, as JSON has to be, is read as such whatever the headers say; what is not is as they say."""
        assert _client(body, kind=kind).get_json("/o") == msgspec.json.decode(TEXT)
        rows, _ = _loaded(_client(body, kind=kind))
        assert rows == [{"id": 1, "name": "Żółć"}]

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("application/json", r"not UTF-8, and its headers name no other charset"),
            ("application/json; charset=us-ascii", r"not UTF-8, and its headers name no other charset"),
            ("application/json; charset=x-mine", r"not UTF-8, and its charset 'x-mine' is not known"),
            ("application/json; charset=zip", r"its charset 'zip' is not known"),
            ("application/json; charset=utf-16", r"its charset 'utf-16' is not what it is in, either"),
        ],
    )
    def test_bytes_that_nobody_tells_the_charset_of_are_one_clear_error(self, kind: str, told: str) -> None:
        """The error says what the answer is not, and what its headers say."""
        for asks in (lambda client: client.get_json("/o"), _loaded):
            with pytest.raises(InvalidAnswer, match=told):
                asks(_client(LATIN.encode("latin-1") + b" ", kind=kind))


MISFIT = rb'{"id": 3, "at": 3, "t": "\\\ud83d", "n": {"m": ["\udc00"]}}'
PAGES = [
    rb'{"items": [{"id": 1, "at": 1, "t": "a"}], "next": "/o?page=2", "cursor": "c"}',
    rb'{"items": [{"id": 2, "at": 2, "t": "\ud83d\ude00"}, ' + MISFIT + rb', {"id": 4, "at": 4, "t": "\\ud800"}]}',
    rb'{"items": []}',
]


class TestHalvesOfCharacters:
    @pytest.mark.parametrize(
        "paging", [NextLink("next"), PageNumber(stable=True), CursorInBody(at="cursor")], ids=["link", "page", "cursor"]
    )
    @pytest.mark.parametrize("incremental", [None, Incremental(field="at")], ids=["all", "new"])
    def test_a_record_with_one_is_set_aside(self, paging: Any, incremental: Any) -> None:
        """It goes to quarantine as it came, with page, number and path; the others of its page are loaded."""
        options = {"paging": paging, "incremental": incremental, "misfits": "quarantine"}
        rows, aside = _loaded(_client(*PAGES), **options)
        assert [(row["id"], row["t"]) for row in rows] == [(1, "a"), (2, "😀"), (4, r"\ud800")]
        (one,) = aside
        assert (one["record"], one["path"], one["row"]) == (MISFIT.decode(), "t", 1)
        assert one["place"].startswith("http://api.example/o")
        assert "half a character" in one["reason"]

    def test_where_misfits_fail_it_is_named(self) -> None:
        """The error has the page, the record's number and the path."""
        told = r"(?s)o\?page=2: .*number 1, counted from 0.*half a character \(a lone surrogate\) at 't'.*quarantine"
        with pytest.raises(InvalidAnswer, match=told):
            _loaded(_client(*PAGES), paging=NextLink("next"))

    @pytest.mark.parametrize(
        ("record", "path"),
        [
            (rb'{"id": 1, "n": {"m": [1, {"k": "\udfff"}]}}', "n.m.k"),
            (rb'{"id": 1, "n": {"\ud800": 1}}', "n"),
            (rb'{"id": 1, "\uD800": 1}', None),
        ],
    )
    def test_its_path_is_told(self, record: bytes, path: str | None) -> None:
        """Of a name the path is that of the object which has it."""
        _, (aside,) = _loaded(_client(b'{"items": [{"id": 0}, ' + record + b"]}"), misfits="quarantine")
        assert aside["path"] == path

    def test_outside_of_records_it_fails_the_page(self) -> None:
        """What says where the next page is must be whole; nothing is put in its place."""
        for asks in (lambda client: client.get_json("/o"), lambda client: _loaded(client, misfits="quarantine")):
            with pytest.raises(InvalidAnswer, match="outside of any record"):
                asks(_client(rb'{"items": [{"id": 1, "t": "\ud800"}], "cursor": "\ud800"}'))


def test_a_request_is_named_without_its_secrets() -> None:
    """The error about a charset is told as every other is."""
    response = Response(Request("GET", "http://a/x"), 200, {"content-type": "text/plain; charset=latin-99"}, b"\xff")
    with pytest.raises(InvalidAnswer, match="GET http://a/x: status 200 with a body that is not UTF-8"):
        response.json()
