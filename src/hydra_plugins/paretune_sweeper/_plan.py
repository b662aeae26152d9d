"""From the sweeper's fields and the command line to a sweep, its sampler and its study: the same in every process."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.utils import get_class, get_method, instantiate
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, QMCSampler
from optuna.study import Study

from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import ConfigError
from paretune.search.drawing import Drawing
from paretune.search.feasible import CappedSampler, FeasibleSampler
from paretune.search.grid import GridSampler
from paretune.search.handle import TrialHandle
from paretune.search.limits import Limits
from paretune.search.race import Race
from paretune.search.rungs import check_race
from paretune.search.space import Space, parse_space
from paretune.search.study import Direction, open_study
from paretune.search.worker import Sweep

__all__ = ["BASIC", "Plan", "name_of"]

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
AT_LEAST_ONE = ("n_jobs", "recycle_after", "workers_per_gpu")
LIMITS = tuple(field.name for field in dataclass_fields(Limits))


@dataclass(frozen=True)
class Plan:
    """What the parent and every worker derive from the same fields and arguments; plain data, so that it travels."""

    name: str
    fields: Mapping[str, Any]
    arguments: Sequence[str]

    def isolated(self, trials: HydraTrials) -> bool:
        """Whether trials run in worker processes, which can be killed and replaced, rather than in this one."""
        fields, launcher = self.fields, trials.config.hydra.launcher._target_
        return bool(fields["n_jobs"] > 1 or fields["trial_timeout_s"] or fields["recycle_after"] or launcher != BASIC)

    def prepared(self, trials: HydraTrials) -> tuple[Sweep, CappedSampler]:
        """The sweep, its space composed, and the sampler that the fields ask for.

        Raises :class:`~paretune.errors.ConfigError` if there is nothing to search.
        """
        self._check_counts()
        given = self.fields["params"] or {}
        params = {key: value for key, value in given.items() if key.lstrip("+~") not in self._named()}
        lines = [*(f"{key}={_grammar(value)}" for key, value in params.items()), *self.arguments]
        node = self.fields["space"]
        space = parse_space(
            lines,
            is_group=trials.is_group,
            own_space=lambda chosen: trials.own_space(node, chosen),
            loader=trials.context.config_loader,
        )
        if not space.everything():
            message = (
                "sweep `-m` has nothing to search; expected at least one sweep such as 'model.widths.0=interval(4,32)'; "
                "add one, or leave out -m to run once"
            )
            raise ConfigError(message)
        fields = self.fields
        custom = fields["custom_search_space"]
        more = _found(get_method, "custom_search_space", custom) if custom else None
        suggest = (lambda trial, lines: more(trials.composed([*space.fixed, *lines]), trial)) if more else None
        limits, race = Limits(**{name: fields[name] for name in LIMITS}), self._race()
        sampler = self._sampler(self._drawing(space, trials))
        if isinstance(sampler, GridSampler):
            limits = replace(limits, n_trials=min(limits.n_trials, len(sampler.points)))
        return Sweep(self.name, space, limits, race, suggest), sampler

    def open(self, sampler: CappedSampler, trials: HydraTrials, join: bool = False) -> Study:
        """The study, to be asked through ``sampler``; to ``join`` it has to be there."""
        directions = _directions(self.fields["direction"])
        return open_study(self.name, self._storage(trials), directions, sampler, self._pruner(directions), join=join)

    def objective(self, sweep: Sweep, trials: HydraTrials) -> Any:
        """What a worker calls for each trial."""

        def run(trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
            return trials.run(trial, [*sweep.space.fixed, *drawn])

        return run

    def _check_counts(self) -> None:
        for name in AT_LEAST_ONE:
            if (value := self.fields[name]) is not None and value < 1:
                message = f"{name} `{value}` is too small; expected at least 1; set hydra.sweeper.{name}"
                raise ConfigError(message)

    def _race(self) -> Race | None:
        if not self.fields["race"]["eta"]:
            return None
        race = Race(**self.fields["race"])
        check_race(race, _directions(self.fields["direction"]))
        return race

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
        if self.fields["storage"] is None and self.isolated(trials):
            return f"sqlite:///{Path(trials.config.hydra.sweep.dir).resolve()}/optuna.db"
        return cast("str | None", self.fields["storage"])

    def _named(self) -> set[str]:
        return {line.split("=", 1)[0].lstrip("+~") for line in self.arguments}

    def _drawing(self, space: Space, trials: HydraTrials) -> Drawing:
        cap = self.fields["cap"]
        if cap["count"] is None:
            if cap["max"] is not None:
                message = f"cap.max `{cap['max']}` has nothing to count with; expected a function; set hydra.sweeper.cap.count"
                raise ConfigError(message)
            return Drawing(space)
        counted = trials.counter(_found(get_method, "cap.count", cap["count"]))

        def count(params: dict[str, Any]) -> int:
            groups, values = space.grouped(params)
            return counted([*space.fixed, *groups], values)

        return Drawing(space, count, cap["max"])

    def _check_weighable(self, sampler: str, drawing: Drawing) -> None:
        directions = _directions(self.fields["direction"])
        if drawing.costs is None or sorted(directions) != ["maximize", "minimize"]:
            message = (
                f"sampler `{sampler}` weighs a counted cost against a score, and this sweep has directions {directions} and "
                f"{'a' if drawing.costs else 'no'} cap.count; expected [minimize, maximize] and a count; use another sampler"
            )
            raise ConfigError(message)

    def _sampler(self, drawing: Drawing) -> CappedSampler:
        config = dict(self.fields["sampler"])
        seed = config.pop("seed", None) or 0
        target = _found(get_class, "sampler", config["_target_"])
        if issubclass(target, CappedSampler):
            if target.weighs_cost_and_score:
                self._check_weighable(target.__name__, drawing)
            sampler: CappedSampler = instantiate(config, drawing, seed=seed)
            return sampler

        one_sequence = issubclass(target, QMCSampler)  # all trials walk along the same points

        def make_base(derived_seed: int) -> BaseSampler:
            base: BaseSampler = instantiate(config, seed=seed if one_sequence else derived_seed)
            return base

        # without a cost there is nothing to spread the start over
        n_startup = 20 if drawing.costs else 0
        return FeasibleSampler(make_base, drawing, n_startup=n_startup, seed=seed)


def name_of(fields: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """The study's name: as set, or the same for the same question, so that the same command resumes the sweep."""
    if fields["study_name"]:
        return str(fields["study_name"])
    question = sorted(line for line in arguments if not line.startswith("hydra."))
    return f"adhoc-{hashlib.sha256(' '.join(question).encode()).hexdigest()[:8]}"


def _found(get: Callable[[str], Any], field: str, path: str) -> Any:
    """The class or function at the dotted ``path`` that is set as ``field``."""
    try:
        return get(path)
    except Exception as error:  # Hydra lets through whatever importing raises
        message = f"{field} `{path}` cannot be imported ({error}); expected a dotted path; set hydra.sweeper.{field}"
        raise ConfigError(message.replace("\n", " ")) from error


def _grammar(value: Any) -> str:
    """A value of a YAML file in Hydra's override grammar; text is taken for grammar already, such as ``choice(a,b)``."""
    return value if isinstance(value, str) else _quoted(value)


def _quoted(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_quoted(held)}' for key, held in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_quoted, value))}]"
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    return "null" if value is None else str(value).lower()


def _directions(direction: str | Sequence[str]) -> list[Direction]:
    names = [direction] if isinstance(direction, str) else list(direction)
    for name in names:
        if name not in ("minimize", "maximize"):
            message = f"direction `{name}` is unknown; expected minimize or maximize; set hydra.sweeper.direction"
            raise ConfigError(message)
    return cast("list[Direction]", names)
