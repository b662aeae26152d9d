"""Models of a sweep, or a recipe, trained again: each training is a trial of a sweep of its
own, so that several workers and Hydra's launchers work as they do in any.

What is finished is in the store; the same trainings again train what is missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from paretune import paths
from paretune.commands.arguments import command_line
from paretune.commands.jobs import read_trust
from paretune.commands.parsing import format_count
from paretune.commands.recipes import Recipe
from paretune.commands.retraining import Changes, Config, Retraining, write_list
from paretune.overrides import quote
from paretune.tracking.schema import RunKind, State, Tag
from paretune.trust import OF_A_TRAINING, Trust, refuse_lookups

if TYPE_CHECKING:
    from pandas import DataFrame

    from paretune.tracking import RunRecorder, Store


@dataclass(frozen=True)
class Retrainings:
    """Trainings of models of a ``sweep``, or of a ``recipe``, each in one of the
    ``ways``.

    The test set is read by those of the kind ``CONFIRM``, once each, and not by those
    of the kind ``FINISH``. After ``timeout_s`` seconds none begins any more.
    ``overrides`` are Hydra's, which say where the trainings run. The sweep stops once
    more than the share ``max_failure_rate`` of them has failed.
    """

    kind: RunKind
    trainings: Sequence[Retraining]
    ways: Sequence[Changes]
    sweep: str = ""
    recipe: Recipe | None = None
    n_jobs: int = 1
    timeout_s: float | None = None
    max_failure_rate: float = 0.3
    trust: Trust = field(default_factory=Trust)
    store_folder: Path = field(default_factory=paths.store)
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class ConfirmSettings:
    """How models are confirmed: in what way, with how many seeds and workers, where.

    ``overrides`` are Hydra's, as those of a :class:`Retrainings`.
    """

    changes: Changes
    n_seeds: int
    n_jobs: int
    trust: Trust
    store_folder: Path
    store_uri: str
    overrides: tuple[str, ...]

    def train(
        self,
        missing: Sequence[Retraining],
        store: "Store",
        *,
        sweep: str = "",
        recipe: Recipe | None = None,
    ) -> None:
        """Run these trainings of models of a sweep or of a recipe. Raises
        :class:`~paretune.errors.ParetuneError` for a teacher that holds no weights of
        Paretune's.
        """
        if self.changes.teacher:
            from paretune.training import load

            load(Path(self.changes.teacher), self.trust)
        retrainings = Retrainings(
            kind=RunKind.CONFIRM,
            trainings=missing,
            ways=[self.changes],
            sweep=sweep,
            recipe=recipe,
            n_jobs=self.n_jobs,
            trust=self.trust,
            store_folder=self.store_folder,
            overrides=self.overrides,
        )
        train_again(retrainings, store)


@dataclass(frozen=True)
class Job:
    """A training as a job of Hydra has it: of a run, unless it is of a ``recipe``;
    ``tracking`` are the arguments of the store.
    """

    training: Retraining
    changes: Changes
    kind: RunKind
    trust: Trust
    tracking: Mapping[str, Any]
    recipe: Recipe | None

    @classmethod
    def read(cls, config: DictConfig) -> "Job":
        """The training that a composed ``conf/retrain.yaml`` describes."""
        from paretune.start import to_plain

        training = Retraining.parse(config.training)
        return cls(
            training=training,
            changes=Changes.read(config.ways[training.way]),
            kind=RunKind(config.kind),
            trust=read_trust(config.trust),
            tracking=to_plain(config.tracking),
            recipe=Recipe.read(config.from_recipe) if config.from_recipe else None,
        )

    @property
    def reads_test(self) -> bool:
        """Whether the test set is read at the end."""
        return self.kind is RunKind.CONFIRM

    def find_model(self, store: "Store") -> "_Model":
        """What is trained, from the store or from the recipe."""
        if self.recipe:
            return _Model.of_recipe(self.recipe)
        return _Model.of_run(store, self.training.model_id, self.trust)


@dataclass(frozen=True)
class _Model:
    """A model to train: its ``config``, and the name of its ``data``. ``title`` begins
    the names of its runs; these have the ``tags``.
    """

    config: Config
    data: str
    title: str
    tags: Mapping[str, str]

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        """The model of a recipe: a person's own config, which may name any code."""
        tags = {Tag.RECIPE: recipe.name, Tag.CONFIRMS: recipe.digest}
        return cls(recipe.config, recipe.data, recipe.name, tags)

    @classmethod
    def of_run(cls, store: "Store", run_id: str, trust: Trust) -> Self:
        """The model of a run of a sweep. Raises
        :class:`~paretune.errors.StoreError` if its config names code that is not
        trusted.
        """
        from paretune.tracking import read_run

        member, sweep = read_run(store, run_id)
        check_code(member.config, run_id, trust)
        tags = {Tag.SWEEP: sweep, Tag.CONFIRMS: run_id}
        return cls(member.config, member.data, f"{sweep}-{member.params}", tags)


@hydra.main(config_path=str(paths.CONF), config_name="retrain", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train one model again as ``cfg.training`` says; returns (parameters, validation
    F1).
    """
    from paretune.experiment import Experiment, train_recorded
    from paretune.start import prepare_candidate, warn_without_effect
    from paretune.tracking import Store

    job = Job.read(cfg)
    changes = job.changes
    store = Store(**job.tracking)
    model = job.find_model(store)
    config = changes.make_config(model.config, job.training.seed)
    if job.reads_test:
        config["selection"] = {**config["selection"], "folds": 1}
    how = str(changes.describe(config))
    warn_without_effect(config["trainer"], changes.settings)
    with _make_recorder(store, model, job, how) as recorder:
        # What fails here is tried again.
        experiment = Experiment(
            prepare_candidate(config, model.data),
            Path(HydraConfig.get().runtime.output_dir),
            test=job.reads_test and not changes.int8,  # what is shipped reads it, once
            trust=job.trust,
        )
        point = train_recorded(experiment, recorder)
        if job.reads_test and changes.int8:
            from paretune.deploy.int8 import score_on_test

            scores, answers = score_on_test(experiment.weights, point, job.trust)
            recorder.write("metrics", values=scores)
            answers.write(experiment.answers)
            recorder.write("attach", files=[str(experiment.answers)])
    return point.params, point.f1


def _make_recorder(store: "Store", model: _Model, job: Job, how: str) -> "RunRecorder":
    """The recorder of a training; ``how`` it goes."""
    from paretune.tracking import RunRecorder

    seed = str(job.training.seed)
    return RunRecorder(
        store,
        f"{model.title}-{job.kind}-{seed}",
        tags={
            **model.tags,
            Tag.KIND: job.kind,
            Tag.SEED: seed,
            Tag.DATA: model.data,
            Tag.HOW: how,
        },
        searched={"seed": seed},
        replaces=(Tag.KIND, Tag.CONFIRMS, Tag.SEED, Tag.HOW),
    )


def check_code(config: Mapping[str, Any], run_id: str, trust: Trust) -> None:
    """Raise :class:`~paretune.errors.StoreError` if training by the config of a run
    would run other code than is trusted.
    """
    source = f"run `{run_id}`"
    trust.check(config, source, OF_A_TRAINING)
    refuse_lookups(config, source)


@dataclass(frozen=True)
class Wanted:
    """A model to train again: the id of its run or the digest of its recipe, the
    ``config`` of that, and the number of the way.
    """

    model_id: str
    config: Config
    way: int = 0
    is_recipe: bool = False

    def seed(self, seed: int) -> Retraining:
        """Its training with this seed."""
        return Retraining(self.model_id, seed, self.way, self.is_recipe)


def list_missing(
    wanted: Sequence[Wanted],
    ways: Sequence[Changes],
    n_seeds: int,
    first_seed: int,
    done: "DataFrame",
) -> list[Retraining]:
    """The trainings that are missing until each model was trained in its way with so
    many seeds: every model's first seed before any second.

    ``done`` are rows of :func:`~paretune.tracking.read_retrainings`, whatever their
    seeds; new seeds are the first unused ones from ``first_seed`` on. Of trainings that
    failed, where ``done`` has such, the seeds are used up.
    """
    from paretune.tracking import select_way

    missing: list[list[Retraining]] = []
    for one in wanted:
        changes = ways[one.way]
        config = changes.make_config(one.config, first_seed)
        tried = select_way(done, one.model_id, str(changes.describe(config)))
        used = set(tried["seed"])
        scored = set(tried.loc[tried["state"] == State.COMPLETE, "seed"])
        unused = (seed for seed in count(first_seed) if seed not in used)
        seeds = islice(unused, max(0, n_seeds - len(scored)))
        missing.append([one.seed(seed) for seed in seeds])
    return _take_turns(missing)


def _take_turns(of_models: Sequence[Sequence[Retraining]]) -> list[Retraining]:
    """All trainings, one of each model in turn."""
    turns = zip_longest(*of_models)
    return [training for turn in turns for training in turn if training is not None]


def train_again(retrainings: Retrainings, store: "Store") -> None:
    """Run the trainings, as the trials of a sweep."""
    print(f"{format_count(len(retrainings.trainings), 'training')} to go", flush=True)
    choices = ",".join(map(str, retrainings.trainings))
    ways = ",".join(way.write() for way in retrainings.ways)
    lines = [
        "-m",
        f"training=choice({choices})",
        f"ways=[{ways}]",
        f"kind={retrainings.kind}",
        f"trust={write_list(retrainings.trust.modules)}",
        f"hydra.sweeper.study_name={_name_study(retrainings, store)}",
        f"hydra.sweeper.n_jobs={retrainings.n_jobs}",
        f"hydra.sweeper.timeout_s={retrainings.timeout_s or 'null'}",
        f"hydra.sweeper.max_failure_rate={retrainings.max_failure_rate}",
        f"store={quote(str(retrainings.store_folder.resolve()))}",
        f"tracking.uri={quote(store.uri)}",
        *retrainings.overrides,
    ]
    if retrainings.recipe:
        lines.append(f"from_recipe={quote(retrainings.recipe.write())}")
    with command_line(lines):
        main()


def _name_study(retrainings: Retrainings, store: "Store") -> str:
    """A name that tells what is to be trained, another one after each training that
    broke off. The same command finds its study by it.
    """
    n_broken_off = _count_broken_off(retrainings, store)
    question = [*map(str, retrainings.trainings), str(n_broken_off)]
    question += [way.write() for way in retrainings.ways]
    digest = hashlib.sha256(" ".join(question).encode()).hexdigest()
    return f"{retrainings.kind}-{digest[:8]}"


def _count_broken_off(retrainings: Retrainings, store: "Store") -> int:
    """The trainings of the sweep or of the recipe that were begun and are not
    complete.
    """
    from paretune.tracking import (
        count_confirmations_of,
        count_retrainings,
        read_confirmations_of,
        read_retrainings,
    )

    if retrainings.recipe:
        digest = retrainings.recipe.digest
        n_complete = len(read_confirmations_of(store, digest))
        return count_confirmations_of(store, digest) - n_complete
    sweep, kind = retrainings.sweep, retrainings.kind
    n_complete = len(read_retrainings(store, [sweep], kind))
    return count_retrainings(store, sweep, kind) - n_complete
