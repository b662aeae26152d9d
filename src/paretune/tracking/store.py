"""Opening a tracking store, making a SQLite one where there is none, and the names
under which runs are kept in it.
"""

import json
import logging
import marshal
import os
import platform
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from paretune.atomic import atomically
from paretune.costs import COSTS, PARAMS
from paretune.errors import StoreError, first_line
from paretune.paths import NO_ROOM, sqlite_file, sqlite_url
from paretune.retry import (
    FaultError,
    FileId,
    error_of,
    fault_of,
    fault_of_file,
    file_id,
)
from paretune.secrets import refuse_passwords
from paretune.tracking.artifacts import (
    folder_of,
    follow_move,
    keep_file,
    keep_text,
    local_folder,
)
from paretune.tracking.kinds import check_file, check_tables
from paretune.tracking.tables import Part, Run, curve_of, run_of, runs_with, tag_of_all

if TYPE_CHECKING:
    # A reader of a SQLite store does without its import.
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

for noisy in ("alembic", "mlflow.tracking"):
    logging.getLogger(noisy).setLevel(logging.WARNING)
# A traceback for each error that we tell in a line.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
# run.py says once that the server is away.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class Tag:
    """Names of tags. Stores hold them: under another name, what earlier versions wrote
    would not be found.
    """

    KIND = "kind"  # trial, sweep, run or confirm
    SWEEP = "sweep"
    TRIAL = "trial"  # its number
    STUDY = "study"  # id of the study that the sweep's trials are of
    ATTEMPT = "attempt"
    STATE = "state"  # complete, raced, failed, killed or superseded
    FRONT = "front"  # true or false
    FAMILY = "family"
    # The option of the config group that the model came from, such as squeeze_deep.
    MODEL = "model"
    DATA = "data"
    # JSON; what is beyond MLflow's longest value is in config.1, config.2 and so on.
    CONFIG = "config"
    LAYERS = "layers"  # of the network, in words
    CAP = "cap"  # of the cost that is the objective
    COST = "cost"  # its name
    ERROR = "error"
    CONFIRMS = "confirms"  # id of the run that is trained again
    SEED = "seed"
    HOW = "how"
    RECIPE = "recipe"
    # Names of what was searched that the config does not have, with their plus.
    ADDED = "added"
    # Name of the spool folder, which tells whether a run was made already.
    SPOOLED_AS = "journal"


# Names of metrics, and the field of a point that each one is.
N_PARAMS, VAL_F1 = PARAMS.metric, "val_f1"
# By name.
COST_METRICS = {name: cost.metric for name, cost in COSTS.items()}
SCORES = {
    VAL_F1: "f1",
    "val_accuracy": "accuracy",
    "val_loss": "loss",
    "best_epoch": "best_epoch",
    "seconds": "seconds",
}
IMAGES_PER_S = "images_per_s"


MARSHAL_WITHOUT_REFERENCES = 2  # its version, in which equal values have equal bytes
# Characters of a tag that every MLflow keeps; it cuts off the rest.
LONGEST_VALUE = 5000


def config_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The tags that hold a run's config."""
    text = json.dumps(config)
    parts = [
        text[start : start + LONGEST_VALUE]
        for start in range(0, len(text), LONGEST_VALUE)
    ]
    return {_config_tag(number): part for number, part in enumerate(parts)}


def config_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The config that is in the tags of a run; an empty one of a run that ended before
    it was known.
    """
    names = takewhile(tags.__contains__, map(_config_tag, count()))
    return dict(json.loads("".join(tags[name] for name in names) or "{}"))


def configs_of(runs: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The configs in the tags of many runs, to be read and not changed: equal sections
    are one object.

    The trials of a sweep differ in a few settings, and 20,000 whole configs take 180
    MB.
    """
    known: dict[bytes, Any] = {}
    configs = []
    for tags in runs:
        config = config_of(tags)
        for name, section in config.items():
            # Quicker than text, and tells 1 from true.
            key = marshal.dumps(section, MARSHAL_WITHOUT_REFERENCES)
            config[name] = known.setdefault(key, section)
        configs.append(config)
    return configs


def _config_tag(number: int) -> str:
    return f"{Tag.CONFIG}.{number}" if number else Tag.CONFIG


# MLflow's filter language has no escape for quotes, nor for the backslash that its
# parser takes for one.
FILTERABLE = re.compile(r"[^'\"\\]*")


def with_tags(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have these tags, as far as it has words for their
    values: it may let others through.
    """
    known = {name: value for name, value in tags.items() if FILTERABLE.fullmatch(value)}
    return " and ".join(f"tags.{name} = '{value}'" for name, value in known.items())


LIBRARIES = ("paretune", "torch", "pytorch-lightning", "optuna", "hydra-core", "mlflow")


@lru_cache(maxsize=1)
def provenance() -> dict[str, str]:
    """Tags that say under which commit of the working folder (if it is one), versions
    and hardware a run was made.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    command = ["git", "rev-parse", "HEAD"]
    git = (
        subprocess.run(command, capture_output=True, text=True, check=False)
        if shutil.which("git")
        else None
    )
    commit = (
        {"mlflow.source.git.commit": git.stdout.strip()}
        if git and git.returncode == 0
        else {}
    )
    return {
        "versions": f"{versions}, python {platform.python_version()}",
        "hardware": _hardware(),
        **commit,
    }


def _hardware() -> str:
    import torch  # a reader of the store does without

    lines = (
        Path("/proc/cpuinfo").read_text().splitlines()
        if Path("/proc/cpuinfo").is_file()
        else []
    )
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in lines
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{cpu} ({torch.get_num_threads()} threads)", *gpus])


DRIVER = "sqlite+pysqlite"
LOCK_S = 0.5
PAGE = 20_000  # runs in one query: a third less time than pages of 1,000


@dataclass(frozen=True)
class Store:
    """A tracking store: any MLflow tracking URI, the folder for artifacts of a SQLite
    one, and one for what it has not got yet, because it was busy or away.

    One that ``is_read_only`` is never written to, not even by MLflow's own upgrades.
    See :meth:`require`.
    """

    uri: str
    artifacts: str | None = None
    experiment: str = "paretune"
    spool: str | None = None
    is_read_only: bool = False

    @property
    def spool_folder(self) -> Path | None:
        """Where runs wait while the store is busy or away."""
        return Path(self.spool).resolve() if self.spool else None

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server is at the URI, which keeps artifacts itself."""
        return self.uri.startswith("http")

    def __post_init__(self) -> None:
        refuse_passwords(self.uri)
        refuse_folder(self.uri)

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of the store."""
        from mlflow import MlflowClient

        with one_line(self.uri):
            return MlflowClient(self.client_uri)

    @property
    def client_uri(self) -> str:
        """The URI as MLflow's client is to have it.

        Of ``sqlite:///...`` MLflow would make the folder by the escaped name, so the
        file's driver is named, too.
        """
        if not self.file:
            return self.uri
        from sqlalchemy.engine.url import URL

        if not self.is_read_only:
            return f"{DRIVER}:{self.uri.partition(':')[2]}"
        query = {"mode": "ro", "uri": "true"}
        return URL.create(
            DRIVER, database=self.file.resolve().as_uri(), query=query
        ).render_as_string()

    def create(self) -> None:
        """Make the experiment, and a SQLite store and its folders; call it before
        anything else is done with the store.

        Of several processes the first one makes it, as MLflow's migrations fail when
        two processes run them at once. Readers of a SQLite store never wait for a
        writer (WAL).
        """
        if not (path := self.file):
            _ = self.experiment_id
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_line(self.uri), FileLock(f"{path}.lock"):
            if not path.exists():
                _make_tables(path)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            _ = self.experiment_id
            self.follow_move()

    def follow_move(self) -> None:
        """After a SQLite store was moved, copied or mounted elsewhere: have MLflow's UI
        find the files of its runs.
        """
        if not self.file or not self.artifact_root:
            return
        if before := follow_move(self.file, self.experiment, self.artifact_root):
            log.info(
                "the store was at %s before; its files are now read and written in %s",
                before,
                self.artifact_root,
            )

    @cached_property
    def artifact_root(self) -> Path | None:
        """The folder for the files of all runs of a SQLite store; ``None`` where MLflow
        chooses.
        """
        return Path(self.artifacts).resolve() if self.artifacts and self.file else None

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of this store's runs, made at the first call."""
        with one_line(self.uri):
            experiment = self.client.get_experiment_by_name(self.experiment)
            if experiment:
                self._check_not_deleted(
                    str(experiment.experiment_id), experiment.lifecycle_stage
                )
                return str(experiment.experiment_id)
            location = (
                Path(self.artifacts).resolve().as_uri()
                if self.artifacts and not self.is_server
                else None
            )
            return str(
                self.client.create_experiment(
                    self.experiment, artifact_location=location
                )
            )

    def _check_not_deleted(self, experiment_id: str, stage: str) -> None:
        if stage == "deleted":
            raise StoreError(
                f"experiment `{self.experiment}` of tracking store `{self.uri}` was "
                "deleted; expected one that is there; "
                f"{self._restore_experiment(experiment_id)}, or record in another "
                "one: tracking.experiment=NAME"
            )

    def _restore_experiment(self, experiment_id: str) -> str:
        uri = shlex.quote(self.uri)
        return (
            f"bring it back with all its runs: MLFLOW_TRACKING_URI={uri} mlflow "
            "experiments restore "
            f"--experiment-id {experiment_id}"
        )

    def how_to_restore(self, run: Run) -> str:
        """What a person does to have a deleted run again, alone or with its
        experiment.
        """
        with one_line(self.uri):
            experiment = self.client.get_experiment(run.info.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            return self._restore_experiment(run.info.experiment_id)
        return "bring its runs back in MLflow's UI (State: Deleted, Restore)"

    def require(self) -> "Store":
        """The same store to be read and not written, if it is one. Raises
        :class:`~paretune.errors.StoreError`.
        """
        if self.file:
            check_file(self.file)
        elif not self.is_server and "://" in self.uri:
            with one_line(self.uri):
                check_tables(self.uri, _tables_of(self.uri))
        return replace(self, is_read_only=True)

    @cached_property
    def file(self) -> Path | None:
        """The file of a SQLite store."""
        with one_line(self.uri):
            return sqlite_file(self.uri)

    def refuse_broken(self) -> None:
        """Raise :class:`~paretune.retry.FaultError` if the file of a SQLite store is
        gone or read-only, or its disk full.

        SQLite goes on writing to a file that was deleted while it was open.
        """
        path = self.file
        is_opened = "experiment_id" in self.__dict__
        if path and is_opened and (fault := fault_of_file(path, self._opened)):
            raise error_of(fault, f"tracking store `{path}`")

    @cached_property
    def _opened(self) -> FileId | None:
        """The file of a SQLite store as it was first seen."""
        return file_id(self.file) if self.file and self.file.exists() else None

    def refuse_locked(self) -> None:
        """Raise :class:`~paretune.errors.StoreError` if another process holds a SQLite
        store; MLflow would wait for it for 20 s.
        """
        if not self.file or not self.file.is_file():
            return
        with (
            one_line(self.uri),
            closing(
                sqlite3.connect(self.file, timeout=LOCK_S, isolation_level=None)
            ) as store,
        ):
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")

    def runs(
        self,
        tags: Mapping[str, str],
        *,
        deleted: bool = False,
        only: Part | None = None,
    ) -> list[Run]:
        """All runs of every experiment that have these tags (at least one), oldest
        first; or those that were ``deleted``.

        Of those in a SQLite store ``only`` a part is read, if asked for, which takes a
        fraction of the time.
        """
        if self.file:
            try:
                return runs_with(self.file, tags, deleted=deleted, only=only)
            except (
                sqlite3.Error
            ) as error:  # MLflow's client knows what is wrong with it
                _tell_fall_back(self.file, str(error))
        return self.runs_by_client(tags, deleted=deleted)

    def runs_by_client(
        self, tags: Mapping[str, str], *, deleted: bool = False
    ) -> list[Run]:
        """The same as :meth:`runs`, asked of MLflow's client, whatever the store is."""
        runs = self._runs_by_client(with_tags(tags), deleted=deleted)
        return [run for run in runs if tags.items() <= run.data.tags.items()]

    def _runs_by_client(self, query: str, *, deleted: bool = False) -> list[Run]:
        """All runs of every experiment that match MLflow's filter ``query``, oldest
        first.
        """
        from mlflow.entities import ViewType

        within, view = (
            (ViewType.ALL, ViewType.DELETED_ONLY)
            if deleted
            else (ViewType.ACTIVE_ONLY,) * 2
        )
        with one_line(self.uri):
            experiments = [
                experiment.experiment_id
                for experiment in self.client.search_experiments(within)
            ]
            order, token = ["attributes.start_time ASC"], None
            runs: list[Run] = []
            while True:
                page = self.client.search_runs(
                    experiments, query, view, PAGE, order, token
                )
                runs, token = [*runs, *map(Run.of, page)], page.token
                if not token:
                    return runs

    def run(self, run_id: str) -> Run:
        """The run of this id. Raises :class:`~paretune.errors.StoreError` if the store
        has not got it.
        """
        if self.file:
            try:
                run = run_of(self.file, run_id)
            except sqlite3.Error as error:
                _tell_fall_back(self.file, str(error))
            else:
                if run is None:
                    raise StoreError(
                        f"run `{run_id}` is not in tracking store `{self.uri}`, or "
                        "was deleted; expected the id of a run; "
                        f"paretune pareto lists those of a sweep"
                    )
                return run
        with one_line(self.uri):
            return Run.of(self.client.get_run(run_id))

    def tag_of_all(
        self, tags: Mapping[str, str], name: str
    ) -> dict[str, tuple[str, bool]]:
        """The value of the tag ``name``, by the ids of the runs that have it and these
        ``tags``, and whether the run is active.
        """
        if self.file:
            with suppress(sqlite3.Error):
                return tag_of_all(self.file, tags, name)
        found = [
            (run, not deleted)
            for deleted in (False, True)
            for run in self.runs(tags, deleted=deleted)
        ]
        return {
            run.info.run_id: (run.data.tags[name], active)
            for run, active in found
            if name in run.data.tags
        }

    def curve(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """(step, value) of all values of a metric of a run, by step."""
        if self.file:
            try:
                return curve_of(self.file, run_id, name)
            except sqlite3.Error as error:
                _tell_fall_back(self.file, str(error))
        with one_line(self.uri):
            return sorted(
                (point.step, point.value)
                for point in self.client.get_metric_history(run_id, name)
            )

    def local_file(self, run: Run, name: str) -> Path | None:
        """A file of a run that lies on this machine.

        It is looked for by the place of the store first, and then where MLflow noted
        it: the store may have been moved.

        Raises :class:`~paretune.errors.StoreError` if it should lie here and does not.
        """
        places = [folder / name for folder in self._folders_of(run)]
        if path := next((path for path in places if path.is_file()), None):
            if path != places[0]:
                log.warning(
                    "%s of run %s is not in the store; it is read from %s",
                    name,
                    run.info.run_id,
                    path,
                )
            return path
        if not places or local_folder(run.info.artifact_uri) is None:
            return None  # a server has it
        raise StoreError(
            f"{name} of run `{run.info.run_id}` is not there; expected "
            f"{' or '.join(map(str, places))}; put the folder back if "
            f"it was deleted or left behind, or {_again(run)}"
        )

    def _folders_of(self, run: Run) -> list[Path]:
        noted = local_folder(run.info.artifact_uri)
        folders = [noted] if noted else []
        if self.file:
            root = self.artifact_root or self.file.resolve().parent / "artifacts"
            folders.insert(0, folder_of(root, run.info.run_id))
        return list(dict.fromkeys(folders))

    def downloaded(self, run: Run, name: str, folder: Path) -> Path:
        """A copy of a file of a run, in ``folder``.

        Raises :class:`~paretune.errors.StoreError`, or ``OSError`` if the disk is full.
        """
        run_id = run.info.run_id
        try:
            return Path(self.client.download_artifacts(run_id, name, str(folder)))
        except _store_errors() as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            raise StoreError(
                f"{name} of run `{run_id}` cannot be had from `{self.uri}` "
                f"({first_line(error)}); expected a file that is "
                f"there; restore it if it was deleted, or {_again(run)}"
            ) from error

    def keep_file(self, run_id: str, path: Path) -> None:
        """Add a copy of a file to a run."""
        if self.artifact_root:
            keep_file(self.artifact_root, run_id, path)
        else:
            self.client.log_artifact(run_id, str(path))

    def keep_text(self, run_id: str, text: str, name: str) -> None:
        """Add a text to a run, as a file of this name."""
        if self.artifact_root:
            keep_text(self.artifact_root, run_id, text, name)
        else:
            self.client.log_text(run_id, text, name)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self.client.log_batch(
            run_id, tags=[RunTag(name, value) for name, value in tags.items()]
        )

    def log_metrics(
        self, run_id: str, values: Mapping[str, float], at_ms: int, step: int = 0
    ) -> None:
        """Log metrics of a run; ``at_ms`` is milliseconds since 1970."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, float(value), at_ms, step) for name, value in values.items()
        ]
        self.client.log_batch(run_id, metrics=metrics)

    def sweeps(self) -> list[Run]:
        """The parent runs of all sweeps, oldest first."""
        return self.runs({Tag.KIND: "sweep"})

    def parent_of(self, sweep: str) -> Run | None:
        """The parent run of a sweep, if the store has it."""
        return next(iter(self.runs({Tag.KIND: "sweep", Tag.SWEEP: sweep})), None)

    def trials(self, sweep: str, *, only: Part | None = None, **tags: str) -> list[Run]:
        """The runs of a sweep's trials, oldest first; superseded attempts too, unless
        ``tags`` names a ``state``.

        ``only``: as in :meth:`runs`.
        """
        return self.runs({Tag.SWEEP: sweep, Tag.KIND: "trial", **tags}, only=only)

    def front_of(self, sweep: str, *, only: Part | None = None) -> list[Run]:
        """The runs of a sweep that are tagged as members of its front. ``only``: as in
        :meth:`runs`.
        """
        return self.runs({Tag.SWEEP: sweep, Tag.FRONT: "true"}, only=only)

    def confirmations(self, sweep: str) -> list[Run]:
        """The runs that train trials of a sweep again, whatever became of them, oldest
        first.
        """
        return self.runs({Tag.SWEEP: sweep, Tag.KIND: "confirm"})


def _again(run: Run) -> str:
    sweep, run_id = run.data.tags.get(Tag.SWEEP), run.info.run_id
    if not sweep:
        return "train the model again"
    return (
        f"train the model again: paretune confirm {shlex.quote(sweep)} --run "
        f"{run_id[:8]}"
    )


def _make_tables(path: Path) -> None:
    """Make a SQLite store with MLflow's tables, whole or not at all: MLflow does not go
    on with a part of them.
    """
    from mlflow import MlflowClient

    with atomically(path) as staged:
        uri = f"{DRIVER}:{sqlite_url(staged).partition(':')[2]}"
        try:
            MlflowClient(uri).search_experiments(max_results=1)
        except _store_errors() as error:
            if fault := fault_of(error, staged):
                raise error_of(fault, f"tracking store `{path}`") from error
            raise


def refuse_folder(uri: str) -> None:
    """Raise :class:`~paretune.errors.StoreError` for a folder of files or a bare path,
    which MLflow no longer takes.
    """
    if uri.partition(":")[0] in ("sqlite", "databricks") or (
        "://" in uri and not uri.startswith("file:")
    ):
        return
    if uri in ("databricks", "uc") or os.environ.get(
        "MLFLOW_ALLOW_FILE_STORE", ""
    ).lower() in ("true", "1"):
        return
    path = Path(
        uri.removeprefix("file:").replace("//", "/", 1)
        if uri.startswith("file:")
        else uri
    ).absolute()
    database = path if path.suffix == ".db" else path / "mlflow.db"
    raise StoreError(
        f"tracking.uri `{uri}` is a path, and MLflow keeps no more runs in plain "
        "files; expected the URL of a database or a "
        f"server; write {sqlite_url(database)} (mlflow migrate-filestore takes over "
        "the runs of a folder)"
    )


def _tables_of(uri: str) -> list[str]:
    """The names of the tables of any database."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(uri)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


@lru_cache
def _tell_fall_back(file: Path, reason: str) -> None:
    """Say once why reading takes longer."""
    log.warning(
        "the tables of %s are not read directly (%s), but by MLflow, which takes longer",
        file,
        reason,
    )


def _store_errors() -> tuple[type[Exception], ...]:
    """What a store may raise: of libraries that nobody has imported, nothing."""
    errors = [
        ("mlflow.exceptions", "MlflowException"),
        ("sqlalchemy.exc", "SQLAlchemyError"),
    ]
    return (
        sqlite3.Error,
        OSError,
        *(
            getattr(sys.modules[name], error)
            for name, error in errors
            if name in sys.modules
        ),
    )


MENDS = {
    "out-of-date database schema": (
        "back it up and run `mlflow db upgrade <uri>`, or install the MLflow that "
        "made it"
    ),
    "is locked": "another process holds it; wait, or stop that process",
    "not a database": "give the right file with --store or tracking.uri",
    "readonly database": (
        "another version of MLflow made it; back it up and run `mlflow db upgrade "
        "<uri>`"
    ),
    "malformed": "the file is damaged: put a backup back",
}


@contextmanager
def one_line(uri: str) -> Iterator[None]:
    """Errors of MLflow and its database as a :class:`~paretune.errors.StoreError` of
    one line.
    """
    try:
        yield
    except _store_errors() as error:
        path = _file_named_by(uri)
        fault = fault_of(error, path)
        mend = next((mend for sign, mend in MENDS.items() if sign in str(error)), "")
        if fault and not mend:
            raise error_of(fault, f"tracking store `{path or uri}`") from error
        reason = first_line(error).split(". ")[0]
        kind = FaultError if fault else StoreError
        raise kind(
            f"tracking store `{uri}` cannot be used ({reason}); expected an MLflow "
            f"store; {mend or 'check tracking.uri'}"
        ) from error


def _file_named_by(uri: str) -> Path | None:
    with suppress(Exception):  # it is no URI of a database, which is what is told
        return sqlite_file(uri)
    return None
