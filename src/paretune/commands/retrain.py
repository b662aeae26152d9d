"""Models that a sweep found, trained again: each training is a trial of a sweep of its
own, so that several workers and Hydra's launchers work as they do in any.

What is finished is in the store; the same request trains what is missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from paretune import paths
from paretune.commands.arguments import command_line
from paretune.commands.jobs import read_trust
from paretune.commands.parsing import format_count
from paretune.commands.retraining import Changes, Config, Retraining, write_list
from paretune.overrides import quote
from paretune.tracking.schema import RunKind, Tag
from paretune.trust import OF_A_TRAINING, Trust, refuse_lookups

if TYPE_CHECKING:
    from pandas import DataFrame

    from paretune.front import Point
    from paretune.tracking import RunRecorder, Store


@dataclass(frozen=True)
class Request:
    """Trainings of models of a ``sweep``, each in one of the ``ways``.

    The test set is read by those of the kind ``CONFIRM``, once each, and not by those
    of the kind ``FINISH``. After ``timeout_s`` seconds none begins any more.
    ``overrides`` are Hydra's, which say where the trainings run.
    """

    sweep: str
    kind: RunKind
    trainings: Sequence[Retraining]
    ways: Sequence[Changes]
    n_jobs: int = 1
    timeout_s: float | None = None
    trust: Trust = field(default_factory=Trust)
    store_folder: Path = field(default_factory=paths.store)
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Job:
    """A training as a job of Hydra has it; ``tracking`` are the arguments of the
    store.
    """

    training: Retraining
    changes: Changes
    kind: RunKind
    trust: Trust
    tracking: Mapping[str, Any]

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
        )

    @property
    def reads_test(self) -> bool:
        """Whether the test set is read at the end."""
        return self.kind is RunKind.CONFIRM


@hydra.main(config_path=str(paths.CONF), config_name="retrain", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train one model again as ``cfg.training`` says; returns (parameters, validation
    F1).
    """
    from paretune.experiment import Experiment, train_recorded
    from paretune.start import prepare_candidate, warn_without_effect
    from paretune.tracking import Store, read_run

    job = Job.read(cfg)
    changes = job.changes
    store = Store(**job.tracking)
    member, sweep = read_run(store, job.training.run_id)
    check_code(member.config, job.training.run_id, job.trust)
    config = changes.make_config(member.config, job.training.seed)
    if job.reads_test:
        config["selection"] = {**config["selection"], "folds": 1}
    how = str(changes.describe(config))
    warn_without_effect(config["trainer"], changes.settings)
    with _make_recorder(store, sweep, member, job, how) as recorder:
        # What fails here is tried again.
        experiment = Experiment(
            prepare_candidate(config, member.data),
            Path(HydraConfig.get().runtime.output_dir),
            test=job.reads_test and not changes.int8,  # what is shipped reads it, once
            trust=job.trust,
        )
        point = train_recorded(experiment, recorder)
        if job.reads_test and changes.int8:
            from paretune.deploy.int8 import score_on_test

            scores = score_on_test(experiment.weights, point, job.trust)
            recorder.write("metrics", values=scores)
    return point.params, point.f1


def _make_recorder(
    store: "Store", sweep: str, member: "Point", job: Job, how: str
) -> "RunRecorder":
    """The recorder of a training; ``how`` it differs from the sweep's."""
    from paretune.tracking import RunRecorder

    seed = str(job.training.seed)
    return RunRecorder(
        store,
        f"{sweep}-{member.params}-{job.kind}-{seed}",
        tags={
            Tag.KIND: job.kind,
            Tag.SWEEP: sweep,
            Tag.CONFIRMS: job.training.run_id,
            Tag.SEED: seed,
            Tag.DATA: member.data,
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
    """A model to train again: its run, the ``config`` of that, and the number of the
    way.
    """

    run_id: str
    config: Config
    way: int = 0


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
    seeds; new seeds are the first unused ones from ``first_seed`` on.
    """
    missing: list[list[Retraining]] = []
    for one in wanted:
        changes = ways[one.way]
        config = changes.make_config(one.config, first_seed)
        is_of_run = done["confirms"] == one.run_id
        is_same_way = done["how"] == str(changes.describe(config))
        used = set(done.loc[is_of_run & is_same_way, "seed"])
        unused = (seed for seed in count(first_seed) if seed not in used)
        seeds = islice(unused, max(0, n_seeds - len(used)))
        missing.append([Retraining(one.run_id, seed, one.way) for seed in seeds])
    return _take_turns(missing)


def _take_turns(of_models: Sequence[Sequence[Retraining]]) -> list[Retraining]:
    """All trainings, one of each model in turn."""
    turns = zip_longest(*of_models)
    return [training for turn in turns for training in turn if training is not None]


def train_again(request: Request, store: "Store") -> None:
    """Run the trainings, as the trials of a sweep."""
    print(f"{format_count(len(request.trainings), 'training')} to go", flush=True)
    choices = ",".join(map(str, request.trainings))
    ways = ",".join(way.write() for way in request.ways)
    lines = [
        "-m",
        f"training=choice({choices})",
        f"ways=[{ways}]",
        f"kind={request.kind}",
        f"trust={write_list(request.trust.modules)}",
        f"hydra.sweeper.study_name={_name_study(request, store)}",
        f"hydra.sweeper.n_jobs={request.n_jobs}",
        f"hydra.sweeper.timeout_s={request.timeout_s or 'null'}",
        f"store={quote(str(request.store_folder.resolve()))}",
        f"tracking.uri={quote(store.uri)}",
        *request.overrides,
    ]
    with command_line(lines):
        main()


def _name_study(request: Request, store: "Store") -> str:
    """A name that tells what is to be trained, another one after each training that
    broke off. The same command finds its study by it.
    """
    from paretune.tracking import count_retrainings, read_retrainings

    sweep, kind = request.sweep, request.kind
    n_complete = len(read_retrainings(store, [sweep], kind))
    n_broken_off = count_retrainings(store, sweep, kind) - n_complete
    question = [*map(str, request.trainings), str(n_broken_off)]
    question += [way.write() for way in request.ways]
    digest = hashlib.sha256(" ".join(question).encode()).hexdigest()
    return f"{kind}-{digest[:8]}"
