from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
HEAVY = {
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "httpx2",
    "msgspec",
    "numpy",
    "obstore",
    "psycopg",
    "pyarrow",
    "rich",
    "stamina",
    "structlog",
    "typer",
}
ALLOWED_SECONDS = 0.150

CPU_SECONDS = "import time; print(time.process_time())"


def fresh(code: str) -> str:
    """What a fresh interpreter prints that runs the code."""
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout


def heavy_after(imports: str) -> set[str]:
    """Which heavy packages are loaded after these imports and not without them."""
    code = "{}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return HEAVY & (set(fresh(code.format(imports)).split()) - set(fresh(code.format("")).split()))


def test_importing_takes_next_to_nothing() -> None:
    """`import de_classes` takes less than 150 ms of processor time more than a bare interpreter."""
    bare, with_package = [], []
    for _ in range(5):  # by turns, so that a busy moment meets both; processor time, so that waiting does not count
        bare.append(float(fresh(CPU_SECONDS)))
        with_package.append(float(fresh(f"import de_classes\n{CPU_SECONDS}")))
    assert statistics.median(with_package) - statistics.median(bare) < ALLOWED_SECONDS


@pytest.mark.parametrize(
    "package",
    [
        "api",
        "cli",
        "configs",
        "pipelines",
        "storage",
        "storage.objects",
        "storage.postgres",
        "testing",
        "transforms",
        "utils",
        "contracts",
        "errors",
        "utils.faults",
        "utils.progress",
        "utils.workflow_log",
    ],
)
def test_no_package_loads_what_is_not_used(package: str) -> None:
    """Packages, contracts, errors and observers load no heavy module before one of their names is used."""
    assert heavy_after(f"import de_classes.{package}") == set()


def test_the_check_can_fail() -> None:
    """A module that does need a heavy package is seen to load it."""
    assert heavy_after("import de_classes.transforms.columns") >= {"pyarrow"}
