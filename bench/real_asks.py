"""An ask of the default sampler in the settings that people have: real spaces of the
families, several caps, colours.

``python -m bench real_asks`` prints, for each setting, the seconds until the sampler is
ready, of the first ask after
:data:`SEEN` observed trials, and the median of those after it.
"""

import sys
import warnings
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import optuna
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from optuna.trial import create_trial

from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper.sweeper import ParetuneSweeper
from paretune import paths, schema

SEEN = 100  # observed trials before the first ask that is timed
ASKS = 16
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
    """Seconds until the sampler is ready, of the first ask, and of the median of the
    others.
    """

    ready_s: float
    first_ask_s: float
    ask_s: float


def make_spec(arguments: tuple[str, ...]) -> SweepSpec:
    """What a sweep with these arguments derives from them, without a study."""
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


def score(params: dict[str, object], share: float, rng: np.random.Generator) -> float:
    """A score that grows with the size, and has noise."""
    return float(np.clip(0.5 + 0.45 * share + rng.normal(0, 0.03), 0, 1))


def time_asks(arguments: tuple[str, ...]) -> Timing:
    """The asks of a sweep with these arguments after :data:`SEEN` trials."""
    started_s = perf_counter()
    spec = make_spec(arguments)
    feasible = spec.feasible
    ready_s = perf_counter() - started_s
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=spec.sampler
    )
    rng = np.random.default_rng(0)
    for number in range(SEEN):
        share = float(rng.random())
        params = feasible.draw_at_share(
            rng, share, feasible.branches[number % len(feasible.branches)]
        )
        values = [feasible.cost(params), score(params, share, rng)]
        distributions = {name: spec.space.all_distributions()[name] for name in params}
        study.add_trial(
            create_trial(params=params, distributions=distributions, values=values)
        )
    asks_s: list[float] = []
    for _ in range(ASKS):
        started_s = perf_counter()
        trial = study.ask()
        params = dict(trial.relative_params)
        asks_s.append(perf_counter() - started_s)
        study.tell(trial, [feasible.cost(params), score(params, 0.5, rng)])
    return Timing(ready_s, asks_s[0], median(asks_s[1:]))


def run() -> dict[str, object]:
    """Figures by setting."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    figures: dict[str, object] = {}
    for name, arguments in SETTINGS.items():
        timing = time_asks(arguments)
        figures[name] = {
            field: round(value, 3) for field, value in vars(timing).items()
        }
        print(name, figures[name], file=sys.stderr, flush=True)
    return figures
