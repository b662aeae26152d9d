"""Two stages of ``paretune auto``: models of each size choose a way to be trained to the
end, by validation; then the models are trained so with several seeds, and the test set
is read once a seed.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.atomic import atomically
from paretune.auto.deadline import Deadline
from paretune.auto.finish_plan import (
    SWEEP_S,
    FinishPlan,
    Member,
    find_nearest,
    guess_training_s,
)
from paretune.auto.ways import (
    LONGER,
    Way,
    choose_way,
    list_first_ways,
    list_second_ways,
)
from paretune.commands.auto_request import Request
from paretune.commands.retrain import (
    Retrainings,
    Wanted,
    check_code,
    list_missing,
    train_again,
)
from paretune.commands.retraining import Changes
from paretune.confirmation import TRAIN, TRAIN_AND_VAL
from paretune.tracking.schema import RunKind, State
from paretune.tracking.trial_table import records

if TYPE_CHECKING:
    from pandas import DataFrame

    from paretune.reports.findings import SweepResults
    from paretune.tracking import Store

TEACHER_FILE = "teacher.pt"
TRIED_STATES = (State.COMPLETE, State.FAILED)
ScoreOfWay = dict[Way, float]


@dataclass
class Finish:
    """The models that are finished: those of the ``plan``, of whose search ``results``
    tells. ``members`` are on its front.
    """

    request: Request
    store: "Store"
    results: "SweepResults"
    members: Mapping[str, Member]
    plan: FinishPlan
    configs: Mapping[str, Mapping[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        models = self.results.models
        self.configs = dict(zip(models["run_id"], models["config"], strict=True))
        for run_id in self.plan.run_ids:
            check_code(self.configs[run_id], run_id, self.request.trust)

    @property
    def teacher(self) -> Path:
        """The file of the teacher's weights."""
        return self.request.folder / TEACHER_FILE

    def try_ways(self, deadline: Deadline) -> None:
        """Train the representatives in every way, until the time is over."""
        first = {
            run_id: list_first_ways(self.configs[run_id], self.plan.epochs)
            for run_id in self.plan.representatives
        }
        self._try_all(first, deadline)
        second: dict[str, list[Way]] = {}
        teacher = self._keep_teacher(first)
        for run_id, ways in first.items():
            scores = self._score(run_id, ways)
            has_teacher = teacher not in (None, run_id) and self._may_learn(run_id)
            second[run_id] = list_second_ways(scores, has_teacher=has_teacher)
        self._try_all(second, deadline)

    def _try_all(
        self, ways_of: Mapping[str, Sequence[Way]], deadline: Deadline
    ) -> None:
        """Train each run in its ways, those that are not in the store yet."""
        ways = list(dict.fromkeys(way for ways in ways_of.values() for way in ways))
        wanted: list[Wanted] = []
        for run_id, of_run in ways_of.items():
            for way in of_run:
                wanted.append(Wanted(run_id, self.configs[run_id], ways.index(way)))
        self._train(RunKind.FINISH, wanted, ways, n_seeds=1, deadline=deadline)

    def _may_learn(self, run_id: str) -> bool:
        """Whether a model may have a teacher: where it is scored in folds, the teacher
        has learned from images that score it.
        """
        return self.members[run_id].folds == 1

    def _keep_teacher(self, ways_of: Mapping[str, Sequence[Way]]) -> str | None:
        """Keep the weights of the best of the trainings so far; returns whose they are.

        ``None`` where nothing was trained.
        """
        done = self._read_done(RunKind.FINISH)
        hows: set[tuple[str, str]] = set()
        for run_id, ways in ways_of.items():
            for way in ways:
                hows.add((run_id, self._describe(run_id, way)))
        best: dict[str, Any] | None = None
        for training in records(done):
            is_of_these = (training["confirms"], training["how"]) in hows
            if is_of_these and (best is None or training["val_f1"] > best["val_f1"]):
                best = training
        if best is None:
            return None
        self._copy_weights(best["run_id"])
        return str(best["confirms"])

    def _copy_weights(self, run_id: str) -> None:
        from paretune.tracking import weights_of

        self.teacher.parent.mkdir(parents=True, exist_ok=True)
        with weights_of(self.store, run_id) as weights, atomically(self.teacher) as to:
            shutil.copyfile(weights, to)

    def _score(self, run_id: str, ways: Sequence[Way]) -> ScoreOfWay:
        """The validation F1 of a run's trainings in these ways, as far as they are
        done.
        """
        done = self._read_done(RunKind.FINISH)
        done = done[done["confirms"] == run_id]
        f1_of = dict(zip(done["how"], done["val_f1"], strict=True))
        scores: ScoreOfWay = {}
        for way in ways:
            how = self._describe(run_id, way)
            if how in f1_of:
                scores[way] = f1_of[how]
        return scores

    def choose_ways(self) -> dict[str, Way]:
        """The way of each model: that which was best for the nearest representative."""
        best: dict[str, Way] = {}
        for run_id in self.plan.representatives:
            best[run_id] = choose_way(self._score_all(run_id))
        representatives = [self.members[run_id] for run_id in best]
        chosen: dict[str, Way] = {}
        for run_id in self.plan.run_ids:
            chosen[run_id] = LONGER
            if representatives:
                nearest = find_nearest(self.members[run_id], representatives)
                chosen[run_id] = best[nearest.run_id]
        return chosen

    def _score_all(self, run_id: str) -> ScoreOfWay:
        """The validation F1 of a run in all ways that it was tried in."""
        first = list_first_ways(self.configs[run_id], self.plan.epochs)
        scores = self._score(run_id, first)
        has_teacher = self.teacher.is_file() and self._may_learn(run_id)
        second = list_second_ways(scores, has_teacher=has_teacher)
        return scores | self._score(run_id, second)

    def confirm(self, chosen: Mapping[str, Way], deadline: Deadline) -> None:
        """Train every model in the way that was ``chosen`` for it, with the first seed,
        whatever time is left, and then with further ones until the time is over: those
        that are planned, and as many of those that were asked for as fit.
        """
        ways = list(dict.fromkeys(chosen.values()))
        wanted: list[Wanted] = []
        for run_id, way in chosen.items():
            wanted.append(Wanted(run_id, self.configs[run_id], ways.index(way)))
        kind = RunKind.CONFIRM
        endless = Deadline(None)
        self._train(kind, wanted, ways, n_seeds=self.plan.seeds, deadline=deadline)
        self._train(kind, wanted, ways, n_seeds=1, deadline=endless)
        asked = self.request.seeds
        earlier = deadline.move_up(SWEEP_S + self._guess_longest_s())
        self._train(kind, wanted, ways, n_seeds=asked, deadline=earlier)

    def _guess_longest_s(self) -> float:
        """About the seconds of the longest training to the end."""
        return max(
            guess_training_s(self.members[run_id], self.plan)
            for run_id in self.plan.run_ids
        )

    def _train(
        self,
        kind: RunKind,
        wanted: Sequence[Wanted],
        ways: Sequence[Way],
        *,
        n_seeds: int,
        deadline: Deadline,
    ) -> None:
        """Run the trainings that are missing, if there is time for any."""
        changes = [self._make_changes(way, kind) for way in ways]
        first_seed = int(self.results.table["seed"].min())
        if kind is RunKind.CONFIRM:  # the seed that chose tells nothing
            first_seed = int(self.results.table["seed"].max()) + 1
        tried = self._read_done(kind, TRIED_STATES)
        if kind is RunKind.FINISH:  # a way that failed has no score
            wanted = self._leave_out_failed(wanted, ways, tried)
        missing = list_missing(wanted, changes, n_seeds, first_seed, tried)
        if not missing or deadline.is_over():
            return
        trainings = Retrainings(
            sweep=self.request.name,
            kind=kind,
            trainings=missing,
            ways=changes,
            n_jobs=self.request.n_workers,
            timeout_s=deadline.read_left_s(),
            max_failure_rate=1.0,
            trust=self.request.trust,
            overrides=self.request.places,
        )
        train_again(trainings, self.store)

    def _leave_out_failed(
        self, wanted: Sequence[Wanted], ways: Sequence[Way], tried: "DataFrame"
    ) -> list[Wanted]:
        failed = tried[tried["state"] == State.FAILED]
        known = set(zip(failed["confirms"], failed["how"], strict=True))
        left: list[Wanted] = []
        for one in wanted:
            how = self._describe(one.model_id, ways[one.way])
            if (one.model_id, how) not in known:
                left.append(one)
        return left

    def _make_changes(self, way: Way, kind: RunKind) -> Changes:
        is_confirmed = kind is RunKind.CONFIRM
        return Changes(
            epochs=self.plan.epochs,
            train_on=self._find_images() if is_confirmed else TRAIN,
            teacher=str(self.teacher.resolve()) if way.has_teacher else None,
            settings=way.settings,
            int8=self.request.int8 and is_confirmed,
        )

    def _find_images(self) -> str:
        """The images that the last trainings learn from: where models were scored in
        folds all, as no part of them was held out there either.
        """
        if self.request.train_on:
            return self.request.train_on
        is_folded = any(self.members[run].folds > 1 for run in self.plan.run_ids)
        can_join = "splitting" in self.request.data
        return TRAIN_AND_VAL if is_folded and can_join else TRAIN

    def _describe(self, run_id: str, way: Way) -> str:
        """How a training of the run in this way goes, as the store has it."""
        changes = self._make_changes(way, RunKind.FINISH)
        config = self.configs[run_id]
        return str(changes.describe(changes.make_config(config, config["seed"])))

    def _read_done(
        self, kind: RunKind, states: Collection[str] = (State.COMPLETE,)
    ) -> "DataFrame":
        from paretune.tracking import read_retrainings

        return read_retrainings(self.store, [self.request.name], kind, states)
