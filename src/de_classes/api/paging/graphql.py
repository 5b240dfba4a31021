"""GraphQL connections (the Relay specification of cursors)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from de_classes.errors import InvalidAnswer

from ._states import MAX_PAGES, check_kinds, check_positive, own_state
from .cursor import following_cursor
from .dotted import dig
from .protocol import Ask

if TYPE_CHECKING:
    from de_classes.contracts import JsonValue

    from .protocol import Page, PageState

__all__ = ["GraphQLConnection"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLConnection:
    """A query whose answer has a connection at `connection` (a dotted path): its records and a `pageInfo`.

    ::

        GraphQLConnection(
            query="query($first: Int, $after: String) {"
                  " orders(first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }",
            connection="data.orders",
            page_size=100,
        )

    goes with `records_at="data.orders.nodes"`. Query and variables are sent in the JSON body of a POST. The walk ends
    where `has_next_at` (in the connection) is false; true without a cursor at `end_cursor_at` is an error. An empty
    page that has a next goes on. For cursors that are errors, and for `max_pages`, see CursorInBody. An answer with
    `errors` is never taken, not even with data beside them.

    To walk backwards, give `page_size_variable="last"`, `cursor_variable="before"` and the paths of `hasPreviousPage`
    and `startCursor`.
    """

    query: str
    connection: str
    page_size: int | None = None
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    page_size_variable: str = "first"
    cursor_variable: str = "after"
    has_next_at: str = "pageInfo.hasNextPage"
    end_cursor_at: str = "pageInfo.endCursor"
    max_pages: int = MAX_PAGES

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive("GraphQLConnection", page_size=self.page_size, max_pages=self.max_pages)

    def start(self) -> PageState:
        """No cursor yet."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """The query with its variables."""
        own = {
            self.page_size_variable: self.page_size,
            self.cursor_variable: own_state(state, "cursor").get("cursor"),
        }
        variables = {**self.variables, **{name: value for name, value in own.items() if value is not None}}
        return Ask(body={"query": self.query, **{f"variables.{name}": value for name, value in variables.items()}})

    def check(self, page: Page) -> None:
        """Refuse an answer with `errors`.

        Raises:
            InvalidAnswer: it has some; the first one's message and path are told.

        """
        errors = page.answer.get("errors") if isinstance(page.answer, Mapping) else None
        if errors:
            more = f" (and {len(errors) - 1} more)" if isinstance(errors, list) and len(errors) > 1 else ""
            raise InvalidAnswer(
                page.url,
                f"the query failed: {_told(page, errors[0] if isinstance(errors, list) else errors)}{more}",
                "Correct the query or its variables, or see what the API allows.",
            )

    def after(self, state: PageState, page: Page) -> PageState | None:
        """The next cursor, unless this is the last page.

        Raises:
            InvalidAnswer: the answer has errors or does not say whether there are more, the cursor is missing or came
                before, or the walk goes beyond its cap.

        """
        self.check(page)
        has_next_at, end_cursor_at = f"{self.connection}.{self.has_next_at}", f"{self.connection}.{self.end_cursor_at}"
        more = dig(page.answer, has_next_at)
        if not isinstance(more, bool):
            raise InvalidAnswer(
                page.url,
                f"there is neither true nor false at {has_next_at!r}",
                "Does the query ask for it? Otherwise correct connection=... or has_next_at=...",
            )
        if not more:
            return None
        cursor = dig(page.answer, end_cursor_at)
        if not isinstance(cursor, str) or not cursor:
            raise InvalidAnswer(
                page.url,
                f"there are more pages, and no cursor at {end_cursor_at!r}",
                "Does the query ask for it? Otherwise correct connection=... or end_cursor_at=...",
            )
        return following_cursor(state, page, cursor, self.variables.get(self.cursor_variable), self.max_pages)


def _told(page: Page, error: Any) -> str:
    """An error of the answer on one line, without secrets."""
    message, path = (error.get("message"), error.get("path")) if isinstance(error, Mapping) else (error, None)
    text = f"{message} (at {'.'.join(map(str, path))})" if isinstance(path, list) and path else str(message)
    for secret in page.secrets:
        text = text.replace(secret.reveal() or "\0", "***")
    return _CONTROL.sub(" ", text)[:300]
