"""``paretune predict``: the class of pictures, by a model that paretune export wrote.

A picture of the model's own size is taken as it is. Any other is cut to its ink, scaled
and centred, as MNIST's images were, or, for a model of your own pictures, scaled. Where
ink counts, a picture with a bright border is taken for dark on bright and inverted:
--invert and --no-invert decide that for all.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.mistakes import FILE_ERRORS, exit_on_mistake, tell_mistakes
from paretune.commands.parsing import parser_of
from paretune.errors import ParetuneError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paretune.deploy.picture import Placed

__all__ = ["cli"]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    parser = parser_of("paretune predict", __doc__)
    parser.add_argument(
        "model", type=Path, help="file that paretune export wrote, such as model.onnx"
    )
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="+",
        help="picture files, or IDX files, which may hold many",
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
    options = parser.parse_args(arguments)
    with exit_on_mistake("paretune predict"):
        _predict(options)


def _predict(options: argparse.Namespace) -> None:
    import numpy as np

    from paretune.deploy.picture import place, read_pictures
    from paretune.deploy.runtime import Runtime

    runtime = Runtime(options.model)
    unread: list[Exception] = []
    for path in options.pictures:
        try:
            found = [
                place(name, picture, runtime.placing, options.invert)
                for name, picture in read_pictures(path)
            ]
        except (ParetuneError, *FILE_ERRORS) as error:
            unread.append(error)
            continue
        probabilities = runtime.probabilities(
            np.stack([picture.image for picture in found])
        )
        for picture, row in zip(found, probabilities, strict=True):
            print(_answer(picture, row, runtime.class_names, options.json))
    tell_mistakes("paretune predict", unread)


def _answer(
    picture: "Placed", row: "NDArray[np.float32]", names: Sequence[str], as_json: bool
) -> str:
    """The line of a picture, by its classes' probabilities ``(classes,)``."""
    best = int(row.argmax())
    if not as_json:
        return f"{picture.name}: {names[best]} ({row[best]:.1%}; {picture.steps})"
    shares = [round(float(share), 6) for share in row]
    return json.dumps(
        {
            "picture": picture.name,
            "class": best,
            "name": names[best],
            "probabilities": shares,
            "steps": picture.steps,
        }
    )
