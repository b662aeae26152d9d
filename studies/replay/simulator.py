"""Workers that train what a policy asks for, in simulated seconds."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from studies.curves.model import Curve
from studies.replay.policy import Outcome, Policy, Step
from studies.replay.world import World

Thought = TypeVar("Thought")
# Of a trial that a worker begins, or takes up again after something else.
START_UP_S = 0.3


@dataclass(frozen=True)
class Limits:
    """``workers`` train until ``ends_s``. ``epochs`` are those of a whole training.

    Each trial that a worker turns to takes ``start_up_s`` more. An ask takes ``ask_s``,
    or the CPU seconds that it really took if that is ``None``.
    """

    workers: int
    ends_s: float
    epochs: int
    start_up_s: float = START_UP_S
    ask_s: float | None = None


@dataclass(frozen=True)
class Interval:
    """What a worker did from ``begins_s`` to ``ends_s``: asked, and trained
    ``trial`` from after epoch ``first`` to the end of epoch ``last``.
    """

    worker: int
    begins_s: float
    ends_s: float
    trial: int
    first: int
    last: int


@dataclass(frozen=True)
class Ended:
    """A trial that was trained to its end, at ``now_s``: its cost, and the F1 of its
    best epoch as ``measured`` and without that epoch's noise (``true``).
    """

    now_s: float
    trial: int
    cost: float
    measured: float
    true: float


@dataclass
class Replay:
    """All that happened."""

    intervals: list[Interval] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    ask_s: float = 0.0


@dataclass
class _Trial:
    """A trial, and how far it is; ``worker`` is the one that has it, or had it last."""

    step: Step
    curve: Curve
    cost: float
    epoch: int = 0
    is_running: bool = False
    worker: int = -1


class Simulator:
    """One replay of a policy in a world."""

    def __init__(self, policy: Policy, world: World, limits: Limits) -> None:
        self.policy = policy
        self.world = world
        self.limits = limits
        self.replay = Replay()
        self._trials: dict[int, _Trial] = {}
        # What each worker had last.
        self._last: dict[int, int] = {}
        # When steps end: the seconds, a number for those of the same time, the worker.
        self._events: list[tuple[float, int, int]] = []
        self._running: dict[int, Interval] = {}
        self._waiting: list[int] = list(range(limits.workers))
        self._count = 0

    def run(self) -> Replay:
        """Everything up to the end of the time.

        Raises ``ValueError`` for a step that cannot be done. A policy that has every
        worker wait ends the replay.
        """
        self._ask_waiting(0.0)
        while self._events:
            now_s, _, worker = heapq.heappop(self._events)
            if now_s > self.limits.ends_s:
                break
            took_s = self._end_step(worker, now_s)
            # It asks before those that wait, and is waiting itself if it gets nothing.
            self._waiting.insert(0, worker)
            self._ask_waiting(now_s, took_s)
        return self.replay

    def _ask_waiting(self, now_s: float, took_s: float = 0.0) -> None:
        waiting, self._waiting = self._waiting, []
        for worker in waiting:
            step, asked_s = self._time(partial(self.policy.ask, worker, now_s))
            if step is None:
                self._waiting.append(worker)
            else:
                self._begin_step(worker, step, now_s, asked_s + took_s)
            took_s = 0.0

    def _begin_step(
        self, worker: int, step: Step, now_s: float, asked_s: float
    ) -> None:
        trial = self._find_trial(step)
        seconds = float(trial.curve.seconds[trial.epoch : step.until].sum())
        if trial.epoch == 0:
            seconds += trial.curve.begin_s
        if trial.epoch == 0 or self._last.get(worker) != step.trial:
            seconds += self.limits.start_up_s
        trial.is_running = True
        self._last[worker] = step.trial
        ends_s = now_s + asked_s + seconds
        self._running[worker] = Interval(
            worker, now_s, ends_s, step.trial, trial.epoch, step.until
        )
        self._count += 1
        heapq.heappush(self._events, (ends_s, self._count, worker))

    def _find_trial(self, step: Step) -> _Trial:
        if step.trial not in self._trials:
            curve = self.world.train(step.params, step.seed)
            cost = self.world.cost(step.params)
            self._trials[step.trial] = _Trial(step, curve, cost)
        trial = self._trials[step.trial]
        if trial.is_running:
            raise ValueError(f"trial {step.trial} is in another worker's hands")
        if (step.params, step.seed) != (trial.step.params, trial.step.seed):
            raise ValueError(f"trial {step.trial} has another configuration or seed")
        if not trial.epoch < step.until <= self.limits.epochs:
            raise ValueError(
                f"trial {step.trial} is after epoch {trial.epoch}; it cannot be "
                f"trained until {step.until}"
            )
        trial.step = step
        return trial

    def _end_step(self, worker: int, now_s: float) -> float:
        """Tell the policy; returns the seconds that it thought."""
        interval = self._running.pop(worker)
        self.replay.intervals.append(interval)
        trial = self._trials[interval.trial]
        trial.is_running = False
        trial.epoch = interval.last
        if trial.epoch == self.limits.epochs:
            self.replay.ended.append(_end(trial, now_s))
        outcome = Outcome(
            step=trial.step,
            f1=trial.curve.measured[: trial.epoch].tolist(),
            cost=trial.cost,
            step_s=interval.ends_s - interval.begins_s,
            epochs_s=float(trial.curve.seconds[: trial.epoch].sum()),
            begin_s=trial.curve.begin_s,
            now_s=now_s,
        )
        _, took_s = self._time(partial(self.policy.tell, worker, outcome))
        return took_s

    def _time(self, think: Callable[[], Thought]) -> tuple[Thought, float]:
        """What ``think`` returns, and the seconds that count for it."""
        started_s = time.process_time()
        result = think()
        took_s = self.limits.ask_s
        if took_s is None:
            took_s = time.process_time() - started_s
        self.replay.ask_s += took_s
        return result, took_s


def _end(trial: _Trial, now_s: float) -> Ended:
    curve = trial.curve
    best = int(curve.measured.argmax())
    return Ended(
        now_s,
        trial.step.trial,
        trial.cost,
        float(curve.measured[best]),
        float(curve.true[best]),
    )
