"""The rules of the house: who may import whom, and what every module and every test has."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = "de_classes"

# From the ground up. A module may import what stands in a lower row, or in its own entry; entries of one row are apart.
LAYERS = [
    {"contracts", "errors"},
    {"utils"},
    {"configs", "formats", "_doors"},
    {"api", "storage", "transforms"},
    {"pipelines"},
    {"cli", "testing", "__main__"},
]
APART = [("api", "storage"), ("api", "transforms"), ("storage", "transforms"), ("storage.objects", "storage.postgres")]
ANYTHING = {"cli", "testing"}  # doors: the tour runs on the test kit, and the kit may test the command line
GROUND = {"contracts", "errors"}  # one row, and the errors know nothing of the contracts


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted((ROOT / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imported(module: Module, nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of the house that these import statements name."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {name if (name := f"{base}.{alias.name}") in modules() else base for alias in node.names}
    return (names & set(modules())) - {module.name}


def loaded_with(module: Module) -> Iterator[ast.AST]:
    """The statements that run when it is imported: not what is in functions, or only for type checkers."""
    waiting: list[ast.AST] = list(module.tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def within(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"{PACKAGE}.{part}.")


def row_of(name: str) -> int:
    """The layer of a module, counted from the ground; the package itself stands above all and hands on nothing."""
    return next((row for row, parts in enumerate(LAYERS) if any(within(name, part) for part in parts)), len(LAYERS))


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_module_has_a_layer() -> None:
    """A new package finds its place among the layers, or the house has no plan any more."""
    assert [name for name in modules() if row_of(name) == len(LAYERS)] == [PACKAGE]


def test_no_import_cycles() -> None:
    """No module needs itself, whichever way round, to be loaded."""
    graph = {name: imported(module, loaded_with(module)) for name, module in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' <- '.join(error.args[1])}")


def test_imports_run_down() -> None:
    """No module imports from a layer above its own, or from another part of its layer, not even inside a function."""
    wrong = [
        f"{name} imports {other}"
        for name, module in modules().items()
        for other in imported(module, ast.walk(module.tree))
        if part_of(name) not in ANYTHING and part_of(name) != part_of(other)
        if row_of(other) > row_of(name) or (row_of(other) == row_of(name) and {part_of(name), part_of(other)} != GROUND)
    ]
    assert wrong == []


def test_the_parts_are_apart() -> None:
    """API, storage and transforms know nothing of each other; nor do object stores and PostgreSQL."""
    wrong = [
        f"{name} imports {other}"
        for name, module in modules().items()
        for other in imported(module, ast.walk(module.tree))
        for pair in APART
        if (within(name, pair[0]) and within(other, pair[1])) or (within(name, pair[1]) and within(other, pair[0]))
    ]
    assert wrong == []


def exports(module: Module) -> bool:
    """Whether a module says what it exports, or is a package's file with nothing but a docstring."""
    targets = [
        name.id
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    ]
    return "__all__" in targets or (module.is_package and len(module.tree.body) == 1)


def test_every_public_module_says_what_it_exports() -> None:
    """Public modules have `__all__`; what is private says so with an underscore."""
    public = [module for name, module in modules().items() if not any(part.startswith("_") for part in name.split("."))]
    assert [module.name for module in public if not exports(module)] == []


def test_every_test_says_what_it_shows() -> None:
    """Every test has a docstring: a sentence of behaviour."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not (ast.get_docstring(node) or "").strip().endswith(".")
    ]
    assert silent == []
