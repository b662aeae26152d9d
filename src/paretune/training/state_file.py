"""The state of a training as one file, which is safe to load."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from paretune.atomic import atomically
from paretune.nested import list_leaves
from paretune.training import UNREADABLE, explain
from paretune.training.epochs import Epoch
from paretune.training.execution import Execution
from paretune.training.random_state import RandomState
from paretune.training.state import StateError, TrainingState

# Stands for a setting that a config does not have.
MISSING = object()


def save_state(path: Path, state: TrainingState, config: Mapping[str, Any]) -> None:
    """Write ``state`` and the plain ``config`` of its training, whole or not at all.

    Raises ``OSError`` where it cannot be written.
    """
    content = {"config": dict(config), "state": _make_plain(state)}
    with atomically(path) as partial:
        torch.save(content, partial)


def load_state(path: Path, config: Mapping[str, Any]) -> TrainingState:
    """The state of the training of ``config`` that was paused.

    Nothing in the file is executed (``weights_only=True``). Raises
    :class:`~paretune.training.state.StateError` if the file is missing, damaged or that
    of another config, so that the training begins anew.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        stored = content["config"]
        state = _make_state(content["state"])
    except UNREADABLE as error:
        raise StateError(
            f"state of a training `{path}` cannot be read ({explain(error, path)}); "
            "begin the training anew"
        ) from error
    _check_config(stored, config, path)
    return state


def make_room(path: Path, most_bytes: int) -> list[Path]:
    """Delete the oldest of the files that are named as ``path`` is, in the folders
    beside its own, until all take ``most_bytes`` at most; returns those deleted.

    ``path`` itself stays. What has waited longest is least likely to go on.
    """
    others: list[tuple[float, int, Path]] = []
    for other in path.parent.parent.glob(f"*/{path.name}"):
        with suppress(FileNotFoundError):  # its training has gone on
            facts = other.stat()
            others.append((facts.st_mtime, facts.st_size, other))

    deleted: list[Path] = []
    used_bytes = sum(size for _, size, _ in others)
    for _, size, other in sorted(others):
        if used_bytes > most_bytes and other != path:
            other.unlink(missing_ok=True)
            deleted.append(other)
            used_bytes -= size
    return deleted


def _make_plain(state: TrainingState) -> dict[str, Any]:
    """The fields as dicts, lists, numbers, texts and tensors."""
    plain = {field.name: getattr(state, field.name) for field in fields(state)}
    plain["epochs"] = [asdict(epoch) for epoch in state.epochs]
    for name in ("best", "execution", "random"):
        plain[name] = asdict(plain[name])
    return plain


def _make_state(plain: Mapping[str, Any]) -> TrainingState:
    made = dict(plain)
    made["epochs"] = tuple(Epoch(**epoch) for epoch in plain["epochs"])
    made["best"] = Epoch(**plain["best"])
    made["execution"] = Execution(**plain["execution"])
    made["random"] = RandomState(**plain["random"])
    return TrainingState(**made)


def _check_config(
    stored: Mapping[str, Any], config: Mapping[str, Any], path: Path
) -> None:
    """Raise :class:`~paretune.training.state.StateError` if a setting differs."""
    before = dict(list_leaves(stored))
    now = dict(list_leaves(config))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name, MISSING) != now.get(name, MISSING):
            raise StateError(
                f"state of a training `{path}` is that of another config: {name} is "
                f"`{now.get(name)}` now and was `{before.get(name)}`; begin the "
                "training anew"
            )
