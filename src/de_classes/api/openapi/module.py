"""The module that is written: its resources, its auth, and what was left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from de_classes.api.messages import without_query
from de_classes.errors import ConfigurationError

from .children import child_of
from .code import Code, Item, atom, call, comment, identifier, listed, literal, written
from .document import Document, mapping, sequence
from .guesses import incremental_of, key_columns, paging_of, size_of
from .lists import NoListing, listing_of
from .security import auth_of
from .types import Types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .children import Child
    from .lists import Listing
    from .security import Auth

__all__ = ["generated"]

_NO_SERVER = "https://api.example.com"
_NAMELESS = re.compile(r"|\{.*\}|v\d+(\.\d+)*|\d+\.\d+|api", re.IGNORECASE)
_TAKEN = {"BASE_URL", "RESOURCES"}
_MOST_SAID = 110
_IMPORTED = re.compile(
    r"\b(ApiKey|Basic|BearerToken|CursorInBody|CursorInHeader|Digest|Incremental|Keyset|LinkHeader|NextLink"
    r"|OAuth2ClientCredentials|OAuth2RefreshToken|OffsetLimit|PageNumber|Parent)\("
)


def generated(document: Document | Mapping[str, Any]) -> str:
    """The source of a module with `BASE_URL`, `RESOURCES`, `auth()` and `source()` for an API.

    Raises:
        ConfigurationError: it is no OpenAPI document of version 3, refers to what is not in it, or has no list.

    """
    document = document if isinstance(document, Document) else Document(document)
    try:
        return _Module(document).source()
    except RecursionError:
        raise ConfigurationError(document.name, "is nested too deep", "Check the document.") from None


@dataclass
class _Module:
    document: Document
    left_out: list[NoListing] = field(default_factory=list)

    def source(self) -> str:
        listings = self._listings()
        if not listings:
            told = "; ".join(f"{entry.told}: {entry.why}" for entry in self.left_out) or "no operations that answer"
            raise ConfigurationError(
                self.document.name, f"has no list that can be read by GET ({told})", "Write the resources by hand."
            )
        title = str(mapping(self.document.root.get("info")).get("title", "api"))
        prefix = identifier(title, "api").upper()
        base_url, server_why = self._server()
        auth = auth_of(self.document, list(listings.values()), base_url, prefix)
        # No name ends with an underscore, so that one with it is taken by nobody.
        names = {name: f"{name.upper()}_" if name.upper() in _TAKEN else name.upper() for name in listings}
        parents = {name: listing for name, listing in listings.items() if "{" not in listing.path}
        blocks = [
            [*comment(f"The document: {title}"[:_MOST_SAID]), *_guess(server_why), f"BASE_URL = {literal(base_url)}"],
            *(_resource(name, names[name], item, child_of(item, parents)) for name, item in listings.items()),
            [f"RESOURCES = {written(listed([atom(name) for name in names.values()]), 0, 12)}"],
        ]
        body = "\n\n".join("\n".join(block) for block in blocks)
        functions = _functions(auth)
        return "\n".join([*_head(body + functions), body, functions, *self._remarks()]) + "\n"

    def _listings(self) -> dict[str, Listing]:
        """The lists that can be read, by names that no two of them have; what hangs on another comes after it."""
        found: list[Listing] = []
        for path, method, operation, parameters in self.document.operations():
            listing = listing_of(self.document, Types(self.document), path, method, operation, parameters)
            if isinstance(listing, NoListing):
                self.left_out.append(listing)
            elif listing is not None:
                found.append(listing)
        readable = self._readable([listing for listing in found if "{" not in listing.path], {})
        children = self._readable([listing for listing in found if "{" in listing.path], _named(readable))
        return _named([*readable, *children])

    def _readable(self, listings: list[Listing], parents: Mapping[str, Listing]) -> list[Listing]:
        whys = [_unreadable(listing, parents) for listing in listings]
        pairs = list(zip(listings, whys, strict=True))
        self.left_out += [NoListing(f"GET {listing.path}", why) for listing, why in pairs if why]
        return [listing for listing, why in pairs if not why]

    def _server(self) -> tuple[str, str]:
        """The URL of the first server, and what was guessed of it."""
        server = mapping(next(iter(sequence(self.document.root.get("servers"))), {}))
        url = server.get("url")
        if not isinstance(url, str) or not url.strip():
            return _NO_SERVER, "the document names no server"
        for name, variable in mapping(server.get("variables")).items():
            url = url.replace(f"{{{name}}}", str(mapping(variable).get("default", "")))
        why = "the defaults of the server's variables" if server.get("variables") else ""
        if url.startswith("//"):
            url, why = f"https:{url}", "the document leaves the scheme open"
        plain = without_query(url).replace("***@", "")
        if plain != url:
            url, why = plain, "a user, a password or a query of the server's URL is left out"
        if url.lower().startswith("http://"):
            why = "; ".join(filter(None, [why, "over http, credentials go unencrypted"]))
        if "://" not in url:
            return f"{_NO_SERVER}/{url.strip('/')}".rstrip("/"), "the document gives a path only, for the host it is on"
        return url.rstrip("/"), why

    def _remarks(self) -> Iterator[str]:
        if self.left_out:
            yield from ("", "", "# Left out:")
        for entry in self.left_out:
            yield from comment(f"- {entry.told}: {entry.why}")


def _unreadable(listing: Listing, parents: Mapping[str, Listing]) -> str:
    """Why a list cannot be asked for with what the document says; empty where it can."""
    if {"{", "}"} & set(listing.path) and child_of(listing, parents) is None:
        return "the path wants values; give them by Resource(path_params=...) or Resource(parent=Parent(...))"
    needed = [
        f"{entry['in']} parameter {entry['name']!r}"
        for entry in listing.parameters
        if entry.get("required") is True and entry["in"] != "path" and not _known_value(listing, entry)
    ]
    return f"it must be given the {', the '.join(needed)}" if needed else ""


def _known_value(listing: Listing, entry: Mapping[str, Any]) -> bool:
    """Whether the document, or the paging, says what a parameter is to be."""
    guess = paging_of(listing, ("id",))
    paged = guess is not None and literal(entry["name"]) in written(guess.code)
    sized = guess is not None and guess.params is not None and guess.params[0] == entry["name"]
    return paged or sized or (entry["in"] == "query" and _value_of(entry) is not None)


def _value_of(entry: Mapping[str, Any]) -> str | int | None:
    """A value that the document gives for a parameter."""
    schema = mapping(entry.get("schema"))
    said = [schema.get("default"), schema.get("const"), *sequence(schema.get("enum"))[:1], entry.get("example")]
    return next((value for value in said if isinstance(value, str | int)), None)


def _named(listings: list[Listing]) -> dict[str, Listing]:
    """Names by the last part of their paths, and by more parts where that is not enough."""
    parts = [[part for part in item.path.split("/") if not _NAMELESS.fullmatch(part)] for item in listings]
    last = [identifier(part[-1] if part else "", "records") for part in parts]
    named: dict[str, Listing] = {}
    for listing, short, whole in zip(listings, last, parts, strict=True):
        wanted = short if last.count(short) == 1 else identifier("_".join(whole), "records")
        name = next(name for n in count(1) if (name := wanted if n == 1 else f"{wanted}_{n}") not in named)
        named[name] = listing
    return named


def _resource(name: str, variable: str, listing: Listing, child: Child | None) -> list[str]:
    key, key_why = key_columns(listing, name)
    paging = paging_of(listing, key)
    incremental = incremental_of(listing, keyed=bool(key)) if child is None else None
    records_why = (f"guess: {listing.why}",) if listing.why else ()
    items = [
        Item(atom(literal(name))),
        Item(atom(literal(listing.path if child is None else child.path))),
        Item(atom(literal(listing.records_at)), "records_at=", records_why),
    ]
    if child is not None:
        items.append(Item(child.code, "parent=", (f"guess: {child.why}",)))
    if paging is not None:
        items.append(Item(paging.code, "paging=", (f"guess: {paging.why}",)))
    if key:
        columns = key if child is None or child.column in key else (child.column, *key)
        key_why += "" if child is None else ", taken to tell apart the records of one parent"
        codes = listed([atom(literal(column)) for column in columns], "()")
        items.append(Item(codes, "primary_key=", (f"guess: {key_why}",)))
    items.append(_schema(listing, child))
    params = _params(listing, paging.params if paging else None)
    items += [params] if params else []
    if incremental is not None:
        items.append(Item(incremental.code, "incremental=", (f"guess: {incremental.why}",)))
    if listing.record.is_open:
        items.append(Item(atom('"evolve"'), "schema_changes=", ("the document lets records have other fields",)))
    told = listing.operation.get("summary")
    said = comment(f"GET {listing.path}: {told}"[:_MOST_SAID]) if isinstance(told, str) and told.strip() else ()
    missing = () if paging else _guess(_single(listing))
    unkeyed = () if key else _guess("no field is sure to identify a record, so there is no primary key")
    return [*said, *missing, *unkeyed, f"{variable} = {written(call('Resource', items, apart=True))}"]


def _single(listing: Listing) -> str:
    """Why there is one page only: that is to be looked at where something speaks against it."""
    size = size_of(listing)
    if size is None:
        return "nothing in the document tells of pages, so there is one"
    return f"there is a parameter {size[0]!r}, and no way to a next page is known: as it stands, only one page is read"


def _schema(listing: Listing, child: Child | None) -> Item:
    included = [child.included] if child is not None and child.included is not None else []
    fields = [*included, *listing.types.fields(listing.record)]
    return Item(call("pa.schema", [listed(fields, apart=True)], apart=True), "schema=")


def _params(listing: Listing, size: tuple[str, int] | None) -> Item | None:
    """What is sent with each request: the size of pages, and what must be sent."""
    values: dict[str, Any] = {} if size is None else {size[0]: size[1]}
    whys = [] if size is None else [f"{size[0]!r} is how many records a page has"]
    paging = paging_of(listing, ("id",))
    paged = written(paging.code) if paging else ""
    for entry in listing.parameters:
        value = _value_of(entry)
        if entry.get("required") is True and value is not None and literal(entry["name"]) not in paged:
            values.setdefault(entry["name"], value)
            whys.append(f"{entry['name']!r} must be sent, and this is its default, its example, or the first it may be")
    pairs = [Item(Code(f"{literal(name)}: {_template(value)}")) for name, value in values.items()]
    return Item(listed(pairs, "{}"), "params=", tuple(f"guess: {why}" for why in whys)) if pairs else None


def _template(value: str | int) -> str:
    """A value as Resource takes it: braces that are meant are doubled."""
    return literal(value.replace("{", "{{").replace("}", "}}") if isinstance(value, str) else value)


def _guess(why: str) -> tuple[str, ...]:
    return comment(f"guess: {why}") if why else ()


def _head(source: str) -> Iterator[str]:
    yield '"""An API, as an `ApiSource`.'
    yield ""
    yield "Written from its OpenAPI document, to be read and edited. `guess:` marks what the document does not say."
    yield "Fields that it does not name end a run with an error: see Resource(extra_fields=..., schema_changes=...)."
    yield ""
    yield "Load it with a pipeline; to merge, name the streams that have a key::"
    yield ""
    yield "    Pipeline('shop', source(), destination, routes=['orders'], mode='merge').run()"
    yield '"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    if "os.environ[" in source:
        yield from ("import os", "")
    yield "import pyarrow as pa"
    names = sorted({"ApiClient", "ApiSource", "Resource", *_IMPORTED.findall(source)})
    line = f"from de_classes.api import {', '.join(names)}"
    yield line if len(line) <= 120 else _apart(names)  # noqa: PLR2004 -- the width of a line
    if "Secret.from_env(" in source:
        yield "from de_classes.configs.secrets import Secret"
    yield ""


def _apart(names: list[str]) -> str:
    return "\n".join(["from de_classes.api import (", *(f"    {name}," for name in names), ")"])


def _functions(auth: Auth) -> str:
    lines = ["", ""]
    if auth.code is not None:
        lines += [f"def auth() -> {auth.code.head.rstrip('(')}:", '    """Who asks."""']
        lines += [
            *comment(f"guess: {auth.why}" if auth.guessed else auth.why, 4),
            f"    return {written(auth.code, 4, 11)}",
            "",
            "",
        ]
    lines += ["def source(base_url: str = BASE_URL) -> ApiSource:", '    """The resources of the API, as streams."""']
    lines += [] if auth.code is not None else comment(auth.why, 4)
    credentials = ", auth=auth()" if auth.code is not None else ""
    lines += [f"    return ApiSource(ApiClient(base_url{credentials}), RESOURCES)"]
    return "\n".join(lines)
