"""What is said beforehand about the columns of records, and about those that do not fit them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from de_classes.utils.schemas import SchemaChanges

__all__ = ["ExtraFields", "Misfits", "Shaping"]

ExtraFields: TypeAlias = Literal["refuse", "ignore"]
"""What becomes of fields that a declared schema does not have."""
Misfits: TypeAlias = Literal["fail", "quarantine"]
"""What becomes of records that do not fit: they end the reading, or are kept beside the others."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """How records become rows of a table; what each setting means is said where people give it, as by `Resource`."""

    table: str
    schema: pa.Schema | None = None
    """All columns; None: they are inferred."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Types of some columns, by dotted path, where the others are inferred."""
    timestamps: bool = False
    primary_key: tuple[str, ...] = ()
    extra_fields: ExtraFields = "refuse"
    misfits: Misfits = "fail"
    schema_changes: SchemaChanges | None = None

    @property
    def evolves(self) -> bool:
        """Whether columns grow with what comes: where nobody said, those that are inferred do."""
        return (self.schema_changes or ("evolve" if self.schema is None else "freeze")) == "evolve"

    @property
    def infers(self) -> bool:
        """Whether columns may be found that nobody declared."""
        return self.schema is None or self.evolves
