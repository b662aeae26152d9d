"""``paretune export``: a model that a sweep found, as files that run without Paretune.

Writes MODEL.onnx, MODEL.safetensors, the card MODEL.md and the recipe MODEL.yaml, and
with --c the C program in the folder MODEL_c. Outputs are compared with torch on 1,000
test images (their labels are not read). All files are written, or none. With --int8
MODEL.int8.onnx (and MODEL.int8_c), too: weights and activations in whole numbers,
calibrated on 1,000 training images.
Given a folder instead of MODEL.onnx it writes every member of the front, named after
its parameters.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import CompactHydraException

from paretune import paths
from paretune.atomic import all_or_nothing
from paretune.commands.export_files import export_model, file_names, name_picture
from paretune.commands.export_request import Options, Request
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import (
    add_query,
    add_store,
    add_trust,
    make_parser,
    parse_run_id,
    read_query,
    read_store_uri,
)
from paretune.deploy.c_input import DEFAULT_INPUT, CInput, Numbers, Order
from paretune.errors import ConfigError, ExportError
from paretune.hints import name_example, next_command
from paretune.layers.windows import is_signal
from paretune.trust import Trust

if TYPE_CHECKING:
    import argparse

    from paretune.front import Point
    from paretune.reports.findings import SweepResults


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
    stale: list[Path] = []  # pictures of what was exported before, of other weights
    with all_or_nothing(first.parent) as staged:
        for path, point in points.items():
            request = Request(options, point, results.confirmation(point.run_id))
            with _naming_model(path, among=len(points)):
                exported = export_model(request, store, staged / path.name)
            for name, fact in exported.facts.items():
                print(f"{name}: {fact}")
            written.append(_describe_files(path.parent, exported.files))
            picture = name_picture(path)
            if picture.name not in {file.name for file in exported.files}:
                stale.append(picture)
    for picture in stale:
        picture.unlink(missing_ok=True)
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
    _add_formats(parser)
    add_trust(parser)
    add_store(parser)
    return parser


def _add_formats(parser: "argparse.ArgumentParser") -> None:
    """The options that ask for more than ONNX."""
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
