"""How far it is from the command to the first optimizer step."""

import traceback
from pathlib import Path

import paretune
from paretune.training.module import Classifier

SOURCE = Path(paretune.__file__).parents[1]


def test_the_journey_from_the_command_to_the_first_step_is_short(command, monkeypatch):
    """At most twelve functions of Paretune in seven files are on the stack; docs/architecture.md draws them."""
    stacks: list[list[traceback.FrameSummary]] = []
    step = Classifier._optimize

    def watched(self: Classifier, *arguments: object) -> None:
        stacks.append([*traceback.extract_stack()])
        step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Classifier, "_optimize", watched)
    command("-m", "data=digits", "data.splitting.train_size=200", "trainer.max_epochs=1", "model=dense", "name=small",
            "hydra.sweeper.n_trials=1")  # fmt: skip
    journey = [(Path(frame.filename).name, frame.name) for frame in stacks[0] if SOURCE in Path(frame.filename).parents]
    journey.append(("module.py", "_optimize"))

    assert len(journey) <= 12, journey
    assert len({file for file, _ in journey}) <= 7, journey
