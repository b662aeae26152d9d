"""``paretune predict``: the class of pictures or signals, by a model that paretune
export wrote.

A picture of the model's own size is taken as it is. Any other is cut to its ink, scaled
and centred, as MNIST's images were, or, for a model of your own pictures, scaled. Where
ink counts, a picture with a bright border is taken for dark on bright and inverted:
--invert and --no-invert decide that for all. A signal is a .npy, .csv or .wav file of
the model's own length. Of a folder all files below are taken. Where their folders are
called after classes, it is told how many are right, and which mistakes the model is most
sure of.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.mistakes import (
    FILE_ERRORS,
    exit_on_mistake,
    print_mistakes,
)
from paretune.commands.parsing import make_parser
from paretune.data.file_kinds import PICTURES, SIGNALS
from paretune.deploy.answers import (
    Answer,
    count_answers,
    list_mistakes,
    write_answers,
)
from paretune.deploy.inputs import list_inputs
from paretune.errors import ConfigError, ParetuneError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from paretune.confusion import Confusion
    from paretune.deploy.placed import Placed
    from paretune.deploy.runtime import Runtime


@dataclass(frozen=True)
class Options:
    """A person's request; ``invert`` is ``None`` where each picture decides. ``csv`` is
    the table to write, if one is asked for.
    """

    model: Path
    files: tuple[Path, ...]
    invert: bool | None
    as_json: bool
    csv: Path | None


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    given = _make_parser().parse_args(arguments)
    options = Options(
        model=given.model,
        files=tuple(given.files),
        invert=given.invert,
        as_json=given.json,
        csv=given.csv,
    )
    with exit_on_mistake("paretune predict"):
        _predict(options)


def _predict(options: Options) -> None:
    """Print an answer for everything that can be read, and then a line for each file
    that cannot.
    """
    from paretune.deploy.runtime import Runtime

    runtime = Runtime(options.model)
    if _takes_signals(runtime) and options.invert is not None:
        raise ConfigError(
            "option --invert is for pictures, and the model takes signals; leave it out"
        )
    unread: list[Exception] = []
    answers: list[Answer] = []
    kind = SIGNALS if _takes_signals(runtime) else PICTURES
    for file in list_inputs(options.files, kind, runtime.class_names):
        try:
            placed = _read(file.path, runtime, options.invert)
        except (ParetuneError, *FILE_ERRORS) as error:
            unread.append(error)
        else:
            answers += _answer(placed, file.label, runtime, options)
    if options.csv:
        write_answers(answers, options.csv)
        print(f"Written to {options.csv}: {len(answers):,} rows")
    if not options.as_json:
        _print_score(answers, runtime.class_names)
    print_mistakes("paretune predict", unread)


def _takes_signals(runtime: "Runtime") -> bool:
    return runtime.placing.fits_by == "signal"


def _read(path: Path, runtime: "Runtime", invert: bool | None) -> "list[Placed]":
    """The pictures of a file, or its signal, as the model takes them."""
    if _takes_signals(runtime):
        from paretune.deploy.signal import place_signal

        return [place_signal(path, runtime.placing.shape, runtime.values)]

    from paretune.deploy.picture import place, read_pictures

    placed: list[Placed] = []
    for name, picture in read_pictures(path):
        placed.append(place(name, picture, runtime.placing, invert))
    return placed


def _answer(
    placed: "Sequence[Placed]", label: str | None, runtime: "Runtime", options: Options
) -> list[Answer]:
    """What the model says of the pictures of a file, or of its signal. It is printed,
    unless it goes into a table.
    """
    import numpy as np

    images = np.stack([picture.image for picture in placed])
    names = runtime.class_names
    kind = "signal" if _takes_signals(runtime) else "picture"
    answers: list[Answer] = []
    for picture, shares in zip(placed, runtime.probabilities(images), strict=True):
        best = int(shares.argmax())
        answers.append(Answer(picture.name, names[best], float(shares[best]), label))
        if options.as_json:
            print(_write_json(kind, picture, shares, names))
        elif not options.csv:
            print(_describe(picture, shares, names))
    return answers


def _print_score(answers: Sequence[Answer], class_names: Sequence[str]) -> None:
    """Say how many of the files whose class is known are right, class by class, and
    which mistakes the model is most sure of; nothing if none is known.
    """
    from rich.console import Console

    confusion = count_answers(answers, class_names)
    if confusion is None:
        return
    console = Console()
    console.print(_build_table(confusion))
    console.print(
        f"{confusion.count:,} of known class: accuracy {confusion.accuracy:.4f}, macro "
        f"F1 {confusion.f1:.4f}"
    )
    mistakes = list_mistakes(answers)
    if mistakes:
        console.print("The mistakes that the model is most sure of:")
    for mistake in mistakes:
        line = (
            f"  {mistake.name}: {mistake.best} ({mistake.probability:.1%}) instead of "
            f"{mistake.label}"
        )
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _build_table(confusion: "Confusion") -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    table.add_column("files", justify="right")
    table.add_column("F1", justify="right")
    table.add_column("mostly taken for")
    for part in confusion.classes:
        taken_for = f"{part.taken_for} ({part.mistakes:,})" if part.mistakes else ""
        name = escape(part.name)
        table.add_row(name, f"{part.count:,}", f"{part.f1:.4f}", escape(taken_for))
    return table


def _describe(
    picture: "Placed", shares: "NDArray[np.float32]", names: Sequence[str]
) -> str:
    """The line of a picture or signal, by its classes' probabilities ``(classes,)``."""
    best = int(shares.argmax())
    return f"{picture.name}: {names[best]} ({shares[best]:.1%}; {picture.steps})"


def _write_json(
    kind: str, picture: "Placed", shares: "NDArray[np.float32]", names: Sequence[str]
) -> str:
    """The answer of a picture or signal, whose ``kind`` is the key of its name."""
    best = int(shares.argmax())
    answer = {
        kind: picture.name,
        "class": best,
        "name": names[best],
        "probabilities": [round(float(share), 6) for share in shares],
        "steps": picture.steps,
    }
    return json.dumps(answer)


def _make_parser() -> argparse.ArgumentParser:
    parser = make_parser("paretune predict", __doc__)
    parser.add_argument(
        "model", type=Path, help="file that paretune export wrote, such as model.onnx"
    )
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="pictures, IDX files, which may hold many, signals, or folders of them",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        help="write file, class and probability to this table instead",
    )
    parser.add_argument(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="swap black and white, or never",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line, with every class's probability",
    )
    return parser
