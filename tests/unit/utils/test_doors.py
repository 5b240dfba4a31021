from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from de_classes.testing.http import Asked, LoopbackServer, Reply

SRC = Path(__file__).parents[3] / "src"


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let programs that are started here take Ctrl-C, also where these tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def program(*arguments: str, first: Path = SRC) -> subprocess.Popen[str]:
    """A door as a shell starts it, that looks for its modules in `first` before all."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(first), str(SRC)])}
    env.pop("ARROW_DEFAULT_MEMORY_POOL", None)
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_before_a_door_is_open_is_no_traceback(tmp_path: Path) -> None:
    """A door that is interrupted while it imports ends by the signal, and says nothing."""
    (tmp_path / "pyarrow.py").write_text("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
    with program("de_classes.pipelines.arrow", "--help", first=tmp_path) as process:
        told = process.communicate(timeout=60)
    assert (process.returncode, told) == (-signal.SIGINT, ("", ""))


def test_a_door_gives_memory_back(tmp_path: Path) -> None:
    """Who runs a module of ours as a program has Arrow's memory from jemalloc, where that is certain to be there."""
    (tmp_path / "pyarrow.py").write_text("import os, sys; sys.exit(os.environ.get('ARROW_DEFAULT_MEMORY_POOL'))")
    with program("de_classes.pipelines.arrow", "--help", first=tmp_path) as process:
        told = process.communicate(timeout=60)
    assert told == ("", "jemalloc\n" if sys.platform == "linux" else "")


def test_ctrl_c_behind_the_door_is_told() -> None:
    """A door that is interrupted at its work ends with 130 and one line."""

    def answer(_: Asked) -> Reply:
        process.send_signal(signal.SIGINT)
        return Reply(200, b"{}")

    with LoopbackServer(answer) as server, program("de_classes.api.client", server.url) as process:
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "interrupted\n")


def test_who_imports_the_package_keeps_ctrl_c() -> None:
    """A program of somebody else gets its KeyboardInterrupt."""
    code = "import signal, de_classes; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
