"""Asking for the pages of a walk, some of them ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from de_classes.api.paging import ChecksAnswers, KnowsAhead, Page, is_jsonpath, listed, placed
from de_classes.configs.secrets import Secret
from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.pages import taken_apart

from .ahead import Ahead
from .templates import filled_in, path_of
from .unfollowed import warn_if_unfollowed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from de_classes.api.messages import Api, Param, Response
    from de_classes.api.paging import Ask, PageState
    from de_classes.api.resource import Resource
    from de_classes.api.watermark import Watermark

    from .templates import Value

__all__ = ["Asking", "Question", "asking_since"]

_SEEN_LEVELS = 3
"""How deep in an answer that has no list where it should have one a list is looked for, to be named."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a resource, besides the page: its path and parameters, filled, and what says from when on."""

    path: str
    params: Mapping[str, Param]
    since: Mapping[str, str | int]

    @classmethod
    def of(cls, resource: Resource, values: Mapping[str, Value], since: Mapping[str, str | int]) -> Question:
        """The question with these values in its templates, besides the resource's own.

        Raises:
            ValueError: a value cannot be filled in.

        """
        filled = {**resource.path_params, **values}
        return cls(path_of(resource.path, filled), filled_in(resource.params, filled), since)


def asking_since(client: Api, resource: Resource, watermark: Watermark) -> Asking:
    """Asks for what is newer than a watermark."""
    since = {} if resource.incremental is None else resource.incremental.asked(watermark)
    return Asking(client, resource, Question.of(resource, {}, since))


@dataclass
class Asking:
    """Gets the pages of a resource. Where the paging knows them ahead, `at_once` of them are asked for at a time."""

    client: Api
    resource: Resource
    question: Question
    early: deque[tuple[Ask, Future[Response]]] = field(default_factory=deque)
    workers: Ahead | None = None

    @contextmanager
    def opened(self) -> Iterator[Asking]:
        """With workers, where there is use for them; leaving calls off what has not begun."""
        if self.resource.at_once < 2 or not isinstance(self.resource.paging, KnowsAhead):  # noqa: PLR2004 -- one is not ahead
            yield self
            return
        with Ahead(self.resource.at_once, "pages") as workers:
            self.workers = workers
            yield self

    def page(self, state: PageState) -> Page:
        """The page of a state: the answer that is there already if it is one to the same question."""
        ask = self.resource.paging.ask(state)
        if self.early and self.early[0][0] == ask:
            response = self.early.popleft()[1].result()
        else:
            self._throw_away()
            response = self._answer(ask)
        page = self._read(response)
        self._go_ahead(state, page)
        return page

    def following(self, state: PageState, page: Page) -> PageState | None:
        """The state of what comes after a page; None after the last one.

        Warns:
            PagesUnfollowed: the first page is the last one, though it tells of more.

        """
        paging = self.resource.paging
        following = paging.after(state, page)
        if following is None and state == paging.start():
            warn_if_unfollowed(self.resource, page)
        return following

    def _go_ahead(self, state: PageState, page: Page) -> None:
        """Ask for the pages that come after this one, as far as it tells."""
        paging = self.resource.paging
        if self.workers is None or not isinstance(paging, KnowsAhead):
            return
        asks = [paging.ask(coming) for coming in paging.ahead(state, page, self.resource.at_once)]
        if any(asked != ask for (asked, _), ask in zip(self.early, asks, strict=False)):
            self._throw_away()
        for ask in asks[len(self.early) :]:
            self.early.append((ask, self.workers.submit(self._answer, ask)))

    def _throw_away(self) -> None:
        while self.early:
            self.early.popleft()[1].cancel()

    def _answer(self, ask: Ask) -> Response:
        question, template = self.question, self.resource.body
        if ask.link is not None:
            # A link is kept without what is secret in it.
            secret = {name: value for name, value in question.params.items() if isinstance(value, Secret)}
            return self.client.request("GET", urljoin(self.client.base_url, ask.link), params=secret)
        params = {**question.params, **ask.params}
        if ask.body is None and template is None:
            return self.client.request("GET", question.path, params={**params, **question.since})
        body = placed(template or {}, {**(ask.body or {}), **question.since})
        return self.client.request("POST", question.path, params=params, json=body, repeatable=True)

    def _read(self, response: Response) -> Page:
        where = self.resource.records_at
        parts = None if is_jsonpath(where) else taken_apart(response.utf8, where, response.url)
        self._check(response, parts[0] if parts is not None else None)
        answer, records = parts or _decoded(response, where)
        asked = response.request
        return Page(response.url, answer, records, tuple(asked.secrets()), response.headers, asked.full_url())

    def _check(self, response: Response, answer: Any) -> None:
        """Let the paging look at the answer before anybody looks for records in it."""
        if isinstance(self.resource.paging, ChecksAnswers):
            answer = answer if answer is not None else response.json(exact=True)
            self.resource.paging.check(Page(response.url, answer, (), headers=response.headers))


def _decoded(response: Response, where: str) -> tuple[Any, list[Any]]:
    """The answer as objects, and the list in it; tells why an answer could not be taken apart."""
    answer = response.json(exact=True)
    records = listed(answer, where) if where else answer
    if not isinstance(records, list):
        raise InvalidAnswer(
            response.request.name,
            f"there is no list at {where!r}" if where else "the answer is no list",
            f"The answer {_keys(answer)}. Say where the list stands: {_list_in(answer)}",
            url=response.url,
            status=response.status,
        )
    return answer, records


def _list_in(answer: Any) -> str:
    """What to say of an answer in which one list of records can be seen; dots where there is none, or several."""
    lists = list(_lists_in(answer))
    return f"records_at={lists[0]!r}." if len(lists) == 1 else "records_at=..."


def _lists_in(answer: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Where lists stand that could be records, as selectors; those of errors are none."""
    if isinstance(answer, list):
        yield path
    elif isinstance(answer, Mapping) and depth < _SEEN_LEVELS:
        for key, value in answer.items():
            if key not in {"errors", "warnings"}:
                yield from _lists_in(value, f"{path}.{key}" if path else key, depth + 1)


def _keys(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return f"is an object with {', '.join(repr(key) for key in answer) or 'nothing in it'}"
    return "is a list" if isinstance(answer, list) else "is neither an object nor a list"
