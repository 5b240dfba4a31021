"""Lists inside rows, as rows of a table of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from de_classes.errors import ConfigurationError, SchemaMismatch

from ._schema import check_names, listed, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Explode"]

_LATER = "Correct the names; where the list may come later, or never, pass optional=True."
_LISTS = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view, pt.is_map)


@dataclass(frozen=True, init=False, repr=False)
class Explode:
    """Make a child row of every item of a list: `Explode("lines", key={"order_id": "id"}, position="line_number")`.

    A child row has the columns of `key` (its own name: that of the parent's column), then the item's number in its
    list as int64, from 1 as SQL's WITH ORDINALITY counts, then the fields of the item: those of a struct, `key` and
    `value` of a map's entry, or one column `value`. Other columns of the parent, and what the schema's metadata tells
    of it, stay behind.

    With `optional`, a batch without the column gives no row, as in an API whose first pages have no such list: the
    child then has its key and number alone, and the columns of the items come with the first of them.

    A list that is null or empty gives no row; an item that is null gives one of nulls, since it has a number. A list
    inside the item goes into a grandchild by a second Explode, whose key takes the first one's key and position.

    Parent and child are two routes of one stream::

        Pipeline("shop", source, destination, mode="merge", routes=[
            Route("orders", transforms=[Drop("lines")]),
            Route("orders", into="order_lines", primary_key=("order_id", "line_number"),
                  transforms=[Explode("lines", key={"order_id": "id"}, position="line_number")]),
        ])

    The stream is read once for both, as long as they stand at the same position. Each commits for itself and has a
    position of its own; when one fails, the next run carries each from where it stands. And merging updates and adds:
    of a list that became shorter, the rows behind its end stay. Where that happens, replace.
    """

    column: str
    key: tuple[tuple[str, str], ...]
    position: str | None
    optional: bool

    def __init__(
        self, column: str, *, key: Mapping[str, str], position: str | None = "position", optional: bool = False
    ) -> None:
        if not hasattr(key, "items") or not key:
            raise ConfigurationError(
                "Explode",
                f"key {key!r} does not tell whose child a row is",
                'Pass {"name": "column of the parent"}, such as {"order_id": "id"}.',
            )
        for name in (column, *key.values()):
            check_names("Explode", [name])
        check_names("Explode", [*key, *([] if position is None else [position])])
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "key", tuple(key.items()))
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "optional", optional)

    def __repr__(self) -> str:
        optional = ", optional=True" if self.optional else ""
        return f"Explode({self.column!r}, key={dict(self.key)!r}, position={self.position!r}{optional})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Raise SchemaMismatch where a column is missing, or no list, or where two columns would have one name."""
        if self.optional and self.column not in batch.schema.names:
            batch = batch.append_column(self.column, pa.nulls(batch.num_rows))
        require(self, dict.fromkeys([self.column, *(parent for _, parent in self.key)]), batch.schema, _LATER)
        field = batch.schema.field(self.column)
        lists: Any = batch.column(self.column)
        if pt.is_map(field.type):
            lists = lists.cast(_entries(field.type))
        elif pt.is_null(field.type):
            lists = lists.cast(pa.list_(pa.struct([])))  # nobody knows its fields yet
        elif not any(is_list(field.type) for is_list in _LISTS):
            raise SchemaMismatch(
                repr(self), f"column {self.column!r} is {field.type}, no list", "Name a column of lists or maps."
            )
        columns = [*self._parents(batch, lists), *_items(lists.type.value_field, lists.flatten())]
        self._check_unique([made.name for made, _ in columns])
        return pa.RecordBatch.from_arrays(
            [array for _, array in columns], schema=pa.schema([made for made, _ in columns])
        )

    def _parents(self, batch: pa.RecordBatch, lists: Any) -> Iterator[tuple[pa.Field[Any], Any]]:
        """The key of each item's parent, and the item's number."""
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        rows: Any = pa.array(np.repeat(np.arange(len(lengths)), lengths))
        for name, parent in self.key:
            yield batch.schema.field(parent).with_name(name), batch.column(parent).take(rows)
        if self.position is not None:
            before = np.repeat(np.cumsum(lengths) - lengths, lengths)
            number: pa.Field[Any] = pa.field(self.position, pa.int64(), nullable=False)
            yield number, pa.array(np.arange(1, len(before) + 1) - before)

    def _check_unique(self, names: list[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SchemaMismatch(
                repr(self),
                f"the child would have more than one column {listed(twice)}",
                "Give the key or the position another name.",
            )


def _items(item: pa.Field[Any], values: Any) -> Iterator[tuple[pa.Field[Any], Any]]:
    """The columns that items give: those of a struct are null where it is; none where nobody knows what items are."""
    if pt.is_null(item.type):
        return
    if not pt.is_struct(item.type):
        yield item.with_name("value"), values
        return
    for inner, array in zip(item.type, values.flatten(), strict=True):
        yield inner.with_nullable(item.nullable or inner.nullable), array


def _entries(map_: Any) -> pa.DataType:
    fields = [map_.key_field.with_name("key"), map_.item_field.with_name("value")]
    return pa.list_(pa.field("entry", pa.struct(fields), nullable=False))
