from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from de_classes.api import (
    ApiClient,
    ApiSource,
    CursorInBody,
    NextLink,
    OffsetLimit,
    PageNumber,
    Resource,
    TokenLogin,
)
from de_classes.api.paging.dotted import _compiled, dig, listed
from de_classes.errors import ConfigurationError, InvalidAnswer, MissingExtra
from de_classes.formats.json_columns.pages import taken_apart
from de_classes.testing.http import ScriptedServer, json_reply

ANSWER = {
    "meta": {"next": "c2", "a.b": 1},
    "links": [{"rel": "self", "href": "/1"}, {"rel": "next", "href": "/2"}],
    "groups": [{"items": [{"id": 1}]}, {"items": [{"id": 2}, {"id": 3}]}],
    "price": Decimal("1.10"),
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.meta.next", "c2"),
        ("$.meta['a.b']", 1),
        ("$.meta.nothing", None),
        ("$.links[?@.rel == 'next'].href", "/2"),
        ("$.links[?@.rel == 'last'].href", None),
        ("$.price", Decimal("1.10")),
        ("meta.next", "c2"),
    ],
)
def test_digs_by_dotted_paths_and_by_jsonpath(path: str, found: Any) -> None:
    """A selector gives the value that stands there, digit for digit, and None where nothing does."""
    assert dig(ANSWER, path) == found


def test_several_places_are_no_answer_where_one_is_wanted() -> None:
    """JSONPath that leads to more than one value is refused, not settled by taking the first."""
    with pytest.raises(InvalidAnswer, match="2 places"):
        dig(ANSWER, "$.links[*].href")


def test_lists_what_stands_in_many_places() -> None:
    """Records may stand in one list, or be gathered from many."""
    assert listed(ANSWER, "$.groups[*].items[*]") == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert listed(ANSWER, "$.groups[1].items") == [{"id": 2}, {"id": 3}]
    assert listed(ANSWER, "$.meta.next") == "c2"  # for the caller to refuse


def test_reads_the_records_of_a_page_that_was_taken_apart() -> None:
    """A cursor may be told by the last record, also where records are still text."""
    parts = taken_apart(b'{"items": [{"id": 1}, {"id": 2}]}', "items")
    assert parts is not None
    assert dig(parts[0], "$.items[-1].id") == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda path: CursorInBody(param="cursor", at=path),
        lambda path: CursorInBody(param="cursor", at="next", has_more_at=path),
        lambda path: NextLink(at=path),
        lambda path: PageNumber(total_pages_at=path),
        lambda path: PageNumber(pin={"as_of": path}),
        lambda path: OffsetLimit(limit=10, total_at=path),
        lambda path: Resource("orders", "/orders", records_at=path),
        lambda path: TokenLogin("/login", "me", "pw", token_at=path),
    ],
    ids=["cursor", "more", "link", "pages", "pin", "total", "records", "login"],
)
def test_what_is_no_jsonpath_is_refused_at_once(make: Any) -> None:
    """A selector that begins with $ and is no JSONPath fails where it is written, with what is wrong about it."""
    with pytest.raises(ConfigurationError, match="is no JSONPath"):
        make("$.items[")


def test_names_the_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, JSONPath names the extra; dotted paths go on."""
    monkeypatch.setitem(sys.modules, "jsonpath", None)
    _compiled.cache_clear()
    assert dig(ANSWER, "meta.next") == "c2"
    with pytest.raises(MissingExtra, match=r"de-classes\[jsonpath\]"):
        NextLink(at="$.next")


def test_a_source_reads_pages_by_jsonpath() -> None:
    """Records gathered from many lists, and a link found by its kind, make a table."""
    first = {"groups": ANSWER["groups"], "links": [{"rel": "next", "href": "/orders?page=2"}]}
    last = {"groups": [{"items": [{"id": 4}]}], "links": []}
    paging = NextLink(at="$.links[?@.rel == 'next'].href")
    schema = pa.schema([("id", pa.int64())])
    resource = Resource("orders", "/orders", records_at="$.groups[*].items[*]", paging=paging, schema=schema)
    with ScriptedServer([json_reply(first), json_reply(last)]) as server, ApiClient(server.url) as client:
        source = ApiSource(client, [resource])
        with source.plan(source.streams()[0], None) as plan:
            ids = [n for split in plan.splits for batch in split.read() for n in batch.records["id"].to_pylist()]
    assert ids == [1, 2, 3, 4]
