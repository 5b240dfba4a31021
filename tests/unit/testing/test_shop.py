from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError
from de_classes.testing.shop import Shop, Trouble
from de_classes.testing.shop._history import History

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9)).filter(lambda sizes: sizes[2] <= sizes[0])


@given(sizes=SIZES, seed=st.integers(0, 5), days=st.integers(0, 6))
def test_a_history_is_what_counting_finds(sizes: tuple[int, int, int], seed: int, days: int) -> None:
    """Every question answered by arithmetic has the answer that walking through all changes gives."""
    history = History(seed, *sizes)
    changes = np.arange(history.changes(days))
    rows = history.row_of(changes).tolist()
    moments = history.moment(changes)
    assert (np.diff(moments) > 0).all()
    created, last, times, versions = {}, {}, Counter[int](), []
    for change, row in enumerate(rows):
        created.setdefault(row, change)
        last[row] = change
        versions.append(times[row])
        times[row] += 1
    everyone = np.arange(history.rows(days))
    assert list(created) == everyone.tolist()
    assert history.created_by(everyone).tolist() == list(created.values())
    assert history.last_change(everyone, days).tolist() == [last[row] for row in everyone.tolist()]
    assert history.versions(changes, np.array(rows)).tolist() == versions
    feed = sorted(last.values())
    assert history.nth_in_feed(days, 0, 10**9).tolist() == feed
    for change in range(0, len(changes), 17):
        moment = int(moments[change])
        assert history.changes_until(moment, days) == change + 1
        assert history.changes_until(moment - 1, days) == change
        assert history.feed_length(days, change) == sum(1 for live in feed if live < change)


@pytest.mark.parametrize("day", [0, 4])
def test_the_feed_shows_the_truth(day: int) -> None:
    """Walking over the feed gives every order once, in the order of its changes, as the truth has it."""
    shop = Shop(500, seed=7, day=day)
    after: int | None = 0
    rows: list[dict[str, Any]] = []
    while after is not None:
        page, after = shop.orders_feed(day, after, 37)
        rows += page
    assert len(rows) == shop.count_orders() == 500 + day * 10
    changed = [row["updated_at"] for row in rows]
    assert changed == sorted(set(changed))
    truth = pa.Table.from_batches(shop.orders()).to_pylist()
    rows.sort(key=lambda row: row["id"])
    for row, true in zip(rows, truth, strict=True):
        assert [row["id"], row["status"], row["note"]] == [true["id"], true["status"], true["note"]]
        assert datetime.fromisoformat(row["updated_at"]) == true["updated_at"]
        assert [f"{line['unit_price']:.2f}" for line in row["lines"]] == [
            str(line["unit_price"]) for line in true["lines"]
        ]
        assert true["total"] == sum(line["quantity"] * line["unit_price"] for line in true["lines"])


def test_a_day_brings_new_orders_and_changes_old_ones() -> None:
    """A day adds about 2 % and changes about 1 %, later than everything before; the rest stays."""
    shop = Shop(1000, seed=1)
    before = pa.Table.from_batches(shop.orders()).to_pylist()
    shop.advance()
    after = pa.Table.from_batches(shop.orders()).to_pylist()
    assert len(after) - len(before) == 20
    changed = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
    assert len(changed) == 10
    newest = max(row["updated_at"] for row in before)
    assert all(new["updated_at"] > newest and new["status"] != old["status"] for old, new in changed)
    assert all(row["created_at"] > newest for row in after[len(before) :])
    assert pa.Table.from_batches(shop.orders(day=0)).to_pylist() == before


def test_orders_belong_to_customers_that_there_are() -> None:
    """Every order's customer exists on the same day."""
    shop = Shop(300, seed=2, day=3)
    customers = set(pa.Table.from_batches(shop.customers())["id"].to_pylist())
    assert set(pa.Table.from_batches(shop.orders())["customer_id"].to_pylist()) <= customers
    assert len(customers) == shop.count_customers()


def test_the_seed_decides_everything() -> None:
    """Two shops of one seed are the same, also a larger one's first orders; another seed is another shop."""

    def values(**options: Any) -> list[Any]:
        return [row["total"] for batch in Shop(**options).orders() for row in batch.to_pylist()]

    assert values(orders=200, seed=1, day=2) == values(orders=200, seed=1, day=2)
    assert values(orders=200, seed=1) != values(orders=200, seed=2)


def test_the_values_are_not_easy() -> None:
    """The sample has nulls, quotes, line breaks, emoji, empty texts and nested nulls, so that all are tried."""
    shop = Shop(2000, seed=1)
    orders, customers = (pa.Table.from_batches(rows) for rows in (shop.orders(), shop.customers()))
    for column in ("discount", "weight_kg", "note", "paid_at"):
        assert 0 < orders[column].null_count < len(orders)
    notes = "".join(note or "" for note in orders["note"].to_pylist())
    assert all(sign in notes for sign in "\"'\n\t\\🎁")
    assert "" in orders["note"].to_pylist()
    assert {len(lines) for lines in orders["lines"].to_pylist()} == {1, 2, 3, 4, 5}
    addresses = customers["address"].to_pylist()
    assert None in addresses
    assert any(address and address["postal_code"] is None for address in addresses)
    assert orders.validate(full=True) is customers.validate(full=True) is None


@pytest.mark.parametrize("orders", [1, 2, 9, 10, 11, 101])
def test_small_shops_work_too(orders: int) -> None:
    """A shop of any size has a feed that agrees with its truth, day by day."""
    shop = Shop(orders, seed=3)
    for _ in range(4):
        page, more = shop.orders_feed(shop.day, 0, 1000)
        assert more is None
        assert len(page) == sum(batch.num_rows for batch in shop.orders()) == shop.count_orders()
        items, pages = shop.customers_feed(shop.day, 0, 1, 1000)
        assert (len(items), pages) == (shop.count_customers(), 1)
        shop.advance()


def test_trouble_is_decided_by_its_seed_and_ends() -> None:
    """The same requests meet the same trouble, in about the wanted share, and never too often in a row."""
    trouble = Trouble(seed=1, rate429=0.1, rate500=0.1, drop=0.2, slow=0.1)
    kinds = Counter(trouble.of(f"GET /orders?cursor={n}", 1, 0) for n in range(5000))
    assert kinds == Counter(trouble.of(f"GET /orders?cursor={n}", 1, 0) for n in range(5000))
    assert {kind: round(count / 5000, 1) for kind, count in kinds.items()} == {
        "": 0.5,
        "429": 0.1,
        "500": 0.1,
        "before": 0.1,
        "within": 0.1,
        "slow": 0.1,
    }
    always = Trouble(rate500=1, most_in_a_row=3)
    assert [always.of("x", n + 1, n) for n in range(4)] == ["500", "500", "500", ""]


@pytest.mark.parametrize("shares", [{"drop": 1.1}, {"slow": -0.1}, {"rate429": 0.6, "rate500": 0.6}])
def test_senseless_trouble_is_refused(shares: dict[str, float]) -> None:
    """Shares are parts of one whole."""
    with pytest.raises(ConfigurationError):
        Trouble(**shares)


def test_senseless_shops_are_refused() -> None:
    """A shop has an order, and time goes forward."""
    with pytest.raises(ConfigurationError, match=r"orders=0.*day=-1"):
        Shop(0, day=-1)
    with pytest.raises(ConfigurationError):
        Shop(1).advance(-1)
