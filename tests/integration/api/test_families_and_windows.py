from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, Incremental, PageNumber, Parent, Resource, Windows
from de_classes.api._walking.moments import moment_of
from de_classes.errors import ApiStatusError
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore
from de_classes.testing.contract import SourceContract
from de_classes.testing.http import LoopbackServer, Reply, json_reply
from de_classes.utils.rate_limit import RateLimiter
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from de_classes.contracts import Plan, Position, Source, Stream
    from de_classes.testing.http import Asked

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.string())])


class Shop:
    """Shops with orders with lines, and events of one an hour, all a few to a page; counts what is under way."""

    def __init__(self, shops: int = 5) -> None:
        self.shops = shops
        self.hours = 24 * 6
        self.asked: list[str] = []
        self.refused: set[str] = set()
        self.most = self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Reply:
        """Answer a page."""
        with self._lock:
            self.asked.append(asked.target)
            self._at_once += 1
            self.most = max(self.most, self._at_once)
        try:
            return self._answer(asked)
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, asked: Asked) -> Reply:
        if self.refused & set(asked.query.values()):
            return Reply(503)
        page, size = int(asked.query.get("page", 1)), int(asked.query.get("per_page", 3))
        records = self._records(asked.path.strip("/").split("/"), asked.query)
        found = records[size * (page - 1) : size * page]
        return json_reply({"items": found, "pages": -(-len(records) // size)})

    def _records(self, names: list[str], query: Mapping[str, str]) -> list[dict[str, Any]]:
        if names == ["events"]:
            since, until = moment_of(query["since"]), moment_of(query["until"])
            hours = ((n, FIRST + timedelta(hours=n)) for n in range(self.hours))
            return [{"id": n, "at": at.isoformat()} for n, at in hours if since <= at <= until]
        if len(names) == 1:
            return [{"id": f"s/{n}", "at": n} for n in range(self.shops) if n > int(query.get("since", -1))]
        shop = int(names[1].removeprefix("s%2F"))
        if len(names) == 3:
            return [{"order": 10 * shop + n} for n in range(shop + 1)]
        return [{"line": 100 * int(names[3]) + n} for n in range(int(names[3]) % 6)]

    def lines(self) -> list[int]:
        """The truth."""
        orders = [10 * shop + n for shop in range(self.shops) for n in range(shop + 1)]
        return [100 * order + n for order in orders for n in range(order % 6)]


def _source(url: str, now: str = "2024-01-05T12:00:00Z", **options: Any) -> ApiSource:
    client = ApiClient(url, **{"retry": RetryPolicy(attempts=1), **options})
    pages = PageNumber(total_pages_at="pages", stable=True)
    incremental = Incremental(
        param="since",
        end_param="until",
        field="at",
        start="2024-01-01",
        windows=Windows(step=timedelta(days=1), settled_seconds=3600),
    )
    return ApiSource(
        client,
        [
            Resource("shops", "/shops", paging=pages, incremental=Incremental(param="since", field="at")),
            Resource(
                "orders", "/shops/{shop}/orders", paging=pages, parent=Parent("shops", {"shop": "id"}, {"shop": "id"})
            ),
            Resource(
                "lines",
                "/shops/{shop}/orders/{order}/lines",
                paging=pages,
                schema=pa.schema([pa.field("shop", pa.string()), pa.field("line", pa.int64())]),
                primary_key=("line",),
                parent=Parent("orders", {"shop": "shop", "order": "order"}, {"shop": "shop"}),
            ),
            Resource(
                "events",
                "/events",
                paging=pages,
                schema=EVENTS,
                primary_key=("id",),
                incremental=incremental,
                params={"per_page": 10},
            ),
        ],
        clock=lambda: moment_of(now),
    )


def _stream(source: Source, name: str) -> Stream:
    return next(stream for stream in source.streams() if stream.name == name)


class TestFamilyContract(SourceContract):
    """A resource whose parent has a parent keeps the contract of sources."""

    @pytest.fixture
    def shop(self) -> Shop:
        """Some shops."""
        return Shop()

    @pytest.fixture
    def grown(self, source: Source, shop: Shop) -> Callable[[], Source]:
        """A shop more."""

        def grow() -> Source:
            shop.shops += 1
            return source

        return grow

    @pytest.fixture
    def source(self, shop: Shop) -> Iterator[Source]:
        """A server of its own."""
        with LoopbackServer(shop) as server:
            yield _source(server.url)

    @pytest.fixture
    def stream(self, source: Source) -> Stream:
        """The grandchildren."""
        return _stream(source, "lines")


class TestWindowsContract(SourceContract):
    """A resource that is read in windows keeps the contract of sources."""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        """A server of its own."""
        with LoopbackServer(Shop()) as server:
            yield server.url

    @pytest.fixture
    def grown(self, url: str) -> Callable[[], Source]:
        """A day later."""
        return lambda: _source(url, "2024-01-06T12:00:00Z")

    @pytest.fixture
    def source(self, url: str) -> Source:
        """The source on the fifth day."""
        return _source(url)

    @pytest.fixture
    def stream(self, source: Source) -> Stream:
        """The events."""
        return _stream(source, "events")


def _beginning(plan: Plan, position: Position | None) -> tuple[list[int], Position | None]:
    """The rows up to the first position that a walk gives, which is abandoned there."""
    rows: list[int] = []
    for split in plan.splits:
        for batch in split.read():
            rows += batch.records["line"].to_pylist() if batch.records.num_columns else []
            if batch.position is not None:
                return rows, batch.position
    return rows, position


def test_children_come_once_however_often_the_walk_is_interrupted() -> None:
    """Abandoned after each batch, and taken up from the last position, a walk over families gives each row once."""
    shop = Shop(8)
    with LoopbackServer(shop) as server:
        source, stream = _source(server.url), _stream(_source(server.url), "lines")
        taken: list[int] = []
        positions: list[Position | None] = [None]
        while len(positions) < 2 or positions[-1] != positions[-2]:
            with source.plan(stream, json.loads(json.dumps(positions[-1]))) as plan:
                rows, position = _beginning(plan, positions[-1])
            taken, positions = taken + rows, [*positions, position]
    assert taken == shop.lines()
    assert len(positions) > 4


def test_requests_for_children_share_the_clients_budget() -> None:
    """However many parents are asked for at once, no more requests are under way than the client may have."""
    shop = Shop(8)
    with LoopbackServer(shop) as server:
        source = _source(server.url, rate_limit=RateLimiter(concurrent=2))
        with source.plan(_stream(source, "lines"), None) as plan:
            rows = [
                n
                for batch in plan.splits[0].read()
                if batch.records.num_columns
                for n in batch.records["line"].to_pylist()
            ]
    assert rows == shop.lines()
    assert shop.most <= 2


def test_an_interrupted_backfill_goes_on_with_the_windows_that_are_missing(tmp_path: Path) -> None:
    """What the failed run had written of settled windows is taken over by the next, and each event is there once."""
    shop = Shop()
    shop.refused = {"2024-01-04T23:59:59Z"}
    with LoopbackServer(shop) as server:
        destination = DatasetDestination(LocalStore(tmp_path))
        pipeline = Pipeline("p", _source(server.url), destination, routes=["events"])
        with pytest.raises(ApiStatusError, match="503"):
            pipeline.run()
        shop.refused.clear()
        del shop.asked[:]
        assert pipeline.run().rows == 4 * 24 + 12
        assert pipeline.run().rows == 0
    assert not [target for target in shop.asked if "2023-12-31T23:59:59Z" in target]
