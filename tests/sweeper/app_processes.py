"""Apps of the tests, started from a shell as people do."""

import os
import subprocess
import sys
from pathlib import Path

APPS = Path(__file__).parent / "apps"
ENDED_WITHIN_S = 400


def start_app(app: Path, folder: Path, *overrides: str) -> subprocess.Popen[str]:
    """The sweep of an app, which writes to the ``folder``."""
    command = [sys.executable, "src/train.py", "hparams_search=front", *overrides]
    return subprocess.Popen(
        command,
        cwd=app,
        env=os.environ | {"LOG_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_app(
    app: Path, folder: Path, *overrides: str
) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = start_app(app, folder, *overrides)
    output, errors = process.communicate(timeout=ENDED_WITHIN_S)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
