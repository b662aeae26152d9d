"""An ask of the default sampler in the settings that people have: real spaces of the
families, several caps, colours; as a worker asks, with the study in SQLite.

``python -m bench real_asks`` prints for each setting the processor seconds until the
sampler is ready, and after each of :data:`SEEN` finished trials those of the first ask,
and the median of the others. A process has one setting, and one after the other as many
finished trials. ``bench.real_asks.run(folder)`` keeps the studies, so that two versions
are compared on the same ones.
"""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import copyfile
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import optuna
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from optuna.distributions import distribution_to_json
from optuna.storages._rdb.models import (
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialValueModel,
)
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import Connection, create_engine, insert

from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper.sweeper import ParetuneSweeper
from paretune import paths, schema
from paretune.front import front
from paretune.paths import sqlite_url
from paretune.search import claims
from paretune.search.capped_sampler import DRAWN
from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.mutation import mutate
from paretune.search.storage import NOTE
from paretune.search.study import open_study
from paretune.search.worker import suggest_all

SEEN = (200, 1_000, 5_000)  # finished trials before the first ask
ASKS = 21
AT_ONCE = 50  # trials of a made-up history that know only those before them
DIRECTIONS = ("minimize", "maximize")
FAMILIES = "model=choice(squeeze,separable,recurrent,conv)"
INT8 = (
    "cap.max_ram_bytes=20000",
    "cap.max_flash_bytes=8000",
    "cap.max_macs=1000000",
    "cap.dtype=int8",
)
SETTINGS = {
    "four families, 5,000 parameters, 28x28": (FAMILIES, "cap.max_params=5000"),
    "four families, 16,384 bytes of RAM, 28x28": (
        FAMILIES,
        "cap.max_ram_bytes=16384",
        "cost=macs",
    ),
    "four families, three int8 caps, 28x28": (FAMILIES, *INT8),
    "four families, three int8 caps, 50x50": (
        FAMILIES,
        *INT8,
        "model.image_shape=[1,50,50]",
    ),
    "four families, three int8 caps, 3x48x32": (
        FAMILIES,
        *INT8,
        "model.image_shape=[3,48,32]",
    ),
    "record": ("sweeps=record",),
}


@dataclass(frozen=True)
class Timing:
    """Processor seconds of the first ask, and of the median of the others."""

    first_ask_s: float
    ask_s: float


@dataclass(frozen=True)
class Trials:
    """A history: configurations with their costs and scores."""

    configurations: list[Configuration]
    values: list[tuple[float, float]]


def make_spec(arguments: tuple[str, ...]) -> SweepSpec:
    """A sweep with these arguments, without a study."""
    GlobalHydra.instance().clear()
    schema.register()
    hydra = Hydra.create_main_hydra2(
        "train", create_config_search_path(str(paths.CONF))
    )
    brought = [
        *(line for line in arguments if line.startswith("sweeps=")),
        f"hydra.searchpath=[file://{paths.CONF.parent}]",
    ]
    named = [line for line in arguments if line.startswith(("cap.", "cost="))]
    config = hydra.compose_config(
        "train", [*brought, *named], run_mode=RunMode.MULTIRUN
    )
    OmegaConf.set_readonly(config.hydra, False)
    fields = {
        name: value
        for name, value in config.hydra.sweeper.items()
        if not name.startswith("_")
    }
    sweeper = ParetuneSweeper(**fields | {"recorder": None, "storage": None})
    lines = [line for line in arguments if not line.startswith("hydra")]
    return SweepSpec(sweeper.options, lines, hydra.config_loader, config)


def score(params: Configuration, share: float, rng: np.random.Generator) -> float:
    """A score that grows with the size and with some settings, and has noise."""
    effect = sum(hash_share(name, value) for name, value in params.items())
    settings = 0.2 * effect / max(1, len(params))
    return float(np.clip(0.4 + 0.4 * share + settings + rng.normal(0, 0.02), 0, 1))


def hash_share(name: str, value: object) -> float:
    """A number from 0 to 1 that goes up and down with the value of a setting."""
    number = value if isinstance(value, int | float) else len(str(value))
    return 0.5 + 0.5 * float(np.sin(len(name) + 0.3 * number))


def make_history(feasible: FeasibleSpace, number: int) -> Trials:
    """Trials as a sweep has them: half spread over the sizes, half mutants of the front
    so far.
    """
    rng = np.random.default_rng(0)
    trials = Trials([], [])
    while len(trials.configurations) < number:
        choice = feasible.branches[int(rng.integers(len(feasible.branches)))]
        shares = rng.random(AT_ONCE // 2).tolist()
        drawn = feasible.draw_at_shares(rng, shares, choice, attempts=2)
        if trials.values:
            points = np.array(trials.values) * (1, -1)
            parents = front(points)
            while len(drawn) < AT_ONCE:
                parent = trials.configurations[int(rng.choice(parents))]
                drawn.append(mutate(parent, feasible, rng))
        for params in feasible.keep_fitting(drawn):
            share = float(feasible.shares_of([params])[0])
            trials.configurations.append(params)
            trials.values.append((feasible.cost(params), score(params, share, rng)))
    return Trials(trials.configurations[:number], trials.values[:number])


def write_study(file: Path, spec: SweepSpec, trials: Trials) -> None:
    """A study of finished trials, straight into the tables."""
    url = sqlite_url(file)
    open_study("asks", url, DIRECTIONS, spec.sampler)
    with create_engine(url).begin() as connection:
        pairs = zip(trials.configurations, trials.values, strict=True)
        for number, (params, values) in enumerate(pairs):
            _write_trial(connection, spec, number, params, values)


def _write_trial(
    connection: Connection,
    spec: SweepSpec,
    number: int,
    params: Configuration,
    values: tuple[float, float],
) -> None:
    key = {"trial_id": number + 1}
    now = datetime.now(UTC).replace(tzinfo=None)
    of_trial = {"number": number, "study_id": 1, "state": TrialState.COMPLETE}
    times = {"datetime_start": now, "datetime_complete": now}
    connection.execute(insert(TrialModel).values(key | of_trial | times))
    distributions = spec.space.all_distributions()
    rows: list[dict[str, Any]] = []
    for name, value in params.items():
        distribution = distributions[name]
        text = distribution_to_json(distribution)
        internal = distribution.to_internal_repr(value)
        row = {"param_name": name, "param_value": internal, "distribution_json": text}
        rows.append(key | row)
    connection.execute(insert(TrialParamModel), rows)
    for objective, value in enumerate(values):
        row = {"objective": objective, "value": value, "value_type": "FINITE"}
        connection.execute(insert(TrialValueModel).values(key | row))
    drawn = {"key": f"{NOTE}{DRAWN}", "value_json": json.dumps(params)}
    connection.execute(insert(TrialSystemAttributeModel).values(key | drawn))


def time_asks(spec: SweepSpec, study: Study) -> Timing:
    """Those of a worker of this study."""
    rng = np.random.default_rng(0)
    asks_s: list[float] = []
    for _ in range(ASKS):
        started_s = process_time()
        params = ask(spec, study)
        asks_s.append(process_time() - started_s)
        cost = spec.feasible.cost(params)
        [running] = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        study.tell(running.number, [cost, score(params, 0.5, rng)])
    return Timing(asks_s[0], median(asks_s[1:]))


def ask(spec: SweepSpec, study: Study) -> Configuration:
    """The configuration of a further trial, as the loop of a worker asks for it."""
    limits = replace(spec.sweep.limits, n_trials=max(SEEN) + ASKS)
    claims.reclaim(study, limits.retry)
    assert limits.reached(study) is None
    asked = claims.ask(study, partial(limits.leaves_room, study))
    assert asked
    trial, _ = asked
    params = suggest_all(spec.space, trial)
    spec.space.overrides(params)
    return params


def time_setting(name: str, folder: Path) -> dict[str, object]:
    """The figures of a setting, by the number of finished trials."""
    started_s = process_time()
    spec = make_spec(SETTINGS[name])
    figures: dict[str, object] = {"ready_s": round(process_time() - started_s, 2)}
    for seen in SEEN:
        kept = folder / f"{name} {seen}.db"
        if kept.exists():
            used = folder / "used.db"
            copyfile(kept, used)
            study = open_study("asks", sqlite_url(used), DIRECTIONS, spec.sampler)
            timing = time_asks(spec, study)
            rounded = {key: round(value, 4) for key, value in vars(timing).items()}
            figures[f"{seen:,}"] = rounded
            used.unlink()
    return figures


def make_studies(name: str, folder: Path) -> None:
    """The studies of a setting that are not there yet."""
    if all((folder / f"{name} {seen}.db").exists() for seen in SEEN):
        return
    spec = make_spec(SETTINGS[name])
    trials = make_history(spec.feasible, max(SEEN))
    for seen in SEEN:
        first = Trials(trials.configurations[:seen], trials.values[:seen])
        write_study(folder / f"{name} {seen}.db", spec, first)


def run_part(part: str, name: str, folder: str) -> None:
    """Make the studies of a setting, or print its figures."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if part == "make":
        make_studies(name, Path(folder))
    else:
        print(json.dumps(time_setting(name, Path(folder))))


def run(folder: str | None = None) -> dict[str, object]:
    """Figures by setting, each from a process of its own."""
    figures: dict[str, object] = {}
    with TemporaryDirectory() as temporary:
        for name in SETTINGS:
            for part in ("make", "time"):
                call = (
                    f"real_asks.run_part({part!r}, {name!r}, {folder or temporary!r})"
                )
                command = (sys.executable, "-c", f"from bench import real_asks; {call}")
                done = subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    text=True,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )
            figures[name] = json.loads(done.stdout.splitlines()[-1])
            print(name, figures[name], file=sys.stderr, flush=True)
    return figures
