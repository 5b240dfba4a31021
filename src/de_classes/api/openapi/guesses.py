"""What a document does not say, guessed from names and shapes: pages, keys, what is new. Each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .code import Item, atom, call, literal
from .lists import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .code import Code
    from .lists import Listing

__all__ = ["Guess", "incremental_of", "key_columns", "paging_of", "size_of"]

_TEXTS = {"string"}
_NUMBERS = {"integer", "number"}
_PARENTS = ("", "meta.", "paging.", "pagination.", "page.", "links.", "pageinfo.", "metadata.", "responsemetadata.")
_CURSOR_PARAMS = ("cursor", "pagetoken", "nextpagetoken", "nexttoken", "continuationtoken", "continuation", "marker")
_AFTER_PARAMS = ("after", "startafter", "startingafter", "startcursor")
_CURSORS = ("nextcursor", "nextpagetoken", "nexttoken", "endcursor", "continuationtoken", "nextmarker", "cursor")
_NEXT_CURSORS = (*_CURSORS, "next", "after", "cursors.after", "cursor.next")
_NEXT_LINKS = ("next", "nexturl", "nextlink", "nexthref", "nextpageurl", "next.href", "links.next", "links.next.href")
_CURSOR_HEADERS = ("x-next-cursor", "next-cursor", "x-cursor-next", "x-continuation-token", "x-next-page-token")
_PAGES = ("page", "pagenumber", "pageno", "pagenum", "pageindex", "p")
_OFFSETS = ("offset", "skip", "startindex", "start")
_SIZES = ("perpage", "pagesize", "limit", "size", "take", "count", "maxresults", "pagelimit", "top", "first", "max")
_TOTAL_PAGES = ("totalpages", "pages", "pagecount", "lastpage", "numpages", "pagestotal")
_TOTALS = ("total", "totalcount", "totalresults", "totalitems", "totalrecords", "totalelements")
_MORE = ("hasmore", "hasnextpage", "hasnext", "more")
_SINCE = (
    ("updated", ("updatedsince", "updatedafter", "updatedatmin", "updatedatgte", "updatedfrom", "since")),
    ("modified", ("modifiedsince", "modifiedafter", "ifmodifiedsince", "lastmodifiedsince", "modifiedfrom")),
    ("changed", ("changedsince", "changedafter")),
    ("created", ("createdsince", "createdafter", "createdatmin", "createdfrom", "createdatgte")),
)
_MOST_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Guess:
    """A piece of source, and why it is what it is."""

    code: Code
    why: str
    params: tuple[str, int] | None = None
    """A parameter that the resource sends with it: how many records a page has."""


def paging_of(listing: Listing, key: tuple[str, ...]) -> Guess | None:
    """How the pages of a list follow; None where nothing tells of pages."""
    for kind in (_cursor, _next_link, _header, _page_number, _offset):
        guess = kind(listing)
        if guess is not None:
            return guess
    return _keyset(listing, key)


def key_columns(listing: Listing, name: str) -> tuple[tuple[str, ...], str]:
    """The columns that identify a record, and why; none and "" where none are likely."""
    singular = key_of(name).removesuffix("s")
    for candidate in ("id", f"{singular}id", "uuid", "guid", "uid", f"{singular}uuid", f"{singular}number"):
        found = listing.field(candidate)
        if found is not None and found[1].kind in {"string", "integer"} and not found[1].nullable:
            return (found[0],), f"{found[0]!r} by its name{_unsure(listing, found[0])}"
    return (), ""


def incremental_of(listing: Listing, *, keyed: bool) -> Guess | None:
    """How the API is asked for what is new: a parameter, and the field that it goes by."""
    queries = listing.queries
    for verb, params in _SINCE:
        param = next((queries[name] for name in params if name in queries), None)
        field = _moment(listing, verb) if param is not None else None
        if param is None or field is None:
            continue
        items = [_text("param", param), _text("field", field)]
        shape = listing.types.shape(listing.schema_of(param))
        if shape is not None and shape.kind == "integer":
            items.append(_text("format", "unix"))
        if shape is not None and shape.format == "date":
            items.append(_text("format", "iso_date"))
        why = f"the parameter {param!r} and the field {field!r}{_unsure(listing, field)}"
        if keyed:
            items.append(Item(atom("True"), "inclusive="))
            why += "; inclusive is the safe choice, for mode merge"
        return Guess(call("Incremental", items), why)
    return None


def _unsure(listing: Listing, field: str) -> str:
    return "" if field in listing.record.required else ", which the document does not say to be always there"


def _moment(listing: Listing, verb: str) -> str | None:
    wanted = (f"{verb}at", verb, f"{verb}on", f"{verb}date", f"last{verb}", f"last{verb}at", f"{verb}time")
    for name in wanted:
        found = listing.field(name)
        if found is not None and found[1].format in {"date-time", "date"}:
            return found[0]
    return None


def _cursor(listing: Listing) -> Guess | None:
    queries = listing.queries
    param = _first(queries, *_CURSOR_PARAMS, *_AFTER_PARAMS)
    if param is None:
        return None
    header = next((name for name in _CURSOR_HEADERS if name in listing.answer.headers), None)
    at = _at(listing, _TEXTS | _NUMBERS, _NEXT_CURSORS)
    if at is None and header is None:
        return None
    size = size_of(listing)
    sizes = [] if size is None else [_number("limit", size[1]), _text("limit_param", size[0])]
    if at is None:
        items = [_text("header", str(header)), _text("param", param), *sizes]
        return Guess(call("CursorInHeader", items), f"the parameter {param!r} and the header {header!r}")
    more = _at(listing, {"boolean"}, _MORE)
    mores = [] if more is None else [_text("has_more_at", more)]
    items = [_text("at", at), _text("param", param), *mores, *sizes]
    return Guess(call("CursorInBody", items), f"the parameter {param!r}, and {at!r} in the answer")


def _next_link(listing: Listing) -> Guess | None:
    at = _at(listing, _TEXTS, _NEXT_LINKS)
    if at is None:
        return None
    why = f"{at!r} in the answer is taken for the link to the next page"
    return Guess(call("NextLink", [_text("at", at)]), why, size_of(listing))


def _header(listing: Listing) -> Guess | None:
    if "link" not in listing.answer.headers:
        return None
    return Guess(call("LinkHeader", []), "answers have a header Link", size_of(listing))


def _page_number(listing: Listing) -> Guess | None:
    param = _first(listing.queries, *_PAGES)
    if param is None:
        return None
    schema = listing.schema_of(param)
    starts = [schema.get("default"), schema.get("minimum")]
    first = 0 if any(start == 0 and not isinstance(start, bool) for start in starts) else 1
    items = [_text("param", param)] + ([_number("first", 0)] if first == 0 else [])
    size = size_of(listing)
    if size is not None:
        items += [_number("per_page", size[1]), _text("per_page_param", size[0])]
    total = _at(listing, {"integer"}, _TOTAL_PAGES)
    if total is not None:
        items.append(_text("total_pages_at", total))
    ends = f"it ends at {total!r}" if total is not None else "it ends at the first page without records"
    return Guess(call("PageNumber", items), f"the parameter {param!r}, counted from {first}; {ends}")


def _offset(listing: Listing) -> Guess | None:
    param, size = _first(listing.queries, *_OFFSETS), size_of(listing)
    if param is None or size is None:
        return None
    items = [_number("limit", size[1]), _text("limit_param", size[0]), _text("param", param)]
    total = _at(listing, {"integer"}, _TOTALS)
    if total is not None:
        items.append(_text("total_at", total))
    return Guess(call("OffsetLimit", items), f"the parameters {param!r} and {size[0]!r}, counting records from 0")


def _keyset(listing: Listing, key: tuple[str, ...]) -> Guess | None:
    param = _first(listing.queries, *_AFTER_PARAMS, "sinceid", "afterid", "lastid", "startafterid")
    if param is None or not key:
        return None
    size = size_of(listing)
    items = [_text("param", param), _text("key", key[0])]
    if size is not None:
        items += [_number("limit", size[1]), _text("limit_param", size[0])]
    why = f"the parameter {param!r} without a cursor in the answer, so that it is the last {key[0]!r}"
    return Guess(call("Keyset", items), why)


def size_of(listing: Listing) -> tuple[str, int] | None:
    """The parameter for how many records a page has, and as many as the API gives."""
    param = _first(listing.queries, *_SIZES)
    if param is None:
        return None
    schema = listing.schema_of(param)
    said = [schema.get("maximum"), schema.get("default")]
    sizes = [size for size in said if isinstance(size, int) and not isinstance(size, bool) and size > 0]
    return param, min(sizes[0], _MOST_RECORDS) if sizes else 100


def _at(listing: Listing, kinds: set[str], names: tuple[str, ...]) -> str | None:
    return listing.answer.first(kinds, *(parent + name for name in names for parent in _PARENTS))


def _first(found: Mapping[str, str], *names: str) -> str | None:
    return next((found[name] for name in names if name in found), None)


def _text(keyword: str, value: str) -> Item:
    return Item(atom(literal(value)), f"{keyword}=")


def _number(keyword: str, value: int) -> Item:
    return Item(atom(literal(value)), f"{keyword}=")
