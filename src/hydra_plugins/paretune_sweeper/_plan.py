"""From the sweeper's fields and the command line to a sweep, its sampler and its study: the same in every process."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_class, get_method, instantiate
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, GridSampler, QMCSampler
from optuna.study import Study

from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import ConfigError
from paretune.search.drawing import Drawing
from paretune.search.feasible import CappedSampler, FeasibleSampler
from paretune.search.handle import TrialHandle
from paretune.search.limits import Limits
from paretune.search.race import Race
from paretune.search.space import Space, parse_space
from paretune.search.study import Direction, open_study
from paretune.search.worker import Sweep

__all__ = ["Plan", "name_of"]

LIMITS = tuple(field.name for field in dataclass_fields(Limits))


@dataclass(frozen=True)
class Plan:
    """What the parent and every worker derive from the same fields and arguments; plain data, so that it travels."""

    name: str
    fields: Mapping[str, Any]
    arguments: Sequence[str]

    @property
    def isolated(self) -> bool:
        """Whether trials run in worker processes, which can be killed and replaced, rather than in this one."""
        fields = self.fields
        return bool(fields["n_jobs"] > 1 or fields["trial_timeout_s"] or fields["recycle_after"])

    def sweep(self, trials: HydraTrials) -> Sweep:
        """The sweep, its space composed. Raises :class:`~paretune.errors.ConfigError` if there is nothing to search."""
        params = {key: value for key, value in (self.fields["params"] or {}).items() if key not in self._named()}
        lines = [*(f"{key}={value}" for key, value in params.items()), *self.arguments]
        node = self.fields["space"]
        space = parse_space(lines, is_group=trials.is_group, own_space=lambda chosen: trials.own_space(node, chosen))
        if not space.everything():
            message = (
                "sweep `-m` has nothing to search; expected at least one sweep such as 'model.widths.0=interval(4,32)'; "
                "add one, or leave out -m to run once"
            )
            raise ConfigError(message)
        fields = self.fields
        more = get_method(fields["custom_search_space"]) if fields["custom_search_space"] else None
        suggest = (lambda trial, lines: more(trials.composed([*space.fixed, *lines]), trial)) if more else None
        race = Race(**fields["race"]) if fields["race"]["eta"] else None
        return Sweep(self.name, space, Limits(**{name: fields[name] for name in LIMITS}), race, suggest)

    def open(self, sweep: Sweep, trials: HydraTrials) -> Study:
        """The study, with the sampler that the fields ask for."""
        sampler = self._sampler(self._drawing(sweep.space, trials))
        directions = _directions(self.fields["direction"])
        return open_study(self.name, self._storage(trials), directions, sampler, self._pruner(directions))

    def objective(self, sweep: Sweep, trials: HydraTrials) -> Any:
        """What a worker calls for each trial."""

        def run(trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
            return trials.run(trial, [*sweep.space.fixed, *drawn])

        return run

    def _pruner(self, directions: Sequence[Direction]) -> BasePruner | None:
        pruner = self.fields["pruner"]
        if pruner and len(directions) > 1:
            message = (
                f"pruner `{pruner.get('_target_')}` prunes by one objective, and this sweep has {len(directions)}; expected "
                f"none; set hydra.sweeper.race.eta for a cost and a score"
            )
            raise ConfigError(message)
        return cast("BasePruner", instantiate(pruner)) if pruner else None

    def _storage(self, trials: HydraTrials) -> str | None:
        """As set; several workers cannot share memory, so without a storage they share a file in the sweep's folder."""
        if self.fields["storage"] is None and self.isolated:
            return f"sqlite:///{Path(trials.config.hydra.sweep.dir).resolve()}/optuna.db"
        return cast("str | None", self.fields["storage"])

    def _named(self) -> set[str]:
        return {line.split("=", 1)[0].lstrip("+~") for line in self.arguments}

    def _drawing(self, space: Space, trials: HydraTrials) -> Drawing:
        cap = self.fields["cap"]
        if cap["count"] is None:
            return Drawing(space)
        counted = trials.counter(get_method(cap["count"]))

        def count(params: dict[str, Any]) -> int:
            groups, values = space.grouped(params)
            return counted([*space.fixed, *groups], values)

        return Drawing(space, count, cap["max"])

    def _sampler(self, drawing: Drawing) -> CappedSampler:
        config = dict(self.fields["sampler"])
        seed = config.pop("seed", None) or 0
        target = get_class(config["_target_"])
        if issubclass(target, CappedSampler):
            sampler: CappedSampler = instantiate(config, drawing, seed=seed)
            return sampler

        one_sequence = issubclass(target, (GridSampler, QMCSampler))  # all trials walk along the same points
        if issubclass(target, GridSampler):
            config["search_space"] = _grid(drawing.space)

        def make_base(derived_seed: int) -> BaseSampler:
            base: BaseSampler = instantiate(config, seed=seed if one_sequence else derived_seed)
            return base

        n_startup = 20 if drawing.costs else 0  # without a cost there is nothing to spread the start over
        return FeasibleSampler(make_base, drawing, n_startup=n_startup, seed=seed)


def name_of(fields: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """The study's name: as set, or the same for the same question, so that the same command resumes the sweep."""
    if fields["study_name"]:
        return str(fields["study_name"])
    question = sorted(line for line in arguments if not line.startswith("hydra."))
    return f"adhoc-{hashlib.sha256(' '.join(question).encode()).hexdigest()[:8]}"


def _grid(space: Space) -> dict[str, list[Any]]:
    """Every value of every parameter, for the sampler that tries all combinations."""
    values: dict[str, list[Any]] = {}
    for name, dist in space.everything().items():
        if isinstance(dist, CategoricalDistribution):
            values[name] = list(dist.choices)
        elif isinstance(dist, IntDistribution):
            values[name] = list(range(dist.low, dist.high + 1, dist.step))
        else:
            message = (
                f"sampler `grid` cannot try every value of `{name}`; expected choice(...) or range(...) of whole numbers; "
                f"use another sampler or other values"
            )
            raise ConfigError(message)
    return values


def _directions(direction: str | Sequence[str]) -> list[Direction]:
    names = [direction] if isinstance(direction, str) else list(direction)
    for name in names:
        if name not in ("minimize", "maximize"):
            message = f"direction `{name}` is unknown; expected minimize or maximize; set hydra.sweeper.direction"
            raise ConfigError(message)
    return cast("list[Direction]", names)
