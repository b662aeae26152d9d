"""What docs/your-app.md shows is run: its files in an app, then its commands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/your-app.md").read_text()
APPS = ROOT / "tests/sweeper/apps"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"`([\w./]+)`[.:]\n\n```\w+\n(.*?)```", re.DOTALL)
# By a word of a command, what makes its sweep a small one.
FEW = {
    "--multirun": ["hydra.sweeper.n_trials=4"],
    "src/train.py": ["hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=1"],
}


def section_of(heading: str) -> str:
    """The text below a heading."""
    _, _, rest = PAGE.partition(f"## {heading}\n")
    return rest.partition("\n## ")[0]


def blocks_of(heading: str) -> list[tuple[str, str]]:
    """The language and the text of each block below a heading."""
    return BLOCK.findall(section_of(heading))


def write_files(heading: str, folder: Path) -> None:
    """Write the blocks that follow the name of a file."""
    for name, text in FILE.findall(section_of(heading)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def run_commands(heading: str, folder: Path) -> str:
    """Run the commands, with a few trials; what they print."""
    bin_folder = Path(sys.executable).parent
    env = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    printed = ""
    for language, text in blocks_of(heading):
        for line in text.splitlines() if not language else []:
            words = shlex.split(line)
            few = [word for name in words for word in FEW.get(name, [])]
            done = subprocess.run(
                [*words, *few],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            printed += done.stdout
    return printed


def test_an_app_in_the_layout_of_the_template_gets_a_front(tmp_path):
    app = tmp_path / "app"
    shutil.copytree(APPS / "digits", app)
    shutil.rmtree(app / "configs/hparams_search")
    write_files("From lightning-hydra-template", app)
    printed = run_commands("From lightning-hydra-template", app)

    assert "To take: " in printed
    assert (app / "sweeps/digits/report.html").is_file()


def test_the_lines_of_the_template_app_are_those_of_the_page():
    (lines,) = [
        text
        for language, text in blocks_of("From lightning-hydra-template")
        if language == "python"
    ]
    code = (APPS / "digits/src/train.py").read_text()

    assert all(f"{line}\n" in code for line in lines.splitlines())


def test_an_app_of_hydra_optuna_sweeper_runs_after_one_change(tmp_path):
    shutil.copy(APPS / "sphere/app.py", tmp_path)
    write_files("From hydra-optuna-sweeper", tmp_path)
    run_commands("From hydra-optuna-sweeper", tmp_path)

    assert [*tmp_path.rglob("optimization_results.yaml")]


@pytest.mark.parametrize("heading", ["From Optuna alone"])
def test_a_loop_of_ones_own_gets_a_front(tmp_path, heading):
    write_files(heading, tmp_path)
    printed = run_commands(heading, tmp_path)

    assert "To take: " in printed
