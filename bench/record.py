"""README's picture and table: the joint front of the record sweeps, from what is committed of each (``sweeps/record*/``).

``python -m bench.record`` draws ``docs/record.png`` and prints the table. The stores of the sweeps are not needed.
"""

from pathlib import Path

import pandas as pd
from pandas import DataFrame

from paretune.paths import CONF
from paretune.reports.confirmed import read_references
from paretune.reports.figure import draw_front
from paretune.reports.findings import Query, SweepResults
from paretune.tracking.read import records
from paretune.tracking.store import N_PARAMS, VAL_F1

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "record.png"
SHOWN_F1 = 0.8  # of a row, at least
SHOWN_RATIO = 1.15  # of its parameters to those of the row before, at least


class Record(SweepResults):
    """The members of the fronts of several sweeps."""

    @property
    def title(self) -> str:
        """One line for a heading."""
        return f"{', '.join(self.sweeps)}: the joint front"


def front_of(folder: Path) -> DataFrame:
    table = pd.read_csv(folder / "front.csv").rename(columns={"params": N_PARAMS})
    return table.assign(sweep=folder.name, state="complete", cost="params")


def confirmed_of(folder: Path) -> DataFrame:
    path = folder / "confirmed.csv"
    return pd.read_csv(path).rename(columns={"params": N_PARAMS}) if path.is_file() else DataFrame()


def found() -> Record:
    """The members of all fronts, and what was confirmed of them."""
    folders = sorted(path.parent for path in (ROOT / "sweeps").glob("record*/front.csv"))
    confirmed = pd.concat([confirmed_of(folder) for folder in folders])
    table = pd.concat([front_of(folder) for folder in folders], ignore_index=True)
    references = read_references(CONF / "references/mnist.yaml")
    names = [folder.name for folder in folders]
    return Record(names, Query(), table, confirmed, references)


def rows(results: Record) -> DataFrame:
    """Members of the front that the table has room for."""
    members, chosen, least = results.members.iloc[::-1], [], float("inf")
    for row in members.index:
        if members.loc[row, N_PARAMS] * SHOWN_RATIO <= least:
            chosen.append(row)
            least = members.loc[row, N_PARAMS]
    return members.loc[chosen[::-1]].query(f"{VAL_F1} > {SHOWN_F1}")


def line(member: dict[str, object], confirmed: DataFrame) -> str:
    ways = confirmed[confirmed["run_id"] == member["run_id"]] if len(confirmed) else confirmed
    tests = [f"{way.test_f1:.4f} ± {way.test_f1_sd:.4f} ({way.seeds})" for way in ways.itertuples()]
    score = "; ".join(tests)
    return f"| {member[N_PARAMS]:,} | {member[VAL_F1]:.4f} | {score} | {member['family']} | {member['layers']} |"


if __name__ == "__main__":
    results = found()
    draw_front(results, [PICTURE])
    print("| parameters | validation F1 | test F1, mean ± sd (seeds) | family | layers |\n|---:|---:|---|---|---|")
    print("\n".join(line(member, results.confirmed) for member in records(rows(results))))
