"""Moments of INT96, as Spark, Hive and Impala wrote them: Arrow's nanoseconds wrap silently outside of 1677 to 2262."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

__all__ = ["Int96", "exact"]


class Int96:
    """The columns of a file that have such moments, read once more in microseconds, which hold every year."""

    def __init__(self, file: BinaryIO, metadata: pq.FileMetaData) -> None:
        leaves = (metadata.schema.column(n) for n in range(metadata.num_columns))
        self.names = {leaf.path.partition(".")[0] for leaf in leaves if leaf.physical_type == "INT96"}
        self._micro: Any = (
            pq.ParquetFile(file, metadata=metadata, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
            if self.names
            else None
        )

    def of_group(self, group: int, names: Sequence[str]) -> pa.Table | None:
        """Those of a row group that are asked for; None where there are none."""
        wanted = [name for name in names if name in self.names]
        return self._micro.read_row_group(group, columns=wanted) if wanted else None


def exact(nanos: Any, micros: Any, wanted: Any) -> Any:
    """The moments as the type that is wanted, or as nanoseconds.

    Raises:
        ValueError: it does not hold them.

    """
    if not pa.types.is_timestamp(wanted) or wanted.unit == "ns":
        try:
            micros.cast(nanos.type)
        except pa.ArrowException:
            raise ValueError("moments outside of 1677 to 2262, which nanoseconds do not hold") from None
        return nanos
    # Both wrap alike, so that a difference is what microseconds have cut off.
    again = pc.multiply(micros.cast(pa.int64()), 1000)
    if pc.any(pc.not_equal(again, nanos.cast(pa.int64()))).as_py():
        raise ValueError("moments that are finer than a microsecond")
    return micros.cast(wanted)
