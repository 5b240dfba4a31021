from __future__ import annotations

import copy
import pickle
import re

import pytest

from de_classes import errors
from de_classes.errors import ConfigurationError, DeClassesError, ValueNotHeld


def all_errors(root: type[DeClassesError] = DeClassesError) -> list[type[DeClassesError]]:
    """The root and everything that de_classes.errors derives from it."""
    own = [kind for kind in root.__subclasses__() if kind.__module__ == errors.__name__]
    return [root, *(error for kind in own for error in all_errors(kind))]


def drawn_parents() -> dict[str, str]:
    """Of each error in the drawing the one that it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(
        r"^    ((?:[|`]   |    )*(?:[|`]-- )?)([A-Z]\w+)  ", errors.__doc__ or "", re.MULTILINE
    ):
        path[len(indent) // 4 :] = [name]
        parents[name] = path[-2] if len(path) > 1 else "Exception"
    return parents


def test_the_drawing_is_the_tree() -> None:
    """The tree in the module's docstring is the tree of the classes, and all of them are exported."""
    kinds = all_errors()
    assert drawn_parents() == {kind.__name__: kind.__bases__[0].__name__ for kind in kinds}
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in kinds)
    assert all(len(kind.__bases__) == 1 for kind in kinds)


@pytest.mark.parametrize("kind", all_errors())
class TestEveryError:
    def test_comes_back_from_another_process(self, kind: type[DeClassesError]) -> None:
        """An error pickles with all that it knows, whichever protocol is spoken."""
        error = kind("the table 'orders'", "is not there", "Create it.", table="orders", rows=[1, 2])
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(error, protocol))
            assert type(again) is kind
            assert str(again) == str(error)
            assert (again.subject, again.fact, again.remedy) == (error.subject, error.fact, error.remedy)
            assert (again.table, again.rows) == ("orders", [1, 2])
        assert copy.copy(error).context == error.context

    def test_names_subject_fact_and_remedy(self, kind: type[DeClassesError]) -> None:
        """A message says what it is about, what is so, and what to do."""
        assert (
            str(kind("the table 'orders'", "is not there", "Create it."))
            == "the table 'orders': is not there\n  Create it."
        )
        assert str(kind("the table 'orders'", "is not there")) == "the table 'orders': is not there"

    def test_ends_the_command_line_with_its_code(self, kind: type[DeClassesError]) -> None:
        """The user's mistakes end with 2, failures with 1."""
        assert kind.exit_code == (2 if issubclass(kind, ConfigurationError) else 1)

    def test_says_what_it_is(self, kind: type[DeClassesError]) -> None:
        """Every error has a docstring of its own."""
        assert kind.__dict__["__doc__"]


def test_context_becomes_attributes() -> None:
    """What a program may want to know is an attribute; anything else is none."""
    error = ValueNotHeld("the table", "a value", column="c", row=0)
    assert (error.column, error.row) == ("c", 0)
    with pytest.raises(AttributeError, match="'ValueNotHeld' has no attribute 'table'"):
        error.table  # noqa: B018 -- asking is the test
