"""What a plain ``pip install`` of Paretune brings, beside all of its extras, and a sweep
in it beside one of hydra-optuna-sweeper.

Makes two environments in ``bench/.light``, once; needs a package index.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from time import perf_counter

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / ".light"
SPHERE = ROOT / "tests" / "sweeper" / "apps" / "sphere"
ALL = frozenset({"all"})
ROUNDS = 3
TRIALS = "hydra.sweeper.n_trials=50"
# It asks for Optuna 2, which needs the SQLAlchemy of its day.
THEIRS = ("hydra-optuna-sweeper==1.2.0", "sqlalchemy<2")
IMPORTS = {
    "sweeper_config": "import hydra_plugins.paretune_sweeper.sweeper",
    "sweeper": "import hydra_plugins.paretune_sweeper._session",
    "report": "import paretune.reports.page, paretune.reports.figure",
}


def run() -> dict[str, float]:
    """Packages and megabytes of both installations; seconds of imports and of 50 trials
    of the sphere, medians of three rounds, ours and theirs in turn.
    """
    ours = _make_environment("ours", [str(ROOT)])
    theirs = _make_environment("theirs", list(THEIRS))
    figures = {**_sizes(), **_imports_s(ours)}
    our_times: list[float] = []
    their_times: list[float] = []
    for _ in range(ROUNDS):
        our_times.append(_sweep_s(ours, "paretune"))
        their_times.append(_sweep_s(theirs, "optuna"))
    ratios = [our / their for our, their in zip(our_times, their_times, strict=True)]
    figures["sphere_ours_s"] = round(statistics.median(our_times), 2)
    figures["sphere_theirs_s"] = round(statistics.median(their_times), 2)
    figures["sphere_ratio"] = round(statistics.median(ratios), 2)
    return figures


def _make_environment(name: str, packages: list[str]) -> Path:
    """The interpreter of an environment with these packages."""
    python = FOLDER / name / "bin" / "python"
    if python.exists():
        return python
    venv.create(FOLDER / name, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python)]
    subprocess.run([*pip, "install", *packages], check=True)
    return python


def _sizes() -> dict[str, float]:
    """Of a plain installation and of one with all extras, by what is installed here."""
    figures: dict[str, float] = {}
    for name, extras in {"plain": frozenset(), "all": ALL}.items():
        names: set[tuple[str, frozenset[str]]] = set()
        _collect("paretune", extras, names)
        packages = {package for package, _ in names} - {"paretune"}
        figures[f"{name}_packages"] = len(packages)
        figures[f"{name}_mb"] = round(sum(map(_size_mb, packages)))
    return figures


def _collect(
    name: str, extras: frozenset[str], names: set[tuple[str, frozenset[str]]]
) -> None:
    """Add a distribution with these extras, and all that it needs, to ``names``."""
    plain = name.lower().replace("_", "-")
    if (plain, extras) in names:
        return
    names.add((plain, extras))
    for line in distribution(name).requires or []:
        needed = Requirement(line)
        marks = [{"extra": extra} for extra in (*extras, "")]
        if needed.marker and not any(map(needed.marker.evaluate, marks)):
            continue
        try:
            _collect(needed.name, frozenset(needed.extras), names)
        except PackageNotFoundError:  # it is no part of the lock on this machine
            names.discard((needed.name.lower(), frozenset(needed.extras)))


def _size_mb(name: str) -> float:
    paths = [file.locate() for file in distribution(name).files or []]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def _imports_s(python: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, code in IMPORTS.items():
        times = [_time_s([str(python), "-c", code], ROOT) for _ in range(ROUNDS)]
        figures[f"{name}_import_s"] = round(statistics.median(times), 2)
    return figures


def _sweep_s(python: Path, sweeper: str) -> float:
    """Seconds of the whole command, in a copy of the app with another sweeper."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(SPHERE / "app.py", folder)
        config = (SPHERE / "config.yaml").read_text()
        changed = config.replace("sweeper: paretune", f"sweeper: {sweeper}")
        (folder / "config.yaml").write_text(changed)
        return _time_s([str(python), "app.py", "-m", TRIALS], folder)


def _time_s(command: list[str], folder: Path) -> float:
    started_s = perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return perf_counter() - started_s
