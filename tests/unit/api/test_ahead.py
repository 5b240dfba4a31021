from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest

from de_classes.api._walking.ahead import Ahead


def test_results_and_errors_come_to_who_asked() -> None:
    """What is submitted runs in the threads, and its result or its error is its future's."""
    with Ahead(2, "test") as ahead:
        futures = [ahead.submit(divmod, 7, by) for by in (2, 0, 3)]
        assert futures[0].result(30) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            futures[1].result(30)
        assert futures[2].result(30) == (2, 1)


def test_leaving_calls_off_what_has_not_begun() -> None:
    """What waits for a thread is cancelled once the context is left; what runs is not waited for."""
    begun, finish = threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        assert finish.wait(30)
        return "done"

    with Ahead(1, "test") as ahead:
        running, waiting = ahead.submit(hold), ahead.submit(hold)
        assert begun.wait(30)
    finish.set()
    assert running.result(30) == "done"
    with pytest.raises(CancelledError):
        waiting.result(30)


def test_the_process_ends_without_what_still_runs() -> None:
    """A request in the middle of a long wait does not keep the process."""
    program = (
        "import threading\n"
        "from de_classes.api._walking.ahead import Ahead\n"
        "with Ahead(1, 'test') as ahead:\n"
        "    begun = threading.Event()\n"
        "    ahead.submit(lambda: (begun.set(), threading.Event().wait()))\n"
        "    begun.wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, check=False).returncode == 0
