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
from typing import Any, NamedTuple

import yaml

from paretune.errors import StoreError
from paretune.paths import CONF

# The parts of a config that a trained network needs again.
OF_A_NETWORK = ("model", "data")
OF_A_TRAINING = (*OF_A_NETWORK, "optimizer", "scheduler", "augment")
TARGET = "_target_"
MIRRORS = "mirrors"
FILES = "files"
PLAIN_NAME = re.compile(r"\w[\w.-]*")


class _Refused(NamedTuple):
    setting: str
    value: str
    would_need: str  # what has to be trusted for it


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
        refused = [
            one for part in parts for one in self._refused(part, config.get(part))
        ]
        if not refused:
            return
        named = ", ".join(f"{one.setting} `{one.value}`" for one in refused)
        options = dict.fromkeys(f"--trust {one.would_need}" for one in refused)
        raise StoreError(
            f"{source} names code or files that neither Paretune nor conf and sweeps "
            f"of this folder name: {named}; "
            "none of it was run or fetched; only if you know it, add "
            f"{' '.join(options)} (to a training: trust=[...])"
        )

    def _refused(self, part: str, content: object) -> Iterator[_Refused]:
        allowed = _named_by_paretune(part) | self._named_in_folder(part)
        for path, node in _nodes(content, part):
            target = node.get(TARGET)
            if TARGET in node and not (
                isinstance(target, str) and (target in allowed or self._defines(target))
            ):
                yield _Refused(
                    f"{path}.{TARGET}",
                    str(target),
                    str(target).rpartition(".")[0] or str(target),
                )
            for mirror in _mirrors(node):
                if (
                    part == "data"
                    and mirror not in allowed
                    and mirror not in self.modules
                ):
                    yield _Refused(f"{path}.{MIRRORS}", mirror, mirror)
            files = node.get(FILES)
            for name in files if part == "data" and isinstance(files, Mapping) else ():
                if not PLAIN_NAME.fullmatch(str(name)):
                    raise StoreError(
                        f"{path}.{FILES} has the name `{name}`; expected one without "
                        "a folder; correct it in the run's config"
                    )

    @cached_property
    def _files(self) -> dict[Path, Any]:
        """What the config files of the working folder say, by their paths in it."""
        files = [
            *(self.folder / "conf").rglob("*.yaml"),
            *(self.folder / "sweeps").glob("*.yaml"),
        ]
        return {file.relative_to(self.folder): _read(file) for file in files}

    def _named_in_folder(self, part: str) -> frozenset[str]:
        """The targets and mirrors that the config files of the working folder name for
        a part of a config.
        """
        names: set[str] = set()
        for file, content in self._files.items():
            if file.parts[:2] == ("conf", part):
                names.update(_names(content))
            elif isinstance(content, Mapping):
                names.update(_names(content.get(part)))
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
        name = defined_in.__name__ if defined_in else module
        return any(name == own or name.startswith(f"{own}.") for own in self.modules)


def refuse_lookups(config: Mapping[str, Any], source: str) -> None:
    """Raise :class:`~paretune.errors.StoreError` for a text that OmegaConf would look
    up on this machine, such as ``${oc.env:TOKEN}``.

    A stored config has been resolved: what is in it is plain.
    """
    for path, node in _nodes(config, ""):
        for name, value in node.items():
            items = value if isinstance(value, list | tuple) else [value]
            if any(isinstance(item, str) and "${" in item for item in items):
                raise StoreError(
                    f"{source} has `{value}` as {path}.{name}, which would be looked "
                    "up on this machine; expected a plain value; "
                    f"train the model anew if it is yours"
                )


def _nodes(content: object, path: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Each mapping in a nested config, at any depth, and where it stands."""
    if isinstance(content, Mapping):
        yield path, content
        for name, value in content.items():
            yield from _nodes(value, f"{path}.{name}" if path else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _nodes(value, path)


def _mirrors(node: Mapping[Any, Any]) -> list[str]:
    mirrors = node.get(MIRRORS)
    if mirrors is None:
        return []
    return (
        [str(mirror) for mirror in mirrors]
        if isinstance(mirrors, list | tuple)
        else [str(mirrors)]
    )


@cache
def _named_by_paretune(part: str) -> frozenset[str]:
    """The targets and mirrors that Paretune's own config files name for a part of a
    config.
    """
    return frozenset(
        name for file in (CONF / part).glob("*.yaml") for name in _names(_read(file))
    )


def _names(content: object) -> Iterator[str]:
    for _, node in _nodes(content, ""):
        if TARGET in node:
            yield str(node[TARGET])
        yield from _mirrors(node)


def _read(file: Path) -> Any:
    """What a YAML file says; nothing if it cannot be read, as Hydra says if it is
    needed.
    """
    try:
        return yaml.load(
            file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, ValueError, yaml.YAMLError):
        return None
