"""Operations that answer with a list of records, found and described."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .document import mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .document import Document
    from .types import Shape, Types

__all__ = ["Answer", "Listing", "NoListing", "answer_fields", "key_of", "listing_of"]

_UNDESCRIBED = "a list of records whose fields are not described: write a Resource for it, which infers its columns"
_LIST_NAMES = (
    "items",
    "data",
    "results",
    "records",
    "value",
    "values",
    "entries",
    "list",
    "rows",
    "content",
    "objects",
)
_SEARCHES = re.compile(r"search|query|list|find|filter", re.IGNORECASE)
_LEVELS = 3


@dataclass(frozen=True)
class Answer:
    """What stands where in an answer: by dotted path, without what is inside lists."""

    fields: Mapping[str, Shape]
    headers: frozenset[str]
    """In lower case."""

    def first(self, kinds: set[str], *names: str) -> str | None:
        """The path of the first field of these kinds whose name, and perhaps its parents', is one of the names."""
        by_key: dict[str, str] = {}
        for path, shape in self.fields.items():
            if shape.kind in kinds:
                by_key.setdefault(key_of(path), path)
        return next((by_key[name] for name in names if name in by_key), None)


@dataclass(frozen=True)
class Listing:
    """A list of records that can be asked for by GET."""

    path: str
    operation: Mapping[str, Any]
    parameters: list[Mapping[str, Any]]
    answer: Answer
    records_at: str
    record: Shape
    why: str
    """What speaks for `records_at`; empty where nothing else is possible."""
    types: Types

    def field(self, *names: str) -> tuple[str, Shape] | None:
        """The first field of a record that has one of these names, and what it is."""
        by_key = {key_of(name): name for name in reversed([*self.record.properties])}
        found = next((by_key[name] for name in names if name in by_key), None)
        shape = None if found is None else self.types.shape(self.record.properties[found], self.record.within)
        return None if found is None or shape is None else (found, shape)

    @property
    def queries(self) -> dict[str, str]:
        """The query parameters' names by what they are compared as: pageSize is pagesize, as page_size is."""
        return {key_of(entry["name"]): entry["name"] for entry in self.parameters if entry["in"] == "query"}

    def schema_of(self, parameter: str) -> Mapping[str, Any]:
        """The schema of a query parameter."""
        found = (entry for entry in self.parameters if entry["in"] == "query" and entry["name"] == parameter)
        return mapping(next(found, {}).get("schema"))


@dataclass(frozen=True)
class NoListing:
    """An operation that is left out, and why."""

    told: str
    why: str


def key_of(path: str) -> str:
    """A name, or a dotted path, as names are compared: lower-case letters and digits, and the dots."""
    return re.sub(r"[^a-z0-9.]", "", path.lower())


def listing_of(  # noqa: PLR0913 -- an operation, and where it stands
    document: Document, types: Types, path: str, method: str, operation: Mapping[str, Any], parameters: list[Any]
) -> Listing | NoListing | None:
    """The list that an operation answers with; None where that is no list at all."""
    content = _content(document, operation)
    if content is None:
        return None
    schema, headers = content
    shape = types.shape(schema)
    if shape is None:
        return None
    fields = dict(answer_fields(types, shape))
    found = _records_at(types, shape, fields, path)
    told = f"{method.upper()} {path}"
    if isinstance(found, str):
        return NoListing(told, found) if method == "get" and found else None
    records_at, record, why = found
    if method == "post":
        names = f"{path} {operation.get('operationId', '')} {operation.get('summary', '')}"
        search = NoListing(told, "a list that is asked for by POST: Resource(body=...) and a paging with in_body=True")
        return search if _SEARCHES.search(names) else None
    return Listing(path, operation, parameters, Answer(fields, headers), records_at, record, why, types)


def answer_fields(types: Types, shape: Shape, prefix: str = "", level: int = 0) -> Iterator[tuple[str, Shape]]:
    """The fields of an answer by dotted path, outer ones first. Names with dots cannot be told by a path."""
    inner = {name: types.shape(schema, shape.within) for name, schema in shape.properties.items() if "." not in name}
    known = {name: found for name, found in inner.items() if found is not None and name}
    yield from ((prefix + name, found) for name, found in known.items())
    if level < _LEVELS:
        for name, found in known.items():
            if found.kind == "object":
                yield from answer_fields(types, found, f"{prefix}{name}.", level + 1)


def _content(document: Document, operation: Mapping[str, Any]) -> tuple[Any, frozenset[str]] | None:
    """The schema of the good answer in JSON, and the headers that come with it."""
    responses = {str(status): entry for status, entry in mapping(operation.get("responses")).items()}
    good = [status for status in responses if status.startswith("2")]
    for status in sorted(good, key=lambda status: (status != "200", status)) or ["default"]:
        response = document.followed(responses.get(status))
        for kind, entry in mapping(response.get("content")).items():
            plain = str(kind).partition(";")[0].strip().lower()
            if plain in {"application/json", "*/*", "application/*", "text/json"} or plain.endswith("+json"):
                headers = frozenset(str(name).lower() for name in mapping(response.get("headers")))
                return mapping(entry).get("schema"), headers
    return None


def _records_at(types: Types, shape: Shape, fields: Mapping[str, Shape], path: str) -> tuple[str, Shape, str] | str:
    """Where the records stand, what one is, and why; or why there are none ("" where nobody would expect them)."""
    if shape.kind == "array":
        record = _record(types, shape)
        why = _UNDESCRIBED if _is_undescribed(types, shape) else "a list of what are no objects"
        return ("", record, "") if record else why
    if path.endswith("}"):
        return ""  # one record, perhaps with lists in it
    records = {at: record for at, field in fields.items() if (record := _record(types, field)) is not None}
    last = key_of(re.sub(r"\{[^}]*\}", "", path).rstrip("/").rpartition("/")[2])
    for at, record in records.items():
        if key_of(at.rpartition(".")[2]) in {*_LIST_NAMES, last}:
            only = "the only array of objects in the answer" if len(records) == 1 else "by its name, of several arrays"
            return at, record, f"{at!r} is {only}"
    if len(records) == 1 and len(fields) <= 12:  # noqa: PLR2004 -- an envelope is small; one record may have lists
        at, record = next(iter(records.items()))
        return at, record, f"{at!r} is the only array of objects in the answer"
    if records:
        return "an answer with several arrays, or a single record with arrays in it"
    return next((f"{at!r} is {_UNDESCRIBED}" for at, field in fields.items() if _is_undescribed(types, field)), "")


def _record(types: Types, shape: Shape) -> Shape | None:
    """What the items of an array are, where they are objects with known fields."""
    if shape.kind != "array":
        return None
    item = types.shape(shape.schema.get("items"), shape.within)
    return item if item is not None and item.kind == "object" and item.properties else None


def _is_undescribed(types: Types, shape: Shape) -> bool:
    """Whether it is an array of what may be objects, of which the document does not say what they have."""
    item = types.shape(shape.schema.get("items"), shape.within) if shape.kind == "array" else None
    return item is not None and item.kind in {"any", "object"} and not item.properties
