"""Opening a tracking store, and making a SQLite one where there is none."""

import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from paretune.errors import StoreError
from paretune.paths import sqlite_file
from paretune.retry import FileId, error_of, fault_of_file, file_id
from paretune.secrets import refuse_passwords
from paretune.tracking.artifacts import follow_move
from paretune.tracking.database import (
    client_url,
    let_readers_read,
    make_database,
    read_only_client_url,
    try_to_lock,
)
from paretune.tracking.kinds import (
    check_file,
    check_tables,
    refuse_path,
    tables_of_url,
)
from paretune.tracking.store_errors import translate_errors

if TYPE_CHECKING:
    # A reader of a SQLite store does without its import.
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

for noisy in ("alembic", "mlflow.tracking"):
    logging.getLogger(noisy).setLevel(logging.WARNING)
# A traceback for each error that we tell in a line.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
# steps.py says once that the server is away.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


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

    def __post_init__(self) -> None:
        refuse_passwords(self.uri)
        refuse_path(self.uri)

    @property
    def spool_folder(self) -> Path | None:
        """Where runs wait while the store is busy or away."""
        if self.spool is None:
            return None
        return Path(self.spool).resolve()

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server is at the URI, which keeps artifacts itself."""
        return self.uri.startswith("http")

    @cached_property
    def file(self) -> Path | None:
        """The file of a SQLite store."""
        with translate_errors(self.uri):
            return sqlite_file(self.uri)

    @cached_property
    def artifact_root(self) -> Path | None:
        """The folder for the files of all runs of a SQLite store; ``None`` where MLflow
        chooses.
        """
        if not self.artifacts or not self.file:
            return None
        return Path(self.artifacts).resolve()

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of the store."""
        from mlflow import MlflowClient

        with translate_errors(self.uri):
            return MlflowClient(self.client_uri)

    @property
    def client_uri(self) -> str:
        """The URI as MLflow's client is to have it."""
        if self.file is None:
            return self.uri
        if self.is_read_only:
            return read_only_client_url(self.file)
        return client_url(self.uri)

    def open_for_reading(self) -> "Store":
        """The same store to be read and not written, if it is one. Raises
        :class:`~paretune.errors.StoreError`.
        """
        if self.file:
            check_file(self.file)
        elif not self.is_server and "://" in self.uri:
            with translate_errors(self.uri):
                check_tables(self.uri, tables_of_url(self.uri))
        return replace(self, is_read_only=True)

    def create(self) -> None:
        """Make the experiment, and a SQLite store and its folders; call it before
        anything else is done with the store.

        Of several processes the first one makes it, as MLflow's migrations fail when
        two processes run them at once. Readers of a SQLite store never wait for a
        writer.
        """
        if self.file is None:
            _ = self.experiment_id
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with translate_errors(self.uri), FileLock(f"{self.file}.lock"):
            if not self.file.exists():
                make_database(self.file)
            let_readers_read(self.file)
            _ = self.experiment_id
            self.follow_move()

    def follow_move(self) -> None:
        """After a SQLite store was moved, copied or mounted elsewhere: have MLflow's UI
        find the files of its runs.
        """
        if not self.file or not self.artifact_root:
            return
        before = follow_move(self.file, self.experiment, self.artifact_root)
        if before:
            log.info(
                "the store was at %s before; its files are now read and written in %s",
                before,
                self.artifact_root,
            )

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of this store's runs, made at the first call.

        Raises :class:`~paretune.errors.StoreError` if it was deleted.
        """
        with translate_errors(self.uri):
            experiment = self.client.get_experiment_by_name(self.experiment)
            if experiment is None:
                return self._make_experiment()
        if experiment.lifecycle_stage == "deleted":
            remedy = restore_experiment(self.uri, str(experiment.experiment_id))
            raise StoreError(
                f"experiment `{self.experiment}` of tracking store `{self.uri}` was "
                f"deleted; {remedy}, or record in another one: tracking.experiment=NAME"
            )
        return str(experiment.experiment_id)

    def _make_experiment(self) -> str:
        location = None
        if self.artifacts and not self.is_server:
            location = Path(self.artifacts).resolve().as_uri()
        made = self.client.create_experiment(
            self.experiment, artifact_location=location
        )
        return str(made)

    def refuse_broken(self) -> None:
        """Raise :class:`~paretune.retry.FaultError` if the file of a SQLite store is
        gone or read-only, or its disk full.

        SQLite goes on writing to a file that was deleted while it was open.
        """
        is_open = "experiment_id" in self.__dict__
        if not self.file or not is_open:
            return
        if fault := fault_of_file(self.file, self._opened):
            raise error_of(fault, f"tracking store `{self.file}`")

    @cached_property
    def _opened(self) -> FileId | None:
        """The file of a SQLite store as it was first seen."""
        if self.file and self.file.exists():
            return file_id(self.file)
        return None

    def refuse_locked(self) -> None:
        """Raise :class:`~paretune.errors.StoreError` if another process holds a SQLite
        store; MLflow would wait for it for 20 s.
        """
        if self.file and self.file.is_file():
            with translate_errors(self.uri):
                try_to_lock(self.file)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        values = [RunTag(name, value) for name, value in tags.items()]
        self.client.log_batch(run_id, tags=values)

    def log_metrics(
        self, run_id: str, values: Mapping[str, float], at_ms: int, step: int = 0
    ) -> None:
        """Log metrics of a run; ``at_ms`` is milliseconds since 1970."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, float(value), at_ms, step) for name, value in values.items()
        ]
        self.client.log_batch(run_id, metrics=metrics)


def restore_experiment(uri: str, experiment_id: str) -> str:
    """Advice for having a deleted experiment again."""
    return (
        f"bring it back with all its runs: MLFLOW_TRACKING_URI={shlex.quote(uri)} "
        f"mlflow experiments restore --experiment-id {experiment_id}"
    )
