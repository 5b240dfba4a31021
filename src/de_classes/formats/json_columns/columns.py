"""The shapes of columns as Arrow has them, and as a position keeps them: JSON that a person can read.

A scalar is a word, an object is the mapping of its fields, and a list is a list of one::

    {"id": "int", "at": "declared", "customer": {"name": "string"}, "lines": [{"sku": "string", "price": "double"}]}

`int` is for whole numbers within 2 ** 53 (marked so, see `de_classes.utils.schemas`), which may still become floats;
`declared` is for a type that somebody said. The other words of shapes are those of `inference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError
from de_classes.utils.schemas import within_floats

from .inference import Declared

if TYPE_CHECKING:
    from de_classes.contracts import JsonValue

    from .inference import Path, Shape

__all__ = ["schema_of", "shape_of", "told"]

_SCALARS: Mapping[str, Any] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "int64": pa.int64(),
    "decimal": pa.decimal128(38, 0),
    "double": pa.float64(),
    "string": pa.string(),
    "moment": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def schema_of(shape: Shape) -> pa.Schema:
    """The columns of records of this shape, as Arrow has them; none where nothing is known."""
    return pa.schema([_field(name, inner) for name, inner in shape.items()] if isinstance(shape, Mapping) else [])


def _field(name: str, shape: Shape) -> pa.Field[Any]:
    if isinstance(shape, Declared):
        return shape.field.with_name(name)
    if isinstance(shape, Mapping):
        return pa.field(name, pa.struct([_field(inner, of) for inner, of in shape.items()]))
    if isinstance(shape, list):
        return pa.field(name, pa.list_(_field("item", shape[0])))
    field: pa.Field[Any] = pa.field(name, _SCALARS[shape])
    return within_floats(field) if shape == "int" else field


def told(shape: Shape) -> JsonValue:
    """The shape as JSON for a position."""
    if isinstance(shape, Declared):
        return "declared"
    if isinstance(shape, Mapping):
        return {name: told(inner) for name, inner in shape.items()}
    return [told(shape[0])] if isinstance(shape, list) else shape


def shape_of(told: Any, declared: Mapping[Path, pa.Field[Any]], path: Path = ()) -> Shape:
    """The shape that a position tells, with what is declared where it is declared now.

    Raises:
        ConfigurationError: it is none that `told` gives, or a column is declared no more.

    """
    if path in declared:
        return Declared(declared[path])
    if isinstance(told, Mapping):
        return {name: shape_of(kind, declared, (*path, name)) for name, kind in told.items()}
    if isinstance(told, list) and len(told) == 1:
        return [shape_of(told[0], declared, path)]
    if isinstance(told, str) and told in _SCALARS and told != "moment":
        return told
    if told == "declared":
        raise ConfigurationError(
            f"the column {'.'.join(path)!r} in a position",
            "was declared when it was written, and is no more",
            "Declare it again, or begin anew, under a new name.",
        )
    raise ConfigurationError(
        f"the column type {told!r} in a position", "is none that was inferred", "Begin anew, under a new name."
    )
