"""A network as the straight line of applications that one inference takes, from its
layers.

A repetition becomes one application after the other, branches become their applications
and one that joins them. All that is counted, every module and program, and all that is
written in another language, comes from this line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from paretune.layers.names import name_layers, name_parts
from paretune.layers.shapes import infer_shape
from paretune.layers.types import (
    Dropout,
    Flatten,
    Layer,
    Layers,
    Parallel,
    Repeat,
    RepeatMaps,
    Shape,
)

# Of the value that comes in.
IMAGE_NUMBER = 0


@dataclass(frozen=True, slots=True)
class Join:
    """Joins the maps of branches, one after the other."""


@dataclass(frozen=True, slots=True)
class Application:
    """``output`` becomes ``layer`` of ``inputs``: numbers of values, the image's being
    0.

    ``name`` is where the layer's parameters are in the network; applications of one
    layer share it. ``shape_in`` is that of the (first) input, ``shape`` that of the
    output, for one image.
    """

    layer: Layer | Join
    name: str
    inputs: tuple[int, ...]
    output: int
    shape_in: Shape
    shape: Shape


def unroll(layers: Layers, image_shape: Shape) -> list[Application]:
    """The applications of one inference, in order.

    Raises :class:`~paretune.errors.ConfigError` where a layer does not fit on what
    comes in.
    """
    line = _Line()
    line.extend(layers, "", IMAGE_NUMBER, image_shape)
    return line.applications


@dataclass
class _Line:
    """The applications so far."""

    applications: list[Application] = field(default_factory=list)

    def extend(
        self, layers: Iterable[Layer], prefix: str, source: int, shape: Shape
    ) -> tuple[int, Shape]:
        """Add ``layers``, whose names begin with ``prefix``, on the value ``source``;
        returns the last value and its shape.
        """
        for name, layer in name_layers(layers):
            source, shape = self._append(layer, f"{prefix}{name}", source, shape)
        return source, shape

    def _append(
        self, layer: Layer, name: str, source: int, shape: Shape
    ) -> tuple[int, Shape]:
        match layer:
            case Repeat():
                return self._append_repeat(layer, name, source, shape)
            case Parallel():
                return self._append_branches(layer, name, source, shape)
            case _:
                return self._apply(
                    layer, name, (source,), shape, infer_shape(layer, shape)
                )

    def _append_repeat(
        self, layer: Repeat, name: str, source: int, shape: Shape
    ) -> tuple[int, Shape]:
        [(shared, shared_layers), *steps] = name_parts(layer)
        for step, own_layers in steps:
            source, shape = self.extend(
                shared_layers, f"{name}.{shared}.", source, shape
            )
            source, shape = self.extend(own_layers, f"{name}.{step}.", source, shape)
        return source, shape

    def _append_branches(
        self, layer: Parallel, name: str, source: int, shape: Shape
    ) -> tuple[int, Shape]:
        ends: list[int] = []
        maps = 0
        end_shape = shape
        for branch, layers in name_parts(layer):
            end, end_shape = self.extend(layers, f"{name}.{branch}.", source, shape)
            ends.append(end)
            maps += end_shape[0]
        return self._apply(Join(), name, tuple(ends), end_shape, (maps, *end_shape[1:]))

    def _apply(
        self,
        layer: Layer | Join,
        name: str,
        inputs: tuple[int, ...],
        shape_in: Shape,
        shape: Shape,
    ) -> tuple[int, Shape]:
        output = len(self.applications) + 1
        self.applications.append(
            Application(layer, name, inputs, output, shape_in, shape)
        )
        return output, shape


def once_each(line: Iterable[Application]) -> list[Application]:
    """Of a layer that is applied several times, the first application."""
    first: dict[str, Application] = {}
    for application in line:
        first.setdefault(application.name, application)
    return list(first.values())


def leave_out_idle(line: Iterable[Application]) -> list[Application]:
    """The applications that compute something; what gives the same values as it gets is
    looked through.
    """
    sources = {
        IMAGE_NUMBER: IMAGE_NUMBER
    }  # of each value the one that it is a view of, or itself
    computing: list[Application] = []
    for application in line:
        inputs = tuple(sources[value] for value in application.inputs)
        if computes_nothing(application):
            sources[application.output] = inputs[0]
        else:
            sources[application.output] = application.output
            # To make another one takes longer than all else here.
            is_same = inputs == application.inputs
            computing.append(
                application if is_same else replace(application, inputs=inputs)
            )
    return computing


def computes_nothing(application: Application) -> bool:
    """Whether an application gives what comes in, in evaluation mode: as it is or in
    another shape.
    """
    layer = application.layer
    if isinstance(layer, RepeatMaps):
        return application.shape == application.shape_in
    return isinstance(layer, Flatten | Dropout)
