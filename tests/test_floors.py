import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import paretune

SOURCE = Path(paretune.__file__).parents[1]
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = [module.name for module in pkgutil.walk_packages(paretune.__path__, "paretune.")]


def test_the_plugin_folder_is_a_namespace():
    """Hydra finds no plugin below a ``hydra_plugins/__init__.py``."""
    assert not (SOURCE / "hydra_plugins" / "__init__.py").exists()


@pytest.mark.parametrize("name", MODULES)
def test_all_names_exactly_what_a_module_offers(name):
    """Every name in ``__all__`` exists."""
    module = importlib.import_module(name)

    assert all(hasattr(module, public) for public in getattr(module, "__all__", []))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_file_is_a_grab_bag():
    assert not {"utils", "helpers", "common", "misc", "manager"} & {path.stem for path in FILES}
