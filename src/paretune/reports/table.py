"""The front as a table in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from paretune.point import Point
from paretune.reports.confirmed import Confirmed
from paretune.reports.findings import Findings
from paretune.reports.layers import layers_of

__all__ = ["confirmed_table", "findings_table", "front_table"]


def findings_table(findings: Findings) -> Table:
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
