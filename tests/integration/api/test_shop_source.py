from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, NextLink, Resource, TokenLogin
from de_classes.contracts import Retried
from de_classes.errors import ApiUnreachable, AuthenticationFailed, ConfigurationError, InvalidAnswer
from de_classes.testing.contract import SourceContract
from de_classes.testing.http import ScriptedServer, json_reply
from de_classes.testing.shop import CUSTOMERS, ORDERS, USER, Shop, ShopProcess, ShopServer, Trouble, shop_source
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from de_classes.contracts import Batch, Position, Source, Stream

QUICK = RetryPolicy(wait_seconds=0.001, attempts=8)
TROUBLE = Trouble(seed=1, rate429=0.15, rate500=0.15, drop=0.2, slow=0.05, slow_seconds=0.001)
NAMES = ("customers", "orders")


def _batches(source: ApiSource, name: str, since: Position | None = None) -> list[Batch]:
    stream = next(stream for stream in source.streams() if stream.name == name)
    with source.plan(stream, json.loads(json.dumps(since))) as plan:
        return [batch for split in plan.splits for batch in split.read()]


def _table(batches: list[Batch]) -> pa.Table:
    return pa.Table.from_batches([batch.records for batch in batches])


def _truth(shop: Shop, name: str) -> pa.Table:
    return pa.Table.from_batches(shop.orders() if name == "orders" else shop.customers())


def _same(read: pa.Table, truth: pa.Table) -> bool:
    return bool(read.sort_by("id").combine_chunks().equals(truth.combine_chunks()))


class TestApiSourceContract(SourceContract):
    """ApiSource over the shop's API keeps the contract of sources."""

    @pytest.fixture
    def shop(self) -> Shop:
        """A shop of some days."""
        return Shop(600, seed=2, day=1)

    @pytest.fixture
    def grown(self, source: Source, shop: Shop) -> Callable[[], Source]:
        """The shop a day later."""

        def grow() -> Source:
            shop.advance()
            return source

        return grow

    @pytest.fixture
    def source(self, shop: Shop) -> Iterator[Source]:
        """A quiet shop."""
        with ShopServer(shop) as server:
            yield shop_source(server.url, per_page=70)

    @pytest.fixture(params=NAMES)
    def stream(self, source: Source, request: pytest.FixtureRequest) -> Stream:
        """By page numbers, and by links."""
        return next(stream for stream in source.streams() if stream.name == request.param)


@pytest.mark.parametrize("name", NAMES)
def test_gives_the_truth_whatever_happens(name: str) -> None:
    """Through refusals, errors, broken connections and expiring logins, exactly the shop's rows arrive."""
    shop = Shop(3000, seed=5, day=2)
    told: list[Any] = []
    with ShopServer(shop, trouble=TROUBLE, token_requests=7) as server:
        source = shop_source(server.url, per_page=50 if name == "orders" else 10, retry=QUICK, observer=told.append)
        read = _table(_batches(source, name))
        assert server.logins >= 4
        assert len(server.troubled) == 5, "the test is worth something only if there was all the trouble"
        retried = sum(count for kind, count in server.troubled.items() if kind != "slow")
    assert _same(read, _truth(shop, name))
    assert len(told) == retried
    assert all(isinstance(event, Retried) for event in told)


@pytest.mark.parametrize("name", NAMES)
def test_resumes_at_each_page(name: str) -> None:
    """Resumed after any page, at a server under another address, exactly the pages after it come."""
    shop = Shop(400, seed=3, day=1)
    options = {"per_page": 60 if name == "orders" else 7}
    with ShopServer(shop) as server:
        whole = _batches(shop_source(server.url, **options), name)
    assert len(whole) >= 6
    with ShopServer(shop) as server:
        source = shop_source(server.url, **options)
        for taken in range(1, len(whole)):
            rest = _batches(source, name, whole[taken - 1].position)
            assert _table(rest).equals(_table(whole[taken:]))
            assert rest[-1].position == whole[-1].position


def test_pinned_pages_do_not_shift() -> None:
    """A traversal that began on one day shows that day to its end, and the next run takes what came since."""
    shop = Shop(2000, seed=4)
    first_day = _truth(shop, "customers")
    with ShopServer(shop) as server:
        source = shop_source(server.url, per_page=20)
        begun = _batches(source, "customers")[:3]
        shop.advance(2)
        rest = _batches(source, "customers", begun[-1].position)
        assert _same(_table(begun + rest), first_day)
        news = _table(_batches(source, "customers", rest[-1].position))
    ids = news["id"].to_pylist()
    assert 0 < len(ids) == len(set(ids)) < 20
    truth = _truth(shop, "customers")
    old = pa.Table.from_pylist([row for row in first_day.to_pylist() if row["id"] not in ids], CUSTOMERS)
    assert _same(pa.concat_tables([old, news]), truth)


def test_changes_in_the_middle_come_at_the_end() -> None:
    """Orders that change while they are read come again with their change, and nothing is missed."""
    shop = Shop(1000, seed=4)
    with ShopServer(shop) as server:
        source = shop_source(server.url, per_page=100)
        stream = source.streams()[1]
        latest: dict[int, Any] = {}
        with source.plan(stream, None) as plan:
            for number, batch in enumerate(plan.splits[0].read()):
                latest |= {row["id"]: row for row in batch.records.to_pylist()}
                if number == 4:
                    shop.advance()
        position = batch.position
        assert _batches(source, "orders", position)[-1].records.num_rows == 0
    assert _same(pa.Table.from_pylist(list(latest.values()), ORDERS), _truth(shop, "orders"))


def test_takes_only_what_is_new() -> None:
    """Run again the next day, only changed and new orders are read; run again the same day, none."""
    shop = Shop(1000, seed=6)
    with ShopServer(shop) as server:
        source = shop_source(server.url)
        position = _batches(source, "orders")[-1].position
        shop.advance()
        news = _batches(source, "orders", position)
        assert sum(batch.records.num_rows for batch in news) == 30
        nothing = _batches(source, "orders", news[-1].position)
        assert [batch.records.num_rows for batch in nothing] == [0]
        assert nothing[-1].position == news[-1].position


def test_tokens_that_expire_by_the_clock_are_renewed() -> None:
    """Tokens of almost no life are renewed before or when they are refused."""
    with ShopServer(Shop(200), token_seconds=0.02) as server:
        read = _table(_batches(shop_source(server.url, per_page=5), "orders"))
        assert len(read) == 200
        assert server.logins > 1


def test_a_wrong_password() -> None:
    """A login that is refused is one clear error without the password."""
    with ShopServer(Shop(10)) as server:
        source = shop_source(server.url, auth=TokenLogin("/login", USER, "hunter2"))
        with pytest.raises(AuthenticationFailed, match="'demo'") as caught:
            _batches(source, "orders")
    assert "hunter2" not in str(caught.value)


def test_a_next_link_to_another_origin_is_refused() -> None:
    """A page that links elsewhere fails the stream, and nothing is asked there."""
    with ScriptedServer([]) as evil, ScriptedServer([json_reply({"items": [], "next": f"{evil.url}/x"})]) as server:
        client = shop_source(server.url, auth=None)._client
        source = ApiSource(client, [Resource("orders", "/orders", paging=NextLink())])
        with pytest.raises(InvalidAnswer, match="another origin"):
            _batches(source, "orders")
        assert evil.asked == []


def test_the_shop_answers_bad_questions() -> None:
    """The sample API refuses what it does not understand, as an API should."""
    with ShopServer(Shop(10)) as server:
        client = shop_source(server.url)._client
        for path, status in (
            ("/orders?per_page=0", 400),
            ("/orders?updated_since=yesterday", 400),
            ("/customers?as_of=5", 400),
            ("/nothing", 404),
        ):
            with pytest.raises(Exception, match=f"status {status}"):
                client.request("GET", path)


def test_a_shop_in_a_process_of_its_own() -> None:
    """The server as a process answers like the one in a thread, and ends with its context."""
    with ShopProcess(300, seed=5, day=1) as server:
        assert _same(_table(_batches(shop_source(server.url), "orders")), _truth(Shop(300, seed=5, day=1), "orders"))
        process = server._process
    assert process is not None
    assert process.returncode == 0


def test_a_shop_process_that_cannot_start() -> None:
    """A process that ends before it listens is one clear error."""
    with pytest.raises(ConfigurationError, match="did not start"), ShopProcess(0):
        pass


def test_a_shop_process_does_not_outlive_its_starter() -> None:
    """When whoever started it is killed, the server ends, too."""
    program = (
        "import sys, time\n"
        "from de_classes.testing.shop import ShopProcess\n"
        "with ShopProcess(10) as server:\n"
        "    print(server.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    # The server inherits standard error: it reaches its end when both are gone.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:")
        starter.kill()
        starter.communicate(timeout=20)
    with ApiClient(url, retry=RetryPolicy(attempts=1)) as client, pytest.raises(ApiUnreachable):
        client.get_json("/orders")
