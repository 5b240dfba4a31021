from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient, ApiSource, Incremental, NextLink, PageNumber, RandomNumbers, Resource
from de_classes.api._doors.random_numbers import main
from de_classes.errors import ApiStatusError, ConfigurationError
from de_classes.testing.contract import SourceContract
from de_classes.utils.rate_limit import RateLimiter
from de_classes.utils.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.contracts import Position, Source


def _rows(source: RandomNumbers, since: Position | None = None) -> tuple[list[dict[str, Any]], Position | None]:
    with source.plan(source.streams()[0], since) as plan:
        batches = [batch.records for split in plan.splits for batch in split.read()]
        return [row for batch in batches for row in batch.to_pylist()], plan.position


class TestRandomNumbersAsSource(SourceContract):
    """RandomNumbers keeps the contract of sources."""

    @pytest.fixture
    def source(self) -> Source:
        """Several splits of several batches."""
        return RandomNumbers(1000, seed=3, batch_rows=99, split_rows=300)

    @pytest.fixture
    def grown(self) -> Callable[[], Source]:
        """The same series, further."""
        return lambda: RandomNumbers(1300, seed=3, batch_rows=99, split_rows=300)


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Numbers follow from the seed; these are what seed 1 has always given."""
    assert list(RandomNumbers(3, seed=1)) == [0.5118216247002567, 0.9504636963259353, 0.14415961271963373]
    assert list(RandomNumbers(3, seed=2)) != list(RandomNumbers(3, seed=1))


@pytest.mark.parametrize(
    ("options", "kind", "low", "high", "mean"),
    [
        ({}, float, 0, 1, 0.5),
        ({"low": -2, "high": 2}, float, -2, 2, 0),
        ({"distribution": "normal", "mean": 5, "deviation": 2}, float, -20, 30, 5),
        ({"distribution": "exponential", "mean": 3}, float, 0, 100, 3),
        ({"distribution": "integers"}, int, 0, 99, 49.5),
        ({"distribution": "integers", "low": -5, "high": 6}, int, -5, 5, 0),
        ({"distribution": "poisson", "mean": 4}, int, 0, 40, 4),
    ],
)
def test_distributions_are_what_they_say(options: Any, kind: type, low: float, high: float, mean: float) -> None:
    """Numbers have the type, the bounds and, about, the mean of their distribution."""
    numbers = list(RandomNumbers(20_000, seed=5, **options))
    assert {type(number) for number in numbers} == {kind}
    assert low <= min(numbers) < max(numbers) <= high
    assert sum(numbers) / len(numbers) == pytest.approx(mean, abs=(high - low) / 50)


@given(
    fewer=st.integers(0, 40_000),
    more=st.integers(0, 40_000),
    distribution=st.sampled_from(["uniform", "normal", "integers", "poisson", "exponential"]),
)
def test_more_numbers_begin_with_the_fewer(fewer: int, more: int, distribution: Any) -> None:
    """Raising the count changes none of the numbers that were given before."""
    fewer, more = sorted((fewer, more))
    whole = list(RandomNumbers(more, seed=1, distribution=distribution))
    assert list(RandomNumbers(fewer, seed=1, distribution=distribution)) == whole[:fewer]
    assert len(whole) == more


@pytest.mark.parametrize(("batch_rows", "split_rows"), [(7, 50), (1000, 7), (65_536, 1_048_576)])
def test_batches_and_splits_do_not_matter(batch_rows: int, split_rows: int) -> None:
    """However the rows are cut, they are the numbers in order, counted from 0."""
    rows, position = _rows(RandomNumbers(200, seed=1, batch_rows=batch_rows, split_rows=split_rows))
    assert [row["n"] for row in rows] == list(range(200))
    assert [row["number"] for row in rows] == list(RandomNumbers(200, seed=1))
    assert position == {"given": 200, "series": "uniform(low=0.0, high=1.0) seed 1"}


def test_a_higher_count_gives_only_the_new_ones() -> None:
    """Planned since a position, only numbers that were not given come."""
    _, position = _rows(RandomNumbers(100, seed=1, split_rows=30))
    rows, position = _rows(RandomNumbers(250, seed=1, split_rows=30), position)
    assert [row["n"] for row in rows] == list(range(100, 250))
    assert _rows(RandomNumbers(50, seed=1), position) == ([], position)


def test_splits_of_the_same_stretch_have_the_same_id() -> None:
    """An id names seed, distribution and stretch, so a piece written by an interrupted run is known again."""

    def ids(count: int, **options: Any) -> list[str]:
        source = RandomNumbers(count, split_rows=100, **options)
        with source.plan(source.streams()[0], None) as plan:
            return [pickle.loads(pickle.dumps(split)).id for split in plan.splits]

    assert ids(300)[:2] == ids(250)[:2]
    assert ids(100) == ids(100, low=0, high=1)
    assert not set(ids(100)) & {*ids(100, seed=1), *ids(100, low=0.5), *ids(100, distribution="normal")}


def test_a_position_of_another_series_is_refused() -> None:
    """Going on with another seed would mix two tables."""
    _, position = _rows(RandomNumbers(10, seed=1))
    with pytest.raises(ConfigurationError, match="seed 2"):
        _rows(RandomNumbers(20, seed=2), position)
    with pytest.raises(ConfigurationError):
        _rows(RandomNumbers(20, seed=2), {"watermark": 1})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": -1, "seed": -1, "batch_rows": 0}, "count=-1.*seed=-1.*batch_rows=0"),
        ({"distribution": "gauss"}, "gauss"),
        ({"mean": 3}, "uniform takes low and high"),
        ({"low": 1, "high": 1}, "not below"),
        ({"low": -1e308, "high": 1e308}, "cannot have"),
        ({"low": float("nan")}, "finite"),
        ({"distribution": "integers", "low": 0.5}, "whole"),
        ({"distribution": "integers", "high": 2**70}, "64 bits"),
        ({"distribution": "normal", "deviation": -1}, "deviation"),
        ({"distribution": "poisson", "mean": 0}, "above 0"),
        ({"distribution": "poisson", "mean": 1e30}, "cannot have"),
    ],
)
def test_senseless_parameters_are_refused(options: dict[str, Any], told: str) -> None:
    """Parameters that a distribution does not have, or cannot have, are the user's mistake."""
    with pytest.raises(ConfigurationError, match=told):
        RandomNumbers(**{"count": 1, **options})


@pytest.mark.parametrize("paging", [PageNumber(per_page=10, total_pages_at="pages", stable=True), NextLink()])
def test_stands_in_for_an_api(paging: Any) -> None:
    """Behind client, retries, rate limit, paging and source, the pretend API gives the same numbers."""
    numbers = RandomNumbers(95, seed=4)
    told: list[Any] = []
    client = ApiClient(
        "http://numbers",
        transport=numbers.api(refuse_every=3),
        retry=RetryPolicy(wait_seconds=0),
        rate_limit=RateLimiter(1000),
        observer=told.append,
    )
    schema = pa.schema([pa.field("n", pa.int64()), pa.field("number", pa.float64())])
    resource = Resource(
        "numbers", "/numbers", paging=paging, schema=schema, incremental=Incremental(param="after", field="n")
    )
    source = ApiSource(client, [resource])
    with source.plan(source.streams()[0], {"watermark": 4}) as plan:
        rows = [row for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]
    assert [row["n"] for row in rows] == list(range(5, 95))
    assert [row["number"] for row in rows] == list(numbers)[5:]
    assert len(told) >= 1 if isinstance(paging, PageNumber) else told == []


def test_the_pretend_api_refuses_what_it_does_not_have() -> None:
    """Other paths and senseless parameters are answered as an API would; a copy of it answers, too."""
    client = ApiClient("http://numbers", transport=RandomNumbers(3).api())
    copy = pickle.loads(pickle.dumps(client))
    for path, params, status in (("/x", {}, 404), ("/numbers", {"page": 0}, 400), ("/numbers", {"page": "x"}, 400)):
        with pytest.raises(ApiStatusError) as caught:
            copy.get_json(path, params)
        assert caught.value.status == status
    assert copy.get_json("/numbers", {"page": 9})["items"] == []


def test_prints_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints one number a line, or one clear error."""
    assert main(["--count", "2", "--seed", "1"]) == 0
    assert capsys.readouterr().out == "0.5118216247002567\n0.9504636963259353\n"
    assert main(["--distribution", "normal", "--low", "3"]) == 2
    assert "normal takes mean and deviation" in capsys.readouterr().err
