"""Policies side by side: how much hypervolume each has after how many seconds."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from paretune.front import front_volume
from studies.curves import EPOCHS
from studies.curves.model import ROUGHNESS, CurveModel
from studies.curves.question import MOST_PARAMS, Question
from studies.curves.rows import RowFile
from studies.portfolio import FILE as PORTFOLIO
from studies.replay.policies import FIRST, POLICIES
from studies.replay.policy import Setting
from studies.replay.simulator import Ended, Limits, Replay, Simulator
from studies.replay.world import ModelledWorld

Floats = NDArray[np.float64]
MOMENTS = 120  # of the time, at which volumes are kept
HOUR_S = 3600
FIRST_TRIALS = (16, 100)
QUARTILES = (25, 50, 75)
HEADING = (
    "| policy | a quarter of the time | half | all | of 16 trials | of 100 | "
    "trials begun | to their end | time in asks |"
)


@dataclass(frozen=True)
class Plan:
    """What is replayed: ``workers`` for so many hours, on the model of the trainings in
    ``file``. ``overrides`` change the space. ``portfolio`` is the file of the known
    configurations.
    """

    data: str
    file: Path
    overrides: tuple[str, ...] = ()
    workers: int = 2
    hours: float = 2.0
    start_up_s: float = 0.3
    ask_s: float | None = None
    roughness: float = ROUGHNESS
    portfolio: Path = PORTFOLIO

    @property
    def limits(self) -> Limits:
        """Those of the simulator."""
        ends_s = self.hours * HOUR_S
        return Limits(self.workers, ends_s, EPOCHS, self.start_up_s, self.ask_s)

    @property
    def moments(self) -> Floats:
        """The seconds at which volumes are kept."""
        ends_s = self.hours * HOUR_S
        return np.linspace(ends_s / MOMENTS, ends_s, MOMENTS)

    def describe(self) -> dict[str, Any]:
        """What has to be the same of replays that are compared."""
        return {
            "data": self.data,
            "workers": self.workers,
            "hours": self.hours,
            "start_up_s": self.start_up_s,
            "ask_s": self.ask_s,
            "roughness": self.roughness,
            "overrides": list(self.overrides),
            "rows": count_rows(self.file),
            "portfolio": self.portfolio.name,
        }


@dataclass(frozen=True)
class Score:
    """One replay: the ``volumes`` at the plan's moments and ``by_trials``, those of the
    first :data:`FIRST_TRIALS`; trials begun and ended, and the share of the workers'
    time that went into asks.
    """

    volumes: list[float]
    by_trials: list[float]
    begun: int
    ended: int
    asking: float


Each = Callable[[Callable[[int], Score], Iterable[int]], Iterable[Score]]


@dataclass(frozen=True)
class Result:
    """The replays of one policy, one for each seed."""

    policy: str
    plan: dict[str, Any]
    scores: list[Score] = field(default_factory=list)

    @property
    def volumes(self) -> Floats:
        """The volumes ``(seeds, moments)``."""
        return np.array([score.volumes for score in self.scores])

    def find_quartiles(self, share: float) -> Floats:
        """The quartiles ``(3,)`` over seeds of the volume after this share of the
        time.
        """
        moment = max(round(share * MOMENTS), 1) - 1
        quartiles: Floats = np.percentile(self.volumes[:, moment], QUARTILES)
        return quartiles

    def find_mean(self, name: str) -> float:
        """The mean over seeds of another field of their scores."""
        return float(np.mean([getattr(score, name) for score in self.scores]))


def replay_policy(
    policy: str, plan: Plan, seeds: Sequence[int], replay_each: Each
) -> Result:
    """A replay for each seed: of the policy's draws, and of the luck of trainings.
    ``replay_each`` is how they are computed, such as one after the other by ``map``.
    """
    result = Result(policy, plan.describe())
    for seed_score in replay_each(partial(score, policy, plan), seeds):
        result.scores.append(seed_score)
        done = len(result.scores)
        last = seed_score.volumes[-1]
        print(f"{policy}: {done} of {len(seeds)} seeds, {last:.3f}", flush=True)
    return result


@contextmanager
def open_jobs(number: int) -> Iterator[Each]:
    """A ``map`` that computes so many replays at a time; what is made once a process is
    made once for all policies.
    """
    if number == 1:
        yield map
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, context) as pool:
        yield pool.map


def score(policy: str, plan: Plan, seed: int) -> Score:
    """One replay."""
    question, model = _prepare(plan)
    limits = plan.limits
    known = yaml.safe_load(plan.portfolio.read_text())
    setting = Setting(question, EPOCHS, limits.workers, seed, known)
    made = POLICIES[policy](setting)
    world = ModelledWorld(model, question, seed)
    replay = Simulator(made, world, limits).run()
    return Score(
        volumes=list_volumes(replay, plan.moments).round(4).tolist(),
        by_trials=list_volumes_by_trials(replay),
        begun=len({interval.trial for interval in replay.intervals}),
        ended=len(replay.ended),
        asking=round(replay.ask_s / (limits.workers * limits.ends_s), 4),
    )


def list_volumes(
    replay: Replay, moments: Floats, cap: float = MOST_PARAMS, cost: str = "params"
) -> Floats:
    """The hypervolume of what was trained to its end by each of the moments: decades of
    cost times decades of the error without the noise of single epochs.
    """
    volumes = np.zeros(len(moments))
    for index, moment_s in enumerate(moments):
        done = [end for end in replay.ended if end.now_s <= moment_s]
        volumes[index] = measure_volume(done, cap, cost)
    return volumes


def list_volumes_by_trials(replay: Replay) -> list[float]:
    """The hypervolume of those of the first trials that were trained to their end, for
    each number of :data:`FIRST_TRIALS`; 0 if fewer were begun.
    """
    volumes: list[float] = []
    begun = {interval.trial for interval in replay.intervals}
    for number in FIRST_TRIALS:
        done = [end for end in replay.ended if end.trial < number]
        volume = measure_volume(done) if len(begun) >= number else 0.0
        volumes.append(round(volume, 4))
    return volumes


def measure_volume(
    ended: Sequence[Ended], cap: float = MOST_PARAMS, cost: str = "params"
) -> float:
    """The hypervolume of these trials."""
    if not ended:
        return 0.0
    costs = [end.cost for end in ended]
    scores = [end.true for end in ended]
    return float(front_volume(costs, scores, cap, cost))


@cache
def _prepare(plan: Plan) -> tuple[Question, CurveModel]:
    """Once a process."""
    rows = RowFile(plan.file).read()
    model = CurveModel(list(rows.values()), roughness=plan.roughness)
    return Question(plan.data, *plan.overrides), model


def count_rows(file: Path) -> int:
    """The recorded trainings."""
    return len(RowFile(file).read())


def write_table(results: Sequence[Result]) -> str:
    """The results as a table in Markdown, the best first."""
    lines = [HEADING, "|---|---|---|---|---:|---:|---:|---:|---:|"]
    ordered = sorted(results, key=lambda one: -one.find_quartiles(1.0)[1])
    for one in ordered:
        cells = [one.policy]
        for share in (0.25, 0.5, 1.0):
            low, middle, high = one.find_quartiles(share)
            cells.append(f"{middle:.3f} [{low:.3f}, {high:.3f}]")
        for volume in np.median([score.by_trials for score in one.scores], axis=0):
            cells.append(f"{volume:.3f}" if volume else "")
        cells.append(f"{one.find_mean('begun'):.0f}")
        cells.append(f"{one.find_mean('ended'):.0f}")
        cells.append(f"{one.find_mean('asking'):.1%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_times(results: Sequence[Result], baseline: str = FIRST) -> str:
    """How much sooner each policy has the volume that the baseline ends with."""
    by_name = {one.policy: one for one in results}
    if baseline not in by_name:
        return ""
    wanted = float(by_name[baseline].find_quartiles(1.0)[1])
    lines = [f"share of the time until the volume that `{baseline}` ends with:"]
    for one in results:
        lines.append(f"  {one.policy:16} {_format_share(find_share(one, wanted))}")
    return "\n".join(lines)


def find_share(result: Result, wanted: float) -> float:
    """The share of the time after which the median volume is at least so much; infinite
    if it never is.
    """
    medians = np.median(result.volumes, axis=0)
    reached = np.flatnonzero(medians >= wanted)
    return float((reached[0] + 1) / MOMENTS) if reached.size else inf


def _format_share(share: float) -> str:
    return "not reached" if share == inf else f"{share:.2f}"


class ResultFile:
    """Results by the names of their policies, in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Result]:
        """All that are there."""
        if not self.path.is_file():
            return {}
        stored = json.loads(self.path.read_text())
        results: dict[str, Result] = {}
        for name, one in stored.items():
            scores = [Score(**fields) for fields in one["scores"]]
            results[name] = Result(name, one["plan"], scores)
        return results

    def add(self, result: Result) -> None:
        """Keep ``result``, in place of an earlier one of the same policy."""
        results = {**self.read(), result.policy: result}
        stored = {name: asdict(one) for name, one in results.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(stored) + "\n")
