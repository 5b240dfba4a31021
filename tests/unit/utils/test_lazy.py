from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages

import pytest

import de_classes
from de_classes.utils.lazy import lazy

PACKAGES = ["de_classes", *(found.name for found in walk_packages(de_classes.__path__, "de_classes.") if found.ispkg)]


def test_a_name_is_imported_when_it_is_first_asked_for() -> None:
    """The home of a name is loaded on its first use, and the name is an ordinary attribute afterwards."""
    code = (
        "import sys, de_classes.configs as c; assert 'de_classes.configs.secrets' not in sys.modules;"
        "assert 'Secret' not in vars(c); s = c.Secret; assert vars(c)['Secret'] is s;"
        "assert 'de_classes.configs.secrets' in sys.modules; print(dir(c))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert told.stdout == "['Secret', 'as_secret']\n"


def test_a_name_that_is_not_there() -> None:
    """Asking for another name is the ordinary AttributeError, with package and name."""
    getter, _, _ = lazy("some.package", {"Thing": ".thing"})
    with pytest.raises(AttributeError, match=r"module 'some.package' has no attribute 'Other'"):
        getter("Other")


def test_names_are_sorted() -> None:
    """`dir` and `__all__` tell all names in their order."""
    _, names, exported = lazy("some.package", {"B": ".b", "A": ".a"})
    assert names() == exported == ["A", "B"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_keeps_its_promises(package: str) -> None:
    """Each name that a package hands on is really there."""
    module = import_module(package)
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None
