"""The trained parameters of a network, and their places in the gradient of them all."""

from collections.abc import Iterable

from torch import Tensor


class Parameters:
    """Parameters one after the other: ``count`` numbers."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.tensors = list(tensors)
        self.count = 0
        self._starts: dict[int, int] = {}
        for tensor in self.tensors:
            self._starts[id(tensor)] = self.count
            self.count += tensor.numel()

    def find(self, tensor: Tensor) -> int:
        """Where the gradient of ``tensor`` starts; -1 if it is not trained."""
        return self._starts.get(id(tensor), -1)

    def cut(self, gradient: Tensor) -> list[Tensor]:
        """The gradient of all parameters as one of the shape of each."""
        gradients: list[Tensor] = []
        for tensor in self.tensors:
            start = self._starts[id(tensor)]
            part = gradient[start : start + tensor.numel()]
            gradients.append(part.view_as(tensor))
        return gradients
