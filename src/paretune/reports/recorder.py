"""The parent run of a sweep, with its front as files."""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from paretune.errors import StoreError
from paretune.tracking import SweepRecorder

__all__ = ["FrontRecorder"]


class FrontRecorder(SweepRecorder):
    """A :class:`~paretune.tracking.SweepRecorder` that leaves ``front.csv`` and ``front.png`` in the parent run, too."""

    def finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        """Close the runs, then write the front that there is; a sweep without a finished trial has none."""
        super().finish(status, reasons, running)
        if self.store is None or not self.run_id:
            return
        from paretune import places
        from paretune.reports.figure import draw_front  # matplotlib takes a second to import
        from paretune.reports.files import write_csv
        from paretune.reports.findings import Wanted, find

        try:
            findings = find(self.store, [self.sweep], Wanted(), places.CONF / "references")
        except StoreError:
            return
        with tempfile.TemporaryDirectory() as folder:
            table, picture = Path(folder) / "front.csv", Path(folder) / "front.png"
            write_csv(findings.members, table)
            draw_front(
                findings.points, [picture], title=findings.title, references=findings.references, cap=findings.cap
            )
            self.attach([table, picture])
