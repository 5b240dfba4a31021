"""The type table: PostgreSQL <-> Arrow <-> DDL. Every part that needs to know a type asks here."""

from ._all import (
    TYPE_KEY,
    Column,
    PgType,
    arrow_type,
    columns_of_schema,
    holds,
    natural_type,
    refuse_unknown,
    type_from_catalogue,
)
from ._unheld import Unheld

__all__ = [
    "TYPE_KEY",
    "Column",
    "PgType",
    "Unheld",
    "arrow_type",
    "columns_of_schema",
    "holds",
    "natural_type",
    "refuse_unknown",
    "type_from_catalogue",
]
