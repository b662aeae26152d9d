"""From the sweeper's options and the command line to a sweep, its sampler and its
study: the same in every process.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import setup_globals
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import Trial

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._caps import (
    describe_caps,
    make_feasible_space,
    read_caps,
    write_first_options,
)
from hydra_plugins.paretune_sweeper._composer import Composer, list_options
from hydra_plugins.paretune_sweeper._defaults import read_defaults
from hydra_plugins.paretune_sweeper._durations import DurationGuesses, check_guesses
from hydra_plugins.paretune_sweeper._imports import import_named
from hydra_plugins.paretune_sweeper._isolation import is_isolated
from hydra_plugins.paretune_sweeper._sampler import make_sampler
from hydra_plugins.paretune_sweeper._space import (
    check_may_vary,
    fixed_names,
    read_space,
)
from hydra_plugins.paretune_sweeper._starts import StartReader
from paretune.errors import ConfigError, check_choice, check_least
from paretune.nested import list_leaves
from paretune.overrides import STUDY_NAME, is_text
from paretune.paths import sqlite_url
from paretune.search.grid_sampler import GridSampler
from paretune.search.guessed_durations import GuessDuration
from paretune.search.portfolio import place_entries
from paretune.search.racing import Race, check_race
from paretune.search.stopping import Limits
from paretune.search.study import GROUP, Direction, check_same_setup, open_study
from paretune.search.worker import Sweep
from paretune.settings import LONGEST_NAME_BYTES, is_folder_name

# Values of the option start that are no configurations.
PORTFOLIO_STARTS = ("auto", "portfolio")


class SweepSpec:
    """The parts that the parent and every worker derive from the same options and
    arguments.

    The space, the sampler, the study. Raises :class:`~paretune.errors.ConfigError` for
    options that cannot work.
    """

    def __init__(
        self,
        options: SweepOptions,
        arguments: Sequence[str],
        loader: ConfigLoader,
        config: DictConfig,
    ) -> None:
        check_least("hydra.sweeper.n_jobs", options.n_jobs, 1)
        check_least("hydra.sweeper.recycle_after", options.recycle_after, 1, null=True)
        single = _list_references(config)
        self.options = options
        self.config = config
        self.name = _find_name(options, arguments, config)
        with open_dict(config):
            # The output folder is called after it.
            config.hydra.sweeper.study_name = self.name
        setup_globals()

        self.composer = Composer(loader, config)
        self.directions = _read_directions(options)
        self.space = read_space(options, arguments, self.composer)
        check_may_vary(self.space, single)

        suggest = self._read_suggest()
        limits = _read_limits(options)
        race = self._read_race()

        self.caps = read_caps(options.cap)
        self.feasible = make_feasible_space(
            options.cap, self.caps, self.space, self.composer
        )
        # Without a count nothing is drawn but what the sampler draws by itself.
        if options.near_defaults and self.feasible.costs:
            self.feasible.defaults = read_defaults(self.space, self.composer)
        self.sampler = make_sampler(options.sampler, self.feasible, self.directions)
        self.sampler.portfolio = self._read_portfolio()
        self.sampler.guess_duration = self._read_duration()
        if isinstance(self.sampler, GridSampler):
            limits = self._limit_to_grid(limits, self.sampler)
        _check_end(limits)
        self.sweep = Sweep(
            self.name, self.space, limits, race, suggest, n_jobs=options.n_jobs
        )

    @property
    def is_isolated(self) -> bool:
        """Whether trials run in worker processes rather than in this one."""
        return is_isolated(self.options, self.config)

    @property
    def metric_names(self) -> list[str] | None:
        """The names of the values, in words.

        Raises :class:`~paretune.errors.ConfigError` if these are not as many as
        directions.
        """
        names = self.options.metric_names
        if not names:
            return None
        if len(names) != len(self.directions):
            raise ConfigError(
                f"metric_names `{names}` do not fit direction "
                f"`{self.options.direction}`; give a name for each direction in "
                "hydra.sweeper.metric_names"
            )
        return [self.caps.unit(name) for name in names]

    def open_study(self) -> Study:
        """The study, to be asked through the sampler; to join a sweep it has to be
        there.

        Workers cannot share memory, so without a storage they share a file in the
        sweep's folder.
        """
        storage = self.options.storage
        if storage is None and self.is_isolated:
            folder = Path(self.config.hydra.sweep.dir).resolve()
            storage = sqlite_url(folder / "optuna.db")

        return open_study(
            self.name,
            storage,
            self.directions,
            self.sampler,
            self._make_pruner(),
            join=self.options.join,
        )

    def _make_pruner(self) -> BasePruner | None:
        pruner = self.options.pruner
        if not pruner:
            return None
        if len(self.directions) > 1:
            raise ConfigError(
                f"pruner `{pruner.get('_target_')}` prunes by one objective, and this "
                f"sweep has {len(self.directions)}; leave it out, and set "
                "hydra.sweeper.race.eta for a cost and a score"
            )
        return cast("BasePruner", instantiate(pruner))

    def read_starts(self) -> list[dict[str, Any]]:
        """The configurations to run first, as parameters of the space.

        Raises :class:`~paretune.errors.ConfigError` for one that the space does not
        hold, and
        :class:`~paretune.errors.CapError` for one over the cap.
        """
        reader = StartReader(self.feasible, self.composer)
        return [reader.read(line) for line in self._list_start_lines()]

    def _list_start_lines(self) -> list[str]:
        """The starts that a person wrote. Raises
        :class:`~paretune.errors.ConfigError` for a ``start`` of another form.
        """
        start = self.options.start
        if start is None or start in PORTFOLIO_STARTS:
            return []
        if not isinstance(start, list):
            raise ConfigError(
                f"hydra.sweeper.start `{start}` is invalid; write a list of "
                "configurations, each as overrides in a line, or portfolio, auto or "
                "null"
            )
        return [str(line) for line in start]

    def _read_portfolio(self) -> list[dict[str, Any]]:
        """The known configurations that are tried first, as parameters of the space."""
        start = self.options.start
        path = self.options.portfolio
        is_grid = isinstance(self.sampler, GridSampler)
        is_usual = start == "auto" and self.space.choices and not is_grid
        if start != "portfolio" and not is_usual:
            return []
        if start == "portfolio" and is_grid:
            raise _refuse_start_of_grid(start)
        if not path:
            raise ConfigError(
                f"hydra.sweeper.start `{start}` needs known configurations; name a "
                "function that returns them in hydra.sweeper.portfolio"
            )
        read = import_named(get_method, "portfolio", path)
        return place_entries(read(), self.feasible)

    def _read_duration(self) -> GuessDuration | None:
        """The function of the app that guesses how long a trial takes."""
        path = self.options.duration
        if not path:
            return None
        prepare = import_named(get_method, "duration", path)
        costs = self.feasible.costs
        told = costs.unread if costs else ()
        guess = DurationGuesses(prepare, told, self.space, self.composer)
        return check_guesses(guess, path, self.feasible)

    def check_searched(self) -> None:
        """Have Hydra raise its own error if what is searched is no setting of the
        app.
        """
        for choice in self.feasible.branches:
            smallest = self.feasible.smallest_of(choice)
            drawn = self.space.overrides(smallest)
            self.composer.check((*self.space.fixed, *drawn))

    def list_worker_lines(self) -> list[str]:
        """The overrides that the config of a worker is composed with: those of the
        command, and an option of each config group that is searched, as a group may
        have none by default.
        """
        choice = next(iter(self.space.combinations()))
        return write_first_options(choice, self.space)

    def check_same_setup(self, study: Study) -> None:
        """Raise :class:`~paretune.errors.StoreError` if the study was started with
        another cap, space or settings.
        """
        config = self.composer.compose(self.space.fixed)
        left_out: set[str] = set()
        settings: dict[str, str] = {}
        for node in self.options.question or []:
            if node.startswith("~"):
                left_out.add(node.removeprefix("~"))
            else:
                settings.update(_read_settings(config, node))

        question = {"cap": describe_caps(self.caps)}
        for name, option in list_options(config).items():
            if not name.startswith("hydra/"):
                question[f"{GROUP}{name}"] = str(option)
        question.update(self.space.describe())

        named = fixed_names(self.space.fixed)
        check_same_setup(study, question, settings, named, left_out)

    def _read_suggest(self) -> Callable[[Trial, list[str]], None] | None:
        """The function of the app that suggests more parameters, as a trial calls it
        with its overrides.
        """
        path = self.options.custom_search_space
        if not path:
            return None
        custom = import_named(get_method, "custom_search_space", path)

        def suggest(trial: Trial, drawn: list[str]) -> None:
            config = self.composer.compose((*self.space.fixed, *drawn))
            custom(config, trial)

        return suggest

    def _read_race(self) -> Race | None:
        options = self.options.race
        if options.eta is None and options.pause:
            raise ConfigError(
                "hydra.sweeper.race.pause `true` does nothing without a race; set "
                "hydra.sweeper.race.eta, or leave it out"
            )
        if options.eta is None:
            return None
        race = Race(**vars(options))
        check_race(race, self.directions)
        return race

    def _limit_to_grid(self, limits: Limits, sampler: GridSampler) -> Limits:
        """``limits`` that end with the last configuration of the grid."""
        if lines := self._list_start_lines():
            raise _refuse_start_of_grid(lines[0])
        # Where nothing is searched, its one point is repeated.
        if not self.space.all_distributions():
            return limits
        n_trials = sampler.most_trials
        if limits.n_trials is not None:
            n_trials = min(limits.n_trials, n_trials)
        return replace(limits, n_trials=n_trials, has_trial=sampler.has_trial)


def _check_end(limits: Limits) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a sweep that nothing ends."""
    ends = (limits.n_trials, limits.timeout_s, limits.flat_trials)
    if ends == (None, None, None):
        raise ConfigError(
            "hydra.sweeper.n_trials `null` is a sweep without an end; set a number, or "
            "hydra.sweeper.timeout_s"
        )


def _refuse_start_of_grid(start: str) -> ConfigError:
    return ConfigError(
        f"start `{start}` has no place in sampler `grid`, which tries every point once; "
        "leave out hydra.sweeper.start, or use another sampler"
    )


def _list_references(config: DictConfig) -> list[str]:
    """The settings that the sweeper's own options take their values from."""
    return re.findall(r"\$\{([\w.]+)\}", OmegaConf.to_yaml(config.hydra.sweeper))


def _read_directions(options: SweepOptions) -> list[Direction]:
    directions = options.direction
    if isinstance(directions, str):
        directions = [directions]
    for direction in directions:
        check_choice("hydra.sweeper.direction", direction, get_args(Direction))
    return cast("list[Direction]", directions)


def _read_limits(options: SweepOptions) -> Limits:
    values: dict[str, Any] = {}
    for field in fields(Limits):
        if hasattr(options, field.name):
            values[field.name] = getattr(options, field.name)
    return Limits(**values)


def _read_settings(config: DictConfig, node: str) -> dict[str, str]:
    """The values at a node of the config by their dotted names, as text."""
    value = OmegaConf.select(config, node)
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    return {name: str(leaf) for name, leaf in list_leaves({node: value})}


def _find_name(
    options: SweepOptions, arguments: Sequence[str], config: DictConfig
) -> str:
    """The study's name: the one that was set, its sweep file's, or one made of the
    command line.

    Raises :class:`~paretune.errors.ConfigError` if the sweep's folder could not be
    called so.
    """
    file = config.hydra.runtime.choices.get("sweeps")
    name = _find_typed_name(options, config) or file or _make_name(arguments)
    if not is_folder_name(name):
        raise ConfigError(
            f"name `{name}` is invalid; choose one for a folder of its own, without .. "
            f"or // in it, not over {LONGEST_NAME_BYTES} bytes, and with no - in front"
        )
    return str(name)


def _find_typed_name(options: SweepOptions, config: DictConfig) -> str | None:
    """The name that was set for the study, as typed: of ``study_name=1.10`` Hydra makes
    1.1.
    """
    typed: list[str] = []
    for line in config.hydra.overrides.hydra:
        key, _, value = line.partition("=")
        if key.lstrip("+") == STUDY_NAME:
            typed.append(value)
    if typed and not is_text(typed[-1]):
        return typed[-1]
    return options.study_name


def _make_name(arguments: Sequence[str]) -> str:
    """A name for a study without one: the same for the same question, so that the same
    command resumes the sweep.
    """
    lines = [line for line in arguments if not line.startswith("hydra.")]
    question = " ".join(sorted(lines))
    digest = hashlib.sha256(question.encode()).hexdigest()
    return f"adhoc-{digest[:8]}"
