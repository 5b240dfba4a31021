"""The fakes keep the contracts that they stand in for."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from de_classes.testing.contract import DestinationContract, ReadBack, SourceContract
from de_classes.testing.memory import MemoryDestination, MemorySource

NUMBERS = pa.table({"id": pa.array(range(47), pa.int64()), "name": [f"row {n}" for n in range(47)]})


class TestMemorySource(SourceContract):
    @pytest.fixture
    def source(self) -> MemorySource:
        return MemorySource({"numbers": NUMBERS}, ("id",))


class TestResumableMemorySource(SourceContract):
    @pytest.fixture
    def source(self) -> MemorySource:
        return MemorySource({"numbers": NUMBERS}, ("id",), resumable=True)


class TestMemoryDestination(DestinationContract):
    @pytest.fixture
    def destination(self) -> MemoryDestination:
        return MemoryDestination()

    @pytest.fixture
    def read_back(self, destination: MemoryDestination) -> ReadBack:
        return destination.table

    @pytest.fixture
    def leftovers(self, destination: MemoryDestination) -> Callable[[], Sequence[str]]:
        return destination.leftovers
