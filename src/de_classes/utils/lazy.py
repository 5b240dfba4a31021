"""Names of a package that are imported when they are first asked for.

`import de_classes` must cost next to nothing, whatever lies behind it; so packages hand names on like this::

    __getattr__, __dir__, __all__ = lazy(__name__, {"ApiClient": ".client", "RandomNumbers": ".random_numbers"})

beside the same imports under `if TYPE_CHECKING:` for type checkers and editors.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make `__getattr__`, `__dir__` and `__all__` for a package from where each of its names lives."""
    names = sorted(homes)

    def __getattr__(name: str) -> Any:  # noqa: N807 -- it becomes the package's own
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, lambda: names, names
