"""``paretune export``: a model that a sweep found, as files that run without Paretune.

Writes MODEL.onnx, MODEL.safetensors, the card MODEL.md and the recipe MODEL.yaml, and
with --c the C program in the folder MODEL_c. Outputs are compared with torch on 1,000
test images (their labels are not read). All files are written, or none. With --int8
MODEL.int8.onnx (and MODEL.int8_c), too: weights and activations in whole numbers,
calibrated on 1,000 training images.
Given a folder instead of MODEL.onnx it writes every member of the front, named after
its parameters.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import CompactHydraException

from paretune import paths
from paretune.atomic import all_or_nothing
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import (
    add_query,
    add_store,
    add_trust,
    format_count,
    make_parser,
    parse_run_id,
    read_query,
    read_store_uri,
)
from paretune.confirmation import Confirmation
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_input import DEFAULT_INPUT, CInput, Numbers, Order
from paretune.errors import ConfigError, ExportError
from paretune.hints import name_example, next_command
from paretune.layers.windows import is_signal
from paretune.trust import Trust

if TYPE_CHECKING:
    import argparse

    from paretune.commands.recipe_writing import Described
    from paretune.deploy.int8_network import Quantised
    from paretune.deploy.model import Deployable
    from paretune.front import Point
    from paretune.reports.findings import SweepResults
    from paretune.reports.query import Query
    from paretune.tracking import Store

# Of the samples that the C code and the ONNX file in int8 must give the same class; of
# few of them all but one.
AGREEMENT = 0.999


@dataclass(frozen=True)
class Options:
    """A person's request.

    ``model`` is the ONNX file to write, or a folder for all members of the front.
    ``run`` is the beginning of a run's id. With ``confirmed`` weights of a confirmation
    are wanted where there is one; with ``c`` a C program that takes ``c_input``; with
    ``int8`` the model in whole numbers, too.
    """

    sweep: str
    model: Path
    query: "Query"
    run: str | None
    confirmed: bool
    c: bool
    int8: bool
    trust: Trust
    store_uri: str
    c_input: CInput = DEFAULT_INPUT


@dataclass(frozen=True)
class Request:
    """A model to export: its point, and how it was confirmed (a row of
    ``SweepResults.confirmed``), if it was.
    """

    options: Options
    point: "Point"
    confirmation: Mapping[str, Any] | None

    @property
    def exported_confirmation(self) -> Mapping[str, Any] | None:
        """The confirmation whose weights are exported; ``None`` for those of the
        search.
        """
        if self.options.confirmed:
            return self.confirmation
        return None


@dataclass(frozen=True)
class Exported:
    """The files of a model, and what its card says of it."""

    files: Sequence[Path]
    facts: Mapping[str, str]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    given = _make_parser().parse_args(arguments)
    paths.import_from_working_folder()
    with exit_on_mistake("paretune export", CompactHydraException):
        _export(_read_options(given))


def _read_options(given: "argparse.Namespace") -> Options:
    suffix = given.model.suffix
    if suffix not in (".onnx", "") or (given.run and not suffix):
        raise ConfigError(
            f"MODEL `{given.model}` does not end with .onnx; write a path such as "
            "model.onnx, or without --run a folder for all members of the front"
        )
    return Options(
        sweep=given.sweep,
        model=given.model,
        query=read_query(given, confirmed=given.confirmed),
        run=given.run,
        confirmed=given.confirmed,
        c=given.c,
        int8=given.int8,
        trust=Trust(tuple(given.trust)),
        store_uri=read_store_uri(given),
        c_input=_read_c_input(given),
    )


def _read_c_input(given: "argparse.Namespace") -> CInput:
    """What the C program is to take.

    Raises :class:`~paretune.errors.ConfigError` for a form that there is not, or if no
    program is asked for.
    """
    options = {"--input-layout": given.input_layout, "--input": given.input}
    for option, value in options.items():
        if value and not given.c:
            raise ConfigError(
                f"{option} `{value}` is about the C program; ask for it by --c, or leave "
                f"out {option}"
            )
    order = given.input_layout or DEFAULT_INPUT.order
    numbers = given.input or DEFAULT_INPUT.numbers
    return CInput(Order(order), Numbers(numbers))


def _export(options: Options) -> None:
    from paretune.reports.findings import read_results
    from paretune.tracking import Store

    store = Store(options.store_uri).open_for_reading()
    results = read_results(store, [options.sweep], options.query)
    points = _choose_points(results, options)
    for path in points:
        refuse_other_files(path)
    first = next(iter(points))
    written: list[str] = []
    with all_or_nothing(first.parent) as staged:
        for path, point in points.items():
            request = Request(options, point, results.confirmation(point.run_id))
            with _naming_model(path, among=len(points)):
                exported = export_model(request, store, staged / path.name)
            for name, fact in exported.facts.items():
                print(f"{name}: {fact}")
            written.append(_describe_files(path.parent, exported.files))
    print("\n".join(written))
    image_shape = points[first].config["model"]["image_shape"]
    example = name_example(is_signal=is_signal(image_shape))
    print(next_command("predict", str(first), example))


def _choose_points(results: "SweepResults", options: Options) -> "dict[Path, Point]":
    """The points to export by the files that they go to: one, or all members of the
    front.
    """
    from paretune.reports.pick import pick_or_refuse
    from paretune.tracking.points import points_of

    if options.model.suffix:
        run = options.run or pick_or_refuse(results)["run_id"]
        return {options.model: results.point(run)}
    return file_names(options.model, points_of(results.members, results.split))


def refuse_other_files(path: Path) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if a file that is no recipe, such as
    that of a sweep, has the name that the recipe beside the model at ``path`` is to
    have.
    """
    recipe = path.with_suffix(".yaml")
    if not recipe.is_file():
        return
    lines = recipe.read_text(encoding="utf-8", errors="replace").splitlines()
    if not any(line.startswith("recipe:") for line in lines):
        raise ConfigError(
            f"file `{recipe}` is no recipe, and the one of the model would take its "
            "place; write the model to a folder of its own, such as "
            f"{path.stem}/{path.name}"
        )


def _describe_files(folder: Path, files: Sequence[Path]) -> str:
    sizes: list[str] = []
    for file in files:
        if file.is_dir():
            names = sorted(part.name for part in file.iterdir())
            sizes.append(f"{folder / file.name}/ ({', '.join(names)})")
        else:
            sizes.append(f"{folder / file.name} ({file.stat().st_size:,} bytes)")
    return f"Written: {', '.join(sizes)}"


@contextmanager
def _naming_model(path: Path, *, among: int) -> Iterator[None]:
    """Have an error say that nothing was written, and, of several models, which one
    cannot be.
    """
    try:
        yield
    except ExportError as error:
        which = f"model `{path.name}`: " if among > 1 else ""
        raise ExportError(f"{which}{error}; no file was written") from error


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


def _load(store: "Store", run_id: str, request: Request) -> "Deployable":
    """The network that a run trained, with the config it was trained by."""
    from paretune.deploy.model import load_deployable
    from paretune.tracking import weights_of

    with weights_of(store, run_id) as path:
        return load_deployable(path, request.point, request.options.trust)


def _write_answers(store: "Store", run_id: str, picture: Path) -> str:
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
    return describe_answers(answers.confusion, picture.name)


def choose_seed(store: "Store", sweep: str, confirmation: Mapping[str, Any]) -> str:
    """The run of the seed that was best on validation; of the first seed, where the
    validation images were trained on.
    """
    from paretune.tracking import read_confirmations

    how = confirmation["how"]
    runs = read_confirmations(store, sweep)
    is_of_point = runs["confirms"] == confirmation["run_id"]
    is_same_way = runs["how"] == how
    runs = runs[is_of_point & is_same_way]
    if Confirmation.read(how).sees_validation:
        best = runs["seed"].idxmin()
    else:
        best = runs["val_f1"].idxmax()
    return str(runs.loc[best, "run_id"])


def export_model(request: Request, store: "Store", path: Path) -> Exported:
    """Write all files of a model, the ONNX file to ``path``.

    Raises :class:`~paretune.errors.ExportError` for a format that it cannot have.
    """
    from paretune.commands.recipe_writing import format_recipe
    from paretune.deploy.card import describe_costs, write_card, write_safetensors
    from paretune.deploy.onnx import write_onnx

    options = request.options
    run_id = _choose_run(store, request)
    model = _load(store, run_id, request)
    point = model.point
    card, recipe = path.with_suffix(".md"), path.with_suffix(".yaml")
    files = [path, path.with_suffix(".safetensors"), card, recipe]
    facts = {
        "family": point.family,
        "parameters": f"{point.params:,}",
        **_describe_scores(request),
        **describe_costs(model),
    }
    difference = write_onnx(model, path, _describe_model(model))
    facts["ONNX against torch"] = _describe_difference(model, difference)
    write_safetensors(model, path.with_suffix(".safetensors"))
    if options.c:
        floats = CFiles.beside(path, options.c_input)
        files.append(floats.folder)
        facts |= _write_c(model, floats)
    if options.int8:
        files.append(path.with_suffix(".int8.onnx"))
        quantised, said = _write_int8(model, path)
        facts |= said
    if options.int8 and options.c:
        whole = path.with_suffix(".int8.onnx")
        wholes = CFiles.beside(whole, options.c_input, is_whole=True)
        files.append(wholes.folder)
        facts |= _write_c_int8(quantised, model, whole, wholes)
    training = _describe_recipe(model, recipe.stem, request)
    recipe.write_text(format_recipe(training), encoding="utf-8")
    again = f"{training.command}  # with {recipe.name} in conf/recipe"
    commands = [*_list_commands(path.name, request), again]
    picture = path.with_name(f"{path.stem}_answers.png")
    answers = _write_answers(store, run_id, picture)
    if answers:
        files.append(picture)
    write_card(model, card, facts, commands, answers)
    return Exported(files, facts)


def _describe_recipe(model: "Deployable", name: str, request: Request) -> "Described":
    """How the model was trained, for a recipe of this ``name``."""
    from paretune.commands.recipe_writing import Described
    from paretune.deploy.card import remove_folders

    facts = [_describe_training(model)]
    for score, value in _describe_scores(request).items():
        facts.append(f"{score} {value}")
    return Described(name, remove_folders(model.point), [f"{'; '.join(facts)}."])


def _describe_model(model: "Deployable") -> dict[str, object]:
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


def _describe_difference(model: "Deployable", difference: float) -> str:
    return (
        f"{len(model.samples):,} test images, same class for all, logits within "
        f"{difference:.1g}"
    )


def _write_c(model: "Deployable", files: "CFiles") -> dict[str, str]:
    """Write the C program; returns what the card says of it."""
    from paretune.deploy.c_float import write_c
    from paretune.deploy.c_program import describe_program

    difference = write_c(
        model, files, f"{_describe_training(model)} (run {model.point.run_id})."
    )
    layout = model.layout(model.logits().shape[1], files.c_input)
    return {
        "C input": f"{files.c_input.ctype}, {layout.range}: {layout.order}",
        "C against torch": _describe_difference(model, difference),
        "C program": describe_program(files),
    }


def _describe_training(model: "Deployable") -> str:
    point = model.point
    return (
        f"{point.family}, {point.params:,} parameters, trained on {point.data} with "
        "Paretune"
    )


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

    sizes = write_c_int8(operations, model, files, f"{_describe_training(model)}.")
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


def _list_commands(name: str, request: Request) -> list[str]:
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


def _describe_scores(request: Request) -> dict[str, str]:
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


def _make_parser() -> "argparse.ArgumentParser":
    parser = make_parser("paretune export", __doc__)
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument(
        "model",
        type=Path,
        help="file to write, such as model.onnx (the others go beside it), or a folder",
    )
    add_query(parser)
    parser.add_argument(
        "--run",
        type=parse_run_id,
        metavar="ID",
        help="this run, by the start of its id",
    )
    parser.add_argument(
        "--confirmed",
        action="store_true",
        help="choose by confirmed test F1; weights of the seed best on validation",
    )
    parser.add_argument(
        "--c",
        action="store_true",
        help="a C program for microcontrollers, too: the folder MODEL_c",
    )
    parser.add_argument(
        "--input-layout",
        choices=list(Order),
        help="of what the C program takes: channel after channel (chw, the default), "
        "pixel after pixel (hwc), or 16 bits a pixel (rgb565)",
    )
    parser.add_argument(
        "--input",
        choices=list(Numbers),
        help="what the C program takes: bytes, 0 to 255 (pixels, the default), or "
        "floats, 0 to 1",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="in whole numbers, too: a quarter of the memory",
    )
    add_trust(parser)
    add_store(parser)
    return parser
