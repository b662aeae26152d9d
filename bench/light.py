"""What a plain ``pip install`` of Paretune brings, beside all of its extras, and a sweep
in it beside one of hydra-optuna-sweeper.

Makes two environments in ``bench/.light``, once; needs a package index.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / ".light"
SPHERE = ROOT / "tests" / "sweeper" / "apps" / "sphere"
ALL = frozenset({"all"})
ROUNDS = 3
TRIALS = "hydra.sweeper.n_trials=50"
# It asks for Optuna 2, which needs the SQLAlchemy of its day.
THEIRS = ("hydra-optuna-sweeper==1.2.0", "sqlalchemy<2", "hydra-core==1.3.8")
# A field that their version has not.
NOT_THEIRS = "    max_failure_rate: 0.0\n"
IMPORTS = {
    "sweeper_config": "import hydra_plugins.paretune_sweeper.sweeper",
    "sweeper": "import hydra_plugins.paretune_sweeper._session",
    "report": "import paretune.reports.page, paretune.reports.figure",
}


class Times(NamedTuple):
    """Seconds of a command: of the clock, and of processors."""

    wall: float
    processor: float


def run() -> dict[str, float]:
    """Packages and megabytes of both installations; seconds of imports and of 50 trials
    of the sphere, medians of three rounds, ours and theirs in turn.
    """
    ours = _make_environment("ours", [str(ROOT)])
    theirs = _make_environment("theirs", list(THEIRS))
    figures = {**_sizes(), **_imports_s(ours)}
    our_times: list[Times] = []
    their_times: list[Times] = []
    for _ in range(ROUNDS):
        our_times.append(_time_sweep(ours, "paretune"))
        their_times.append(_time_sweep(theirs, "optuna"))
    for clock in ("wall", "processor"):
        our = [getattr(times, clock) for times in our_times]
        their = [getattr(times, clock) for times in their_times]
        ratios = [one / other for one, other in zip(our, their, strict=True)]
        figures[f"sphere_ours_{clock}_s"] = round(statistics.median(our), 2)
        figures[f"sphere_theirs_{clock}_s"] = round(statistics.median(their), 2)
        figures[f"sphere_{clock}_ratio"] = round(statistics.median(ratios), 2)
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
        rounds = [_time([str(python), "-c", code], ROOT) for _ in range(ROUNDS)]
        times = [times.processor for times in rounds]
        figures[f"{name}_import_processor_s"] = round(statistics.median(times), 2)
    return figures


def _time_sweep(python: Path, sweeper: str) -> Times:
    """Seconds of the whole command, in a copy of the app with another sweeper."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(SPHERE / "app.py", folder)
        config = (SPHERE / "config.yaml").read_text()
        changed = config.replace("sweeper: paretune", f"sweeper: {sweeper}")
        changed = changed.replace(NOT_THEIRS, "")
        (folder / "config.yaml").write_text(changed)
        return _time([str(python), "app.py", "-m", TRIALS], folder)


def _time(command: list[str], folder: Path) -> Times:
    used_s = _used_s()
    started_s = perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return Times(perf_counter() - started_s, _used_s() - used_s)


def _used_s() -> float:
    """Processor time of the ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
