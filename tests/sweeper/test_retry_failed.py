"""Trials that failed run again once their cause is mended, under their own numbers."""

import optuna
import pytest

from sweeper.test_faults import run

# The same configuration, whatever the environment says.
AGAIN = "hydra.sweeper.retry_failed=true"
SWEEP = (
    "kind=${oc.env:KIND}",
    "+x=interval(0,1)",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.n_trials=3",
)


def list_states(trials: list[optuna.trial.FrozenTrial]) -> list[str]:
    return [trial.state.name for trial in trials]


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_trials_that_failed_run_again_with_their_numbers_and_draws(
    tmp_path, monkeypatch, n_jobs
):
    sweep = (*SWEEP, f"hydra.sweeper.n_jobs={n_jobs}")
    monkeypatch.setenv("KIND", "raise")
    broken, _ = run(tmp_path, *sweep)
    monkeypatch.setenv("KIND", "fine")
    mended, output = run(tmp_path, *sweep, AGAIN)

    assert list_states(broken) == ["FAIL"] * 3
    assert list_states(mended) == ["COMPLETE"] * 3
    assert [trial.params for trial in mended] == [trial.params for trial in broken]
    assert "3 failed trials run again" in output


def test_without_the_option_the_command_says_how_failed_trials_run_again(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KIND", "raise")
    run(tmp_path, *SWEEP)
    monkeypatch.setenv("KIND", "fine")
    trials, output = run(tmp_path, *SWEEP)

    assert list_states(trials) == ["FAIL"] * 3
    assert "3 of them failed; once the cause is mended, " in output
    assert "hydra.sweeper.retry_failed=true runs those again" in output
