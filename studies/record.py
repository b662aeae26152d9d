"""The joint front of the record sweeps, from what is committed of each: README's
picture and six rows, the journal's table.

``python -m studies.record`` draws ``docs/record.png`` and prints both. The stores of
the sweeps are not needed.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pandas import DataFrame

from paretune.paths import CONF
from paretune.reports.confirmed import (
    format_mean_and_sd,
    read_references,
    select_most_seeds,
)
from paretune.reports.figure import draw_front
from paretune.reports.findings import SweepResults
from paretune.reports.query import Query
from paretune.tracking.schema import N_PARAMS, VAL_F1
from paretune.tracking.trial_table import records

ROOT = Path(__file__).parents[1]
SWEEPS = (
    "record",
    "record_small",
    "record_200",
    "record_middle",
    "record_long",
    "record_kernels",
    "record_large",
    "record_wide",
    "record_views",
)
PICTURE = ROOT / "docs" / "record.png"
# No searches: networks that a person designed.
BY_HAND = (
    "record_kernels",
    "record_large",
    "record_wide",
    "record_views",
)
IN_README = (149, 349, 685, 2148, 7937, 15538)  # parameters
SHOWN_F1 = 0.8  # of a row, at least
SHOWN_RATIO = 1.15  # of its parameters to those of the row before, at least


class Record(SweepResults):
    """The members of the fronts of several sweeps."""

    @property
    def title(self) -> str:
        """One line for a heading."""
        return f"the joint front of {len(self.sweeps)} sweeps"


def read(name: str, sweeps: Sequence[str] = SWEEPS) -> DataFrame:
    """The committed files of this name, of all of these sweeps that have one."""
    paths = [
        path for sweep in sweeps if (path := ROOT / "sweeps" / sweep / name).is_file()
    ]
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True).rename(
        columns={"params": N_PARAMS}
    )


def found() -> Record:
    """The members of all fronts, and what was confirmed of them."""
    table = read("front.csv").assign(state="complete", cost="params")
    return Record(
        SWEEPS,
        Query(),
        table,
        read("confirmed.csv"),
        read_references(CONF / "references/mnist.yaml"),
    )


def rows(results: Record) -> DataFrame:
    """Confirmed networks and members of the front that no smaller confirmed one beats,
    but for members near a larger row.
    """
    tests = select_most_seeds(results.confirmed).set_index("run_id")["test_f1"]
    table = results.table.assign(
        test_f1=results.table["run_id"].map(tests)
    ).sort_values([N_PARAMS, "test_f1"], ascending=[True, False])
    table = table[
        table["run_id"].isin(results.members["run_id"]) | table["test_f1"].notna()
    ]
    confirmed = table.loc[table["test_f1"].notna(), N_PARAMS]
    table = table[table["test_f1"].notna() | ~table[N_PARAMS].isin(confirmed)]
    # By the best of these that are confirmed.
    beaten = table["test_f1"].cummax().ffill().fillna(0.0)
    table = table[
        (table["test_f1"] == beaten)
        | (table["test_f1"].isna() & (table[VAL_F1] > beaten))
    ]
    chosen, least = [], float("inf")
    for row in table.index[::-1]:
        if (
            table.loc[row, "test_f1"] > 0
            or table.loc[row, N_PARAMS] * SHOWN_RATIO <= least
        ):
            chosen.append(row)
            least = table.loc[row, N_PARAMS]
    return table.loc[chosen[::-1]].query(f"{VAL_F1} > {SHOWN_F1}")


def line(member: dict[str, object], confirmed: DataFrame) -> str:
    ways = records(
        select_most_seeds(confirmed[confirmed["run_id"] == member["run_id"]])
    )
    tests = "".join(
        f"{format_mean_and_sd(way, 'test_f1')} ({way['seeds']})" for way in ways
    )
    return (
        f"| {member[N_PARAMS]:,} | {member[VAL_F1]:.4f} | {tests} | "
        f"{member['family']} | {member['layers']} |"
    )


def readme_rows(results: Record) -> list[str]:
    """README's table: parameters, test F1, and whether a search or a person found the
    network.
    """
    designed = set(read("front.csv", BY_HAND)["run_id"])
    members = [
        member for member in records(rows(results)) if member[N_PARAMS] in IN_README
    ]
    return [
        short_line(member, results.confirmed, member["run_id"] in designed)
        for member in members
    ]


def short_line(member: dict[str, object], confirmed: DataFrame, designed: bool) -> str:
    [way] = records(
        select_most_seeds(confirmed[confirmed["run_id"] == member["run_id"]])
    )
    found_by = "designed by hand" if designed else "searched"
    return (
        f"| {member[N_PARAMS]:,} | {format_mean_and_sd(way, 'test_f1')} "
        f"({way['seeds']}) | {found_by} |"
    )


if __name__ == "__main__":
    results = found()
    draw_front(results, [PICTURE])
    print("\n".join(readme_rows(results)), end="\n\n")
    print(
        "| parameters | validation F1 | test F1, mean ± sd (seeds) | family | layers "
        "|\n|---:|---:|---|---|---|"
    )
    print(
        "\n".join(line(member, results.confirmed) for member in records(rows(results)))
    )
