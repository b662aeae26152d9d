"""How much of a sweep's time its workers spend in asks: choosing what to try next."""

from optuna.study import Study
from optuna.trial import Trial

from paretune.search.storage import note, read_note
from paretune.search.study import list_finished, read_end_s

# Seconds; kept with each trial, so that those of all workers add up.
ASK_S = "ask_s"


def note_ask(study: Study, trial: Trial, seconds: float) -> None:
    """Keep with a trial how long the asks took that gave it: one for each attempt."""
    earlier_s = read_note(trial, ASK_S) or 0.0
    note(study, trial, ASK_S, round(earlier_s + seconds, 4))


def sum_asks_s(study: Study, since_s: float) -> float:
    """Seconds that asks took, by all workers, for the trials that ended after ``since_s``
    (seconds since 1970).
    """
    total_s = 0.0
    for trial in list_finished(study):
        if read_end_s(trial) >= since_s:
            total_s += read_note(trial, ASK_S) or 0.0
    return total_s


def describe_share(share: float) -> str:
    """``asks took 2 % of the time``, of a share in [0, 1]."""
    percent = 100 * min(share, 1.0)
    digits = 0 if percent >= 1 else 1
    return f"asks took {percent:.{digits}f} % of the time"
