"""Doing something in a fresh process, and doing something with a deadline: what workers and two runs at once are."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_a_fresh_process", "in_time"]

T = TypeVar("T")

_CHILD = """
import pickle, sys
with open(sys.argv[1], "rb") as given:
    function, arguments = pickle.load(given)
answer = pickle.dumps(function(*arguments))
with open(sys.argv[2], "wb") as taken:
    taken.write(answer)
"""


def in_a_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """What the function gives in a Python that has nothing but its pickled arguments; fails the test if it cannot."""
    with tempfile.TemporaryDirectory(prefix="de-classes-contract-") as folder:
        given, taken = Path(folder, "given"), Path(folder, "taken")
        given.write_bytes(pickle.dumps((function, arguments)))
        ended = subprocess.run(  # noqa: S603 -- this very Python
            [sys.executable, "-c", _CHILD, str(given), str(taken)],
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=120,
        )
        if ended.returncode or not taken.exists():
            pytest.fail(
                "what works in this process does not work in a fresh one, as workers of a process pool or a cluster"
                f" are; does the pickle carry all that it needs?\n{ended.stderr[-2000:]}",
                pytrace=False,
            )
        answer: T = pickle.loads(taken.read_bytes())  # noqa: S301 -- our own pickle
        return answer


def in_time(function: Callable[[], T], seconds: float, what: str) -> T:
    """What the function gives, in a thread of its own; fails the test, and leaves the thread, when it takes longer."""
    given: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(function())
        except BaseException as error:  # noqa: BLE001 -- it is raised again where it is waited for
            raised.append(error)

    thread = Thread(target=run, name="contract", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        pytest.fail(f"{what}, but {seconds:g} s were not enough: is there a lock?", pytrace=False)
    if raised:
        raise raised[0]
    return given[0]
