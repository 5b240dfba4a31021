"""Random numbers: alone, as a source, and as an API that needs no network.

::

    list(RandomNumbers(5, seed=1))                                       # five floats, the same for ever
    Pipeline("demo", RandomNumbers(1_000_000, seed=1), destination)      # a table random_numbers(n, number)
    ApiClient("http://numbers", transport=RandomNumbers(99, seed=1).api()).get_json("/numbers", {"page": 2})

and, in a shell, `python -m de_classes.api.random_numbers --count 5 --seed 1`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as counted
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec
import numpy as np
import pyarrow as pa

from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ConfigurationError

from .messages import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from de_classes.contracts import Position

    from .messages import Request, Transport

__all__ = ["Distribution", "RandomNumbers"]

Distribution: TypeAlias = Literal["uniform", "normal", "exponential", "integers", "poisson"]

_BLOCK = 16_384
"""Numbers are drawn in blocks of this many, each from a generator of its own: any is found without the others."""

_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "uniform": {"low": 0.0, "high": 1.0},
    "normal": {"mean": 0.0, "deviation": 1.0},
    "exponential": {"mean": 1.0},
    "integers": {"low": 0, "high": 100},
    "poisson": {"mean": 1.0},
}
_WHOLE = frozenset({"integers", "poisson"})


class RandomNumbers:
    """The first `count` numbers of an endless series that follows from seed, distribution and parameters.

    A larger `count` gives more of the same series; numbers already given never change, with one version of numpy
    (another one may draw differently: NEP 19). Parameters, and what they are when left out:

    - `uniform`: floats from `low` (0) up to, not including, `high` (1)
    - `normal`: floats around `mean` (0) with the standard `deviation` (1)
    - `exponential`: floats above 0 with the `mean` (1)
    - `integers`: whole numbers from `low` (0) up to, not including, `high` (100)
    - `poisson`: whole numbers from 0 with the `mean` (1)

    As a source it has one stream, `name`, with the columns `n` (from 0, the primary key) and `number`. Its splits hold
    up to `split_rows` numbers each. Its position is how many numbers were given, and of which series.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        count: int,
        *,
        seed: int = 0,
        distribution: Distribution = "uniform",
        low: float | None = None,
        high: float | None = None,
        mean: float | None = None,
        deviation: float | None = None,
        name: str = "random_numbers",
        batch_rows: int = 65_536,
        split_rows: int = 1_048_576,
    ) -> None:
        given = {"low": low, "high": high, "mean": mean, "deviation": deviation}
        wanted = {key: value for key, value in given.items() if value is not None}
        problems = [
            f"{what}={value!r}: must be a whole number, {least} or more"
            for what, value, least in (
                ("count", count, 0),
                ("seed", seed, 0),
                ("batch_rows", batch_rows, 1),
                ("split_rows", split_rows, 1),
            )
            if type(value) is not int or value < least
        ]
        problems += _problems(distribution, wanted)
        if problems:
            raise ConfigurationError("RandomNumbers", "; ".join(problems), "Give other values.")
        self._count = count
        self._series = _Series(seed, distribution, tuple(_complete(distribution, wanted).items()))
        self._name = name
        self._batch_rows = batch_rows
        self._split_rows = split_rows

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[float]:
        """The numbers as Python's: int or float."""
        for start in range(0, self._count, _BLOCK):
            yield from self._series.between(start, min(start + _BLOCK, self._count)).tolist()

    def __repr__(self) -> str:
        return f"RandomNumbers({self._count}, {self._series.description!r})"

    def streams(self) -> Sequence[Stream]:
        """The one stream."""
        return [Stream(self._name, ("n",), self._series.schema)]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """The numbers from the position on, in splits that end at whole multiples of `split_rows`.

        Raises:
            ConfigurationError: the stream is not the one there is, or the position of another source.

        """
        if stream.name != self._name:
            raise ConfigurationError(
                f"stream {stream.name!r}", "is not random numbers", f"There is one: {self._name!r}."
            )
        given = self._given(since)
        if since is not None and given >= self._count:
            yield Plan((), since)
            return
        bounds = [given, *range((given // self._split_rows + 1) * self._split_rows, self._count, self._split_rows)]
        splits = [
            _Split(self._name, self._series, start, stop, self._batch_rows)
            for start, stop in zip(bounds, [*bounds[1:], self._count], strict=True)
        ]
        yield Plan(splits, {"given": self._count, "series": self._series.description})

    def api(self, *, refuse_every: int = 0) -> Transport:
        """A pretend API with the numbers, to be given to ApiClient as `transport`.

        `GET /numbers?page=1&per_page=100&after=...` answers the page, `pages`, and `next`, the link of the page that
        follows; `after` leaves out the numbers up to that `n`. Every so-manieth request is refused with 429 if
        `refuse_every` is given.
        """
        return _PretendApi(self._series, self._count, refuse_every)

    def _given(self, since: Position | None) -> int:
        if since is None:
            return 0
        given = since.get("given")
        if not isinstance(given, int) or since.get("series") != self._series.description:
            raise ConfigurationError(
                f"the position {dict(since)!r}",
                f"is not of the series {self._series.description!r}",
                "Another seed or distribution is another table: use another pipeline name for it.",
            )
        return given


def _problems(distribution: str, parameters: Mapping[str, float]) -> list[str]:
    if distribution not in _PARAMETERS:
        return [f"distribution={distribution!r}: there are {', '.join(_PARAMETERS)}"]
    taken = _PARAMETERS[distribution]
    problems = [f"{name}: {distribution} takes {' and '.join(taken)}" for name in parameters if name not in taken]
    if problems:
        return problems
    if distribution == "integers" and any(
        not -(2**63) <= value < 2**63 or value != int(value) for value in parameters.values()
    ):
        return ["integers: low and high must be whole numbers of 64 bits"]
    full = _complete(distribution, parameters)
    if not all(map(np.isfinite, full.values())):
        problems.append("parameters must be finite")
    elif "low" in full and full["low"] >= full["high"]:
        problems.append(f"low={full['low']} is not below high={full['high']}")
    elif distribution in {"exponential", "poisson"} and full["mean"] <= 0:
        problems.append(f"mean={full['mean']}: must be above 0")
    elif full.get("deviation", 0) < 0:
        problems.append(f"deviation={full['deviation']}: must be 0 or more")
    else:
        try:
            _Series(0, distribution, tuple(full.items())).draw(np.random.Generator(np.random.PCG64(0)), 1)
        except (ValueError, OverflowError) as error:
            problems.append(f"{distribution} cannot have these parameters ({error})")
    return problems


def _complete(distribution: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """All parameters, in one order and of one type, so that the same series has one description."""
    kind = int if distribution == "integers" else float
    return {name: kind(parameters.get(name, default)) for name, default in _PARAMETERS[distribution].items()}


@dataclass(frozen=True, slots=True)
class _Series:
    """An endless series of numbers."""

    seed: int
    distribution: str
    parameters: tuple[tuple[str, float], ...]

    @property
    def description(self) -> str:
        """Everything that the numbers follow from, numpy's version aside."""
        return (
            f"{self.distribution}({', '.join(f'{name}={value}' for name, value in self.parameters)}) seed {self.seed}"
        )

    @property
    def schema(self) -> pa.Schema:
        number = pa.int64() if self.distribution in _WHOLE else pa.float64()
        return pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("number", number, nullable=False)])

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers from the `start`-th to before the `stop`-th."""
        blocks = [self._block(block) for block in range(start // _BLOCK, -(-stop // _BLOCK))]
        first = start // _BLOCK * _BLOCK
        return np.concatenate(blocks)[start - first : stop - first] if blocks else np.empty(0)

    def _block(self, block: int) -> NDArray[Any]:
        # Always a whole block: a generator asked for fewer numbers may give others.
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, block])))
        return self.draw(generator, _BLOCK)

    def draw(self, generator: np.random.Generator, size: int) -> NDArray[Any]:
        """So many numbers from a generator."""
        of = dict(self.parameters)
        match self.distribution:
            case "uniform":
                return generator.uniform(of["low"], of["high"], size)
            case "normal":
                return generator.normal(of["mean"], of["deviation"], size)
            case "exponential":
                return generator.exponential(of["mean"], size)
            case "integers":
                return generator.integers(int(of["low"]), int(of["high"]), size)
            case _:
                return generator.poisson(of["mean"], size)


@dataclass(frozen=True, slots=True)
class _Split:
    """A stretch of a series."""

    name: str
    series: _Series
    start: int
    stop: int
    batch_rows: int

    @property
    def id(self) -> str:
        """Name, series, stretch, and the numpy that draws it."""
        return f"{self.name} {self.series.description} {self.start}-{self.stop} numpy {np.__version__}"

    def read(self) -> Iterator[Batch]:
        """The numbers, in batches."""
        schema = self.series.schema
        for start in range(self.start, self.stop, self.batch_rows):
            stop = min(start + self.batch_rows, self.stop)
            numbers = pa.array(self.series.between(start, stop), schema.field("number").type)
            n = pa.array(np.arange(start, stop, dtype=np.int64))
            yield Batch(pa.RecordBatch.from_arrays([n, numbers], schema=schema))


class _PretendApi:
    """A transport that answers by itself."""

    def __init__(self, series: _Series, count: int, refuse_every: int) -> None:
        self._series, self._count, self._refuse_every = series, count, refuse_every
        self._asked = counted(1)  # its next() is one step, also where threads share it

    def __call__(self, request: Request) -> Response:
        if self._refuse_every and next(self._asked) % self._refuse_every == 0:
            return _answered(request, 429, {"error": "one of the pretend API's refusals"}, {"retry-after": "0"})
        path, query = _target(request)
        if request.method != "GET" or not path.endswith("/numbers"):
            return _answered(request, 404, {"error": "there is only GET /numbers"})
        try:
            page, per_page, after = (int(query.get(key, value)) for key, value in _DEFAULTS.items())
        except ValueError:
            return _answered(request, 400, {"error": "page, per_page and after are whole numbers"})
        if page < 1 or per_page < 1 or after < -1:
            return _answered(request, 400, {"error": "page and per_page count from 1, after from 0"})
        return _answered(request, 200, self._page(path, page, per_page, after))

    def _page(self, path: str, page: int, per_page: int, after: int) -> dict[str, Any]:
        first = after + 1
        start = min(first + (page - 1) * per_page, self._count)
        stop = min(start + per_page, self._count)
        numbers = self._series.between(start, stop).tolist()
        more = f"{path}?page={page + 1}&per_page={per_page}&after={after}" if stop < self._count else None
        return {
            "items": [{"n": n, "number": number} for n, number in enumerate(numbers, start)],
            "page": page,
            "pages": -(-max(self._count - first, 0) // per_page),
            "next": more,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_asked": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**state, "_asked": counted(1)})


_DEFAULTS = {"page": 1, "per_page": 100, "after": -1}


def _target(request: Request) -> tuple[str, dict[str, str]]:
    parts = urlsplit(request.full_url())
    return parts.path, dict(parse_qsl(parts.query))


def _answered(request: Request, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        request, status, {"content-type": "application/json", **(headers or {})}, msgspec.json.encode(answer)
    )


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.random_numbers")
