"""How far it is from the command to the first optimizer step."""

import traceback
from pathlib import Path

import paretune
from paretune.training.distillation import Distillation

SOURCE = Path(paretune.__file__).parents[1]


def test_the_journey_from_the_command_to_the_first_step_is_short(command, monkeypatch):
    """At most thirteen functions of Paretune in seven files are on the stack;
    docs/architecture.md draws them.
    """
    stacks: list[list[traceback.FrameSummary]] = []
    loss = Distillation.compute_loss

    def watched(*arguments, **settings):
        stacks.append([*traceback.extract_stack()])
        return loss(*arguments, **settings)

    monkeypatch.setattr(Distillation, "compute_loss", watched)
    command(
        "-m",
        "data=digits",
        "data.splitting.train_size=200",
        "trainer.max_epochs=1",
        "model=dense",
        "trainer.restarts.starts=1",
        "name=small",
        "hydra.sweeper.n_trials=1",
    )
    own = [frame for frame in stacks[0] if SOURCE in Path(frame.filename).parents]
    journey = [f"{Path(frame.filename).name}:{frame.name}" for frame in own]

    assert journey[-1] == "module.py:_make_step"
    assert len(journey) <= 13, journey
    assert len({frame.filename for frame in own}) <= 7, journey
