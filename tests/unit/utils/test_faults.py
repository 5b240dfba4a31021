from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from de_classes.errors import ConfigurationError
from de_classes.testing.faults import POINTS, fault_environment, read_log, run_to_end, run_until_killed

SRC = Path(__file__).parents[3] / "src"
PROGRAM = """
import sys
from de_classes.utils.faults import reach
for point in sys.argv[1:]:
    reach(point)
    print("passed", point, flush=True)
"""
COMMAND = [sys.executable, "-c", PROGRAM]
A, B = POINTS[:2]
PATH = {"PYTHONPATH": str(SRC)}


def points_in_code() -> dict[str, list[str]]:
    """The points that the code reaches, and the files in which it does."""
    found: dict[str, list[str]] = {}
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                (point,) = node.args
                assert isinstance(point, ast.Constant), f"{path.name}: a point is named by a literal"
                found.setdefault(str(point.value), []).append(path.name)
    return found


def test_every_point_in_the_code_is_listed() -> None:
    """The code reaches the points that POINTS names and no others, so a crash matrix over POINTS misses none."""
    assert set(points_in_code()) == set(POINTS)
    assert len(set(POINTS)) == len(POINTS)


class TestRunUntilKilled:
    def test_dies_at_the_point(self) -> None:
        """The process is gone at the instant of the point, without a chance to tidy up."""
        ended = run_until_killed([*COMMAND, A, B], B, env=PATH)
        assert ended.killed
        assert ended.output == f"passed {A}\n"
        assert ended.reached == (A, B)

    def test_dies_at_the_nth_time(self) -> None:
        """The point may be passed before."""
        assert run_until_killed([*COMMAND, A, B, A, A], A, 2, PATH).reached == (A, B, A)

    def test_a_point_that_is_not_reached(self) -> None:
        """A command that ends by itself is a failed test that tells what was reached and written."""
        with pytest.raises(
            AssertionError, match=rf"ended with 0, and did not reach {B} 2 times; it reached {A}, {B} and wrote"
        ):
            run_until_killed([*COMMAND, A, B], B, 2, PATH)

    def test_a_point_that_does_not_exist(self) -> None:
        """A misspelt point is the test's mistake, and told before anything runs."""
        with pytest.raises(ConfigurationError, match="fault point 'nowhere'"):
            run_until_killed(["/no/such/command"], "nowhere")


class TestRunToEnd:
    def test_notes_what_is_reached(self) -> None:
        """Without a fault the command runs to its end, and every point it reached is known, each time."""
        ended = run_to_end([*COMMAND, A, A, B], PATH)
        assert (ended.code, ended.killed) == (0, False)
        assert ended.reached == (A, A, B)

    def test_tells_how_it_ended(self) -> None:
        """The exit code and both output streams are told."""
        ended = run_to_end([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"])
        assert (ended.code, sorted(ended.output.split()), ended.reached) == (1, ["err", "out"], ())

    def test_is_not_held_up_by_what_the_command_leaves_running(self) -> None:
        """A server that the command started and that holds its output open does not keep the test waiting."""
        server = "[sys.executable, '-c', 'import time; time.sleep(60)']"
        ended = run_to_end([sys.executable, "-c", f"import subprocess, sys; print(subprocess.Popen({server}).pid)"])
        os.kill(int(ended.output), signal.SIGKILL)  # raises where it is not there any more

    def test_a_command_that_takes_too_long(self) -> None:
        """A command that does not end in time is killed, and the test told."""
        with pytest.raises(subprocess.TimeoutExpired):
            run_to_end([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2)


def test_a_process_that_is_stopped_goes_on() -> None:
    """It sleeps at the point until it is woken, and then goes on as if nothing had been."""
    env = {**os.environ, **PATH, **fault_environment(A, action="stop")}
    with subprocess.Popen([*COMMAND, A, B], env=env, stdout=subprocess.PIPE, text=True) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.communicate()[0] == f"passed {A}\npassed {B}\n"
    assert process.returncode == 0


def test_a_process_whose_disk_is_full(tmp_path: Path) -> None:
    """From the point on it can write to no file, as on a full disk; pipes still take what it says."""
    writes = f"{PROGRAM}\nopen({str(tmp_path / 'file')!r}, 'wb', 0).write(b'x')"
    env = {**os.environ, **PATH, **fault_environment(A, action="full")}
    done = subprocess.run([sys.executable, "-c", writes, A], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"passed {A}\n", 1)
    assert "OSError" in done.stderr
    with pytest.raises(ConfigurationError, match="no such action"):
        fault_environment(A, action="melt")


def test_nothing_happens_unasked(tmp_path: Path) -> None:
    """Without the environment's word a point does nothing; with it, the log names the points."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DE_CLASSES_FAULT")} | PATH
    subprocess.run([*COMMAND, A], env=env, check=True, stdout=subprocess.DEVNULL)
    log = tmp_path / "log"
    assert read_log(log) == ()
    subprocess.run([*COMMAND, A], env=env | fault_environment(log=log), check=True, stdout=subprocess.DEVNULL)
    assert read_log(log) == (A,)
