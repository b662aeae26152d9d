"""The files of an exported model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.commands.export_facts import (
    describe_difference,
    describe_model,
    describe_recipe,
    describe_scores,
    describe_training,
    list_commands,
)
from paretune.commands.export_request import Request
from paretune.confirmation import Confirmation
from paretune.deploy.c_files import CFiles
from paretune.errors import ExportError

if TYPE_CHECKING:
    from paretune.deploy.int8_network import Quantised
    from paretune.deploy.model import Deployable
    from paretune.front import Point
    from paretune.tracking import Store

# Of the samples that the C code and the ONNX file in int8 must give the same class; of
# few of them all but one.
AGREEMENT = 0.999


@dataclass(frozen=True)
class Exported:
    """The files of a model, and what its card says of it."""

    files: Sequence[Path]
    facts: Mapping[str, str]


def export_model(request: Request, store: "Store", path: Path) -> Exported:
    """Write all files of a model, the ONNX file to ``path``.

    Raises :class:`~paretune.errors.ExportError` for a format that it cannot have.
    """
    run_id = _choose_run(store, request)
    writing = _Writing(request, _load(store, run_id, request), path)
    writing.write_networks()
    if request.options.c:
        writing.write_c()
    if request.options.int8:
        writing.write_int8()
    recipe = writing.write_recipe()
    answers = _write_answers(store, run_id, writing.picture, request)
    writing.write_card(answers, recipe)
    return Exported(writing.files, writing.facts)


@dataclass
class _Writing:
    """The ``files`` of a ``model`` as they are written, the ONNX file to ``path``, and
    the ``facts`` that its card says.
    """

    request: Request
    model: "Deployable"
    path: Path
    files: list[Path] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def picture(self) -> Path:
        """The picture of what it gets wrong."""
        return name_picture(self.path)

    def write_networks(self) -> None:
        """Write the network as ONNX and as safetensors."""
        from paretune.deploy.card import describe_costs, write_safetensors
        from paretune.deploy.onnx import write_onnx

        point = self.model.point
        self.facts |= {
            "family": point.family,
            "parameters": f"{point.params:,}",
            **describe_scores(self.request),
            **describe_costs(self.model),
        }
        difference = write_onnx(self.model, self.path, describe_model(self.model))
        said = describe_difference(self.model, difference)
        self.facts["ONNX against torch"] = said
        weights = self.path.with_suffix(".safetensors")
        write_safetensors(self.model, weights)
        self.files += [self.path, weights]

    def write_c(self) -> None:
        """Write the C program in floats."""
        floats = CFiles.beside(self.path, self.request.options.c_input)
        self.facts |= _write_c(self.model, floats)
        self.files.append(floats.folder)

    def write_int8(self) -> None:
        """Write the network in whole numbers, and its C program if one is asked for."""
        options = self.request.options
        whole = self.path.with_suffix(".int8.onnx")
        quantised, said = _write_int8(self.model, self.path)
        self.facts |= said
        self.files.append(whole)
        if options.c:
            wholes = CFiles.beside(whole, options.c_input, is_whole=True)
            self.facts |= _write_c_int8(quantised, self.model, whole, wholes)
            self.files.append(wholes.folder)

    def write_recipe(self) -> str:
        """Write the recipe; returns the command that trains by it."""
        from paretune.commands.recipe_writing import format_recipe

        recipe = self.path.with_suffix(".yaml")
        training = describe_recipe(self.model, recipe.stem, self.request)
        recipe.write_text(format_recipe(training), encoding="utf-8")
        self.files.append(recipe)
        return f"{training.command}  # with {recipe.name} in conf/recipe"

    def write_card(self, answers: str, command: str) -> None:
        """Write the card, with what it says of the ``answers`` that the picture shows,
        and the ``command`` that trains by the recipe.
        """
        from paretune.deploy.card import write_card

        card = self.path.with_suffix(".md")
        commands = [*list_commands(self.path.name, self.request), command]
        write_card(self.model, card, self.facts, commands, answers)
        self.files.append(card)
        if answers:
            self.files.append(self.picture)


def file_names(folder: Path, points: "Sequence[Point]") -> "dict[Path, Point]":
    """The points by their files in ``folder``: their parameter counts, and the starts
    of their runs' ids where these are equal.
    """
    alike = Counter(point.params for point in points)
    files = {}
    for point in points:
        stem = str(point.params)
        if alike[point.params] > 1:
            stem += f"-{point.run_id[:8]}"
        files[folder / f"{stem}.onnx"] = point
    return files


def _choose_run(store: "Store", request: Request) -> str:
    """The run whose weights are exported."""
    if request.exported_confirmation:
        sweep = request.options.sweep
        return choose_seed(store, sweep, request.exported_confirmation)
    return request.point.run_id


def choose_seed(store: "Store", sweep: str, confirmation: Mapping[str, Any]) -> str:
    """The run of the seed that was best on validation; of the first seed, where the
    validation images were trained on.
    """
    from paretune.tracking import read_confirmations, select_way

    how = confirmation["how"]
    runs = select_way(read_confirmations(store, sweep), confirmation["run_id"], how)
    best: Any
    if Confirmation.read(how).sees_validation:
        best = runs["seed"].idxmin()
    else:
        best = runs["val_f1"].idxmax()
    return str(runs.loc[best, "run_id"])


def _load(store: "Store", run_id: str, request: Request) -> "Deployable":
    """The network that a run trained, with the config it was trained by."""
    from paretune.deploy.model import load_deployable
    from paretune.tracking import weights_of

    with weights_of(store, run_id) as path:
        return load_deployable(path, request.point, request.options.trust)


def name_picture(path: Path) -> Path:
    """The picture of what the model at ``path`` gets wrong."""
    return path.with_name(f"{path.stem}_answers.png")


def _write_answers(store: "Store", run_id: str, picture: Path, request: Request) -> str:
    """What the card says of the answers of these weights on the test images, which the
    ``picture`` shows; nothing if they were not asked.
    """
    from paretune.deploy.card import describe_answers
    from paretune.reports.answers_figure import draw_answers
    from paretune.tracking import read_answers

    answers = read_answers(store, run_id)
    if answers is None:
        return ""
    draw_answers(answers, picture)
    confirmation = request.exported_confirmation
    int8 = confirmation is not None and Confirmation.read(confirmation["how"]).int8
    return describe_answers(answers.confusion, picture.name, int8=int8)


def _write_c(model: "Deployable", files: "CFiles") -> dict[str, str]:
    """Write the C program; returns what the card says of it."""
    from paretune.deploy.c_float import write_c
    from paretune.deploy.c_program import describe_program

    difference = write_c(
        model, files, f"{describe_training(model)} (run {model.point.run_id})."
    )
    layout = model.layout(model.logits().shape[1], files.c_input)
    return {
        "C input": f"{files.c_input.ctype}, {layout.range}: {layout.order}",
        "C against torch": describe_difference(model, difference),
        "C program": describe_program(files),
    }


def _write_int8(model: "Deployable", path: Path) -> "tuple[Quantised, dict[str, str]]":
    """Write the model in int8 beside ``path``; returns its operations, and what the
    card says of it.
    """
    from paretune.deploy.int8 import score, write_int8

    assert model.validation
    whole = path.with_suffix(".int8.onnx")
    operations = write_int8(model, path, whole)
    before = score(path, model.validation)["f1"]
    after = score(whole, model.validation)["f1"]
    scores = f"{after:.4f} ({before:.4f} in float32, these weights)"
    return operations, {"validation F1 in int8": scores}


def _write_c_int8(
    operations: "Quantised", model: "Deployable", whole: Path, files: "CFiles"
) -> dict[str, str]:
    """Write the program of the file in int8 ``whole``; returns what the card says of
    it.
    """
    from paretune.deploy.c_int8 import write_c_int8
    from paretune.deploy.c_program import describe_program

    sizes = write_c_int8(operations, model, files, f"{describe_training(model)}.")
    same = _count_same_classes(model, whole, files)
    return {
        "int8 RAM": f"{sizes.ram_bytes:,} bytes: the image and the activations",
        "int8 flash for weights": (
            f"{sizes.flash_bytes:,} bytes with factors and shifts; the code comes on "
            "top"
        ),
        "int8 program": describe_program(files),
        "int8 C against ONNX": f"{same:,} of {len(model.samples):,} test images get the same class",
    }


def _count_same_classes(model: "Deployable", whole: Path, files: "CFiles") -> int:
    """Samples to which the program and the ONNX file in int8 give the same class.

    Raises :class:`~paretune.errors.ExportError` for fewer than :data:`AGREEMENT` of
    them, where that is more than one that differs.
    """
    from paretune.deploy.c_images import encode, see
    from paretune.deploy.c_program import run_c
    from paretune.deploy.model import count_same_classes
    from paretune.deploy.runtime import Runtime

    images = model.samples.numpy()
    logits = Runtime(whole).logits(see(images, files.c_input))
    classes = run_c(files, encode(images, files.c_input)).argmax(1)
    same = count_same_classes(classes, logits)
    if not is_agreement(same, len(images)):
        raise ExportError(
            f"the C program in int8 gives {same:,} of {len(images):,} images the class "
            "of the ONNX file; "
            f"expected {AGREEMENT:.1%}; please report the model's config"
        )
    return same


def is_agreement(same: int, images: int) -> bool:
    """Whether two files give the ``same`` class to enough of so many images."""
    return same >= min(AGREEMENT * images, images - 1)
