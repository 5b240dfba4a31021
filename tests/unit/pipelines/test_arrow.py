"""Tables that are already here, as a source."""

from __future__ import annotations

import pyarrow as pa
import pytest

from de_classes.errors import ConfigurationError
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.testing.contract import SourceContract
from de_classes.testing.memory import MemoryDestination

TABLE = pa.table({"id": pa.array(range(200_000), pa.int64())})


class TestArrowSource(SourceContract):
    reaches_an_end = False

    @pytest.fixture
    def source(self) -> ArrowSource:
        return ArrowSource({"numbers": TABLE}, primary_key=["id"])


class Frame:
    """A stranger's table that speaks Arrow and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


def test_takes_whatever_speaks_arrow() -> None:
    """An object with the method of the Arrow PyCapsule interface is enough."""
    destination = MemoryDestination()
    assert Pipeline("p", ArrowSource({"numbers": Frame()}), destination).run().rows == TABLE.num_rows
    assert destination.table("numbers") == TABLE


def test_refuses_what_does_not() -> None:
    """All strangers are named at once."""
    with pytest.raises(ConfigurationError, match="a, c"):
        ArrowSource({"a": [1, 2], "b": TABLE, "c": {}})  # type: ignore[dict-item]
