"""The page that comes next is asked for while this one is converted."""

from __future__ import annotations

import threading

import msgspec
import pytest

from de_classes.api import ApiClient, ApiSource, NextLink, Resource
from de_classes.api.messages import Request, Response
from de_classes.contracts import Split
from de_classes.errors import ApiUnreachable
from de_classes.utils.retry import RetryPolicy

PATIENCE = 20.0


class Slow:
    """Pages by link; the second is answered when it is let go."""

    def __init__(self, pages: int = 3) -> None:
        self.pages = pages
        self.asked: list[int] = []
        self.second_asked = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, request: Request) -> Response:
        page = int(request.full_url().partition("page=")[2] or 1)
        self.asked.append(page)
        if page == 2:
            self.second_asked.set()
            self.let_go.wait(PATIENCE)
        if page > self.pages:
            raise ApiUnreachable("the API", "is gone")
        link = f"?page={page + 1}"
        return Response(request, 200, {}, msgspec.json.encode({"items": [{"id": page}], "next": link}))


def _split(api: Slow) -> Split:
    client = ApiClient("http://api.example/v1", transport=api, retry=RetryPolicy(attempts=1))
    source = ApiSource(client, [Resource("orders", "/orders", paging=NextLink())])
    with source.plan(source.streams()[0], None) as plan:
        return plan.splits[0]


def test_the_next_page_is_asked_before_this_one_is_given() -> None:
    """Whoever has the first page need not wait for the second to be asked for; a page is asked for once."""
    api = Slow()
    batches = _split(api).read()
    assert next(batches).records.to_pylist() == [{"id": 1}]
    assert api.second_asked.wait(PATIENCE)
    api.let_go.set()
    assert next(batches).records.to_pylist() == [{"id": 2}]
    batches.close()
    assert api.asked[:2] == [1, 2]
    assert len(api.asked) == len(set(api.asked))


def test_leaving_does_not_wait_for_what_was_asked_ahead() -> None:
    """A walk that is left in the middle ends at once, though the API has not answered."""
    api = Slow()
    batches = _split(api).read()
    next(batches)
    assert api.second_asked.wait(PATIENCE)
    batches.close()
    assert not api.let_go.is_set()
    api.let_go.set()


def test_what_fails_ahead_fails_in_its_turn() -> None:
    """Pages that came before the one that failed are given first."""
    api = Slow(pages=1)
    api.let_go.set()
    batches = _split(api).read()
    assert next(batches).records.to_pylist() == [{"id": 1}]
    with pytest.raises(ApiUnreachable):
        next(batches)
