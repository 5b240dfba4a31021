"""`python -m de_classes`: which modules run alone, and what each of them shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

__all__ = ["main"]

_HOME = Path(__file__).parent
_OPENING = re.compile(r"`(python -m \S+)`: (.*)\.")


def doors() -> list[tuple[str, str]]:
    """What to type, and what that shows, in the words of the file that does it; nothing of it is imported."""
    paths = [path for path in sorted(_HOME.rglob("*.py")) if path.parent.name == "_doors" or path.name == "__main__.py"]
    paths.remove(Path(__file__))
    told = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in paths)
    return [(opening[1], opening[2]) for opening in map(_OPENING.match, told) if opening]


def main() -> int:
    """List them."""
    listed = doors()
    width = max(len(command) for command, _ in listed)
    lines = ["Every part runs alone, and tells more with --help:", ""]
    lines += [f"  {command.ljust(width)}  {what}" for command, what in listed]
    print("\n".join(lines))  # noqa: T201 -- what was asked for
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
