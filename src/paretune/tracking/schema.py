"""The names under which runs are kept: of tags, states, metrics and files.

Stores, spools and queries hold them. Under another name, what earlier versions wrote
would not be found.
"""

from enum import StrEnum

from paretune.costs import COSTS, PARAMS

# Characters of a tag that every MLflow keeps; it cuts off the rest.
LONGEST_VALUE = 5000
LONGEST_ERROR = 500  # characters of an error that a tag holds


class Tag:
    """Names of tags."""

    KIND = "kind"  # see :class:`RunKind`
    SWEEP = "sweep"
    TRIAL = "trial"  # its number
    STUDY = "study"  # id of the study that the sweep's trials are of
    ATTEMPT = "attempt"
    STATE = "state"  # see :class:`State`
    FRONT = "front"  # true or false
    FAMILY = "family"
    # The option of the config group that the model came from, such as squeeze.
    MODEL = "model"
    DATA = "data"
    # JSON; what is beyond MLflow's longest value is in config.1, config.2 and so on.
    CONFIG = "config"
    LAYERS = "layers"  # of the network, in words
    LAYOUT = "layout"  # in which it was computed
    RULE = "rule"  # by which its epoch was chosen
    CAP = "cap"  # of the cost that is the objective
    COST = "cost"  # its name
    COMMAND = "command"  # that started the sweep
    ERROR = "error"
    TRACEBACK = "traceback"
    # Id of the run, or digest of the recipe, that is trained again.
    CONFIRMS = "confirms"
    SEED = "seed"
    HOW = "how"
    RECIPE = "recipe"
    # Names of what was searched that the config does not have, with their plus.
    ADDED = "added"
    # Name of the spool folder, which tells whether a run was made already.
    SPOOLED_AS = "journal"
    VERSIONS = "versions"  # of Python and the libraries
    HARDWARE = "hardware"
    # MLflow's own.
    RUN_NAME = "mlflow.runName"
    PARENT_RUN = "mlflow.parentRunId"
    DESCRIPTION = "mlflow.note.content"
    COMMIT = "mlflow.source.git.commit"


class RunKind(StrEnum):
    """Kinds of runs: values of the tag ``kind``."""

    SWEEP = "sweep"  # the parent of its trials
    TRIAL = "trial"
    # A trial's model or a recipe, trained again, and the test set read.
    CONFIRM = "confirm"
    FINISH = "finish"  # a trial's model, trained in a way that validation may choose
    RUN = "run"  # a training of its own


class State(StrEnum):
    """Ends of a trial, and its run before: values of the tag ``state``."""

    RUNNING = "running"
    COMPLETE = "complete"
    RACED = "raced"
    FAILED = "failed"
    KILLED = "killed"
    SUPERSEDED = "superseded"  # a further attempt took its place


class Status(StrEnum):
    """Ends of a run, and its course before, in MLflow's words."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Split(StrEnum):
    """The images that a model is scored on, by the beginning of the metrics' names."""

    VALIDATION = "val"
    TEST = "test"

    @property
    def f1(self) -> str:
        """The metric of the F1 there."""
        return f"{self}_f1"

    @property
    def accuracy(self) -> str:
        """The metric of the accuracy there."""
        return f"{self}_accuracy"

    @property
    def loss(self) -> str:
        """The metric of the loss there."""
        return f"{self}_loss"


N_PARAMS = PARAMS.metric
# By the costs' names.
COST_METRICS = {name: cost.metric for name, cost in COSTS.items()}
VAL_F1 = Split.VALIDATION.f1
BEST_EPOCH = "best_epoch"
SECONDS = "seconds"
IMAGES_PER_S = "images_per_s"
VAL_IMAGES = "val_images"  # that it was scored on
# Of those, as many of equal classes would tell as much: see count_effective_images.
VAL_EFFECTIVE = "val_effective_images"
VAL_F1_SE = "val_f1_se"  # a column: the standard error of the F1 on so many
# The field of a point that each metric is.
SCORES = {
    VAL_F1: "f1",
    Split.VALIDATION.accuracy: "accuracy",
    Split.VALIDATION.loss: "loss",
    BEST_EPOCH: "best_epoch",
    SECONDS: "seconds",
}
# Of a sweep, at each of its trials.
FRONT_SIZE = "front_size"
HYPERVOLUME = "hypervolume"

WEIGHTS_FILE = "weights.pt"
ANSWERS_FILE = "answers_on_test.json"  # of a training that read the test set
CONFIG_FILE = "config.yaml"
SWEEP_FILE = "sweep.yaml"


def find_cost_metric(cost: str) -> str:
    """The metric of a cost by its name; of one that only another app knows that of the
    parameters.
    """
    return COST_METRICS.get(cost, N_PARAMS)


def name_trial(sweep: str, number: int) -> str:
    """The name of the run of a trial."""
    return f"{sweep}-{number:05d}"


def tag_trial(sweep: str, number: int, attempt: int) -> dict[str, str]:
    """The tags that tell which attempt at which trial a run is of."""
    return {
        Tag.KIND: RunKind.TRIAL.value,
        Tag.SWEEP: sweep,
        Tag.TRIAL: str(number),
        Tag.ATTEMPT: str(attempt),
    }


def name_curve(metric: str) -> str:
    """The metric that has a value for each epoch."""
    return f"epoch/{metric}"
