from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"


def doors() -> list[str]:
    """The modules of API, storage and pipelines that are programs, by their names."""
    paths = [path for part in ("api", "storage", "pipelines") for path in (SOURCES / "de_classes" / part).rglob("*.py")]
    return [
        ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__main__")
        for path in sorted(paths)
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    ]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", doors())
def test_every_door_says_how_it_is_used(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run as a program, each module tells its arguments, with examples that begin as it was called."""
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    called = module.replace(".parent", ".source").replace(".resource", ".source")  # what they describe, a source reads
    assert f"usage: python -m {called}" in told
    assert told.count(f"\n  python -m {called} ") >= 2


def test_every_door_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m de_classes` names each module that runs alone once, with what it shows."""
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("de_classes", run_name="__main__")
    assert ended.value.code == 0
    listed = re.findall(r"^  python -m (\S+) +\S", capsys.readouterr().out, re.MULTILINE)
    described_by_sources = {"de_classes.api.parent", "de_classes.api.resource"}
    assert set(doors()) - described_by_sources <= set(listed)
    assert len(set(listed)) == len(listed)
