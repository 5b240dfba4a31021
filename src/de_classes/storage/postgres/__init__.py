"""PostgreSQL: a client, a source and a destination.

`PostgresSource` reads tables and queries under one snapshot, `PostgresDestination` loads rows and position in one
transaction; types.py holds the one table of types that both use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .client import PostgresClient as PostgresClient
    from .cursors import CursorColumn as CursorColumn
    from .declaring import Check as Check
    from .declaring import ForeignKey as ForeignKey
    from .declaring import Index as Index
    from .destination import PostgresDestination as PostgresDestination
    from .identifiers import TableName as TableName
    from .pieces import KeyHashes as KeyHashes
    from .pieces import KeyRanges as KeyRanges
    from .source import PostgresSource as PostgresSource
    from .versions import RowVersions as RowVersions

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Check": ".declaring",
        "CursorColumn": ".cursors",
        "ForeignKey": ".declaring",
        "Index": ".declaring",
        "KeyHashes": ".pieces",
        "KeyRanges": ".pieces",
        "PostgresClient": ".client",
        "PostgresDestination": ".destination",
        "PostgresSource": ".source",
        "RowVersions": ".versions",
        "TableName": ".identifiers",
    },
)
