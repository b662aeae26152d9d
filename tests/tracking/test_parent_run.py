"""The parent run of a sweep."""

from recording import start_sweep

from paretune.tracking.runs import (
    find_sweeps,
)


def test_a_sweep_started_again_has_one_parent(store):
    first, second = start_sweep(store), start_sweep(store)
    first.finish("FINISHED", {}, ())

    assert first.run_id == second.run_id
    assert [run.data.tags["sweep"] for run in find_sweeps(store)] == ["small"]


def test_the_end_of_a_sweep_closes_the_runs_of_killed_workers(store):
    """Trial 0 failed for a reason, trial 1 was cut off, a worker still has trial 2."""
    sweep = start_sweep(store)
    tags = {"kind": "trial", "sweep": "small"}
    runs = [
        store.client.create_run(
            store.experiment_id, tags={**tags, "trial": str(n)}
        ).info.run_id
        for n in range(3)
    ]
    sweep.finish("FINISHED", {0: "its worker died"}, {2})
    closed = [store.client.get_run(run_id) for run_id in runs]

    assert [run.info.status for run in closed] == ["FAILED", "KILLED", "RUNNING"]
    assert closed[0].data.tags["error"] == "its worker died"
