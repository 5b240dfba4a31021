"""The tour's four pipelines, and the one function of its own that goes into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from de_classes.api import ApiSource
from de_classes.contracts import Mode
from de_classes.pipelines import (
    Checkpoint,
    EltPipeline,
    EtlPipeline,
    ObjectStoreToPostgres,
    PostgresToObjectStore,
    Route,
)
from de_classes.storage.objects import DatasetDestination, DatasetSource
from de_classes.storage.postgres import PostgresDestination
from de_classes.testing.shop import shop_client, shop_resources
from de_classes.transforms import Derive, Select
from de_classes.utils.retry import RetryPolicy

from .world import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import Observer
    from de_classes.pipelines import Checkpoint, Pipeline

    from .world import World

__all__ = [
    "CUSTOMERS_TO_LAKE",
    "DATASETS",
    "KEYS",
    "LINES_TO_WAREHOUSE",
    "ORDERS_TO_LAKE",
    "ORDERS_TO_WAREHOUSE",
    "explode_lines",
    "pipelines",
]

KEYS = {
    "customers": ["id"],
    "orders": ["id"],
    "order_lines": ["order_id", "line"],
    "daily_revenue": ["day", "currency"],
}

DATASETS = frozenset({"shop_to_lake", "warehouse_to_mirror"})
"""The pipelines that write to the store."""

CUSTOMER_COLUMNS = ("id", "name", "email", "birthday", "newsletter", "points")
ORDER_COLUMNS = (
    *("id", "number", "customer_id", "status", "currency", "gift", "discount", "weight_kg", "note", "total"),
    *("line_count", "paid_at", "created_at", "updated_at"),
)

CUSTOMERS_TO_LAKE = (
    Derive({name: pc.field("address", name) for name in ("street", "city", "postal_code", "country")}),
    Select(*CUSTOMER_COLUMNS, "street", "city", "postal_code", "country", "created_at", "updated_at"),
)


def count_lines(orders: pa.RecordBatch) -> pa.Array[Any]:
    """How many lines each order has."""
    lengths: pa.Array[Any] = pc.list_value_length(orders["lines"])
    return lengths


def explode_lines(orders: pa.RecordBatch) -> pa.RecordBatch:
    """One row for each line of each order, numbered within its order from 1."""
    lines: Any = orders["lines"]
    parents = pc.list_parent_indices(lines)
    first = pc.subtract(lines.offsets, lines.offsets[0])
    numbers = pc.subtract(pa.array(range(1, len(parents) + 1), pa.int32()), pc.take(first, parents))
    flat = pc.list_flatten(lines)
    columns = {
        "order_id": pc.take(orders["id"], parents),
        "line": numbers,
        **{name: pc.struct_field(flat, name) for name in ("sku", "quantity", "unit_price")},
    }
    return pa.record_batch(columns)


ORDERS_TO_LAKE = (Derive({"line_count": count_lines}),)
ORDERS_TO_WAREHOUSE = (Select(*ORDER_COLUMNS),)
LINES_TO_WAREHOUSE = (explode_lines,)

DAILY_REVENUE = (
    f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.daily_revenue (
        day date NOT NULL,
        currency text NOT NULL,
        orders bigint NOT NULL,
        units bigint NOT NULL,
        revenue numeric(18, 2) NOT NULL,
        PRIMARY KEY (day, currency)
    )""",
    f"DELETE FROM {SCHEMA}.daily_revenue",
    f"""
    INSERT INTO {SCHEMA}.daily_revenue
    SELECT (created_at AT TIME ZONE 'UTC')::date, currency,
           count(DISTINCT id), sum(quantity), sum(quantity * unit_price)
    FROM {SCHEMA}.orders JOIN {SCHEMA}.order_lines ON order_id = id
    WHERE status <> 'cancelled'
    GROUP BY 1, 2""",
)


def pipelines(
    world: World, api_url: str, page_rows: int, checkpoint: Checkpoint, observers: Sequence[Observer]
) -> Sequence[Pipeline]:
    """The pipelines in their order; the observers are told of the API client's retries, too."""

    def tell(event: object) -> None:
        for observer in observers:
            observer(event)  # type: ignore[arg-type]

    # The shop is next door, and its troubles are over in a moment.
    client = shop_client(api_url, observer=tell, retry=RetryPolicy(wait_seconds=0.05))
    warehouse = PostgresDestination(world.postgres, schema=SCHEMA, state_schema=SCHEMA)
    return (
        EtlPipeline(
            "shop_to_lake",
            ApiSource(client, shop_resources(page_rows)),
            DatasetDestination(world.store, world.lake),
            routes=[Route("customers", transforms=CUSTOMERS_TO_LAKE), Route("orders", transforms=ORDERS_TO_LAKE)],
            checkpoint=checkpoint,
        ),
        ObjectStoreToPostgres(
            world.store,
            world.postgres,
            name="lake_to_warehouse",
            prefix=world.lake,
            schema=SCHEMA,
            state_schema=SCHEMA,
            routes=["customers", Route("orders", transforms=ORDERS_TO_WAREHOUSE)],
        ),
        EltPipeline(
            "lines_to_revenue",
            DatasetSource(world.store, world.lake),
            warehouse,
            routes=[
                Route("orders", into="order_lines", transforms=LINES_TO_WAREHOUSE, primary_key=("order_id", "line"))
            ],
            mode=Mode.MERGE,
            statements=DAILY_REVENUE,
        ),
        PostgresToObjectStore(
            world.postgres,
            world.store,
            name="warehouse_to_mirror",
            tables=[f"{SCHEMA}.{table}" for table in KEYS],
            prefix=world.mirror,
            keep_replaced_seconds=0,  # nobody reads the mirror while a tour is under way
        ),
    )
