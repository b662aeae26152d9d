"""Searching a space under a cap: Optuna lives here, and only here. Nothing here knows what a trial trains."""

from paretune.search.handle import TrialHandle, current_trial

__all__ = ["TrialHandle", "current_trial"]
