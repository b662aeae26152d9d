"""``paretune export``: a model that a sweep found, as files that run without Paretune.

Writes MODEL.onnx, MODEL.safetensors and the card MODEL.md, and with --c the C header MODEL.h. Outputs are compared with
torch on 1,000 test images (their labels are not read). All files are written, or none. With --int8 MODEL.int8.onnx (and
MODEL.int8.h), too: weights and activations in whole numbers, calibrated on 1,000 training images. Given a folder instead of
MODEL.onnx it writes every member of the front, named after its parameters.
"""

import argparse
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import CompactHydraException

from paretune import paths
from paretune.atomic import all_or_nothing
from paretune.cli import add_query, add_store, add_trust, counted, exit_on_mistake, parser_of, query_of, run_id, uri_of
from paretune.confirmation import Confirmation
from paretune.errors import ConfigError, ExportError
from paretune.hints import next_command
from paretune.trust import Trust

if TYPE_CHECKING:
    from paretune.deploy.model import Deployable
    from paretune.front import Point
    from paretune.tracking import Store

AGREEMENT = 0.999  # of the samples that the C code and the ONNX file in int8 must give the same class


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    paths.import_from_working_folder()
    with exit_on_mistake("paretune export", CompactHydraException):
        _export(options)


def _export(options: argparse.Namespace) -> None:
    from paretune.reports.findings import find
    from paretune.tracking import Store
    from paretune.tracking.read import points_of

    if options.model.suffix not in (".onnx", "") or (options.run and not options.model.suffix):
        raise ConfigError(
            f"MODEL `{options.model}` does not end with .onnx; expected a path such as model.onnx, or without --run a folder for "
            f"all members of the front; name it so"
        )
    store, trust = Store(uri_of(options)).require(), Trust(tuple(options.trust))
    results = find(store, [options.sweep], query_of(options))
    if options.model.suffix:
        points = {options.model: results.point(options.run)}
    else:
        points = file_names(options.model, points_of(results.members, results.split))
    written: list[str] = []
    with all_or_nothing(next(iter(points)).parent) as staged:
        for path, point in points.items():
            confirmation = results.confirmation(point.run_id)
            run_id = point.run_id
            if confirmation and options.confirmed:
                run_id = _chosen_seed(store, options.sweep, confirmation)
            with _naming_model(path, among=len(points)):
                files = _write(_loaded(store, point, run_id, trust), staged / path.name, options, confirmation)
            sizes = [f"{path.parent / file.name} ({file.stat().st_size:,} bytes)" for file in files]
            written.append(f"Written: {', '.join(sizes)}")
    print("\n".join(written))
    print(next_command("predict", str(next(iter(points))), "PICTURE.png"))


@contextmanager
def _naming_model(path: Path, *, among: int) -> Iterator[None]:
    """Have an error say that nothing was written, and, of several models, which one cannot be."""
    try:
        yield
    except ExportError as error:
        which = f"model `{path.name}`: " if among > 1 else ""
        raise ExportError(f"{which}{error}; no file was written") from error


def file_names(folder: Path, points: "Sequence[Point]") -> "dict[Path, Point]":
    """The points by their files in ``folder``: their parameter counts, and the starts of their runs' ids where these are equal."""
    alike = Counter(point.params for point in points)
    stems = [f"{point.params}" + f"-{point.run_id[:8]}" * (alike[point.params] > 1) for point in points]
    return {folder / f"{stem}.onnx": point for stem, point in zip(stems, points, strict=True)}


def _chosen_seed(store: "Store", sweep: str, confirmation: dict[str, Any]) -> str:
    """The run of the seed that was best on validation; of the first seed, where the validation images were trained on."""
    from paretune.tracking import read_confirmations

    runs = read_confirmations(store, sweep)
    runs = runs[(runs["confirms"] == confirmation["run_id"]) & (runs["how"] == confirmation["how"])]
    is_blind = Confirmation.read(confirmation["how"]).sees_validation
    best = runs["seed"].idxmin() if is_blind else runs["val_f1"].idxmax()
    return str(runs.loc[best, "run_id"])


def _loaded(store: "Store", point: "Point", run_id: str, trust: Trust) -> "Deployable":
    """The network that a run trained, with the config it was trained by."""
    from paretune.deploy.model import deployable
    from paretune.tracking import weights_of

    with weights_of(store, run_id) as path:
        return deployable(path, point, trust)


def _write(
    model: "Deployable", path: Path, options: argparse.Namespace, confirmation: dict[str, Any] | None
) -> list[Path]:
    """Write all files of a model, the ONNX file to ``path``; prints what the card says, and returns the files."""
    from paretune.deploy.c_header import write_c
    from paretune.deploy.c_program import describe_program
    from paretune.deploy.model import costs, write_card, write_safetensors
    from paretune.deploy.onnx import write_onnx

    point = model.point
    files = {
        suffix: path.with_suffix(suffix) for suffix in (".onnx", ".safetensors", ".md", *([".h"] if options.c else []))
    }
    facts = {
        "family": point.family,
        "parameters": f"{point.params:,}",
        **_scores(point, confirmation, options.confirmed),
        **costs(model),
    }
    about = {"family": point.family, "params": point.params, "data": point.data, "run": point.run_id}
    shown = {"ink_share": model.ink_share, "fits_by": model.fits_by, "class_names": model.class_names}
    differences = {"ONNX": write_onnx(model, path, {**about, **shown})}
    write_safetensors(model, files[".safetensors"])
    if options.c:
        trained = (
            f"{point.family}, {point.params:,} parameters, trained on {point.data} with Paretune (run {point.run_id})."
        )
        differences["C"] = write_c(model, files[".h"], trained)
    same = f"{len(model.samples):,} test images, same class for all, logits within"
    facts |= {f"{name} against torch": f"{same} {difference:.1g}" for name, difference in differences.items()}
    if options.c:
        facts["C program"] = describe_program(files[".h"])
    if options.int8:
        facts |= _write_int8(model, path, files, options.c)
    write_card(model, files[".md"], facts, _commands(point, path.name, options, confirmation))
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    return [*files.values()]


def _write_int8(model: "Deployable", path: Path, files: dict[str, Path], c: bool) -> dict[str, str]:
    """Write the model in int8 beside ``path``; returns what the card says of it, and adds to ``files`` what was written."""
    from paretune.deploy.c_int8 import run_c_int8, write_c_int8
    from paretune.deploy.c_program import describe_program
    from paretune.deploy.int8 import score, write_int8
    from paretune.deploy.onnx import Runtime

    assert model.validation
    files["int8"], pixels = path.with_suffix(".int8.onnx"), (model.samples * 255).round().byte().numpy()
    operations = write_int8(model, path, files["int8"])
    before, after = (score(file, model.validation)["f1"] for file in (path, files["int8"]))
    facts = {"validation F1 in int8": f"{after:.4f} ({before:.4f} in float32, these weights)"}
    if not c:
        return facts
    header = files["int8.h"] = path.with_suffix(".int8.h")
    about = f"{model.point.family}, {model.point.params:,} parameters, trained on {model.point.data} with Paretune."
    ram_bytes, flash_bytes = write_c_int8(operations, model, header, about)
    logits = Runtime(files["int8"]).logits(model.samples.numpy())
    classes = run_c_int8(header, pixels, logits.shape[1]).argmax(1)
    same = int((classes == logits.argmax(1)).sum())
    if same < AGREEMENT * len(pixels):
        raise ExportError(
            f"the C header in int8 gives {same:,} of {len(pixels):,} images the class of the ONNX file; expected {AGREEMENT:.1%}; "
            f"please report the model's config"
        )
    return {
        **facts,
        "int8 RAM": f"{ram_bytes:,} bytes: the image and the activations",
        "int8 flash for weights": f"{flash_bytes:,} bytes with factors and shifts; the code comes on top",
        "int8 program": describe_program(header),
        "int8 C against ONNX": f"{same:,} of {len(pixels):,} test images get the same class",
    }


def _commands(point: "Point", name: str, options: argparse.Namespace, confirmation: dict[str, Any] | None) -> list[str]:
    """What a person types to have the model again, in a file of that ``name``."""
    sweep, wanted = shlex.quote(options.sweep), (" --c" if options.c else "") + (" --int8" if options.int8 else "")
    confirm, file = f"paretune confirm {sweep} --run {point.run_id[:8]}", shlex.quote(name) + wanted
    if confirmation is None or not options.confirmed:
        return [confirm, f"paretune export {sweep} --run {point.run_id[:8]} {file}"]
    way = Confirmation.read(confirmation["how"])
    flags = f"--seeds {confirmation['seeds']} --epochs {way.epochs}"
    flags += f" --train-on {way.train_on}" if way.sees_validation else ""
    teacher = point.config["trainer"].get("distillation", {}).get("teacher")
    flags += f" --teacher {shlex.quote(Path(teacher).name)}" if teacher else ""
    flags += " --int8" if way.int8 else ""
    flags += "".join(f" --set {shlex.quote(line)}" for line in way.settings)
    return [f"{confirm} {flags}", f"paretune export {sweep} --confirmed --run {point.run_id[:8]} {file}"]


def _scores(point: "Point", confirmation: dict[str, Any] | None, is_confirmed: bool) -> dict[str, str]:
    """Scores by what they are; the weights of the search, not ``is_confirmed``, have no test score of their own."""
    from paretune.reports.confirmed import mean_and_sd

    scores = {"validation F1 in the search": f"{confirmation['val_f1'] if confirmation else point.f1:.4f}"}
    if confirmation is None:
        return {**scores, "test F1": "not confirmed yet: paretune confirm reads the test set"}
    seeds = counted(confirmation["seeds"], "seed")
    interval = (
        f", 95 % {confirmation['test_f1_low']:.4f} to {confirmation['test_f1_high']:.4f}"
        if confirmation["seeds"] > 1
        else ""
    )
    others = "" if is_confirmed else " of other weights, trained again"
    return {
        **scores,
        f"test F1{others}": f"{mean_and_sd(confirmation, 'test_f1')} over {seeds} ({confirmation['how']}){interval}",
        f"test accuracy{others}": f"{mean_and_sd(confirmation, 'test_accuracy')} over {seeds}",
    }


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("paretune export", __doc__)
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument(
        "model", type=Path, help="file to write, such as model.onnx (the others go beside it), or a folder"
    )
    add_query(parser)
    parser.add_argument("--run", type=run_id, metavar="ID", help="this run, by the start of its id")
    parser.add_argument(
        "--confirmed", action="store_true", help="choose by confirmed test F1; weights of the seed best on validation"
    )
    parser.add_argument("--c", action="store_true", help="a C header for microcontrollers, too")
    parser.add_argument("--int8", action="store_true", help="in whole numbers, too: a quarter of the memory")
    add_trust(parser)
    add_store(parser)
    return parser


if __name__ == "__main__":
    cli()
