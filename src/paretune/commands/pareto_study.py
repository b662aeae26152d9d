"""``paretune pareto --study``: the front of any Optuna study of a cost and a score."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.errors import ConfigError

if TYPE_CHECKING:
    from paretune.reports.findings import SweepResults

# Options that say something of Paretune's own trainings alone, and what they are where
# they were not given.
OF_TRAININGS: Mapping[str, Any] = {
    "sweep": None,
    "min_f1": None,
    "family": [],
    "confirmed": False,
    "beats": None,
    "uri": None,
}


@dataclass(frozen=True)
class StudyOptions:
    """A person's request: which study of which storage, which of its objectives is the
    cost, and where the files go.
    """

    storage: str
    name: str | None
    cost: str | None
    over: str | None
    folder: Path | None


def refuse_options_of_trainings(given: Mapping[str, Any]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for an option that says nothing of a
    study of anybody's.
    """
    for name, value in given.items():
        is_cap = name.startswith("max_") and value is not None
        if is_cap or value != OF_TRAININGS.get(name, value):
            raise ConfigError(_describe_misplaced(name, value))


def _describe_misplaced(name: str, value: Any) -> str:
    if name == "sweep":
        return (
            f"sweep `{value}` and --study are both given; expected one of them; the name "
            "of a study is --name"
        )
    option = name.replace("_", "-")
    return (
        f"--{option} says nothing of the trials of --study, which may be of anything; "
        "leave it out"
    )


def report_study(options: StudyOptions) -> None:
    """Print the study's front and write its files. The study is only read."""
    from rich.console import Console

    from paretune.reports.files import study_folder, write_files
    from paretune.reports.study import build_study_results
    from paretune.reports.terminal import answer_query, build_results_table
    from paretune.search.stored_study import read_study

    console = Console()
    with console.status("reading the study"):
        study = read_study(options.storage, options.name)
        results = build_study_results(study, options.cost)
    folder = options.folder or study_folder(study.name)
    names: list[str] = []
    if options.over:
        names.append(draw_over_setting(results, options.over, folder))
    console.print(build_results_table(results, console.width))
    for line in answer_query(results):
        console.print(line, soft_wrap=True, markup=False)
    with console.status("writing the report"):
        names = [*write_files(results, None, folder), *names]
    written = f"Written to {folder}: {', '.join(names)}"
    console.print(written, soft_wrap=True, markup=False)


def draw_over_setting(results: "SweepResults", setting: str, folder: Path) -> str:
    """Draw the score over a setting, before anything is said: it may not be one that
    can be drawn. Returns the name of the picture.
    """
    from paretune.reports.figure import draw_over

    folder.mkdir(parents=True, exist_ok=True)
    draw_over(results, setting, folder / "over.png")
    return "over.png"
