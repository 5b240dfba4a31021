"""Lists that are asked for by a record of another list: `/orders/{orderId}/lines`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .code import Code, Item, atom, call, identifier, listed, literal
from .guesses import key_columns
from .lists import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .lists import Listing

__all__ = ["Child", "child_of"]

_CHILD = re.compile(r"(?P<parent>/[^{}]*)/\{(?P<name>[^{}]+)\}(?P<rest>/[^{}]+)")


@dataclass(frozen=True, slots=True)
class Child:
    """What a list has of its parent."""

    parent: str
    """The parent's name."""
    path: str
    """The path, with a name in it as Resource takes them."""
    name: str
    """That name."""
    field: str
    """The field of the parent's record that fills it."""
    column: str
    """The column of the child that holds it."""
    included: Item | None
    """That column as a field of the schema; None where the child's records have it themselves."""

    @property
    def code(self) -> Code:
        """The source of the Parent."""
        fields = _pair(self.name, self.field)
        items: list[Item | Code] = [atom(literal(self.parent)), Item(fields, "fields=")]
        if self.included is not None:
            items.append(Item(_pair(self.column, self.field), "include="))
        return call("Parent", items)

    @property
    def why(self) -> str:
        """What speaks for it."""
        return f"the path begins with that of {self.parent!r}, and {self.field!r} is what tells its records apart"


def child_of(listing: Listing, parents: Mapping[str, Listing]) -> Child | None:
    """How a list hangs on one of the parents, which are by name; None where it is known of none."""
    match = _CHILD.fullmatch(listing.path)
    found = next((name for name, parent in parents.items() if match and parent.path == match["parent"]), None)
    if match is None or found is None:
        return None
    own = parents[found].field(key_of(match["name"]))
    field = own[0] if own is not None else next(iter(key_columns(parents[found], found)[0]), None)
    if field is None:
        return None
    name = identifier(match["name"], "key")
    column = name if name != identifier(field, "key") else f"{found.removesuffix('s')}_{name}"
    path = f"{match['parent']}/{{{name}}}{match['rest']}"
    return Child(found, path, name, field, column, _included(listing, parents[found], field, column))


def _included(listing: Listing, parent: Listing, field: str, column: str) -> Item | None:
    if column in listing.record.properties:
        return None
    typed: Any = parent.types.typed(parent.record.properties[field], parent.record.within, 1)
    always = [] if typed.nullable else [Item(atom("False"), "nullable=")]
    return Item(call("pa.field", [atom(literal(column)), typed.code, *always]), notes=("of the parent",))


def _pair(name: str, value: str) -> Code:
    return listed([Code(f"{literal(name)}: {literal(value)}")], "{}")
