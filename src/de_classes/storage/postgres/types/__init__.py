"""The type table: PostgreSQL <-> Arrow <-> DDL. Every part that needs to know a type asks here.

`_table` is the table, and `docs/types.md` its prose. The type itself travels in the field's metadata under
`de_classes.postgres_type`, so that PostgreSQL -> Parquet -> PostgreSQL gives back the same DDL; it counts as long as
the field has the Arrow type of the table. Other Arrow types get the DDL that holds all their values (`natural_type`).
"""

from ._columns import TYPE_KEY, Column, arrow_type, refuse_unknown
from ._from_arrow import columns_of_schema, natural_type, plain_type
from ._from_catalogue import Entry, Use, type_of
from ._holding import holds
from ._pg_type import PgType
from ._unheld import Unheld
from ._wire import NO_LIST, Wire, as_read, may_be_unheld, no_list, told_of, unheld_condition, wire

__all__ = [
    "NO_LIST",
    "TYPE_KEY",
    "Column",
    "Entry",
    "PgType",
    "Unheld",
    "Use",
    "Wire",
    "arrow_type",
    "as_read",
    "columns_of_schema",
    "holds",
    "may_be_unheld",
    "natural_type",
    "no_list",
    "plain_type",
    "refuse_unknown",
    "told_of",
    "type_of",
    "unheld_condition",
    "wire",
]
