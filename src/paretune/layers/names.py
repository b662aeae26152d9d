"""Names of layers in a network, and so of their parameters: ``conv1.weight``,
``repeat1.step2.norm1.bias``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from paretune.layers.types import (
    Activation,
    Conv,
    Depthwise,
    Dropout,
    Flatten,
    Layer,
    Layers,
    Linear,
    MaxPool,
    MeanOfMaps,
    MeanPool,
    Norm,
    PadEnd,
    Parallel,
    Repeat,
    RepeatMaps,
)

KIND_NAMES: dict[type, str] = {
    Activation: "activation",
    Conv: "conv",
    Depthwise: "depthwise",
    Dropout: "dropout",
    Flatten: "flatten",
    Linear: "dense",
    MaxPool: "pool",
    MeanOfMaps: "mean",
    MeanPool: "mean_pool",
    Norm: "norm",
    PadEnd: "pad",
    Parallel: "parallel",
    Repeat: "repeat",
    RepeatMaps: "widen",
}


def name_layers(layers: Iterable[Layer]) -> Iterator[tuple[str, Layer]]:
    """Each layer with its name: its kind and its number among those of its kind, from
    1.
    """
    counts: Counter[str] = Counter()
    for layer in layers:
        kind = KIND_NAMES[type(layer)]
        counts[kind] += 1
        yield f"{kind}{counts[kind]}", layer


def name_parts(layer: Repeat | Parallel) -> list[tuple[str, Layers]]:
    """The lists of layers within a layer by their names: ``shared``, ``step1``, ...
    or ``branch1``, ...
    """
    if isinstance(layer, Repeat):
        return [("shared", layer.shared), *_number("step", layer.steps)]
    return _number("branch", layer.branches)


def _number(word: str, parts: Iterable[Layers]) -> list[tuple[str, Layers]]:
    return [(f"{word}{number}", layers) for number, layers in enumerate(parts, 1)]
