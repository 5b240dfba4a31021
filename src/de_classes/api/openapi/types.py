"""Schemas of JSON to Arrow types, as source. What a document leaves open is guessed so that nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from .code import Item, atom, call, listed, literal
from .document import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .code import Code
    from .document import Document

__all__ = ["Shape", "Typed", "Types"]

_JSON = atom("pa.json_()")
_MOST_NODES = 1_000
_MOST_LEVELS = 8
_MOST_SHAPES = 20_000
"""A document may say much in few words: each of thirty schemas that refers twice to the next is a thousand million."""
_FORMATS = {
    ("string", "date-time"): 'pa.timestamp("us", "UTC")',
    ("string", "date"): "pa.date32()",
    ("string", "uuid"): "pa.uuid()",
    ("integer", "int8"): "pa.int8()",
    ("integer", "int16"): "pa.int16()",
    ("integer", "int32"): "pa.int32()",
    ("integer", "int64"): "pa.int64()",
    ("integer", "uint8"): "pa.uint8()",
    ("integer", "uint16"): "pa.uint16()",
    ("integer", "uint32"): "pa.uint32()",
    ("integer", "uint64"): "pa.uint64()",
    ("number", "float"): "pa.float64()",
    ("number", "double"): "pa.float64()",
}
_PLAIN = {"string": "pa.string()", "boolean": "pa.bool_()", "integer": "pa.int64()", "number": "pa.float64()"}
_GUESSED = {
    "integer": "it fits in 64 bits",
    "number": "no exact amount; if it is one, say pa.decimal128(38, 2), or with as many digits as it has",
}
_KINDS_OF_VALUES = {str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclass(frozen=True, slots=True)
class Typed:
    """A type, whether it may be null, and what was guessed of it."""

    code: Code
    nullable: bool = False
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema without references and allOf: what is known of a value."""

    schema: Mapping[str, Any]
    within: frozenset[str]
    """The references on the way to it."""
    nullable: bool = False

    @property
    def kind(self) -> str:
        """The JSON type: of several "", and "any" where nothing is said."""
        said = self.schema.get("type")
        kinds = [kind for kind in (said if isinstance(said, list) else [said]) if isinstance(kind, str)]
        kinds = [kind for kind in kinds if kind != "null"]
        if kinds:
            return kinds[0] if len(kinds) == 1 else ""
        values = [self.schema["const"]] if "const" in self.schema else sequence(self.schema.get("enum"))
        of_values = {_KINDS_OF_VALUES.get(type(value), "") for value in values if value is not None}
        if of_values:
            return of_values.pop() if len(of_values) == 1 else ""
        return "object" if "properties" in self.schema else "array" if "items" in self.schema else "any"

    @property
    def format(self) -> str:
        """Its format; "" where it says none."""
        said = self.schema.get("format")
        return said if isinstance(said, str) else ""

    @property
    def is_open(self) -> bool:
        """Whether the document says that an object may have fields that it does not name."""
        others = self.schema.get("additionalProperties")
        return others is True or isinstance(others, Mapping)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The fields of an object that answers have."""
        found = mapping(self.schema.get("properties"))
        return {
            name: inner
            for name, inner in found.items()
            if isinstance(name, str) and not mapping(inner).get("writeOnly")
        }

    @property
    def required(self) -> frozenset[str]:
        """The fields that are always there."""
        return frozenset(name for name in sequence(self.schema.get("required")) if isinstance(name, str))


class Types:
    """The types of one operation of a document; what it can be asked for is bounded."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0
        self._shapes = 0

    def shape(self, schema: Any, within: frozenset[str] = frozenset()) -> Shape | None:
        """What a schema says, references followed and allOf joined; None where it comes back to itself."""
        self._shapes += 1
        if self._shapes > _MOST_SHAPES:
            return None
        node = mapping(schema)
        nullable = False
        while isinstance(ref := node.get("$ref"), str):
            if ref in within:
                return None
            within |= {ref}
            beside = {key: value for key, value in node.items() if key != "$ref"}
            target = mapping(self._document.target(ref))
            nullable = nullable or beside.get("nullable") is True
            node = {**target, "allOf": [*sequence(target.get("allOf")), beside]} if beside else target
        parts = [self.shape(part, within) for part in sequence(node.get("allOf"))]
        if None in parts:
            return None
        joined = Shape(_joined([node, *(part.schema for part in parts if part)]), within)
        for part in parts:
            joined = replace(joined, within=joined.within | (part.within if part else frozenset()))
        return self._alternatives(replace(joined, nullable=nullable or _may_be_null(joined.schema)))

    def typed(self, schema: Any, within: frozenset[str], level: int) -> Typed:
        """The Arrow type of a schema."""
        self._nodes += 1
        shape = self.shape(schema, within)
        if shape is None:
            return Typed(_JSON, nullable=True, why=("it holds itself, to any depth, so it is kept as JSON",))
        if level > _MOST_LEVELS or self._nodes > _MOST_NODES:
            return Typed(_JSON, nullable=True, why=("it is nested too deep, or has too many fields; kept as JSON",))
        return replace(self._of(shape, level), nullable=shape.nullable or shape.kind == "any")

    def fields(self, shape: Shape, level: int = 0) -> list[Item]:
        """The fields of an object, each with what was guessed of it."""
        self._nodes = 0 if level == 0 else self._nodes
        items = []
        for name, inner in shape.properties.items():
            typed = self.typed(inner, shape.within, level + 1)
            always = name in shape.required and not typed.nullable
            named = [atom(literal(name)), typed.code]
            field = call("pa.field", [*named, Item(atom("False"), "nullable=")]) if always else listed(named, "()")
            items.append(Item(field, notes=tuple(f"guess: {why}" for why in typed.why)))
        return items

    def _of(self, shape: Shape, level: int) -> Typed:
        if shape.kind == "object":
            return self._object(shape, level)
        if shape.kind == "array":
            items = shape.schema.get("items")
            inner = self.typed(items, shape.within, level + 1) if isinstance(items, Mapping) else Typed(_JSON)
            return Typed(call("pa.list_", [inner.code]), why=inner.why)
        if shape.kind in _PLAIN:
            return _scalar(shape)
        why = "values of several kinds" if shape.kind != "any" else "the document does not say what it is"
        return Typed(_JSON, why=(f"{why}; kept as JSON",))

    def _object(self, shape: Shape, level: int) -> Typed:
        others = shape.schema.get("additionalProperties")
        if shape.properties and not shape.is_open:
            return Typed(call("pa.struct", [listed(self.fields(shape, level))]))
        if not shape.properties and isinstance(others, Mapping) and others:
            inner = self.typed(others, shape.within, level + 1)
            return Typed(call("pa.map_", [atom("pa.string()"), inner.code]), why=inner.why)
        why = "an object with fields of any name; kept as JSON" if shape.is_open or not shape.properties else ""
        return Typed(_JSON, why=(why,) if why else ())

    def _alternatives(self, shape: Shape) -> Shape | None:
        """The shape of oneOf and anyOf: that of the only one, or objects joined; else nothing is known."""
        options = [option for key in ("oneOf", "anyOf") for option in sequence(shape.schema.get(key))]
        if not options:
            return shape
        found = [self.shape(option, shape.within) for option in options]
        if None in found:
            return None
        shapes = [option for option in found if option is not None and option.schema.get("type") != "null"]
        nullable = shape.nullable or len(shapes) < len(found) or any(option.nullable for option in shapes)
        base = {key: value for key, value in shape.schema.items() if key not in {"oneOf", "anyOf"}}
        within = shape.within.union(*(option.within for option in shapes))
        return Shape(_alternative(base, shapes), within, nullable)


def _alternative(base: Mapping[str, Any], shapes: list[Shape]) -> Mapping[str, Any]:
    if len(shapes) == 1:
        return _joined([base, shapes[0].schema])
    kinds = {(shape.kind, shape.format) for shape in shapes}
    if kinds == {("object", "")}:
        joined = dict(_joined([base, *(shape.schema for shape in shapes)]))
        clashing: dict[str, Any] = {
            name: {}
            for name in joined.get("properties", {})
            if len({repr(shape.properties[name]) for shape in shapes if name in shape.properties}) > 1
        }
        joined["properties"] = {**joined.get("properties", {}), **clashing}
        always = frozenset.intersection(*(shape.required for shape in shapes))
        joined["required"] = [*sequence(base.get("required")), *always]
        return joined
    if len(kinds) == 1 and next(iter(kinds))[0] in _PLAIN:
        kind, form = kinds.pop()
        return {**base, "type": kind, **({"format": form} if form else {})}
    return {"type": ["string", "number", "object"]}


def _joined(schemas: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What several schemas say of one value; the first to say something counts, fields are those of all."""
    joined: dict[str, Any] = {}
    for schema in schemas:
        known, coming = mapping(joined.get("properties")), mapping(schema.get("properties"))
        properties = {**known, **{name: inner for name, inner in coming.items() if name not in known}}
        required = [*sequence(joined.get("required")), *sequence(schema.get("required"))]
        joined = {**schema, **joined}
        if properties:
            joined["properties"] = properties
        if required:
            joined["required"] = required
    joined.pop("allOf", None)
    return joined


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    said = schema.get("type")
    kinds = said if isinstance(said, list) else [said]
    return schema.get("nullable") is True or "null" in kinds or None in sequence(schema.get("enum"))


def _scalar(shape: Shape) -> Typed:
    kind = shape.kind
    known = _FORMATS.get((kind, shape.format))
    if kind == "number" and (digits := _digits(shape.schema.get("multipleOf"))) is not None:
        return Typed(atom(f"pa.decimal128(38, {digits})"))
    if known is not None and shape.format == "date-time":
        return Typed(atom(known), why=("microseconds are enough",))
    guessed = () if known or kind not in _GUESSED else (_GUESSED[kind],)
    return Typed(atom(known or _PLAIN[kind]), why=guessed)


def _digits(step: Any) -> int | None:
    """The digits after the point of numbers that are multiples of a step below 1."""
    try:
        exponent = Decimal(str(step)).as_tuple().exponent
    except InvalidOperation:
        return None
    return -exponent if isinstance(exponent, int) and -38 < exponent < 0 else None  # noqa: PLR2004 -- what a decimal128 holds
