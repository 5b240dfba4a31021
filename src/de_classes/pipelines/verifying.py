"""Whether the values that a load has kept are those that were handed to it: both are summed up, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.contracts import Checks
from de_classes.errors import ConfigurationError, ValuesDiffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from de_classes.contracts import Load, Receipt
    from de_classes.utils.checksum import TableChecksum

__all__ = ["Verifying", "unverified", "verified"]


class Verifying:
    """Sums up the values of a split as they are handed over, one sum for each piece of it.

    What is summed up is what the load can read back as it was given; of the others, the report says that they were not.
    """

    def __init__(self, load: Load) -> None:
        if not isinstance(load, Checks):
            raise ConfigurationError(
                "verify='values'",
                f"a {type(load).__name__} cannot read back what it has written",
                "Use verify='counts' for this destination.",
            )
        self._load = load
        self._schema: pa.Schema | None = None
        self._sums: list[TableChecksum] = []

    def passed(self, records: pa.RecordBatch) -> str | None:
        """Add a batch; the sum of all rows of its piece so far."""
        from de_classes.utils.checksum import TableChecksum  # noqa: PLC0415 -- numpy, only where there are sums

        if records.num_columns:
            if self._schema is None or not records.schema.equals(self._schema, check_metadata=True):
                self._schema = records.schema
                self._sums.append(TableChecksum(self._load.checkable(records.schema)))
            self._sums[-1].update(records)
        return str(self._sums[-1].value) if self._sums else None

    def compare(self, receipts: Sequence[Receipt]) -> None:
        """See that the load kept what it was given.

        Raises:
            ValuesDiffer: it did not.

        """
        pieces = [receipt for receipt in receipts if receipt.schema is not None]
        for receipt, given in zip(pieces, self._sums, strict=True):
            if receipt.checksum != str(given.value):
                raise _differ(receipt, f"the checksum {given.value}", f"{receipt.checksum} in the receipt")
            verified(self._load, receipt)


def verified(load: Load, receipt: Receipt) -> None:
    """See that what was kept of a piece has the values that its receipt vouches for.

    Raises:
        ValuesDiffer: it has not.

    """
    if isinstance(load, Checks) and receipt.schema is not None and receipt.rows:
        found = load.checksum(receipt, load.checkable(receipt.schema))
        if found != receipt.checksum:
            raise _differ(receipt, f"the checksum {receipt.checksum}", f"{found} when they are read back")


def unverified(load: Load, schema: pa.Schema) -> Sequence[str]:
    """The columns that are in no sum."""
    compared = set(load.checkable(schema)) if isinstance(load, Checks) else set()
    return [name for name in schema.names if name not in compared]


def _differ(receipt: Receipt, given: str, kept: str) -> ValuesDiffer:
    return ValuesDiffer(
        f"split {receipt.split_id!r}",
        f"its {receipt.rows} rows had {given}, and have {kept}",
        "Nothing has been committed. Run it again; if it stays so, something changes values on the way: report it.",
        split_id=receipt.split_id,
    )
