"""What submitit is told of Slurm jobs; needs no Slurm."""

from hydra_plugins.paretune_sweeper._slurm import QueueWatcher


def test_jobs_that_the_queue_has_no_more_are_done():
    watcher = QueueWatcher(delay_s=15)
    for job in ("41", "42_0", "43_1"):
        watcher.register_job(job)
    watcher._make_command()
    watcher.register_job("44")  # after the queue was asked
    known = watcher.read_info("41|RUNNING|n1\n43_1|PENDING|\n99|RUNNING|n2\n")
    watcher._info_dict.update(known)

    assert {job: known[job]["State"] for job in known} == {
        "41": "RUNNING",
        "42_0": "GONE",
        "43_1": "PENDING",
    }
    assert watcher.is_done("42_0", mode="cache")
    assert not watcher.is_done("44", mode="cache")
    assert not watcher.is_done("43_1", mode="cache")
