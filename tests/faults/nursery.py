"""A process that has everything imported, and forks a child for each run: a run costs milliseconds, not a start.

Nothing in it has opened a socket, started a pool of threads or read a setting when it forks; each child is as fresh as
a new process. It speaks JSON, a line each, over its standard streams.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tests.faults.jobs import Job

ROOT = Path(__file__).parents[2]
SECONDS = 60

_HEAVY = (
    "tests.faults.jobs",
    "de_classes.api.source",
    "adbc_driver_postgresql.dbapi",
    "httpx2",
    "obstore.store",
    "psycopg",
    "pyarrow.compute",
    "pyarrow.parquet",
)
"""What a run loads when it first needs it, and children must not pay for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run came to its end, or where it stands."""

    outcome: str
    """`done`, `killed`, `stopped`, or the name of the error with which it failed."""
    said: str = ""


class Running:
    """A run under way."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid

    def wait(self) -> Ended:
        """Wait until it is over, or stopped."""
        return Ended(**self._nursery.asked({"wait": self.pid}))

    def go_on(self) -> None:
        """Wake it where it was stopped."""
        os.kill(self.pid, signal.SIGCONT)


class Nursery:
    """The process that forks runs, while its context lasts; leaving it ends what still runs.

    Their temporary files go into a folder of their own.
    """

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary

    def __enter__(self) -> Self:
        self._temporary.mkdir()
        # Threads of a library of numbers would be lost to the children.
        env = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "TMPDIR": str(self._temporary),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            cwd=ROOT,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def start(self, job: Job) -> Running:
        """Begin a run."""
        return Running(self, self.asked({"start": asdict(job)})["pid"])

    def run(self, job: Job) -> Ended:
        """Run it until it is over, or stopped."""
        return self.start(job).wait()

    def asked(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a line, and read the answer."""
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        print(json.dumps(question), file=asking, flush=True)
        answer: dict[str, Any] = json.loads(answering.readline())
        return answer


def _child(job: dict[str, Any], said: IO[str]) -> None:
    from de_classes.errors import DeClassesError
    from de_classes.utils import faults
    from tests.faults.jobs import Job, run

    # One that hangs tells where.
    faulthandler.register(signal.SIGALRM, said, chain=True)
    signal.alarm(SECONDS)
    asked = Job(**job)
    faults.arm(asked.fault, asked.log)
    try:
        run(asked)
    except DeClassesError as error:
        print(type(error).__name__, error, sep="\n", file=said)
    except BaseException as error:  # noqa: BLE001 -- told to whoever waits, and no case expects it
        print(f"! {type(error).__name__}", traceback.format_exc(), sep="\n", file=said)


def _started(job: dict[str, Any], pipes: dict[int, int]) -> int:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
        with os.fdopen(writing, "w", encoding="utf-8") as said:
            _child(job, said)
        os._exit(0)
    os.close(writing)
    pipes[pid] = reading
    return pid


def _waited(pid: int, pipes: dict[int, int]) -> Ended:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return Ended("stopped")
    with os.fdopen(pipes.pop(pid), encoding="utf-8") as reading:
        everything = reading.read()
    if os.WIFSIGNALED(status):
        by = os.WTERMSIG(status)
        return Ended("killed" if by == signal.SIGKILL else f"! ended by signal {by}", everything)
    name, _, said = everything.partition("\n")
    return Ended(name or "done", said)


def main() -> None:
    """Answer until nobody asks any more."""
    for name in _HEAVY:
        import_module(name)
    pipes: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            answer: dict[str, Any] = {"pid": _started(question["start"], pipes)}
        else:
            answer = asdict(_waited(question["wait"], pipes))
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    for pid in pipes:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
