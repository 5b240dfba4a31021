"""RecordBatches become COPY BINARY: the form that the server takes with the least work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .binary_fields import fields, has_fields, joined_pieces
from .copy_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from .binary_fields import Piece
    from .copy_text import Refuse
    from .types import PgType

__all__ = ["BinaryEncoder"]

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"


@dataclass(frozen=True, slots=True)
class BinaryEncoder:
    """Writes rows for columns of these types, which COPY must have as they are: it converts nothing."""

    types: Sequence[PgType]
    options: str = "FORMAT binary"
    header: bytes = _SIGNATURE + bytes(8)
    """The signature, no flags, no extension."""

    @classmethod
    def fitting(cls, types: Sequence[PgType], records: pa.RecordBatch) -> BinaryEncoder | None:
        """One for columns that come as those of `records`; None where a value has to be read from text."""
        kinds = [plain(column.slice(0, 0)).type for column in records.columns]
        return cls(types) if all(map(has_fields, kinds, types)) else None

    def encode(self, records: pa.RecordBatch, refuse: Callable[[str], Refuse]) -> bytes:
        """Lay out each column's fields, and join them row by row."""
        pieces: list[Piece] = [np.array(len(self.types), ">i2")]
        for name, array, type_ in zip(records.schema.names, records.columns, self.types, strict=True):
            pieces += fields(array, type_, refuse(name))
        if not records.num_rows:
            return b""
        _, offsets, data = joined_pieces(records.num_rows, pieces).buffers()
        used = int(np.frombuffer(offsets, np.int32)[records.num_rows])
        encoded: bytes = data.slice(0, used).to_pybytes()
        return encoded

    def lines(self, encoded: bytes, rows: int) -> int:
        """COPY counts rows."""
        del encoded
        return rows
