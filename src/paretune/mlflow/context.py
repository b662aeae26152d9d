"""Tags of the runs that an app makes while a sweep runs its trial. MLflow asks for them
(its plugins of the kind ``mlflow.run_context_provider``), and so does the MLFlowLogger
of Lightning.
"""

from mlflow.tracking.context.abstract_context import RunContextProvider

from paretune.search import current_trial


class TrialContext(RunContextProvider):
    """Makes a run that of the current trial, below the parent run of its sweep."""

    def in_context(self) -> bool:
        """Whether a trial runs whose sweep is recorded in MLflow."""
        trial = current_trial()
        return trial is not None and bool(trial.recorded_in)

    def tags(self) -> dict[str, str]:
        """The tags; those that the app sets itself come before."""
        # MLflow imports this module in every process of the environment, where nothing
        # of ours is to set anything.
        from paretune.tracking.schema import Tag, name_trial, tag_trial

        trial = current_trial()
        if trial is None:
            return {}
        return {
            **tag_trial(trial.sweep, trial.number, trial.attempt),
            Tag.PARENT_RUN: trial.recorded_in,
            Tag.RUN_NAME: name_trial(trial.sweep, trial.number),
        }
