from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.errors import SchemaMismatch
from de_classes.storage.objects._columns import united
from de_classes.utils.schemas import is_within_floats, within_floats

if TYPE_CHECKING:
    from de_classes.utils.schemas import SchemaChanges

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False, metadata={b"de_classes.postgres_type": b"bigint"}),
        pa.field("tags", pa.list_(pa.string())),
    ],
    metadata={b"origin": b"shop"},
)


@pytest.mark.parametrize("changes", ["freeze", "evolve"])
def test_schemas_are_united(changes: SchemaChanges) -> None:
    """Order and metadata do not matter; a column becomes nullable if either is; of its metadata stays what both say."""
    coming = pa.schema([pa.field("tags", pa.list_(pa.string())), pa.field("id", pa.int64())])
    both = united([SCHEMA, coming], "orders", changes)
    assert both is not None
    assert both.field("id").nullable
    assert not both.field("id").metadata
    same = united([SCHEMA, SCHEMA], "orders", changes)
    assert same is not None
    assert same.equals(SCHEMA, check_metadata=True)
    assert both.metadata == SCHEMA.metadata
    assert both.names == SCHEMA.names
    assert united([None, coming], "orders", changes) == coming
    assert united([SCHEMA, None], "orders", changes) == SCHEMA
    assert united([None, None], "orders", changes) is None


def test_all_differences_are_told() -> None:
    """A mismatch names the missing, the new and the changed columns, all of them, and what would take them."""
    coming = pa.schema([pa.field("id", pa.int32()), pa.field("new", pa.string()), pa.field("newer", pa.bool_())])
    with pytest.raises(SchemaMismatch, match='schema_changes="evolve"') as caught:
        united([SCHEMA, coming], "orders", "freeze")
    assert len(caught.value.differences) == 4
    for part in ("id is int32, not int64", "tags is missing", "new (string) is new", "newer (bool) is new"):
        assert part in str(caught.value)


@pytest.mark.parametrize("changes", ["freeze", "evolve"])
def test_what_cannot_grow_is_not_advised_to(changes: SchemaChanges) -> None:
    """Where no type holds both, growing is no remedy."""
    with pytest.raises(SchemaMismatch, match="id is") as caught:
        united([SCHEMA, SCHEMA.set(0, pa.field("id", pa.string()))], "orders", changes)
    assert "evolve" not in caught.value.remedy


def test_marks_of_frozen_columns_are_united_too() -> None:
    """What a nested field says of its values holds no more once others came, though the columns stayed as they were."""

    def nested(field: pa.Field[pa.Int64Type]) -> pa.Schema:
        return pa.schema([("s", pa.struct([field]))])

    plain = pa.field("n", pa.int64())
    both = united([nested(within_floats(plain)), nested(plain)], "orders", "freeze")
    assert both is not None
    assert not is_within_floats(both.field("s").type.field("n"))
    with pytest.raises(SchemaMismatch):
        united([both, nested(pa.field("n", pa.float64()))], "orders", "evolve")
