"""A PostgreSQL type as a value: what the catalogue says, what DDL says, what travels in metadata."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.storage.postgres.identifiers import TableName, quoted

from ._table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PgType"]


@dataclass(frozen=True, slots=True)
class PgType:
    """A PostgreSQL type: `numeric(12,2)`, `timestamptz(3)[]`, an enum with its labels, a domain over one of them.

    A `base` that is not in the type table is one that exists in some database and that de-classes cannot read. A domain
    is its base type with a name: whoever asks for `base` sees the values that it has.
    """

    base: str
    arguments: tuple[int, ...] = ()
    array: bool = False
    enum: str = ""
    """The name of an enum, without its schema: in a destination it belongs to the destination's schema."""
    labels: tuple[str, ...] = ()
    composite: str = ""
    """The name of a composite type, without its schema, as that of an enum."""
    attributes: tuple[tuple[str, PgType], ...] = ()
    own: tuple[str, str, str] = ("", "", "")
    """Schema, name and modifier of a type that an extension or a user made: `("public", "geometry", "(Point,4326)")`.

    The extension must be in the destination as it is in the source; nothing of it is created."""
    domain: str = ""
    """The name of a domain over all the rest, without its schema."""
    domain_of_array: bool = False
    """Whether the domain is over an array; otherwise an array is of the domain."""

    @property
    def element(self) -> PgType:
        """The type of an array's elements; for others, the type itself."""
        return replace(self.plain if self.domain_of_array else self, array=False)

    @property
    def plain(self) -> PgType:
        """The type without its domain."""
        return replace(self, domain="", domain_of_array=False) if self.domain else self

    @property
    def known(self) -> bool:
        """Whether it is in the type table."""
        inner = all(type_.known for _, type_ in self.attributes)
        return inner and (self.base in TABLE or self.base == "numeric")

    @property
    def is_made(self) -> bool:
        """Whether it is created in the destination's schema together with the first table that needs it."""
        return bool(self.domain) or self.base in {"enum", "composite"}

    @property
    def staged(self) -> PgType:
        """The type that its values are staged in as long as it is not made: that below a domain, or text."""
        return PgType("text", array=self.array) if self.plain.is_made else self.plain

    @property
    def made(self) -> Iterator[PgType]:
        """The types that are to be made for it, those that others need first."""
        for _, type_ in self.attributes:
            yield from type_.made
        if self.base in {"enum", "composite"}:
            yield replace(self.plain, array=False)
        if self.domain:
            yield self if self.domain_of_array else self.element

    def ddl(self, schema: str) -> str:
        """The type as DDL, with those that are made in this schema."""
        if self.domain:
            return TableName(schema, self.domain).sql + "[]" * (self.array and not self.domain_of_array)
        name = self._spelled()
        if self.base in {"enum", "composite"}:
            name = TableName(schema, self.enum or self.composite).sql
        elif self.base == "type":
            own_schema, own, modifier = self.own
            name = f"{quoted(own_schema)}.{quoted(own)}{modifier}"
        return name + "[]" * self.array

    def _spelled(self) -> str:
        arguments = f"({','.join(map(str, self.arguments))})" if self.arguments else ""
        return self.base + arguments

    def __str__(self) -> str:
        """What travels in metadata; `PgType.parse` reads it."""
        if self.domain:
            inner = self.plain if self.domain_of_array else self.plain.element
            return f"domain {quoted(self.domain)} ({inner})" + "[]" * (self.array and not self.domain_of_array)
        name = self._spelled()
        if self.base == "enum":
            labels = ", ".join("'" + label.replace("'", "''") + "'" for label in self.labels)
            name = f"enum {quoted(self.enum)} ({labels})"
        elif self.base == "composite":
            attributes = ", ".join(f"{quoted(name)} {type_}" for name, type_ in self.attributes)
            name = f"composite {quoted(self.composite)} ({attributes})"
        elif self.base == "type":
            return "type " + self.ddl("")
        return name + "[]" * self.array

    @classmethod
    def parse(cls, text: str) -> PgType | None:
        """Read what `str` gave; None for what is no type of the table."""
        from ._notation import parsed  # noqa: PLC0415 -- the notation makes types

        return parsed(text)
