"""Tables that are already here, as a source."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from de_classes.contracts import Stream
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

    @pytest.fixture
    def grown(self) -> Callable[[], ArrowSource]:
        more = pa.concat_tables([TABLE, pa.table({"id": pa.array([-1, -2], pa.int64())})])
        return lambda: ArrowSource({"numbers": more}, primary_key=["id"])


class Frame:
    """A stranger's table that speaks Arrow and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


def test_takes_whatever_speaks_arrow() -> None:
    """An object with the method of the Arrow PyCapsule interface is enough."""
    destination = MemoryDestination()
    assert Pipeline("p", ArrowSource({"numbers": Frame()}), destination).run().rows == TABLE.num_rows
    assert destination.table("numbers") == TABLE


def test_columns_are_told_where_they_are_known() -> None:
    """A table of pyarrow's tells its columns beforehand, so that a plan can; a stranger shows them when it is read."""
    told = {one.name: one.schema for one in ArrowSource({"ours": TABLE, "theirs": Frame()}).streams()}
    assert told == {"ours": TABLE.schema, "theirs": None}


def test_refuses_what_does_not() -> None:
    """All strangers are named at once."""
    with pytest.raises(ConfigurationError, match="a, c"):
        ArrowSource({"a": [1, 2], "b": TABLE, "c": {}})  # type: ignore[dict-item]


def test_all_rows_in_each_run_are_appended_once() -> None:
    """Appending the same table again would double its rows, so that is refused; replacing and merging are not."""
    source = ArrowSource({"numbers": pa.table({"id": [1, 2]})}, primary_key=["id"])
    destination = MemoryDestination()
    Pipeline("p", source, destination).run()
    with pytest.raises(ConfigurationError, match="all rows in each run"):
        Pipeline("p", source, destination).run()
    Pipeline("p", source, destination, mode="merge").run()
    Pipeline("p", source, destination, mode="replace").run()
    assert destination.table("numbers")["id"].to_pylist() == [1, 2]


def test_a_version_is_loaded_once() -> None:
    """Rows that have a version are appended once for each version, however often the pipeline runs."""
    destination = MemoryDestination()
    for version, numbers in [(1, [1, 2]), (1, [1, 2]), (2, [3])]:
        Pipeline("p", ArrowSource({"numbers": pa.table({"id": numbers})}, version=version), destination).run()
    assert destination.table("numbers")["id"].to_pylist() == [1, 2, 3]


def test_a_stream_that_is_not_there() -> None:
    """A plan for another stream is refused by name."""
    source = ArrowSource({"numbers": pa.table({"id": [1]})})
    with pytest.raises(ConfigurationError, match="'letters'"), source.plan(Stream("letters"), None):
        pass
