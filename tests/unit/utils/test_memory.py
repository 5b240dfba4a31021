from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

SRC = Path(__file__).parents[3] / "src"
PROGRAM = """
from de_classes.utils.memory import give_memory_back
give_memory_back()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


def pool(**env: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.check_output(command, env={**kept, "PYTHONPATH": str(SRC), **env}, text=True).strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has jemalloc for certain")
@pytest.mark.skipif("jemalloc" not in pa.supported_memory_backends(), reason="a pyarrow without jemalloc")
def test_arrow_takes_memory_by_jemalloc() -> None:
    """All of Arrow, and not only what Python calls, takes its memory from jemalloc."""
    assert pool() == "jemalloc"


def test_whoever_has_chosen_is_obeyed() -> None:
    """A pool that the environment names stays."""
    assert pool(ARROW_DEFAULT_MEMORY_POOL="system") == "system"
