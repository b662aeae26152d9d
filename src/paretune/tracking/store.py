"""Opening a tracking store, making a SQLite one where there is none, and the names under which runs are kept in it."""

import json
import logging
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from paretune.errors import StoreError, first_line
from paretune.secrets import refuse_passwords
from paretune.tracking.tables import Run, curve_of, runs_with

if TYPE_CHECKING:
    from mlflow import MlflowClient  # a reader of a SQLite store does without its import

for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
    logging.getLogger(noisy).setLevel(logging.WARNING)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # run.py says once that the server is away


class Tag:
    """Names of tags. Stores hold them: under another name, what earlier versions wrote would not be found."""

    KIND = "kind"  # trial, sweep, run or confirm
    SWEEP = "sweep"
    TRIAL = "trial"  # its number
    ATTEMPT = "attempt"
    STATE = "state"  # complete, raced, failed, killed or superseded
    FRONT = "front"  # true or false
    FAMILY = "family"
    MODEL = "model"  # the option of the config group that the model came from, such as squeeze_deep
    DATA = "data"
    CONFIG = "config"  # JSON; what is beyond MLflow's longest value is in config.1, config.2 and so on
    LAYERS = "layers"  # of the network, in words
    CAP = "cap"  # of the cost that is the objective
    COST = "cost"  # its name
    ERROR = "error"
    CONFIRMS = "confirms"  # id of the run that is trained again
    SEED = "seed"
    HOW = "how"
    RECIPE = "recipe"
    ADDED = "added"  # names of what was searched that the config does not have, with their plus
    SPOOLED_AS = "journal"  # name of the spool folder, which tells whether a run was made already


# Names of metrics, and the field of a point that each one is.
N_PARAMS, VAL_F1 = "n_params", "val_f1"
COST_METRICS = {"params": N_PARAMS, "macs": "macs", "ram_bytes": "ram_bytes", "flash_bytes": "flash_bytes"}  # by field
SCORES = {
    VAL_F1: "f1", "val_accuracy": "accuracy", "val_loss": "loss", "best_epoch": "best_epoch", "seconds": "seconds",
}  # fmt: skip
IMAGES_PER_S = "images_per_s"


LONGEST_VALUE = 5000  # characters of a tag that every MLflow keeps; it cuts off the rest


def config_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The tags that hold a run's config."""
    text = json.dumps(config)
    parts = [text[start : start + LONGEST_VALUE] for start in range(0, len(text), LONGEST_VALUE)]
    return {_config_tag(number): part for number, part in enumerate(parts)}


def config_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The config that is in the tags of a run; an empty one of a run that ended before it was known."""
    names = takewhile(tags.__contains__, map(_config_tag, count()))
    return dict(json.loads("".join(tags[name] for name in names) or "{}"))


def _config_tag(number: int) -> str:
    return f"{Tag.CONFIG}.{number}" if number else Tag.CONFIG


# MLflow's filter language has no escape for quotes, nor for the backslash that its parser takes for one.
FILTERABLE = re.compile(r"[^'\"\\]*")


def with_tags(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have these tags, as far as it has words for their values: it may let others through."""
    known = {name: value for name, value in tags.items() if FILTERABLE.fullmatch(value)}
    return " and ".join(f"tags.{name} = '{value}'" for name, value in known.items())


LIBRARIES = ("paretune", "torch", "pytorch-lightning", "optuna", "hydra-core", "mlflow")


@lru_cache(maxsize=1)
def provenance() -> dict[str, str]:
    """Tags that say under which commit of the working folder (if it is one), versions and hardware a run was made."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    command = ["git", "rev-parse", "HEAD"]
    git = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("git") else None
    commit = {"mlflow.source.git.commit": git.stdout.strip()} if git and git.returncode == 0 else {}
    return {"versions": f"{versions}, python {platform.python_version()}", "hardware": _hardware(), **commit}


def _hardware() -> str:
    import torch  # a reader of the store does without

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{cpu} ({torch.get_num_threads()} threads)", *gpus])


SQLITE = "sqlite:///"
PAGE = 20_000  # runs in one query: a third less time than pages of 1,000


@dataclass(frozen=True)
class Store:
    """A tracking store: any MLflow tracking URI, the folder for artifacts of a SQLite one, and one for what a server has
    not got yet.
    """

    uri: str
    artifacts: str | None = None
    experiment: str = "paretune"
    spool: str | None = None

    @property
    def spool_folder(self) -> Path | None:
        """Where runs wait for a server that is away; ``None`` for a database, which this process writes itself."""
        return Path(self.spool).resolve() if self.spool and self.uri.startswith("http") else None

    def __post_init__(self) -> None:
        refuse_passwords(self.uri)

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of the store."""
        from mlflow import MlflowClient

        with one_line(self.uri):
            return MlflowClient(self.uri)

    def create(self) -> None:
        """Make the experiment, and a SQLite store and its folders; call it before anything else is done with the store.

        Of several processes the first one makes it, as MLflow's migrations fail when two processes run them at once.
        Readers of a SQLite store never wait for a writer (WAL).
        """
        if not (path := self.file):
            _ = self.experiment_id
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_line(self.uri), FileLock(f"{path}.lock"):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            _ = self.experiment_id

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of this store's runs, made at the first call."""
        with one_line(self.uri):
            experiment = self.client.get_experiment_by_name(self.experiment)
            if experiment:
                return str(experiment.experiment_id)
            is_server = self.uri.startswith("http")  # which keeps artifacts itself
            location = Path(self.artifacts).resolve().as_uri() if self.artifacts and not is_server else None
            return str(self.client.create_experiment(self.experiment, artifact_location=location))

    def require(self) -> "Store":
        """The store itself, if it exists. Raises :class:`~paretune.errors.StoreError`."""
        if self.file and not self.file.is_file():
            raise StoreError(
                f"tracking store `{self.file}` does not exist; expected the file that a sweep writes; run one first "
                f"(paretune sweep digits_demo), or give the right folder with --store or PARETUNE_STORE"
            )
        return self

    @property
    def file(self) -> Path | None:
        """The file of a SQLite store."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    def runs(self, tags: Mapping[str, str]) -> list[Run]:
        """All runs of every experiment that have these tags (at least one), oldest first."""
        if self.file:
            with suppress(sqlite3.Error):  # MLflow's client knows what is wrong with it
                return runs_with(self.file, tags)
        return self.runs_by_client(tags)

    def runs_by_client(self, tags: Mapping[str, str]) -> list[Run]:
        """The same as :meth:`runs`, asked of MLflow's client, whatever the store is."""
        return [run for run in self._runs_by_client(with_tags(tags)) if tags.items() <= run.data.tags.items()]

    def _runs_by_client(self, query: str) -> list[Run]:
        """All runs of every experiment that match MLflow's filter ``query``, oldest first."""
        from mlflow.entities import ViewType

        with one_line(self.uri):
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            order, token = ["attributes.start_time ASC"], None
            runs: list[Run] = []
            while True:
                page = self.client.search_runs(experiments, query, ViewType.ACTIVE_ONLY, PAGE, order, token)
                runs, token = [*runs, *map(Run.of, page)], page.token
                if not token:
                    return runs

    def curve(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """(step, value) of all values of a metric of a run, by step."""
        if self.file:
            with suppress(sqlite3.Error):
                return curve_of(self.file, run_id, name)
        with one_line(self.uri):
            return sorted((point.step, point.value) for point in self.client.get_metric_history(run_id, name))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_metrics(self, run_id: str, values: Mapping[str, float], at_ms: int, step: int = 0) -> None:
        """Log metrics of a run; ``at_ms`` is milliseconds since 1970."""
        from mlflow.entities import Metric

        metrics = [Metric(name, float(value), at_ms, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def sweeps(self) -> list[Run]:
        """The parent runs of all sweeps, oldest first."""
        return self.runs({Tag.KIND: "sweep"})

    def parent_of(self, sweep: str) -> Run | None:
        """The parent run of a sweep, if the store has it."""
        return next(iter(self.runs({Tag.KIND: "sweep", Tag.SWEEP: sweep})), None)

    def trials(self, sweep: str, **tags: str) -> list[Run]:
        """The runs of a sweep's trials, oldest first; superseded attempts too, unless ``tags`` names a ``state``."""
        return self.runs({Tag.SWEEP: sweep, Tag.KIND: "trial", **tags})

    def front_of(self, sweep: str) -> list[Run]:
        """The runs of a sweep that are tagged as members of its front."""
        return self.runs({Tag.SWEEP: sweep, Tag.FRONT: "true"})

    def confirmations(self, sweep: str) -> list[Run]:
        """The runs that train trials of a sweep again, whatever became of them, oldest first."""
        return self.runs({Tag.SWEEP: sweep, Tag.KIND: "confirm"})


def _store_errors() -> tuple[type[Exception], ...]:
    """What a store may raise: of libraries that nobody has imported, nothing."""
    errors = [("mlflow.exceptions", "MlflowException"), ("sqlalchemy.exc", "SQLAlchemyError")]
    return sqlite3.Error, OSError, *(getattr(sys.modules[name], error) for name, error in errors if name in sys.modules)


MENDS = {
    "out-of-date database schema": "back it up and run `mlflow db upgrade <uri>`, or install the MLflow that made it",
    "is locked": "another process holds it; wait, or stop that process",
    "not a database": "give the right file with --store or tracking.uri",
}


@contextmanager
def one_line(uri: str) -> Iterator[None]:
    """Errors of MLflow and its database as a :class:`~paretune.errors.StoreError` of one line."""
    try:
        yield
    except _store_errors() as error:
        reason = first_line(error).split(". ")[0]
        mend = next((mend for sign, mend in MENDS.items() if sign in str(error)), "check tracking.uri")
        raise StoreError(
            f"tracking store `{uri}` cannot be used ({reason}); expected an MLflow store; {mend}"
        ) from error
