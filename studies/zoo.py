"""The models of the repository as recipes: ``python -m studies zoo`` writes
``conf/recipe/zoo`` from the cards ``sweeps/record*/models/*.md``, each of which ends
with the config that its model was trained by, and puts the command into the card.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paretune import paths
from paretune.commands.recipe_writing import Described, format_recipe

ROOT = Path(__file__).parents[1]
FOLDER = paths.CONF / "recipe" / "zoo"
DATA = "mnist"
CONFIG = re.compile(r"```yaml\n(?P<config>.*?)```", re.DOTALL)
COMMANDS = re.compile(
    r"(?<=## How it was made\n\n```\n)(?P<commands>.*?)(?=```)", re.DOTALL
)
RUN = re.compile(r"--run (?P<run>[0-9a-f]+)")
HOW = re.compile(r"\| test F1 \| .*? seeds \((?P<how>.*?)\), 95 % ")
BY_HAND = "Designed by hand on validation scores, and trained in {sweep}."
TEACHER = "Its teacher is made as docs/journal/2026-11-28-record-front.md says."
# How a model was found, by its sweep (docs/front.md).
ORIGINS = {
    "record_small": "Found by the search of {sweep}, which began with no known network.",
    "record_200": "Of the search of {sweep}, which began with forms of record_small.",
    "record_middle": "Of the search of {sweep}, which began with forms of record_small.",
    "record_long": "Of the search of {sweep}, which began with forms that had won before.",
    "record_kernels": BY_HAND,
    "record_large": BY_HAND,
    "record_views": BY_HAND,
    "record_wide": BY_HAND,
}


@dataclass(frozen=True)
class Card:
    """The card of a model: where it is, and what it says. ``scores`` is the row of
    ``confirmed.csv`` for the way in which the model was trained.
    """

    path: Path
    config: Mapping[str, Any]
    scores: Mapping[str, str]

    @property
    def sweep(self) -> str:
        """The sweep that the model is of."""
        return self.path.parents[1].name

    @property
    def f1(self) -> float:
        """The mean test F1 of the confirmed model."""
        return float(self.scores["test_f1"])

    @property
    def sd(self) -> float:
        """The deviation of that F1 from training to training."""
        return float(self.scores["test_f1_sd"])


def read_card(path: Path) -> Card:
    """The card at ``path``. Its data are named by their files, as recipes name them."""
    text = path.read_text(encoding="utf-8")
    config = yaml.safe_load(_find(CONFIG, text)["config"])
    # The same files, whose hashes were those of the packed bytes.
    del config["data"]["files"]
    run, how = _find(RUN, text)["run"], _find(HOW, text)["how"]
    return Card(path, config, _read_scores(path.parents[1], run, how))


def _find(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.search(text)
    assert found, pattern.pattern
    return found


def _read_scores(sweep: Path, run: str, how: str) -> Mapping[str, str]:
    with (sweep / "confirmed.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["run_id"].startswith(run) and row["how"] == how
        ]
    (scores,) = rows
    return scores


def read_cards() -> dict[str, Card]:
    """The cards of all models, by the names of their recipes, smallest first."""
    cards = [read_card(path) for path in ROOT.glob("sweeps/record*/models/*.md")]
    cards.sort(key=lambda card: (int(card.path.stem), card.sweep))
    alike = Counter(card.path.stem for card in cards)
    named: dict[str, Card] = {}
    for card in cards:
        name = f"{DATA}_{card.path.stem}"
        if alike[card.path.stem] > 1 and card.config["model"].get("views", 1) > 1:
            name += "_views"
        named[name] = card
    return named


def describe(name: str, card: Card) -> Described:
    """The training of a model, for its recipe."""
    seeds = int(card.scores["seeds"])
    origin = ORIGINS[card.sweep].format(sweep=card.sweep)
    low, high = (float(card.scores[f"test_f1_{end}"]) for end in ("low", "high"))
    scores = (
        f"{card.scores['family']}, {int(card.path.stem):,} parameters: test F1 "
        f"{card.f1:.4f} ± {card.sd:.4f} over {seeds} seeds, 95 % of the mean "
        f"{low:.4f} to {high:.4f}."
    )
    about = [scores, origin, f"Trained by: {card.scores['how']}."]
    if card.config["trainer"]["distillation"]["teacher"]:
        about.append(TEACHER)
    published = {
        "params": int(card.path.stem),
        "metric": "f1",
        "value": round(card.f1, 4),
        "sd": round(card.sd, 4),
        "split": "test",
        "rule": f"mean of {seeds} seeds, test once a seed",
        "source": card.path.relative_to(ROOT).as_posix(),
    }
    return Described(f"zoo/{name}", card.config, about, published)


def write_command(card: Card, command: str) -> str:
    """The text of the card with the ``command`` that trains its model again."""
    text = card.path.read_text(encoding="utf-8")
    commands = _find(COMMANDS, text)["commands"]
    if command in commands.splitlines():
        return text
    return COMMANDS.sub(lambda _: f"{commands}{command}\n", text, count=1)


def main(arguments: Sequence[str] = ()) -> None:
    """Write every recipe, and its command into its card."""
    assert not arguments, "python -m studies zoo takes no arguments"
    FOLDER.mkdir(parents=True, exist_ok=True)
    cards = read_cards()
    for name, card in cards.items():
        training = describe(name, card)
        path = FOLDER / f"{name}.yaml"
        path.write_text(format_recipe(training), encoding="utf-8")
        text = write_command(card, training.command)
        card.path.write_text(text, encoding="utf-8")
    print(f"{len(cards)} recipes are in {FOLDER}")
