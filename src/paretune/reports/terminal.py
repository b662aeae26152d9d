"""The front as a table in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from paretune.errors import ConfigError
from paretune.front import Point, costs_of, knee
from paretune.reports.confirmed import Confirmed, Reference
from paretune.reports.findings import SweepResults, layers_of


def results_table(findings: SweepResults) -> Table:
    """The table of what was asked for: front members, or with ``confirmed`` the confirmed ones among them."""
    if not findings.wanted.confirmed:
        return front_table(findings.members, findings.title)
    on_front = {member.run_id for member in findings.members}
    return confirmed_table([row for row in findings.confirmed if row.point.run_id in on_front], findings.title)


def front_table(points: Sequence[Point], title: str) -> Table:
    """Front members by rising parameter count."""
    table = _table(title, "params", "val F1", "val acc")
    table.add_column("family", no_wrap=True)
    table.add_column("layers")
    table.add_column("run", no_wrap=True)
    for p in points:
        scores = (f"{p.params:,}", f"{p.f1:.4f}", f"{p.accuracy:.4f}")
        table.add_row(*scores, p.family, layers_of(p), p.run_id[:8])
    return table


def confirmed_table(rows: Sequence[Confirmed], title: str) -> Table:
    """Confirmed models by rising parameter count, with mean ± deviation of ``n`` seeds and the 95 % interval of the mean."""
    table = _table(title, "params", "n", "test F1", "95 %", "test acc")
    table.add_column("family", no_wrap=True)
    table.add_column("run", no_wrap=True)
    for row in rows:
        interval = f"{row.f1.low:.4f}-{row.f1.high:.4f}" if row.f1.n > 1 else ""
        figures = (f"{row.point.params:,}", str(row.f1.n), str(row.f1), interval, f"{row.accuracy.mean:.4f}")
        table.add_row(*figures, row.point.family, row.point.run_id[:8])
    return table


def _table(title: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def answers(findings: SweepResults, *, beats: str | None = None) -> list[str]:
    """The smallest model above an F1 and the best one under a count, where those were asked for; the knee; and what
    ``beats`` a published point whose name contains that text.

    Raises :class:`~paretune.errors.ConfigError` if no published point or more than one is called so.
    """
    members, wanted = findings.members, findings.wanted
    lines = []
    if wanted.min_f1 is not None:
        lines.append(f"Smallest with F1 of at least {wanted.min_f1:g}: {_said(members[0])}")
    if wanted.max_params is not None:
        lines.append(f"Best with at most {wanted.max_params:,} parameters: {_said(members[-1])}")
    bend = knee(costs_of([p.params for p in members], [p.f1 for p in members]))
    if len(members) > 2 and bend is not None:
        lines.append(f"Knee of the front: {_said(members[bend])}")
    if beats is not None:
        lines.append(_beating(findings, _named(beats, findings.references)))
    lines.append(f"F1 is {findings.score}.")
    return lines


def beaten(rows: Sequence[Confirmed], references: Sequence[Reference]) -> list[str]:
    """A line for each confirmed model that beats published ones: no more parameters, the interval's lower end above the score."""
    lines = []
    for row in rows:
        names = [f"{r.name} ({r.params:,}: {r.score:.4f}, {r.grade})" for r in references if row.beats(r)]
        if names:
            lines.append(
                f"{row.point.params:,} parameters, test F1 {row.f1}, accuracy {row.accuracy}, beats {'; '.join(names)}"
            )
    return lines


def _said(point: Point) -> str:
    return f"{point.params:,} parameters, F1 {point.f1:.4f} ({point.family}, run {point.run_id[:8]})"


def _named(name: str, references: Sequence[Reference]) -> Reference:
    found = [reference for reference in references if name.lower() in reference.name.lower()]
    if len(found) != 1:
        known = ", ".join(reference.name for reference in (found or references)) or "none for this data set"
        raise ConfigError(
            f"--beats `{name}` names {len(found)} published points; expected one of: {known}; give more of its name"
        )
    return found[0]


def _beating(findings: SweepResults, reference: Reference) -> str:
    """Only confirmed test scores beat a published one; a validation F1 above it is a reason to confirm."""
    target = f"{reference.name} ({reference.params:,} parameters, test {reference.metric} {reference.score:.4f}, {reference.grade})"
    better = [row for row in findings.confirmed if row.beats(reference) and findings.wanted.admits(row.point)]
    if better:
        names = "; ".join(f"{row.point.params:,} parameters, test F1 {row.f1}" for row in better)
        return f"Beat {target}, the lower end of the interval above it: {names}"
    near = [p for p in findings.members if p.params <= reference.params and p.f1 > reference.score]
    hint = (
        f"; worth paretune-confirm by its validation F1: {_said(near[0])}"
        if near and not findings.wanted.confirmed
        else ""
    )
    return f"Nothing confirmed beats {target}{hint}"
