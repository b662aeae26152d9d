import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import paretune

SOURCE = Path(paretune.__file__).parents[1]
FILES = sorted(SOURCE.rglob("*.py"))


def test_the_plugin_folder_is_a_namespace():
    """Hydra finds no plugin below a ``hydra_plugins/__init__.py``."""
    assert not (SOURCE / "hydra_plugins" / "__init__.py").exists()


def has_all(path: Path) -> bool:
    return any(
        getattr(node, "id", "") == "__all__"
        for node in ast.walk(ast.parse(path.read_text()))
    )


def offered(tree: ast.Module) -> set[str]:
    """The classes and functions that a module defines for others."""
    defined = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return {name for name in defined if not name.startswith("_")}


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if has_all(path)],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_all_names_exactly_what_a_module_offers(path):
    """Each public class and function of the module is in ``__all__``, and what is in it
    exists.
    """
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    module = importlib.import_module(name)

    assert offered(ast.parse(path.read_text())) - set(module.__all__) == set()
    assert [public for public in module.__all__ if not hasattr(module, public)] == []
    assert len(module.__all__) == len(set(module.__all__))


OWN = {"paretune", "hydra_plugins"}


def imported(tree: ast.AST) -> set[str]:
    """The packages that a file imports, at its head or late."""
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
    ]
    return {name.partition(".")[0] for name in names}


def plain(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


@cache
def packages() -> Mapping[str, list[str]]:
    """Which distributions bring a package."""
    return packages_distributions()


@cache
def declared() -> set[str]:
    """The distributions that Paretune needs, or an extra of its brings."""
    extras = project()["optional-dependencies"]
    lines = [*project()["dependencies"]]
    for name in extras.keys() - {"dev", "docs"}:
        lines += extras[name]
    return names_of(lines)


@cache
def needed_by_all() -> set[str]:
    """The distributions of a plain ``pip install paretune``."""
    return names_of(project()["dependencies"])


def project() -> Mapping[str, Any]:
    return tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"]


def names_of(lines: Iterable[str]) -> set[str]:
    return {plain(re.match(r"[\w.-]+", line)[0]) for line in lines}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_a_file_imports_is_declared(path):
    """A package that only comes with another one is gone when that one does without
    it.
    """
    others = imported(ast.parse(path.read_text())) - OWN - sys.stdlib_module_names
    brought_by = {
        name: {plain(one) for one in packages().get(name, [])} for name in others
    }

    assert {
        name for name, brings in brought_by.items() if not brings & declared()
    } == set()


# What builds, trains and exports networks, and reads images; and what is for apps that
# have Lightning or MLflow of their own.
ROOMS_OF_EXTRAS = {
    "augment",
    "batch_last",
    "data",
    "deploy",
    "experiment",
    "lightning",
    "mlflow",
    "models",
    "operations",
    "training",
}
LIGHT_FILES = [
    path
    for path in FILES
    if not ROOMS_OF_EXTRAS & {path.stem, *path.relative_to(SOURCE).parts}
]


@pytest.mark.parametrize(
    "path", LIGHT_FILES, ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_plain_installation_can_import_what_needs_no_networks(path):
    tree = ast.parse(path.read_text())
    heads = ast.Module(
        [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)],
        type_ignores=[],
    )
    others = imported(heads) - OWN - sys.stdlib_module_names
    brought_by = {
        name: {plain(one) for one in packages().get(name, [])} for name in others
    }

    assert {
        name for name, brings in brought_by.items() if not brings & needed_by_all()
    } == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_file_is_a_grab_bag():
    assert not {"utils", "helpers", "common", "misc", "manager"} & {
        path.stem for path in FILES
    }
