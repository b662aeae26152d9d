"""Whose code a stored config may have run: a run, a ``weights.pt`` or a teacher may
come from anybody.

Every part of a config that is made by a ``_target_`` names code. What a person types or
writes into a config file is meant; what comes out of a store or a weights file is
checked here, by its names alone, before any of it is imported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from inspect import getmodule
from pathlib import Path
from typing import Any

import yaml

from paretune.errors import StoreError
from paretune.paths import CONF

# The parts of a config that a trained network needs again.
OF_A_NETWORK = ("model", "data")
OF_A_TRAINING = (*OF_A_NETWORK, "optimizer", "scheduler", "augment")
TARGET = "_target_"
# Of the part "data": where files are fetched from, and what they are called here.
MIRRORS = "mirrors"
FILES = "files"
PLAIN_NAME = re.compile(r"\w[\w.-]*")

Node = Mapping[Any, Any]


@dataclass(frozen=True)
class _Refusal:
    """A setting of a stored config that is not trusted, and the module or URL that
    would have to be trusted for it.
    """

    setting: str
    value: str
    would_need: str


@dataclass(frozen=True)
class Trust:
    """The code that a stored config may name.

    That is what Paretune's own config files name, what those of the working ``folder``
    name (``conf`` and ``sweeps``), and what the ``modules`` define. The same holds of
    the mirrors that data are fetched from; a URL among the ``modules`` is one more.
    """

    modules: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)

    def check(
        self,
        config: Mapping[str, Any],
        source: str,
        parts: Iterable[str] = OF_A_NETWORK,
    ) -> None:
        """Raise :class:`~paretune.errors.StoreError` if the ``parts`` of a stored
        ``config`` name other code; none of it is imported.

        ``source`` says in words where the config comes from: the kind of file, and its
        path.
        """
        refusals: list[_Refusal] = []
        for part in parts:
            refusals += self._list_refusals(part, config.get(part))
        if not refusals:
            return
        named = ", ".join(f"{one.setting} `{one.value}`" for one in refusals)
        options = dict.fromkeys(f"--trust {one.would_need}" for one in refusals)
        raise StoreError(
            f"{source} names code or files that neither Paretune nor conf and sweeps "
            f"of this folder name: {named}; none of it was run or fetched; only if you "
            f"know it, add {' '.join(options)} (to a training: trust=[...])"
        )

    def _list_refusals(self, part: str, content: object) -> Iterator[_Refusal]:
        allowed = _list_own_names(part) | self._list_names_of_folder(part)
        for path, node in _walk(content, part):
            if TARGET in node and not self._allows_target(node[TARGET], allowed):
                target = str(node[TARGET])
                module = target.rpartition(".")[0]
                yield _Refusal(f"{path}.{TARGET}", target, module or target)
            if part != "data":
                continue
            _check_files(node, path)
            for mirror in _list_mirrors(node):
                if mirror not in allowed and mirror not in self.modules:
                    yield _Refusal(f"{path}.{MIRRORS}", mirror, mirror)

    def _allows_target(self, target: object, allowed: frozenset[str]) -> bool:
        if not isinstance(target, str):
            return False
        return target in allowed or self._defines(target)

    @cached_property
    def _files(self) -> dict[Path, Any]:
        """The contents of the working folder's config files, by their paths in it."""
        configs = (self.folder / "conf").rglob("*.yaml")
        sweeps = (self.folder / "sweeps").glob("*.yaml")
        return {
            file.relative_to(self.folder): _read(file) for file in (*configs, *sweeps)
        }

    def _list_names_of_folder(self, part: str) -> frozenset[str]:
        """The targets and mirrors that the config files of the working folder name for
        a part of a config.
        """
        names: set[str] = set()
        for file, content in self._files.items():
            if file.parts[:2] == ("conf", part):
                names.update(_list_names(content))
            elif isinstance(content, Mapping):
                names.update(_list_names(content.get(part)))
        return frozenset(names)

    def _defines(self, target: str) -> bool:
        """Whether a trusted module defines ``target``, and does not only import it from
        elsewhere.
        """
        module, _, name = target.rpartition(".")
        if module not in self.modules:
            return False
        try:
            found = getattr(import_module(module), name)
        except Exception:
            # Whoever builds the network says better what is wrong with the module.
            return True
        defined_in = getmodule(found)
        home = defined_in.__name__ if defined_in else module
        return any(home == own or home.startswith(f"{own}.") for own in self.modules)


def refuse_lookups(config: Mapping[str, Any], source: str) -> None:
    """Raise :class:`~paretune.errors.StoreError` for a text that OmegaConf would look
    up on this machine, such as ``${oc.env:TOKEN}``.

    A stored config has been resolved: what is in it is plain.
    """
    for path, node in _walk(config, ""):
        for name, value in node.items():
            if _has_lookup(value):
                raise StoreError(
                    f"{source} has `{value}` as {path}.{name}, which would be looked "
                    "up on this machine instead of being a plain value; train the "
                    "model anew if it is yours"
                )


def _has_lookup(value: object) -> bool:
    items = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(item, str) and "${" in item for item in items)


def _walk(content: object, path: str) -> Iterator[tuple[str, Node]]:
    """Each mapping in a nested config, at any depth, and where it stands."""
    if isinstance(content, Mapping):
        yield path, content
        for name, value in content.items():
            yield from _walk(value, f"{path}.{name}" if path else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _walk(value, path)


def _check_files(node: Node, path: str) -> None:
    """Raise :class:`~paretune.errors.StoreError` for files of data that would be
    written outside of the data's folder.
    """
    files = node.get(FILES)
    if not isinstance(files, Mapping):
        return
    for name in files:
        if not PLAIN_NAME.fullmatch(str(name)):
            raise StoreError(
                f"{path}.{FILES} has the name `{name}`; a file's name stands there "
                "without a folder; correct it in the run's config"
            )


def _list_mirrors(node: Node) -> list[str]:
    mirrors = node.get(MIRRORS)
    if mirrors is None:
        return []
    if isinstance(mirrors, list | tuple):
        return [str(mirror) for mirror in mirrors]
    return [str(mirrors)]


@cache
def _list_own_names(part: str) -> frozenset[str]:
    """The targets and mirrors that Paretune's own config files name for a part of a
    config.
    """
    names: set[str] = set()
    for file in (CONF / part).glob("*.yaml"):
        names.update(_list_names(_read(file)))
    return frozenset(names)


def _list_names(content: object) -> Iterator[str]:
    for _, node in _walk(content, ""):
        if TARGET in node:
            yield str(node[TARGET])
        yield from _list_mirrors(node)


def _read(file: Path) -> Any:
    """The content of a YAML file; ``None`` if it cannot be read, as Hydra says if it is
    needed.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(file.read_bytes(), Loader=loader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
