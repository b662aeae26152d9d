"""Recording a training in the store as it happens."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

from paretune.errors import Raced
from paretune.front import Candidate, Point
from paretune.retry import comes_of
from paretune.tracking.leftovers import write_leftovers
from paretune.tracking.schema import (
    BEST_EPOCH,
    COST_METRICS,
    LONGEST_ERROR,
    LONGEST_VALUE,
    SCORES,
    VAL_F1,
    RunKind,
    Split,
    State,
    Status,
    Tag,
    name_curve,
)
from paretune.tracking.steps import RunWriter, Tags
from paretune.tracking.store import Store

log = logging.getLogger(__name__)


class RunRecorder(RunWriter):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a
    run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after
    any other exception; the tag ``state`` tells complete and raced apart. Runs with the
    same tags ``replaces`` are of an earlier attempt, whose worker died. The store may
    be busy or away for a while: what happens meanwhile is written when it is back.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        tags: Tags,
        searched: Tags,
        replaces: Sequence[str] = (),
    ) -> None:
        super().__init__(store)
        self.name = name
        self.tags = dict(tags)
        self.searched = dict(searched)
        self.replaces = list(replaces)
        self.best: dict[str, float] = {}  # the scores of the best epoch so far

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of a sweep."""
        return self.tags.get(Tag.KIND) == RunKind.TRIAL

    def __enter__(self) -> "RunRecorder":
        write_leftovers(self.store)
        self.open()
        try:
            self.write(
                "begin",
                name=self.name,
                tags=self.tags,
                searched=self.searched,
                replaces=self.replaces,
                key=self.key,
            )
        except BaseException:
            self.release()
            raise
        return self

    def start(self, candidate: Candidate) -> None:
        """Log what is known before training: the costs, and the config as a file and
        as a tag to query.
        """
        costs: dict[str, float] = {}
        for name, value in candidate.costs.items():
            if name != "params":
                costs[COST_METRICS[name]] = float(value)
        self.write(
            "start",
            params=candidate.params,
            family=candidate.family,
            config=dict(candidate.config),
            costs=costs,
        )

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        values = {name_curve(name): value for name, value in scores.items()}
        self.write("metrics", values=values, step=number)
        if scores.get(VAL_F1, 0.0) > self.best.get(VAL_F1, -1.0):
            self.best = _keep_validation(scores)
            self.best[BEST_EPOCH] = number

    def tag(self, name: str, value: str) -> None:
        """Add a tag to the run; what is longer than a store takes is cut off."""
        self.write("tag", name=name, value=value[:LONGEST_VALUE])

    def finish(
        self, point: Point, more: Mapping[str, float], files: Sequence[Path]
    ) -> None:
        """Log the final scores under their own names, and attach files."""
        scores = {name: getattr(point, field) for name, field in SCORES.items()}
        self.write("metrics", values={**scores, **more})
        if files:
            self.write("attach", files=[str(path) for path in files])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end_complete()
        elif isinstance(error, Raced):
            if self.best:
                self.write("metrics", values=self.best)
            self.end(Status.FINISHED, {Tag.STATE: State.RACED})
        else:
            self._end_broken_off(error)

    def _end_complete(self) -> None:
        tags: dict[str, str] = {Tag.STATE: State.COMPLETE}
        if not self.is_trial:
            self.end(Status.FINISHED, tags)
            return
        # Whether it is on the front is looked at once it is tagged as a member.
        tags[Tag.FRONT] = "true"
        self.end(
            Status.FINISHED,
            tags,
            trial_of=self.tags[Tag.SWEEP],
            trial=int(self.tags[Tag.TRIAL]),
        )

    def _end_broken_off(self, error: BaseException) -> None:
        is_killed = not isinstance(error, Exception)
        is_killed = is_killed or comes_of(error, KeyboardInterrupt)
        status = Status.KILLED if is_killed else Status.FAILED
        tags = {
            Tag.STATE: State.KILLED if is_killed else State.FAILED,
            Tag.ERROR: f"{type(error).__name__}: {error}"[:LONGEST_ERROR],
            Tag.TRACEBACK: "".join(format_exception(error))[-LONGEST_VALUE:],
        }
        self.end(status, tags)

    def end(self, status: str, tags: Tags, **front: Any) -> None:
        """Close the run with these tags; ``front`` names the sweep and the number of a
        trial that may join the front.
        """
        try:
            self.write("end", status=status, tags=dict(tags), **front)
            self.close()
        finally:
            self.release()
        if self.folder and self.folder.path.is_dir() and not self.is_trial:
            log.warning(
                "this run waits in %s; the next command writes it to the tracking store",
                self.folder.path,
            )


def _keep_validation(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores on the validation images."""
    kept: dict[str, float] = {}
    for name, value in scores.items():
        if name.startswith(f"{Split.VALIDATION}_"):
            kept[name] = value
    return kept
