"""The columns of an inferred schema as JSON that a person can read, to be kept in a position.

A scalar is the name of its type, an object is the mapping of its fields, and a list is a list of one::

    {"id": "int64", "customer": {"name": "string"}, "lines": [{"sku": "string", "price": "double"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from de_classes.contracts import JsonValue

__all__ = ["schema_of", "told"]

_SCALARS: Mapping[str, Any] = {
    str(kind): kind for kind in (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string())
}


def told(schema: pa.Schema) -> Mapping[str, JsonValue]:
    """The columns of a schema as `infer_schema` makes them."""
    return {field.name: _told(field.type) for field in schema}


def schema_of(columns: Mapping[str, Any]) -> pa.Schema:
    """The schema that was told.

    Raises:
        ConfigurationError: it is none that `told` gives.

    """
    return pa.schema([pa.field(name, _kind_of(kind)) for name, kind in columns.items()])


def _told(kind: Any) -> JsonValue:
    if pa.types.is_struct(kind):
        return {field.name: _told(field.type) for field in kind}
    return [_told(kind.value_type)] if pa.types.is_list(kind) else str(kind)


def _kind_of(told: Any) -> Any:
    if isinstance(told, Mapping):
        return pa.struct([pa.field(name, _kind_of(kind)) for name, kind in told.items()])
    if isinstance(told, list) and len(told) == 1:
        return pa.list_(_kind_of(told[0]))
    if isinstance(told, str) and told in _SCALARS:
        return _SCALARS[told]
    raise ConfigurationError(
        f"the column type {told!r} in a position", "is none that was inferred", "Begin anew, under a new name."
    )
