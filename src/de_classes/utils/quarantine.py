"""Records that do not fit: what is kept of them, and where people find it.

A record goes to quarantine as it came, with the reason and the place, in the commit of its neighbours. So it is there
once, as they are, and can be put right and loaded later.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["REJECTED", "quarantine_of"]

_COLUMNS: list[pa.Field[Any]] = [
    pa.field("record", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("path", pa.string()),
    pa.field("place", pa.string(), nullable=False),
    pa.field("row", pa.int64()),
]
REJECTED = pa.schema(_COLUMNS)
"""The record as it came (JSON text, a line of a file), why it does not fit, the dotted path of the value that does not
(null where it is about the whole record), the page or file, and the record's number in it, counted from 0."""


def quarantine_of(stream: str) -> str:
    """The name under which the rejected records of a stream are kept."""
    return f"{stream}_quarantine"
