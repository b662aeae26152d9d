"""What the parts of Paretune need beyond a plain ``pip install paretune``."""

from collections.abc import Iterable
from importlib.util import find_spec

from paretune.errors import ConfigError

# By the package that is imported; the extras stand in pyproject.toml.
EXTRAS = {
    "PIL": "train",
    "lightning_fabric": "train",
    "pooch": "train",
    "pytorch_lightning": "train",
    "pytorch_optimizer": "train",
    "safetensors": "train",
    "torch": "train",
    "torchmetrics": "train",
    "urllib3": "train",
    "mlflow": "mlflow",
    "requests": "mlflow",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "psycopg": "cluster",
}


def check_installed(what: str, packages: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` with the extra to install if one of
    the ``packages`` that ``what`` needs is not there. None of them is imported.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f"{what} needs {package}; {_how_to_install(package)}")


def describe_missing(error: ModuleNotFoundError) -> str | None:
    """Which package is missing, and the extra to install, in words; ``None`` if the
    module is none of an extra's.
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return f"the package {package} is not installed; {_how_to_install(package)}"


def _how_to_install(package: str) -> str:
    return f"install it with: pip install 'paretune[{EXTRAS[package]}]'"
