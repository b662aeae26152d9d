"""From the sweeper's fields and the command line to a sweep, its sampler and its study: the same in every process."""

import hashlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, QMCSampler
from optuna.study import Study

from paretune.errors import ConfigError, Raced
from paretune.search import TrialHandle
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.racing import Race, check_race
from paretune.search.samplers import CappedSampler, FeasibleSampler, GridSampler
from paretune.search.space import Space, parse_space
from paretune.search.stopping import Limits
from paretune.search.study import Direction, open_study
from paretune.search.worker import Sweep


class TrialRunner:
    """Composes configurations and runs them (about 50 ms a trial on top of the task itself)."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = context, task, config
        setup_globals()
        self._base = lru_cache(maxsize=64)(self._compose)
        self._counted = lru_cache(maxsize=64)(self._compose)  # its values are those that were counted last

    def is_group(self, key: str) -> bool:
        """Whether ``key`` (perhaps one to add, ``+key``) is a config group."""
        return bool(self.context.config_loader.get_group_options(key.lstrip("+"), ObjectType.CONFIG))

    def own_space(self, node: str | None, overrides: list[str]) -> Mapping[str, Any]:
        """The search space that the configuration with these overrides holds at ``node``."""
        found = OmegaConf.select(self._base(tuple(overrides)), node) if node else None
        return {} if found is None else {str(key): value for key, value in found.items()}

    def chosen(self, overrides: list[str]) -> dict[str, str]:
        """The option of every config group of the app with these overrides."""
        choices = self._base(tuple(overrides)).hydra.runtime.choices
        return {name: str(option) for name, option in choices.items() if not name.startswith("hydra/")}

    def settings(self, nodes: Sequence[str], overrides: list[str]) -> dict[str, str]:
        """Every value below ``nodes`` of the configuration with these overrides, by its full name."""
        found = {node: OmegaConf.select(self._base(tuple(overrides)), node) for node in nodes}
        plain = {
            node: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for node, value in found.items()
        }
        return {name: str(value) for node in plain for name, value in _leaves(node, plain[node])}

    def composed(self, overrides: list[str]) -> DictConfig:
        """The configuration with these overrides."""
        return self._compose(tuple(overrides))

    def counter(self, count: Callable[[DictConfig], int]) -> Callable[[list[str], Mapping[str, Any]], int]:
        """``count`` of the configuration that fixed overrides (groups included) and drawn values make.

        Composing takes Hydra 40 ms, so the fixed part is composed once; every draw sets the same keys of it.
        """

        def counted(fixed: list[str], drawn: Mapping[str, Any]) -> int:
            config = self._counted(tuple(fixed))
            for key, value in drawn.items():
                plain = OmegaConf.create(f"v: {value}").v if isinstance(value, str) else value
                OmegaConf.update(config, key.lstrip("+"), plain)
            return count(config)

        return counted

    def run(self, trial: TrialHandle, overrides: list[str]) -> Sequence[float]:
        """Run one trial as job number ``trial.number``; raises what the task raises."""
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = f"{trial.sweep}_{trial.number}"
            config.hydra.job.num = trial.number
            config.hydra.sweeper.study_name = trial.sweep
        job = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        if isinstance(job._return_value, Raced):  # no error, as which Hydra would print it
            raise job._return_value
        try:
            returned: Sequence[float] = job.return_value
        except Exception:
            _to_files(f"trial {trial.number} failed", sys.exc_info())
            raise
        return returned

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        OmegaConf.set_struct(config, False)
        return config


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, held in value.items():
            yield from _leaves(f"{name}.{key}", held)
    else:
        yield name, value


def _to_files(message: str, error: Any) -> None:
    """A traceback for the log of the trial, which Hydra has set up, and not for the console."""
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, None, error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
AT_LEAST_ONE = ("n_jobs", "recycle_after", "workers_per_gpu")
LIMITS = tuple(field.name for field in dataclass_fields(Limits))


@dataclass(frozen=True)
class SweepSpec:
    """What the parent and every worker derive from the same fields and arguments; plain data, so that it travels."""

    name: str
    fields: Mapping[str, Any]
    arguments: Sequence[str]

    def isolated(self, trials: TrialRunner) -> bool:
        """Whether trials run in worker processes, which can be killed and replaced, rather than in this one."""
        fields, launcher = self.fields, trials.config.hydra.launcher._target_
        return bool(fields["n_jobs"] > 1 or fields["trial_timeout_s"] or fields["recycle_after"] or launcher != BASIC)

    def prepared(self, trials: TrialRunner) -> tuple[Sweep, CappedSampler]:
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
            raise ConfigError(
                "sweep `-m` has nothing to search; expected at least one sweep such as 'model.widths.0=interval(4,32)'; "
                "add one, or leave out -m to run once"
            )
        fields = self.fields
        custom = fields["custom_search_space"]
        more = _found(get_method, "custom_search_space", custom) if custom else None
        suggest = (lambda trial, lines: more(trials.composed([*space.fixed, *lines]), trial)) if more else None
        limits, race = Limits(**{name: fields[name] for name in LIMITS}), self._race()
        sampler = self._sampler(self._feasible_space(space, trials))
        if isinstance(sampler, GridSampler):
            limits = replace(limits, n_trials=min(limits.n_trials, len(sampler.points)))
        return Sweep(self.name, space, limits, race, suggest), sampler

    def open(self, sampler: CappedSampler, trials: TrialRunner, join: bool = False) -> Study:
        """The study, to be asked through ``sampler``; to ``join`` it has to be there."""
        directions = _directions(self.fields["direction"])
        return open_study(self.name, self._storage(trials), directions, sampler, self._pruner(directions), join=join)

    def objective(self, sweep: Sweep, trials: TrialRunner) -> Any:
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
            raise ConfigError(
                f"pruner `{pruner.get('_target_')}` prunes by one objective, and this sweep has {len(directions)}; expected "
                f"none; set hydra.sweeper.race.eta for a cost and a score"
            )
        return cast("BasePruner", instantiate(pruner)) if pruner else None

    def _storage(self, trials: TrialRunner) -> str | None:
        """As set; several workers cannot share memory, so without a storage they share a file in the sweep's folder."""
        if self.fields["storage"] is None and self.isolated(trials):
            return f"sqlite:///{Path(trials.config.hydra.sweep.dir).resolve()}/optuna.db"
        return cast("str | None", self.fields["storage"])

    def _named(self) -> set[str]:
        return {line.split("=", 1)[0].lstrip("+~") for line in self.arguments}

    def _feasible_space(self, space: Space, trials: TrialRunner) -> FeasibleSpace:
        cap = self.fields["cap"]
        if cap["count"] is None:
            if cap["max"] is not None:
                message = f"cap.max `{cap['max']}` has nothing to count with; expected a function; set hydra.sweeper.cap.count"
                raise ConfigError(message)
            return FeasibleSpace(space)
        counted = trials.counter(_found(get_method, "cap.count", cap["count"]))

        def count(params: dict[str, Any]) -> int:
            groups, values = space.grouped(params)
            return counted([*space.fixed, *groups], values)

        return FeasibleSpace(space, count, cap["max"])

    def _check_weighable(self, sampler: str, feasible: FeasibleSpace) -> None:
        directions = _directions(self.fields["direction"])
        if feasible.costs is None or sorted(directions) != ["maximize", "minimize"]:
            raise ConfigError(
                f"sampler `{sampler}` weighs a counted cost against a score, and this sweep has directions {directions} and "
                f"{'a' if feasible.costs else 'no'} cap.count; expected [minimize, maximize] and a count; use another sampler"
            )

    def _sampler(self, feasible: FeasibleSpace) -> CappedSampler:
        config = dict(self.fields["sampler"])
        seed = config.pop("seed", None) or 0
        target = _found(get_class, "sampler", config["_target_"])
        if issubclass(target, CappedSampler):
            if target.weighs_cost_and_score:
                self._check_weighable(target.__name__, feasible)
            sampler: CappedSampler = instantiate(config, feasible, seed=seed)
            return sampler

        one_sequence = issubclass(target, QMCSampler)  # all trials walk along the same points

        def make_base(derived_seed: int) -> BaseSampler:
            base: BaseSampler = instantiate(config, seed=seed if one_sequence else derived_seed)
            return base

        # without a cost there is nothing to spread the start over
        n_startup = 20 if feasible.costs else 0
        return FeasibleSampler(make_base, feasible, n_startup=n_startup, seed=seed)


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
