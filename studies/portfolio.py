"""``python -m studies portfolio``: chooses the configurations that every sweep tries
first, from recorded trainings, and writes them to ``conf/portfolio.yaml``.

Greedily, as auto-sklearn 2.0 does (Feurer et al. 2022,
https://jmlr.org/papers/v23/21-0992.html): each next configuration is the one that adds
most hypervolume for (a root of) the time that it takes, on average over the data sets.
So every beginning of the list covers the sizes, and is soon trained.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from paretune.errors import ConfigError
from paretune.front import LEAST_ERROR, front_volume
from paretune.paths import CONF
from studies.curves import FOLDER
from studies.curves.features import Configured
from studies.curves.model import Curves, key_of
from studies.curves.question import LEAST_PARAMS, MOST_PARAMS, Question
from studies.curves.rows import Row, RowFile
from studies.curves.smoothing import to_f1

Floats = NDArray[np.float64]
DATA = ("mnist", "fashion_mnist", "digits")
ENTRIES = 16
FILE = CONF / "portfolio.yaml"
# How far what was measured of a configuration is trusted beside what the model of all
# others' trainings says: the best of many measurements flatters.
TRUST = 0.5
# Added to a log error that is predicted only: the best of many predictions flatters
# more.
CAUTION = 0.5
# Power of the time that a gain is divided by: with 1 no large network was chosen, with
# 0 the first ones took long.
HURRY = 0.5


@dataclass(frozen=True)
class Candidate:
    """A configuration, and on each data set what it costs and would score. ``time`` is
    that of its training, 1 for the middle one of its data set.
    """

    settings: Mapping[str, Any]
    source: str
    params: Mapping[str, int]
    f1: Mapping[str, float]
    time: float = 1.0

    def point(self, data: str) -> tuple[int, float]:
        """Parameters and F1 on a data set."""
        return self.params[data], self.f1[data]


class DataSet:
    """A data set with its recorded trainings, and what any other one would score."""

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.name = name
        self.question = Question(name)
        self.rows = [row for row in rows if row.is_whole]
        self.curves = Curves(self.rows)
        self.measured: dict[str, list[float]] = {}
        for row in self.rows:
            self.measured.setdefault(key_of(row), []).append(row.f1)
        self.middle_s = median(count_seconds(row) for row in self.rows)

    def score(self, row: Row) -> tuple[int, float]:
        """Parameters and F1 of a row's configuration here. Raises
        :class:`~paretune.errors.ConfigError` where it cannot be built.
        """
        params = self.question.read_settings(row.settings)
        costs = self.question.measure(params)
        [expected] = self.curves.predict([Configured(row.settings, costs)])
        error = float(np.log(1 - to_f1(expected.logits).max()))
        if known := self.measured.get(key_of(row)):
            seen = float(np.mean(np.log(np.maximum(1 - np.array(known), LEAST_ERROR))))
            error = TRUST * seen + (1 - TRUST) * error
        else:
            error = min(error + CAUTION, 0.0)
        return costs["params"], 1 - float(np.exp(error))


def count_seconds(row: Row) -> float:
    """Those of all epochs of a training."""
    return sum(epoch.seconds for epoch in row.epochs)


def list_candidates(sets: Sequence[DataSet]) -> list[Candidate]:
    """The recorded configurations that can be built for all data sets, each once."""
    candidates: dict[str, Candidate] = {}
    for home in sets:
        for row in home.rows:
            key = key_of(row)
            if key in candidates or not home.question.holds(row.settings):
                continue
            try:
                scores = {one.name: one.score(row) for one in sets}
            except ConfigError:
                continue
            candidates[key] = Candidate(
                settings=row.settings,
                source=f"{home.name} {row.number}",
                params={name: params for name, (params, _) in scores.items()},
                f1={name: f1 for name, (_, f1) in scores.items()},
                time=count_seconds(row) / home.middle_s,
            )
    return list(candidates.values())


def choose(
    candidates: Sequence[Candidate], data: Sequence[str], entries: int
) -> list[Candidate]:
    """So many candidates, one after another the one that adds most to the mean volume
    over the data sets, in units of that of all candidates, for the time that it takes.
    """
    whole = {name: _measure(candidates, name) for name in data}
    chosen: list[Candidate] = []
    for _ in range(min(entries, len(candidates))):
        left = [one for one in candidates if one not in chosen]
        before = _measure_shares(chosen, whole)
        gains = [
            (_measure_shares([*chosen, one], whole) - before) / one.time**HURRY
            for one in left
        ]
        chosen.append(left[int(np.argmax(gains))])
    return chosen


def _measure_shares(
    candidates: Sequence[Candidate], whole: Mapping[str, float]
) -> float:
    """The hypervolumes of these on each data set as shares of the ``whole``, together."""
    return sum(_measure(candidates, name) / volume for name, volume in whole.items())


def _measure(candidates: Sequence[Candidate], data: str) -> float:
    """The hypervolume of these on a data set."""
    points = [
        one.point(data)
        for one in candidates
        if LEAST_PARAMS <= one.params[data] <= MOST_PARAMS
    ]
    if not points:
        return 0.0
    params, f1 = zip(*points, strict=True)
    return float(front_volume(np.array(params), np.array(f1), MOST_PARAMS))


def write(chosen: Sequence[Candidate], data: Sequence[str], path: Path) -> None:
    """The file, with the sizes and scores of each entry beside it."""
    lines = [
        "# Known configurations, which a sweep over families tries first (hydra.sweeper.start).",
        "# Chosen by `python -m studies portfolio` from the recorded trainings of",
        "# studies/curves; none was designed by hand.",
    ]
    for one in chosen:
        figures = ", ".join(
            f"{name} {one.params[name]:,} parameters, F1 {one.f1[name]:.3f}"
            for name in data
        )
        entry = yaml.safe_dump(dict(one.settings), default_flow_style=True, width=1e9)
        lines.append(f"# {one.source}; expected on {figures}")
        lines.append(f"- {entry.strip()}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Choose, print what was chosen, and write it."""
    parser = argparse.ArgumentParser("python -m studies portfolio", description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of <data>.csv")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    sets = [
        DataSet(name, list(RowFile(options.folder / f"{name}.csv").read().values()))
        for name in options.data
    ]
    chosen = choose(list_candidates(sets), options.data, options.entries)
    write(chosen, options.data, options.out)
    for one in chosen:
        print(one.source, dict(one.params), {k: round(v, 4) for k, v in one.f1.items()})
