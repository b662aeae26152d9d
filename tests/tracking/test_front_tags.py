import pytest
from recording import finished, start_sweep

from paretune.front import front_volume


def test_the_tag_of_the_front_stays_true_while_trials_come_in(store):
    start_sweep(store)
    ids = [
        finished(store, n, *pair)
        for n, pair in enumerate([(100, 0.8), (200, 0.9), (50, 0.85), (200, 0.7)])
    ]
    tags = [store.client.get_run(run_id).data.tags["front"] for run_id in ids]

    assert tags == ["false", "true", "true", "false"]


def test_the_parent_has_the_volume_of_the_front_over_the_trials(store):
    parent = start_sweep(store)
    for number, pair in enumerate([(100, 0.8), (50, 0.85), (200, 0.7)]):
        finished(store, number, *pair)
    history = store.client.get_metric_history(parent.run_id, "hypervolume")
    expected = front_volume([50], [0.85], 1000)

    assert [point.step for point in history] == [0, 1, 2]
    assert (
        history[0].value
        < history[1].value
        == history[2].value
        == pytest.approx(expected)
    )


def test_trials_that_end_out_of_turn_leave_the_parent_with_the_figures_of_all(store):
    parent = start_sweep(store)
    for number, pair in ((1, (100, 0.8)), (0, (50, 0.85))):
        finished(store, number, *pair)
    parent.finish("FINISHED", {}, ())

    latest = store.client.get_run(parent.run_id).data.metrics
    assert latest["hypervolume"] == pytest.approx(front_volume([50], [0.85], 1000))
