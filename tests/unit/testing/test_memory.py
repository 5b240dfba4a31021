"""The fakes keep the contracts that they stand in for."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from de_classes.testing.contract import (
    DestinationContract,
    GrowingContract,
    Leftovers,
    ReadBack,
    ReadQuarantine,
    SourceContract,
)
from de_classes.testing.memory import MemoryDestination, MemorySource

NUMBERS = pa.table({"id": pa.array(range(47), pa.int64()), "name": [f"row {n}" for n in range(47)]})


class TestMemorySource(SourceContract):
    @pytest.fixture
    def source(self) -> MemorySource:
        return MemorySource({"numbers": NUMBERS.slice(0, 31)}, ("id",))

    @pytest.fixture
    def grown(self) -> Callable[[], MemorySource]:
        return lambda: MemorySource({"numbers": NUMBERS}, ("id",))


class TestResumableMemorySource(SourceContract):
    @pytest.fixture
    def source(self) -> MemorySource:
        return MemorySource({"numbers": NUMBERS.slice(0, 31)}, ("id",), resumable=True)

    @pytest.fixture
    def grown(self) -> Callable[[], MemorySource]:
        return lambda: MemorySource({"numbers": NUMBERS}, ("id",), resumable=True)


class TestMemoryDestination(DestinationContract):
    crosses_processes = False
    deletes = True

    @pytest.fixture
    def destination(self) -> MemoryDestination:
        return MemoryDestination()

    @pytest.fixture
    def read_back(self, destination: MemoryDestination) -> ReadBack:
        return destination.table

    @pytest.fixture
    def leftovers(self, destination: MemoryDestination) -> Leftovers:
        return destination.leftovers

    @pytest.fixture
    def read_quarantine(self, destination: MemoryDestination) -> ReadQuarantine:
        return destination.rejected


class TestEvolvingMemoryDestination(GrowingContract):
    @pytest.fixture
    def destination(self) -> MemoryDestination:
        return MemoryDestination(schema_changes="evolve")

    @pytest.fixture
    def evolving(self, destination: MemoryDestination) -> MemoryDestination:
        return destination

    @pytest.fixture
    def read_back(self, evolving: MemoryDestination) -> ReadBack:
        return evolving.table
