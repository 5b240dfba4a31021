#!/usr/bin/env python3
"""Write requirements.txt and requirements-dev.txt from pyproject.toml, or check that they agree with it.

usage: tools/lock.py [--check | --upgrade]

Pins that stand in the files are kept as long as pyproject.toml allows them, so the check fails only when pyproject.toml
has changed without the files, or somebody edited them by hand. `--upgrade` takes the newest of everything.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECT = "requirements.txt"
FILES = {
    DIRECT: ["pyproject.toml", "--extra", "embedded"],
    "requirements-dev.txt": ["pyproject.toml", "--all-extras", "--group", "pyproject.toml:dev", "-c", DIRECT],
}
HEADER = "Written by `make lock` from pyproject.toml; edit that instead."


def compiled(name: str, folder: Path, *, upgrade: bool) -> str:
    """The text that the file should have."""
    target = folder / name
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
    command += ["--no-annotate", "--output-file", str(target), *FILES[name]]
    command += ["--upgrade"] * upgrade
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 -- our own command
    return f"# {HEADER}\n{target.read_text(encoding='utf-8')}"


def main() -> int:
    """Do what the first argument says; 1 when the check finds a difference."""
    check, upgrade = "--check" in sys.argv, "--upgrade" in sys.argv
    drifted = False
    with tempfile.TemporaryDirectory() as scratch:
        for name in FILES:
            file = ROOT / name
            if file.exists():
                shutil.copy(file, scratch)
            wanted = compiled(name, Path(scratch), upgrade=upgrade)
            found = file.read_text(encoding="utf-8") if file.exists() else ""
            if wanted == found:
                continue
            if check:
                drifted = True
                lines = found.splitlines(keepends=True), wanted.splitlines(keepends=True)
                sys.stdout.writelines(difflib.unified_diff(*lines, name, "wanted"))
            else:
                file.write_text(wanted, encoding="utf-8")
    if drifted:
        print("\nThe locked requirements have drifted from pyproject.toml; run: make lock", file=sys.stderr)
    return int(drifted)


if __name__ == "__main__":
    sys.exit(main())
