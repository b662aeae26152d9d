"""The error for a network that the kernels cannot run."""


class UnknownLayerError(Exception):
    """The kernels do not know a layer of a network, which then runs in torch."""


def require(known: bool, layer: object) -> None:
    """Raise :class:`UnknownLayerError`, which names ``layer``, unless it is
    ``known``.
    """
    if not known:
        raise UnknownLayerError(str(layer))
