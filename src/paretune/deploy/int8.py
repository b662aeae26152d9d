"""Networks in whole numbers: written, read back and scored."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from paretune.answers import AnswersOnTest
from paretune.data import load
from paretune.data.images import Images
from paretune.deploy.int8_network import Quantised
from paretune.deploy.int8_reader import name_unknown, read_int8
from paretune.deploy.model import Deployable, check_same_outputs, load_deployable
from paretune.deploy.onnx import save_with_facts, write_onnx
from paretune.deploy.onnx_exporter import export_module
from paretune.deploy.onnx_file import ConstantPlaces
from paretune.deploy.onnx_operations import UnwritableError, write_graph
from paretune.deploy.onnx_views import average_views
from paretune.deploy.quantise import optimise, quantise
from paretune.deploy.runtime import Runtime
from paretune.errors import ExportError
from paretune.front import Point
from paretune.operations import Graph, fold_norms, scale_image
from paretune.paths import data_now, temporary_folder
from paretune.tracking.schema import Split
from paretune.trust import Trust


def write_int8(model: Deployable, source: Path, path: Path) -> Quantised:
    """Write ``model``, whose float file is ``source``, in int8 to ``path``; returns the
    network on one view of an image.

    Raises :class:`~paretune.errors.ExportError` as
    :func:`~paretune.deploy.quantise.quantise` does.
    """
    assert model.training
    images = model.training.to_fractions()
    graph = fold_norms(model.find_scaled_graph(), copies=True)
    facts = onnx.load(str(source)).metadata_props
    with temporary_folder() as folder:
        plain = folder / "plain.onnx"
        whole = folder / "whole.onnx"
        places = _write_plain(model.single_view, graph, plain)
        quantise(plain, whole, images)
        proto = onnx.load(str(whole))
        if model.net.views:
            proto = average_views(proto, model.net.views)
        del proto.metadata_props[:]
        proto.metadata_props.extend(facts)
        onnx.save(proto, str(path))
        if places is None:
            return name_unknown(graph)
        return read_int8(whole, graph, places)


def _write_plain(model: Deployable, graph: Graph, path: Path) -> ConstantPlaces | None:
    """Write the float file that is quantised, of one view; returns where its constants
    are, or ``None`` where torch's exporter had to write it.

    That is so for a module of somebody's own which has an operation without a type, or
    which reshapes its values so that the types do not give what it gives.
    """
    net = model.net
    try:
        file = write_graph(scale_image(graph, net.factor, net.shift))
        save_with_facts(file.to_model(), path, {})
        outputs = Runtime(path).logits(model.samples.numpy())
        check_same_outputs("ONNX", outputs, model.logits())
    except (UnwritableError, ExportError):
        if model.has_layers:
            raise
        exported = path.with_name("exported.onnx")
        save_with_facts(export_module(model), exported, {})
        optimise(exported, path)
        return None
    return file.places


def score(path: Path, images: Images) -> dict[str, float]:
    """Macro F1 and accuracy, in [0, 1], of an exported ONNX file."""
    return _score(Runtime(path).logits(images.to_fractions()), images)


def _score(outputs: NDArray[np.float32], images: Images) -> dict[str, float]:
    """The same, by its ``outputs`` ``(N, classes)`` for these images."""
    from sklearn.metrics import f1_score

    classes = outputs.argmax(1)
    labels = images.labels.numpy()
    f1 = float(f1_score(labels, classes, average="macro"))
    return {"f1": f1, "accuracy": float((classes == labels).mean())}


def score_on_test(
    weights: Path, point: Point, trust: Trust | None = None
) -> tuple[dict[str, float], AnswersOnTest]:
    """Test F1 and accuracy, and the answers, of the network in a ``weights.pt``,
    quantised as ``paretune export --int8`` does.
    """
    model = load_deployable(weights, point, trust)
    data = load(data_now(model.point.config["data"]))
    with temporary_folder() as folder:
        plain = folder / "model.onnx"
        whole = folder / "model.int8.onnx"
        write_onnx(model, plain, {})
        write_int8(model, plain, whole)
        images = data.load_test()
        probabilities = Runtime(whole).probabilities(images.to_fractions())
    answers = AnswersOnTest.of(
        images.pixels.numpy(), images.labels.numpy(), probabilities, data.class_names
    )
    scores = _score(probabilities, images)
    return {f"{Split.TEST}_{name}": value for name, value in scores.items()}, answers
