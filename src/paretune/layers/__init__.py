"""The one description of a network: typed layers, and what follows from them without
building anything.

``types`` are the layers, ``unroll`` makes the straight line of applications of them,
``counts`` says what they cost and ``words`` what they are called. Nothing here imports
torch.
"""

from paretune.layers.counts import count_parameters, measure
from paretune.layers.types import Layer, Layers, Shape
from paretune.layers.unroll import unroll
from paretune.layers.words import describe

__all__ = [
    "Layer",
    "Layers",
    "Shape",
    "count_parameters",
    "describe",
    "measure",
    "unroll",
]
