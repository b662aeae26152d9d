"""``paretune predict``: the class of pictures, by a model that paretune export wrote.

A picture of the model's own size is taken as it is. Any other is cut to its ink, scaled and centred, as MNIST's images were, or, for a
model of your own pictures, scaled. Where ink counts, a picture with a bright border is taken for dark on bright and inverted:
--invert and --no-invert decide that for all.
"""

import argparse
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from paretune.cli import exit_on_mistake, parser_of

__all__ = ["cli"]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    parser = parser_of("paretune predict", __doc__)
    parser.add_argument("model", type=Path, help="file that paretune export wrote, such as model.onnx")
    parser.add_argument("pictures", type=Path, nargs="+", help="PNG, JPEG or IDX files (an IDX file may hold many)")
    parser.add_argument(
        "--invert", action=argparse.BooleanOptionalAction, default=None, help="swap black and white, or never"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with every class's probability")
    options = parser.parse_args(arguments)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends this command, too
    with exit_on_mistake("paretune predict"):
        _predict(options)


def _predict(options: argparse.Namespace) -> None:
    import numpy as np

    from paretune.deploy.onnx import Runtime
    from paretune.deploy.picture import pictures, placed

    runtime = Runtime(options.model)
    found = [
        placed(name, picture, runtime.placing, options.invert)
        for path in options.pictures
        for name, picture in pictures(path)
    ]
    probabilities = runtime.probabilities(np.stack([picture.image for picture in found]))
    for picture, row in zip(found, probabilities, strict=True):
        best, names = int(row.argmax()), runtime.class_names
        if options.json:
            shares = [round(float(share), 6) for share in row]
            answer = {
                "picture": picture.name,
                "class": best,
                "name": names[best],
                "probabilities": shares,
                "steps": picture.steps,
            }
            print(json.dumps(answer))
        else:
            print(f"{picture.name}: {names[best]} ({row[best]:.1%}; {picture.steps})")


if __name__ == "__main__":
    cli()
