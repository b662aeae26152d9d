"""A study answers one question; another one under its name is refused."""

from collections.abc import Iterable, Mapping

import yaml
from optuna.study import Study

from paretune.errors import StoreError

__all__ = ["GROUP", "cap_of", "hold_to"]

QUESTION, SETTINGS = "question", "settings"
GROUP = "config group "


def hold_to(study: Study, question: Mapping[str, str], settings: Mapping[str, str]) -> None:
    """Note what a new study asks (its cap, space and settings, as text), or check that an old one asked the same.

    Raises :class:`~paretune.errors.StoreError` with each difference: results under two caps or two spaces do not make one
    front, and Optuna itself would mix them without a word. The value of a setting that is searched is no part of it.
    """
    known, asked = study.user_attrs, {**settings, **question}
    stored = {**known.get(SETTINGS, settings), **known.get(QUESTION, question)}
    searched = [name.rpartition("/")[2].lstrip("+") for name in question]
    names = [name for name in {**stored, **asked} if not _same(name, stored.get(name), asked.get(name), searched)]
    groups = tuple(f"{name.removeprefix(GROUP)}." for name in names if name.startswith(GROUP))
    names = [name for name in names if not name.startswith(groups)]  # another option of a group says it all
    if names:
        changes = "; ".join(f"{name}: {stored.get(name, 'nothing')} -> {asked.get(name, 'nothing')}" for name in names)
        message = (
            f"study `{study.study_name}` was started with another question ({changes}); expected the same space, cap and settings; "
            f"give the sweep another name, or take the change back"
        )
        raise StoreError(message)
    for part, value in ((QUESTION, question), (SETTINGS, settings)):
        if part not in known:
            study.set_user_attr(part, dict(value))


def _same(name: str, before: str | None, now: str | None, searched: Iterable[str]) -> bool:
    """Whether two values of a setting differ at most in those entries of a list that are ``searched``."""
    entries = {key.removeprefix(f"{name}.") for key in searched if key.startswith(f"{name}.")}
    if before is None or now is None or not entries:
        return before == now
    lists = [yaml.safe_load(value) for value in (before, now)]
    fixed = [[part for i, part in enumerate(whole) if str(i) not in entries] for whole in lists]
    return bool(fixed[0] == fixed[1])


def cap_of(study: Study) -> float | None:
    """The cap that the study holds to; ``None`` where there is none."""
    cap = study.user_attrs.get(QUESTION, {}).get("cap", "None")
    return None if cap == "None" else float(cap)
