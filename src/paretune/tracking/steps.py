"""Writing the steps of a run to a store; while it is busy or away, to disk.

Each step is first noted in a folder of the spool, and crossed off once the store has
it.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from paretune.errors import StoreError
from paretune.retry import LONGEST_OUTAGE_S, Outage, is_busy, patience
from paretune.tracking.config_tags import config_tags
from paretune.tracking.entities import Run
from paretune.tracking.front_tags import keep_front, supersede
from paretune.tracking.provenance import provenance
from paretune.tracking.refusals import is_outage
from paretune.tracking.run_files import keep_file, keep_text
from paretune.tracking.runs import find_parent, find_runs
from paretune.tracking.schema import CONFIG_FILE, N_PARAMS, Tag
from paretune.tracking.spool import DamagedError, SpoolFolder, SpoolState, Step
from paretune.tracking.store import Store
from paretune.tracking.store_errors import translate_errors

REFUSED_IN_NAMES = r"[^\w\-. :/]"  # by MLflow, such as the plus of ``+recipe``

outage = Outage("the tracking store", (1.0, 2.0, 4.0, 8.0, 15.0, 30.0))


Tags = Mapping[str, str]


class RunWriter:
    """Writes the steps of one run, by way of a folder of the store's spool if it has
    one.
    """

    def __init__(self, store: Store, folder: SpoolFolder | None = None) -> None:
        self.store = store
        self.folder = folder
        self.run_id = ""
        self.done = 0  # steps that the store has
        self._is_begun = False
        if folder:
            state = folder.state()
            self.done = state.done
            self.run_id = state.run_id
            self._is_begun = True

    def open(self) -> None:
        """Make a folder in the spool, if the store has one. Raises
        :class:`~paretune.retry.FaultError` if the disk is full.
        """
        if self.store.spool_folder:
            self.folder = SpoolFolder.make(self.store.spool_folder)

    @property
    def key(self) -> str:
        """The name of its folder in the spool; empty without one."""
        if self.folder is None:
            return ""
        return self.folder.key

    def write(self, step: str, /, **arguments: Any) -> None:
        """Write a step that happens now, or note it, with copies of its files, and send
        what the store has not got.

        Raises :class:`~paretune.errors.StoreError` if the store refuses it for good or
        cannot be used.
        """
        at_ms = int(time.time() * 1000)
        if self.folder is None:
            self._apply_patiently(Step(step, at_ms, arguments))
            return
        if "files" in arguments:
            arguments["files"] = self.folder.keep(arguments["files"])
        self.folder.note(Step(step, at_ms, arguments))
        self.send()

    def send(self) -> bool:
        """Send the steps that are left, in order; returns whether all are done.

        Raises :class:`~paretune.errors.StoreError` if the store refuses a step for good
        or cannot be used,
        :class:`~paretune.tracking.spool.DamagedError` if the folder is damaged.
        """
        assert self.folder
        for step in self.folder.steps()[self.done :]:
            if not outage.is_over() or not self._send_step(step):
                return False
            self.done += 1
            self.folder.set_state(SpoolState(self.done, self.run_id))
        return True

    def _send_step(self, step: Step) -> bool:
        """Whether the store took the step; ``False`` if it is busy or away."""
        try:
            self._apply(step)
        except StoreError as error:
            if not is_outage(self.store, error):
                raise
            outage.noticed(error)
            return False
        outage.ended()
        return True

    def close(self) -> None:
        """Remove the folder if all is sent, else leave it for the next process."""
        if self.folder is None:
            return
        try:
            if self.send():
                self.folder.remove()
        finally:  # also if a step is refused
            self.release()

    def release(self) -> None:
        """Leave what is not sent to the next process."""
        if self.folder:
            self.folder.release()

    def _apply_patiently(self, step: Step) -> None:
        """Write a step, and wait for a store that is busy."""
        waiting = Outage("the tracking store", outage.pauses_s)
        while True:
            try:
                self._apply(step)
            except StoreError as error:
                if not is_busy(error):
                    raise
                if waiting.noticed(error) > LONGEST_OUTAGE_S or patience.is_over():
                    raise
                waiting.wait()
            else:
                waiting.ended()
                return

    def _apply(self, step: Step) -> None:
        if step.name not in self.STEPS:
            raise DamagedError(f"step `{step.name}` is unknown")
        self.store.refuse_broken()
        if outage.tries or patience.is_ended():
            self.store.refuse_locked()
        with translate_errors(self.store.uri):
            self.STEPS[step.name](self, step.at_ms, **step.arguments)

    def _begin(
        self,
        at_ms: int,
        *,
        name: str,
        tags: Tags,
        searched: Tags,
        replaces: Sequence[str],
        key: str,
    ) -> None:
        """Make the run, below its sweep's if ``tags`` name one, and supersede earlier
        runs with the same tags ``replaces``.
        """
        from mlflow.entities import Param

        parent = self._find_parent(tags)
        if replaces:
            self._supersede({tag: tags[tag] for tag in replaces}, at_ms)
        run = self._find_made(key)
        self._is_begun = True  # the store may make it, and its answer be lost
        if run is None:
            all_tags = {**tags, Tag.RUN_NAME: name, **provenance()}
            if parent:
                all_tags[Tag.PARENT_RUN] = parent.run_id
            if key:
                all_tags[Tag.SPOOLED_AS] = key
            if added := [param for param in searched if param.startswith("+")]:
                all_tags[Tag.ADDED] = " ".join(added)
            run = self._make(all_tags, at_ms)
        self.run_id = run.run_id
        params = [
            Param(re.sub(REFUSED_IN_NAMES, "", param), str(value))
            for param, value in searched.items()
        ]
        self.store.client.log_batch(self.run_id, params=params)

    def _find_parent(self, tags: Tags) -> Run | None:
        """The run of the sweep that ``tags`` name; without one the store is made, if it
        is not there.
        """
        if Tag.SWEEP in tags:
            parent = find_parent(self.store, tags[Tag.SWEEP])
            if parent:
                return parent
        self.store.create()
        return None

    def _supersede(self, same: Tags, at_ms: int) -> None:
        for run in find_runs(self.store, same):
            # What waited for a server comes late.
            if (run.info.start_time or 0) < at_ms:
                supersede(self.store, run, at_ms)

    def _find_made(self, key: str) -> Run | None:
        """The run that an earlier try to send the same step made."""
        if not key or not self._is_begun:
            return None
        return next(iter(find_runs(self.store, {Tag.SPOOLED_AS: key})), None)

    def _make(self, tags: Tags, at_ms: int) -> Run:
        made = self.store.client.create_run(
            self.store.experiment_id, start_time=at_ms, tags=dict(tags)
        )
        return Run.of(made)

    def _start(
        self,
        at_ms: int,
        *,
        params: int,
        family: str,
        config: Mapping[str, Any],
        costs: Mapping[str, float] | None = None,
    ) -> None:
        """Log the costs, and the config as a file and as a tag to query. Earlier
        versions left steps without ``costs``.
        """
        self.store.log_metrics(self.run_id, {N_PARAMS: params, **(costs or {})}, at_ms)
        self.store.set_tags(self.run_id, {Tag.FAMILY: family, **config_tags(config)})
        text = yaml.safe_dump(dict(config), sort_keys=False)
        keep_text(self.store, self.run_id, text, CONFIG_FILE)

    def _metrics(
        self, at_ms: int, *, values: Mapping[str, float], step: int = 0
    ) -> None:
        self.store.log_metrics(self.run_id, values, at_ms, step)

    def _tag(self, at_ms: int, *, name: str, value: str) -> None:
        self.store.set_tags(self.run_id, {name: value})

    def _attach(self, at_ms: int, *, files: Sequence[str]) -> None:
        for path in files:
            keep_file(self.store, self.run_id, Path(path))

    def _end(
        self, at_ms: int, *, status: str, tags: Tags, trial_of: str = "", trial: int = 0
    ) -> None:
        """Close the run; a complete trial of the sweep ``trial_of`` joins its front."""
        self.store.set_tags(self.run_id, tags)
        self.store.client.set_terminated(self.run_id, status, at_ms)
        if trial_of:
            keep_front(self.store, trial_of, trial)

    # The names stand in spool folders, also in those that earlier versions left.
    STEPS: ClassVar[dict[str, Callable[..., None]]] = {
        "begin": _begin,
        "start": _start,
        "metrics": _metrics,
        "tag": _tag,
        "attach": _attach,
        "end": _end,
    }
