"""``python -m studies replay``: search policies on a model of recorded curves."""

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from studies.curves import FOLDER
from studies.curves.honesty import describe, measure_honesty, to_plain
from studies.curves.model import ROUGHNESS
from studies.curves.rows import RowFile
from studies.portfolio import FILE as PORTFOLIO
from studies.replay.comparison import (
    Plan,
    Result,
    ResultFile,
    open_jobs,
    replay_policy,
    write_table,
    write_times,
)
from studies.replay.drawing import draw
from studies.replay.policies import POLICIES

RESULTS = Path(__file__).parent


def main(arguments: Sequence[str]) -> None:
    """Replay the policies that are named, and compare them with those before; or say
    how far the model can be trusted.
    """
    options = _read(arguments)
    warnings.simplefilter("ignore")
    file = options.folder / f"{options.data}.csv"
    if not RowFile(file).read():
        raise SystemExit(
            f"there is no recorded training in {file}; python -m studies curves "
            f"--data {options.data} records some"
        )
    if options.honesty:
        report_honesty(file, options.out / f"{options.data}_honesty.json")
        return
    plan = Plan(
        data=options.data,
        file=file,
        overrides=tuple(options.set),
        workers=options.workers,
        hours=options.hours_simulated,
        start_up_s=options.start_up_s,
        ask_s=options.ask_s,
        roughness=options.roughness,
        portfolio=options.portfolio,
    )
    results = ResultFile(options.out / f"{options.data}.json")
    with open_jobs(options.jobs) as replay_each:
        for name in options.policies:
            result = replay_policy(name, plan, range(options.seeds), replay_each)
            results.add(result)
            print(write_table([result]), flush=True)
    report(list(results.read().values()), plan, results.path.with_suffix(".png"))


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m studies replay", description=__doc__)
    parser.add_argument(
        "policies", nargs="*", choices=[*POLICIES, []], help=", ".join(POLICIES)
    )
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", type=int, default=10, help="replays of each policy")
    parser.add_argument("--workers", type=int, default=2, help="of the sweep")
    parser.add_argument("--hours-simulated", type=float, default=2.0)
    parser.add_argument(
        "--start-up-s", type=float, default=0.3, help="of each trial, before it trains"
    )
    parser.add_argument(
        "--ask-s", type=float, help="of an ask; without it, as long as it really takes"
    )
    parser.add_argument(
        "--roughness",
        type=float,
        default=ROUGHNESS,
        help="how much of what the model cannot explain configurations have, 0 to 1",
    )
    parser.add_argument(
        "--portfolio", type=Path, default=PORTFOLIO, help="of known configurations"
    )
    parser.add_argument("--jobs", type=int, default=1, help="replays at a time")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of <data>.csv")
    parser.add_argument("--out", type=Path, default=RESULTS, help="of results")
    parser.add_argument(
        "--set", action="append", default=[], help="a further override of the sweep"
    )
    parser.add_argument(
        "--honesty", action="store_true", help="how far the model can be trusted"
    )
    return parser.parse_args(arguments)


def report_honesty(file: Path, path: Path) -> None:
    """Print what the model says of trainings that it has not seen, and keep it."""
    honesty = measure_honesty(list(RowFile(file).read().values()))
    print(describe(honesty))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_plain(honesty), indent=2) + "\n")


def report(results: Sequence[Result], plan: Plan, picture: Path) -> None:
    """Print and draw the results of this plan; those of others are left out."""
    wanted = plan.describe()
    same = [one for one in results if one.plan == wanted]
    if not same:
        print("nothing is replayed yet with these settings; name a policy")
        return
    print(write_table(same))
    print(write_times(same))
    draw(same, picture)
    print(f"picture in {picture}")
