"""What the card and the recipe of an exported model say: how it was trained, what it
scored, and the commands that make it again.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.commands.export_request import Request
from paretune.commands.parsing import format_count
from paretune.confirmation import Confirmation
from paretune.deploy.c_input import DEFAULT_INPUT, CInput

if TYPE_CHECKING:
    from paretune.commands.recipe_writing import Described
    from paretune.deploy.model import Deployable
    from paretune.front import Point


def describe_training(model: "Deployable") -> str:
    """Which network was trained on which data, in words."""
    point = model.point
    return (
        f"{point.family}, {point.params:,} parameters, trained on {point.data} with "
        "Paretune"
    )


def describe_model(model: "Deployable") -> dict[str, object]:
    """Facts that are kept in the ONNX file, for whoever reads it."""
    point = model.point
    return {
        "family": point.family,
        "params": point.params,
        "data": point.data,
        "run": point.run_id,
        "ink_share": model.ink_share,
        "fits_by": model.fits_by,
        "class_names": model.class_names,
        "values": asdict(model.values) if model.values else None,
    }


def describe_difference(model: "Deployable", difference: float) -> str:
    """How far a file's logits are from torch's at most, in words."""
    return (
        f"{len(model.samples):,} test images, same class for all, logits within "
        f"{difference:.1g}"
    )


def describe_recipe(model: "Deployable", name: str, request: Request) -> "Described":
    """How the model was trained, for a recipe of this ``name``."""
    from paretune.commands.recipe_writing import Described
    from paretune.deploy.card import remove_folders

    facts = [describe_training(model)]
    for score, value in describe_scores(request).items():
        facts.append(f"{score} {value}")
    return Described(name, remove_folders(model.point), [f"{'; '.join(facts)}."])


def describe_scores(request: Request) -> dict[str, str]:
    """Scores by what they are; weights of the search, not of a confirmation, have no
    test score of their own.
    """
    from paretune.reports.confirmed import format_mean_and_sd

    confirmation = request.confirmation
    if confirmation is None:
        return {
            "validation F1 in the search": f"{request.point.f1:.4f}",
            "test F1": "not confirmed yet: paretune confirm reads the test set",
        }
    others = "" if request.options.confirmed else " of other weights, trained again"
    seeds = format_count(confirmation["seeds"], "seed")
    accuracy = format_mean_and_sd(confirmation, "test_accuracy")
    return {
        "validation F1 in the search": f"{confirmation['val_f1']:.4f}",
        f"test F1{others}": _describe_test_f1(confirmation),
        f"test accuracy{others}": f"{accuracy} over {seeds}",
    }


def _describe_test_f1(confirmation: Mapping[str, Any]) -> str:
    """The test F1 over the seeds, and of several the interval of their mean."""
    from paretune.reports.confirmed import INTERVAL, format_mean_and_sd

    mean = format_mean_and_sd(confirmation, "test_f1")
    seeds = format_count(confirmation["seeds"], "seed")
    text = f"{mean} over {seeds} ({confirmation['how']})"
    if confirmation["seeds"] > 1:
        low, high = confirmation["test_f1_low"], confirmation["test_f1_high"]
        text += f", {INTERVAL} {low:.4f} to {high:.4f}"
    return text


def list_commands(name: str, request: Request) -> list[str]:
    """The commands that make the model again, in a file of that ``name``."""
    options = request.options
    sweep = shlex.quote(options.sweep)
    run = f"--run {request.point.run_id[:8]}"
    file = shlex.quote(name)
    if options.c:
        file += f" --c{_format_c_input(options.c_input)}"
    if options.int8:
        file += " --int8"
    confirm = f"paretune confirm {sweep} {run}"
    confirmation = request.exported_confirmation
    if not confirmation:
        return [confirm, f"paretune export {sweep} {run} {file}"]
    flags = " ".join(_list_flags(request.point, confirmation))
    return [f"{confirm} {flags}", f"paretune export {sweep} --confirmed {run} {file}"]


def _format_c_input(c_input: CInput) -> str:
    """The options that ask for this input, as far as it is not the default one."""
    text = ""
    if c_input.order != DEFAULT_INPUT.order:
        text += f" --input-layout {c_input.order}"
    if c_input.numbers != DEFAULT_INPUT.numbers:
        text += f" --input {c_input.numbers}"
    return text


def _list_flags(point: "Point", confirmation: Mapping[str, Any]) -> Iterator[str]:
    """The options that confirm a point in the same way again."""
    way = Confirmation.read(confirmation["how"])
    yield f"--seeds {confirmation['seeds']}"
    yield f"--epochs {way.epochs}"
    if way.sees_validation:
        yield f"--train-on {way.train_on}"
    teacher = point.config["trainer"].get("distillation", {}).get("teacher")
    if teacher:
        yield f"--teacher {shlex.quote(Path(teacher).name)}"
    if way.int8:
        yield "--int8"
    for line in way.settings:
        yield f"--set {shlex.quote(line)}"
