"""Networks in whole numbers: written, read back and scored."""

import json
from pathlib import Path

import onnx

from paretune.data import load
from paretune.data.images import Images
from paretune.deploy.int8_operations import Quantised
from paretune.deploy.int8_reader import read_int8
from paretune.deploy.model import Deployable, load_deployable
from paretune.deploy.onnx import write_onnx
from paretune.deploy.onnx_views import average_views
from paretune.deploy.quantise import quantise
from paretune.deploy.runtime import Runtime
from paretune.front import Point
from paretune.paths import data_now, temporary_folder
from paretune.trust import Trust


def write_int8(model: Deployable, source: Path, path: Path) -> Quantised:
    """Write ``model``, whose float file is ``source``, in int8 to ``path``; returns the
    operations on one view of an image.

    Raises :class:`~paretune.errors.ExportError` as
    :func:`~paretune.deploy.quantise.quantise` does.
    """
    assert model.training
    images = model.training.to_fractions()
    if not model.net.views:
        quantise(source, path, images)
        return read_int8(path)
    facts = json.loads(onnx.load(str(source)).metadata_props[0].value)
    with temporary_folder() as folder:
        plain = folder / "plain.onnx"
        whole = folder / "whole.onnx"
        write_onnx(model.single_view, plain, facts)
        quantise(plain, whole, images)
        onnx.save(average_views(onnx.load(str(whole)), model.net.views), str(path))
        return read_int8(whole)


def score(path: Path, images: Images) -> dict[str, float]:
    """Macro F1 and accuracy, in [0, 1], of an exported ONNX file."""
    from sklearn.metrics import f1_score

    classes = Runtime(path).logits(images.to_fractions()).argmax(1)
    labels = images.labels.numpy()
    f1 = float(f1_score(labels, classes, average="macro"))
    return {"f1": f1, "accuracy": float((classes == labels).mean())}


def score_on_test(
    weights: Path, point: Point, trust: Trust | None = None
) -> dict[str, float]:
    """Test F1 and accuracy of the network in a ``weights.pt``, quantised as ``paretune
    export --int8`` does.
    """
    model = load_deployable(weights, point, trust)
    data = load(data_now(model.point.config["data"]))
    with temporary_folder() as folder:
        plain = folder / "model.onnx"
        whole = folder / "model.int8.onnx"
        write_onnx(model, plain, {})
        write_int8(model, plain, whole)
        scores = score(whole, data.load_test())
    return {f"test_{name}": value for name, value in scores.items()}
