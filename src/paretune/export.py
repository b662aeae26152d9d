"""``paretune-export``: a model that a sweep found, as files that run without Paretune.

Writes MODEL.onnx, MODEL.safetensors and the card MODEL.md, and with --c the C header MODEL.h. Outputs are compared with torch on
1,000 test images (their labels are not read) before a file is kept.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import OmegaConf

from paretune import places
from paretune.asking import add_store, add_wanted, uri_of, wanted_of
from paretune.errors import ConfigError, exit_on_mistake

if TYPE_CHECKING:
    from paretune.data.images import ImageData
    from paretune.deploy.model import Deployable
    from paretune.point import Point
    from paretune.reports.confirmed import Confirmed
    from paretune.tracking import Store

__all__ = ["cli"]

SAMPLES = 1000


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    with exit_on_mistake("paretune-export"):
        _export(options)


def _export(options: argparse.Namespace) -> None:
    from paretune.reports.findings import find
    from paretune.tracking import Store

    if options.model.suffix != ".onnx":
        message = f"MODEL `{options.model}` does not end with .onnx; expected a path such as model.onnx; name it so"
        raise ConfigError(message)
    store = Store(uri_of(options)).require()
    findings = find(store, [options.sweep], wanted_of(options), places.CONF / "references")
    point = findings.run(options.run) if options.run else findings.members[-1]
    again = next((row for row in findings.confirmed if row.point.run_id == point.run_id), None)
    model = _loaded(store, point, options.sweep if options.confirmed else None)
    _write(model, options, again)


def _loaded(store: "Store", point: "Point", confirmed_in: str | None) -> "Deployable":
    """The network of a run; of its confirmations the one that was best on validation, if they are asked for."""
    from paretune.deploy.model import Deployable, WithScaling, ink_share
    from paretune.tracking import read_confirmations, weights_of
    from paretune.training.checkpoint import load

    run_id = point.run_id
    if confirmed_in:
        own = [one for one in read_confirmations(store, confirmed_in) if one.confirms == point.run_id]
        run_id = max(own, key=lambda one: one.val_f1).run_id
    with weights_of(store, run_id) as path:
        net, config, scaling = load(path)
    data = _data(config)
    pixels = data.load_test().pixels[:SAMPLES]
    return Deployable(WithScaling(net, scaling).eval(), point, pixels / 255, ink_share(data.train.take(slice(SAMPLES))))


def _data(config: dict[str, Any]) -> "ImageData":
    data: ImageData = hydra.utils.instantiate(OmegaConf.create(places.data_now(config["data"])))
    return data


def _write(model: "Deployable", options: argparse.Namespace, again: "Confirmed | None") -> None:
    from paretune.deploy.c import write_c
    from paretune.deploy.card import costs, write_card, write_safetensors
    from paretune.deploy.onnx import write_onnx

    path: Path = options.model
    path.parent.mkdir(parents=True, exist_ok=True)
    point = model.point
    facts = {"family": point.family, "parameters": f"{point.params:,}", **_scores(point, again), **costs(model)}
    about = {
        "family": point.family,
        "params": point.params,
        "data": point.data,
        "run": point.run_id,
        "ink_share": model.ink_share,
    }
    checks = {"ONNX": write_onnx(model, path, about)}
    write_safetensors(model, path.with_suffix(".safetensors"))
    written = [path, path.with_suffix(".safetensors"), path.with_suffix(".md")]
    if options.c:
        title = (
            f"{point.family}, {point.params:,} parameters, trained on {point.data} with Paretune (run {point.run_id})."
        )
        checks["C"] = write_c(model, path.with_suffix(".h"), title)
        written.append(path.with_suffix(".h"))
    for name, difference in checks.items():
        facts[f"{name} against torch"] = (
            f"{len(model.samples):,} test images, same class for all, logits within {difference:.1g}"
        )
    commands = [
        f"paretune-confirm {options.sweep} --run {point.run_id[:8]}",
        f"paretune-export {options.sweep} --run {point.run_id[:8]} {path.name}",
    ]
    write_card(model, path.with_suffix(".md"), facts, commands)
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    print("Written:", ", ".join(f"{file} ({file.stat().st_size:,} bytes)" for file in written))


def _scores(point: "Point", again: "Confirmed | None") -> dict[str, str]:
    scores = (
        {"validation F1 in the search": f"{point.f1:.4f}"}
        if again is None
        else {"validation F1 in the search": f"{again.point.f1:.4f}"}
    )
    if again is None:
        return {**scores, "test F1": "not confirmed yet: paretune-confirm reads the test set"}
    interval = f", 95 % {again.f1.low:.4f} to {again.f1.high:.4f}" if again.f1.n > 1 else ""
    return {
        **scores,
        "test F1": f"{again.f1} over {again.f1.n} seeds ({again.how}){interval}",
        "test accuracy": f"{again.accuracy} over {again.accuracy.n} seeds",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "paretune-export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument("model", type=Path, help="file to write, such as model.onnx; the others go beside it")
    add_wanted(parser)
    parser.add_argument("--run", metavar="ID", help="this run, by the start of its id")
    parser.add_argument(
        "--confirmed", action="store_true", help="choose by confirmed test F1; weights of the seed best on validation"
    )
    parser.add_argument("--c", action="store_true", help="a C header for microcontrollers, too")
    add_store(parser)
    return parser


if __name__ == "__main__":
    cli()
