"""SQL in the destination after loading."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from de_classes.contracts import Event, RunFailed, RunFinished
from de_classes.errors import ConfigurationError, DeClassesError
from de_classes.pipelines import EltPipeline
from de_classes.testing.memory import MemoryDestination, MemorySource

NUMBERS = MemorySource({"numbers": pa.table({"id": [1, 2, 3]})})


class SqlMemory(MemoryDestination):
    """Notes the SQL it is given, and how many rows were visible then."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[Sequence[str], int]] = []

    def execute(self, statements: Sequence[str]) -> Sequence[int]:
        table = self.table("numbers")
        self.ran.append((statements, table.num_rows if table else 0))
        return [0 for _ in statements]


def test_the_sql_runs_after_the_load_also_when_nothing_is_new() -> None:
    """A crash between load and SQL is mended by the next run, since the SQL belongs to every run."""
    destination = SqlMemory()
    pipeline = EltPipeline("p", NUMBERS, destination, statements=["one", "two"])
    assert [pipeline.run().rows, pipeline.run().rows] == [3, 0]
    assert destination.ran == [(("one", "two"), 3), (("one", "two"), 3)]


@pytest.mark.parametrize("statements", [[], "SELECT 1"])
def test_statements_are_a_sequence_with_something_in_it(statements: Sequence[str]) -> None:
    """One string would be taken apart letter by letter, so it is refused."""
    with pytest.raises(ConfigurationError, match="statements"):
        EltPipeline("p", NUMBERS, SqlMemory(), statements=statements)


def test_a_destination_without_sql_is_refused() -> None:
    """What runs no SQL cannot be the destination of an ELT pipeline."""
    with pytest.raises(ConfigurationError, match="runs no SQL"):
        EltPipeline("p", NUMBERS, MemoryDestination(), statements=["SELECT 1"])  # type: ignore[arg-type]


class BrokenSql(SqlMemory):
    def execute(self, statements: Sequence[str]) -> Sequence[int]:
        raise DeClassesError("the SQL", "it divides by zero")


def test_a_run_whose_sql_fails_has_failed() -> None:
    """Observers are told that the run failed, and not that it finished, when its SQL does."""
    events: list[Event] = []
    with pytest.raises(DeClassesError):
        EltPipeline("p", NUMBERS, BrokenSql(), statements=["one"]).run(observers=[events.append])
    assert isinstance(events[-1], RunFailed)
    assert not any(isinstance(event, RunFinished) for event in events)
