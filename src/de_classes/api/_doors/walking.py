"""Resources out of arguments: for the doors that walk over pages."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from de_classes.api.paging import (
    CursorInBody,
    CursorInHeader,
    GraphQLConnection,
    Keyset,
    LinkHeader,
    NextLink,
    OffsetLimit,
    PageNumber,
    SinglePage,
)
from de_classes.api.resource import Resource
from de_classes.errors import ConfigurationError

from .door import add_asking, path_of, query_of, value_of

if TYPE_CHECKING:
    import argparse

    from de_classes.api.paging import Paging

__all__ = ["add_walking", "resource_of"]

_PAGINGS: dict[str, Any] = {
    "single": SinglePage,
    "page": PageNumber,
    "offset": OffsetLimit,
    "cursor": CursorInBody,
    "cursor-header": CursorInHeader,
    "next-link": NextLink,
    "link-header": LinkHeader,
    "keyset": Keyset,
    "graphql": GraphQLConnection,
}


def add_walking(parser: argparse.ArgumentParser) -> None:
    """A URL whose pages are walked over."""
    add_asking(parser)
    parser.add_argument("--paging", choices=_PAGINGS, default="single", help="how pages follow (default %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the paging, such as per_page=100"
    )
    parser.add_argument("--body", metavar="JSON", help="ask by POST, with this body")
    parser.add_argument("--records-at", default="", metavar="PATH", help="dotted path to the list in an answer")
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="the primary key's columns")


def resource_of(asked: argparse.Namespace) -> Resource:
    """The resource that was asked for."""
    name = path_of(asked.url).strip("/").rpartition("/")[2] or "records"
    return Resource(
        name,
        _meant(path_of(asked.url)),
        asked.records_at,
        _paging(asked),
        primary_key=tuple(asked.key),
        params={
            name: _meant(value) if isinstance(value, str) else [*map(_meant, value)]
            for name, value in query_of(asked.url).items()
        },
        body=_body(asked),
    )


def _body(asked: argparse.Namespace) -> dict[str, Any] | None:
    body = None if asked.body is None else value_of(asked.body)
    if not isinstance(body, dict | None):
        raise ConfigurationError("--body", "is no object of JSON", """Give one like '{"status": "open"}'.""")
    return body


def _meant(text: str) -> str:
    """A text whose braces are meant, as a resource takes it."""
    return text.replace("{", "{{").replace("}", "}}")


def _paging(asked: argparse.Namespace) -> Paging:
    kind = _PAGINGS[asked.paging]
    pairs = [text.partition("=") for text in asked.set]
    options = {name: value_of(value) for name, _, value in pairs}
    known = [field.name for field in fields(kind)]
    strangers = sorted(set(options) - set(known))
    if strangers:
        raise ConfigurationError(
            f"--paging {asked.paging}", f"it has no option {', '.join(strangers)}", f"It has {', '.join(known)}."
        )
    try:
        made: Paging = kind(**options)
    except TypeError as error:
        raise ConfigurationError(f"--paging {asked.paging}", str(error), "Give it with --set NAME=VALUE.") from None
    return made
