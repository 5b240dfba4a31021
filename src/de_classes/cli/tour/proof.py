"""The proof: at every hop the same rows with the same values, or the tour fails.

The shop itself is asked for the truth, past its API and past every pipeline; then each place where a table came to rest
is read back whole. Each reading ends in a count and an order-independent checksum of the values.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from de_classes.errors import ProofFailed
from de_classes.storage.objects import DatasetSource
from de_classes.storage.postgres import PostgresSource
from de_classes.testing.shop import Shop
from de_classes.transforms import apply
from de_classes.utils.checksum import TableChecksum, checksum

from .steps import CUSTOMERS_TO_LAKE, KEYS, LINES_TO_WAREHOUSE, ORDERS_TO_LAKE, ORDERS_TO_WAREHOUSE
from .world import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.contracts import Source
    from de_classes.utils.checksum import Checksum

    from .state import ShopState
    from .world import World

__all__ = ["Hop", "Proof", "prove"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One table at the places where it came to rest, in the order in which it got there."""

    table: str
    places: Mapping[str, Checksum]

    @property
    def holds(self) -> bool:
        """Whether all places hold the same."""
        return len(set(self.places.values())) == 1


@dataclass(frozen=True, slots=True)
class Proof:
    """All the hops."""

    hops: Sequence[Hop]

    @property
    def holds(self) -> bool:
        """Whether all of them hold."""
        return all(hop.holds for hop in self.hops)

    def check(self) -> None:
        """Raise unless every hop holds.

        Raises:
            ProofFailed: naming each table and what each place holds of it.

        """
        told = [
            f"{hop.table}: " + ", ".join(f"{place} {found.rows} rows, {found}" for place, found in hop.places.items())
            for hop in self.hops
            if not hop.holds
        ]
        if told:
            raise ProofFailed(
                "the tour's proof",
                "places that should hold the same do not: " + "; ".join(told),
                "If nobody else changed these tables, please report it: this must never happen.",
            )


def prove(world: World, state: ShopState) -> Proof:
    """Ask the shop for the truth, and read every place back."""
    shop = Shop(state.orders, seed=state.seed, day=state.day)
    lake, mirror = DatasetSource(world.store, world.lake), DatasetSource(world.store, world.mirror)
    warehouse = PostgresSource(world.postgres, tables=[f"{SCHEMA}.{table}" for table in KEYS])
    expected = _Orders()
    for batch in shop.orders():
        expected.update(apply(ORDERS_TO_LAKE, batch))
    in_lake = _Orders()
    for batch in _latest(lake, "orders"):
        in_lake.update(batch)
    begun: dict[str, dict[str, Checksum]] = {
        "customers": {
            "shop": checksum(apply(CUSTOMERS_TO_LAKE, batch) for batch in shop.customers()),
            "lake": checksum(_latest(lake, "customers")),
        },
        "orders": {"shop": expected.orders.value, "lake": in_lake.orders.value},
        "order_lines": {"shop": expected.lines.value, "lake": in_lake.lines.value},
        "daily_revenue": {"shop": expected.revenue()},
    }
    return Proof(
        [
            Hop(
                table,
                {**places, "warehouse": checksum(_all(warehouse, table)), "mirror": checksum(_all(mirror, table))},
            )
            for table, places in begun.items()
        ]
    )


def _all(source: Source, name: str) -> Iterator[pa.RecordBatch]:
    """Every row that a source has of a stream, split after split; none when it has no such stream."""
    for stream in source.streams():
        if stream.name == name:
            with source.plan(stream, None) as plan:
                for split in plan.splits:
                    for batch in split.read():
                        yield batch.records


def _latest(source: Source, name: str) -> Iterator[pa.RecordBatch]:
    """Of each id the row that came last, from a dataset that holds every version.

    Reads twice: once for ids and versions (about 40 bytes a row are held for a moment), once for the rows.

    Raises:
        ProofFailed: a version came twice, or after a later one.

    """
    wanted = _last_of_each(name, [(_int64(batch["id"]), _int64(batch["updated_at"])) for batch in _all(source, name)])
    offset = 0
    for batch in _all(source, name):
        yield batch.filter(pa.array(wanted[offset : offset + batch.num_rows]))
        offset += batch.num_rows


def _int64(column: Any) -> Any:
    return np.asarray(column.cast(pa.int64()))


def _last_of_each(name: str, pieces: Sequence[tuple[Any, Any]]) -> Any:
    """Which rows are the last of their id, in the order in which they came."""
    empty = np.empty(0, np.int64)
    ids, versions = (np.concatenate([empty, *column]) for column in (zip(*pieces, strict=True) if pieces else ((), ())))
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    repeated = int(np.count_nonzero(same & (versions[order][1:] <= versions[order][:-1])))
    if repeated:
        raise ProofFailed(
            "the tour's proof",
            f"in the lake, {repeated} rows of {name} came twice, or after a later version of themselves",
            "If nobody else changed the lake, please report it: this must never happen.",
        )
    wanted = np.zeros(len(ids), bool)
    wanted[order[np.append(~same, [True] * (len(ids) > 0))]] = True
    return wanted


class _Orders:
    """Sums up orders in the form that they have in the lake, and what the later tables should be, given them."""

    def __init__(self) -> None:
        self.orders = TableChecksum()
        self.lines = TableChecksum()
        self._days: dict[tuple[Any, str], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])

    def update(self, batch: pa.RecordBatch) -> None:
        self.orders.update(apply(ORDERS_TO_WAREHOUSE, batch))
        self.lines.update(apply(LINES_TO_WAREHOUSE, batch))
        self._add_revenue(batch.filter(pc.not_equal(batch["status"], pa.scalar("cancelled"))))

    def _add_revenue(self, batch: pa.RecordBatch) -> None:
        lines = batch["lines"]
        quantities = pc.struct_field(pc.list_flatten(lines), "quantity").to_numpy()
        units = np.bincount(np.asarray(pc.list_parent_indices(lines)), quantities, batch.num_rows).astype(np.int64)
        columns = {
            "day": pc.cast(batch["created_at"], pa.date32(), safe=False),
            "currency": batch["currency"],
            "units": pa.array(units),
            "revenue": batch["total"],
        }
        sums: Any = [("currency", "count"), ("units", "sum"), ("revenue", "sum")]
        for row in pa.table(columns).group_by(["day", "currency"]).aggregate(sums).to_pylist():
            known = self._days[row["day"], row["currency"]]
            for n, value in enumerate((row["currency_count"], row["units_sum"], row["revenue_sum"])):
                known[n] += value

    def revenue(self) -> Checksum:
        """What the table of daily revenue should hold."""
        names = ("day", "currency", "orders", "units", "revenue")
        rows = [dict(zip(names, (*key, *values), strict=True)) for key, values in self._days.items()]
        types = (pa.date32(), pa.string(), pa.int64(), pa.int64(), pa.decimal128(18, 2))
        return checksum(pa.Table.from_pylist(rows, schema=pa.schema(zip(names, types, strict=True))).to_batches())
