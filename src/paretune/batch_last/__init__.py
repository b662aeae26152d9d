"""Training of small networks on a CPU with the batch innermost: a lane of a vector
register is an image.

So no lane is empty, however few maps a layer has; torch's kernels fill their lanes with
maps. A network is told layer by layer to a :class:`Builder`. Its plan becomes a
:class:`Program` of the kernels in ``kernels/``, whose forward and backward pass are one
call each. Modules keep their parameters: optimizer, state dict, counting and export see
no difference.

This package imports nothing else of Paretune.
"""

from paretune.batch_last.build import build_library, find_compiler
from paretune.batch_last.builder import Builder, Plan, RunningStatistics, Weights
from paretune.batch_last.errors import UnknownLayerError, require
from paretune.batch_last.library import Library
from paretune.batch_last.operations import Window
from paretune.batch_last.parameters import Parameters
from paretune.batch_last.program import Program, differentiate
from paretune.batch_last.values import LANES, MapShape, Value

__all__ = [
    "LANES",
    "Builder",
    "Library",
    "MapShape",
    "Parameters",
    "Plan",
    "Program",
    "RunningStatistics",
    "UnknownLayerError",
    "Value",
    "Weights",
    "Window",
    "build_library",
    "differentiate",
    "find_compiler",
    "require",
]
