"""From the sweeper's options and the command line to a sweep, its sampler and its study: the same in every process."""

import hashlib
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.utils import setup_globals
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.samplers import BaseSampler, QMCSampler
from optuna.study import Study
from optuna.trial import Trial

from hydra_plugins.paretune_sweeper import SweepOptions
from paretune.errors import ConfigError, check_choice, check_least
from paretune.overrides import STUDY_NAME, is_text, quoted
from paretune.paths import sqlite_url
from paretune.search.costs import Caps
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grammar import value_of
from paretune.search.racing import Race, check_race
from paretune.search.samplers import CappedSampler, FeasibleSampler, GridSampler
from paretune.search.space import Space
from paretune.search.space_parser import is_named, parse_space
from paretune.search.stopping import Limits
from paretune.search.study import GROUP, Direction, check_same_setup, open_study
from paretune.search.worker import Sweep
from paretune.settings import is_folder

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


class SweepSpec:
    """What the parent and every worker derive from the same options and arguments: the space, the sampler, the study.

    Raises :class:`~paretune.errors.ConfigError` for options that cannot work.
    """

    def __init__(
        self, options: SweepOptions, arguments: Sequence[str], loader: ConfigLoader, config: DictConfig
    ) -> None:
        for name in ("n_jobs", "recycle_after", "workers_per_gpu"):
            check_least(f"hydra.sweeper.{name}", getattr(options, name), 1, null=name != "n_jobs")
        file = config.hydra.runtime.choices.get("sweeps")
        single = {*re.findall(r"\$\{([\w.]+)\}", OmegaConf.to_yaml(config.hydra.sweeper))}
        self.options, self.name = options, _typed_name(options, config) or file or _name(arguments)
        _check_name(self.name)
        self.loader, self.config = loader, config
        with open_dict(config):
            config.hydra.sweeper.study_name = self.name  # the output folder is called after it
        setup_globals()
        # configs whose values are those that were counted last, and the usual values of what was drawn
        self._counted = lru_cache(maxsize=64)(lambda overrides: (self._compose(overrides), dict[str, Any]()))
        directions = [options.direction] if isinstance(options.direction, str) else options.direction
        self.directions = cast("list[Direction]", directions)
        for direction in self.directions:
            check_choice("hydra.sweeper.direction", direction, get_args(Direction))
        self.space = self._space(arguments)
        self._check_may_vary(single)
        suggest = self._suggest(options.custom_search_space) if options.custom_search_space else None
        set_here = {
            field.name: getattr(options, field.name) for field in fields(Limits) if hasattr(options, field.name)
        }
        limits = Limits(**set_here)
        race = Race(**vars(options.race)) if options.race.eta is not None else None
        if race:
            check_race(race, self.directions)
        self.feasible = self._feasible_space()
        self.sampler = self._sampler(self.feasible)
        if isinstance(self.sampler, GridSampler):
            if options.start:
                raise ConfigError(
                    f"start `{options.start[0]}` has no place in sampler `grid`, which tries every point once; expected none; leave "
                    f"out hydra.sweeper.start, or use another sampler"
                )
            if self.space.all_distributions():  # where nothing is searched, its one point is repeated
                n_trials = min(limits.n_trials, self.sampler.most_trials)
                limits = replace(limits, n_trials=n_trials, has_trial=self.sampler.has_trial)
        self.sweep = Sweep(self.name, self.space, limits, race, suggest)

    @property
    def is_isolated(self) -> bool:
        """Whether trials run in worker processes, which can be killed and replaced, rather than in this one."""
        options, launcher = self.options, self.config.hydra.launcher._target_
        return bool(options.n_jobs > 1 or options.trial_timeout_s or options.recycle_after or launcher != BASIC)

    def open_study(self) -> Study:
        """The study, to be asked through the sampler; to join a sweep it has to be there.

        Workers cannot share memory, so without a storage they share a file in the sweep's folder.
        """
        storage, pruner = self.options.storage, self.options.pruner
        if storage is None and self.is_isolated:
            storage = sqlite_url(Path(self.config.hydra.sweep.dir).resolve() / "optuna.db")
        if pruner and len(self.directions) > 1:
            raise ConfigError(
                f"pruner `{pruner.get('_target_')}` prunes by one objective, and this sweep has {len(self.directions)}; expected "
                f"none; set hydra.sweeper.race.eta for a cost and a score"
            )
        pruner = instantiate(pruner) if pruner else None
        return open_study(self.name, storage, self.directions, self.sampler, pruner, join=self.options.join)

    def starts(self) -> list[dict[str, Any]]:
        """The configurations to run first, as parameters of the space.

        Raises :class:`~paretune.errors.ConfigError` for one that the space does not hold, and
        :class:`~paretune.errors.CapError` for one over the cap.
        """
        return [self._start(line) for line in self.options.start or []]

    def _start(self, line: str) -> dict[str, Any]:
        try:
            config = self._compose((*self.space.fixed, *shlex.split(line)))
        except ValueError as error:
            raise ConfigError(
                f"start `{line}` cannot be read ({error}); expected overrides in a line, as a shell reads them; mend its quotes"
            ) from error
        chosen = {name.lstrip("+"): option for name, option in config.hydra.runtime.choices.items()}

        def configured(name: str) -> Any:
            key = name.rpartition("/")[2].lstrip("+")
            if name in self.space.groups:
                return chosen.get(name.lstrip("+"))
            return OmegaConf.select(config, key)

        params = self.space.take_values(configured, f"start `{line}`")
        self._check_taken(line, config, params)
        self.feasible.check_fits(params, f"start `{line}`")
        return params

    def _check_taken(self, line: str, config: DictConfig, params: Mapping[str, Any]) -> None:
        """Refuse a start that sets by name what its trial would not have, as nobody searches it."""
        known = {*config.hydra.runtime.choices, *self.space.split_groups(params)[1]}
        keys = [override.partition("=")[0].lstrip("+") for override in shlex.split(line)]
        others = [key for key in keys if key not in known]
        taken = self._compose((*self.space.fixed, *self.space.overrides(params))) if others else config
        for key in others:
            value, in_trial = OmegaConf.select(config, key), OmegaConf.select(taken, key)
            if (
                OmegaConf.is_list(value)
                and OmegaConf.is_list(in_trial)
                and any(is_named(name, [key]) for name in known)
            ):
                in_trial = in_trial[: len(value)]  # what is searched of a list may be longer than what is used
            if not OmegaConf.is_dict(value) and value != in_trial:
                raise ConfigError(
                    f"start `{line}` sets {key} `{value}`, which is not searched; expected a parameter of the space; add {key} to "
                    "hydra.sweeper.params or leave it out of the start"
                )

    def _check_may_vary(self, single: Collection[str]) -> None:
        """Refuse to search a setting that the sweeper itself takes a ``single`` value of, such as its name or its cap."""
        for name, distribution in self.space.all_distributions().items():
            if is_named(key := name.lstrip("+"), single):
                values = ",".join(map(str, getattr(distribution, "choices", [distribution])))
                raise ConfigError(
                    f"{key} `{values}` cannot be searched; expected one value for a sweep; start a sweep for each"
                )

    def check_searched(self) -> None:
        """Have Hydra raise its own error if what is searched is no setting of the app."""
        for choice in self.feasible.branches:
            self._compose((*self.space.fixed, *self.space.overrides(self.feasible.smallest_of(choice))))

    def check_same_setup(self, study: Study) -> None:
        """Raise :class:`~paretune.errors.StoreError` if the study was started with another cap, space or settings."""
        config = self._compose(tuple(self.space.fixed))
        settings: dict[str, str] = {}
        choices = config.hydra.runtime.choices.items()
        groups = {f"{GROUP}{name}": str(option) for name, option in choices if not name.startswith("hydra/")}
        asked = self.options.question or []
        left_out = {node[1:] for node in asked if node.startswith("~")}
        for node in (node for node in asked if not node.startswith("~")):
            value = OmegaConf.select(config, node)
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            settings |= {name: str(leaf) for name, leaf in _leaves(node, plain)}
        named = {line.split("=", 1)[0].lstrip("+~") for line in self.space.fixed}
        question = {"cap": self._cap_described(), **groups, **self.space.describe()}
        check_same_setup(study, question, settings, named, left_out)

    @property
    def caps(self) -> Caps:
        """What is capped, and which cost is the objective."""
        cap = self.options.cap
        most = cap.max if isinstance(cap.max, Mapping) else {cap.cost: cap.max}
        for name, bound in most.items():
            check_least(f"hydra.sweeper.cap.max.{name}", bound, 1, null=True)
        return Caps({name: bound for name, bound in most.items() if bound is not None}, cap.cost, cap.units or {})

    @property
    def metric_names(self) -> list[str] | None:
        """What the values are called, in words. Raises :class:`~paretune.errors.ConfigError` if these are not as many as directions."""
        names = self.options.metric_names
        if names and len(names) != len(self.directions):
            raise ConfigError(
                f"metric_names `{names}` do not fit direction `{self.options.direction}`; expected a name for each direction; set "
                f"hydra.sweeper.metric_names"
            )
        return [self.caps.unit(name) for name in names] if names else None

    def _cap_described(self) -> str:
        """As studies of before have it, of a single cap on their objective."""
        most, cost = self.caps.most, self.caps.axis
        others = {name: bound for name, bound in most.items() if name != cost}
        axis = "" if cost in ("parameters", "params") else f" {cost}"
        return ", ".join([f"{most.get(cost)}{axis}", *(f"{bound} {name}" for name, bound in others.items())])

    def _space(self, arguments: Sequence[str]) -> Space:
        def is_group(key: str) -> bool:
            return bool(self.loader.get_group_options(key.lstrip("+"), ObjectType.CONFIG))

        named = {line.split("=", 1)[0].lstrip("+~") for line in arguments}
        wholes = [name for name in named if not is_group(name)]  # model=squeeze fixes no width
        lines = [
            f"{key}={_grammar(value)}"
            for key, value in (self.options.params or {}).items()
            # null: a sweep that builds on another leaves it out
            if value is not None and key.lstrip("+~") not in named and not is_named(key.lstrip("+~"), wholes)
        ]
        return parse_space([*lines, *arguments], is_group=is_group, own_space=self._own_space, loader=self.loader)

    def _own_space(self, overrides: list[str]) -> Mapping[str, Any]:
        """The search space that the configuration with these overrides brings along."""
        node = self.options.space
        return (OmegaConf.select(self._compose(tuple(overrides)), node) if node else None) or {}

    def _refers_elsewhere(self, node: str) -> bool:
        """Whether the config ``node`` takes values from other nodes, in any branch."""
        branches = ((*self.space.fixed, *self.space.split_groups(choice)[0]) for choice in self.space.combinations())
        parts = (OmegaConf.select(self._counted(overrides)[0], node) for overrides in branches)
        return any("${" in OmegaConf.to_yaml(part) for part in parts if OmegaConf.is_config(part))

    def _suggest(self, path: str) -> Callable[[Trial, list[str]], None]:
        custom = _imported(get_method, "custom_search_space", path)
        return lambda trial, drawn: custom(self._compose((*self.space.fixed, *drawn)), trial)

    def _feasible_space(self) -> FeasibleSpace:
        cap = self.options.cap
        if cap.count is None:
            if self.caps.most:
                raise ConfigError(
                    f"cap.max `{cap.max}` has nothing to count with; expected a function; set hydra.sweeper.cap.count"
                )
            return FeasibleSpace(self.space)
        unread = self._unread(cap.reads)
        if cap.prepare and not self._reads_elsewhere(cap.reads):
            cost = self._count_prepared(_imported(get_method, "cap.prepare", cap.prepare), unread)
        else:
            cost = self._count_composed(_imported(get_method, "cap.count", cap.count), unread)
        return FeasibleSpace(self.space, cost, self.caps, unread=unread, floor=cap.min)

    def _count_composed(
        self, count: Callable[[DictConfig], Any], unread: Collection[str]
    ) -> Callable[[dict[str, Any]], Any]:
        """A count of configs that are composed.

        Composing takes Hydra 40 ms, so the fixed part is composed once; what an earlier draw set and this one has not goes
        back to its usual value.
        """

        def cost(params: dict[str, Any]) -> Any:
            groups, values = self.space.split_groups(
                {name: value for name, value in params.items() if name not in unread}
            )
            config, usual = self._counted((*self.space.fixed, *groups))
            drawn = {key.lstrip("+"): value_of(value) for key, value in values.items()}
            for key in drawn:
                usual.setdefault(key, OmegaConf.select(config, key))
            for key, value in {**usual, **drawn}.items():
                OmegaConf.update(config, key, value, merge=False)
            return count(config)

        return cost

    def _count_prepared(
        self, prepare: Callable[[DictConfig], Callable[[Mapping[str, Any]], Any]], unread: Collection[str]
    ) -> Callable[[dict[str, Any]], Any]:
        """A count of what is drawn beside the groups, each choice of which is composed once."""
        prepared = lru_cache(maxsize=64)(lambda overrides: prepare(self._compose(overrides)))

        def cost(params: dict[str, Any]) -> Any:
            read = {name: value for name, value in params.items() if name not in unread}
            groups, values = self.space.split_groups(read)
            drawn = {key.lstrip("+"): value_of(value) for key, value in values.items()}
            return prepared((*self.space.fixed, *groups))(drawn)

        return cost

    def _reads_elsewhere(self, nodes: Sequence[str] | None) -> bool:
        """Whether what is counted takes values from other nodes than ``nodes``, which may be drawn."""
        return any(self._refers_elsewhere(node) for node in nodes or ())

    def _unread(self, nodes: Sequence[str] | None) -> set[str]:
        """The parameters that are no part of ``nodes``."""
        if self._reads_elsewhere(nodes):
            return set()
        keys = {
            name: name.rpartition("/")[2].lstrip("+")
            for name in self.space.all_distributions()
            if name not in self.space.groups
        }
        return {
            name for name, key in keys.items() if nodes and not any(f"{key}.".startswith(f"{node}.") for node in nodes)
        }

    def _sampler(self, feasible: FeasibleSpace) -> CappedSampler:
        if not isinstance(self.options.sampler, Mapping):
            raise ConfigError(
                f"hydra.sweeper.sampler `{self.options.sampler}` is no sampler; expected an option of its group; write "
                f"hydra/sweeper/sampler={self.options.sampler}"
            )
        config = {name: value for name, value in self.options.sampler.items() if value is not None}
        seed = config.pop("seed", 0)
        target = _imported(get_class, "sampler", config["_target_"])
        if issubclass(target, CappedSampler):
            sampler = cast("CappedSampler", instantiate(config, feasible, seed=seed))
            sampler.check_objectives(self.directions)
            return sampler
        is_one_sequence = issubclass(target, QMCSampler)  # all trials walk along the same points

        def make_base(derived_seed: int) -> BaseSampler:
            return cast("BaseSampler", instantiate(config, seed=seed if is_one_sequence else derived_seed))

        # without a cost there is nothing to spread the start over
        return FeasibleSampler(make_base, feasible, n_startup=20 if feasible.costs else 0, seed=seed)

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        """The configuration of the app with these overrides."""
        config = self.loader.load_sweep_config(self.config, list(overrides))
        OmegaConf.set_struct(config, False)
        return config


def _typed_name(options: SweepOptions, config: DictConfig) -> str | None:
    """The name that was set for the study, as typed: of ``study_name=1.10`` Hydra makes 1.1."""
    lines = [line.partition("=") for line in config.hydra.overrides.hydra]
    typed = [value for key, _, value in lines if key.lstrip("+") == STUDY_NAME]
    if typed and not is_text(typed[-1]):
        return str(typed[-1])
    return options.study_name


def _check_name(name: str) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the sweep's folder could not be called so."""
    if not is_folder(name):
        raise ConfigError(
            f"name `{name}` is invalid; expected one for a folder of its own, without .. and // in it; choose another name"
        )


def _name(arguments: Sequence[str]) -> str:
    """The name of a study without one: the same for the same question, so that the same command resumes the sweep."""
    question = sorted(line for line in arguments if not line.startswith("hydra."))
    return f"adhoc-{hashlib.sha256(' '.join(question).encode()).hexdigest()[:8]}"


def _imported(get: Callable[[str], Any], field: str, path: str) -> Any:
    """The class or function at the dotted ``path`` that is set as ``field``."""
    try:
        return get(path)
    except Exception as error:  # Hydra lets through whatever importing raises
        message = f"{field} `{path}` cannot be imported ({error}); expected a dotted path; set hydra.sweeper.{field}"
        raise ConfigError(message.replace("\n", " ")) from error


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    else:
        yield name, value


def _grammar(value: Any) -> str:
    """A value of a YAML file in Hydra's override grammar; text is taken for grammar already, such as ``choice(a,b)``."""
    return value if isinstance(value, str) else _quoted(value)


def _quoted(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_quoted(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_quoted, value))}]"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower()
