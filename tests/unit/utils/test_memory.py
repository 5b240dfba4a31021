from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from de_classes.utils.memory import give_memory_back


@pytest.fixture(autouse=True)
def _own_pool() -> Iterator[None]:
    before = pa.default_memory_pool()
    yield
    pa.set_memory_pool(before)


def test_arrow_takes_memory_by_jemalloc() -> None:
    """Where jemalloc is built in, arrays made afterwards live in its pool."""
    if "jemalloc" not in pa.supported_memory_backends():
        pytest.skip("this pyarrow has no jemalloc")
    give_memory_back()
    assert pa.default_memory_pool().backend_name == "jemalloc"


def test_another_pool_stays_where_there_is_no_jemalloc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jemalloc nothing changes and nothing fails."""

    def missing() -> pa.MemoryPool:
        raise NotImplementedError

    monkeypatch.setattr(pa, "jemalloc_memory_pool", missing)
    pa.set_memory_pool(pa.system_memory_pool())
    give_memory_back()
    assert pa.default_memory_pool().backend_name == "system"
