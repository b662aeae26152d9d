"""The configurations that every sweep tries first: ``conf/portfolio.yaml``, which
``python -m studies portfolio`` makes from recorded trainings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from paretune.paths import CONF


def read_portfolio() -> Sequence[Mapping[str, Any]]:
    """The values of searched settings by their keys, of each configuration; the
    beginning of the list covers all sizes already.
    """
    text = (CONF / "portfolio.yaml").read_text(encoding="utf-8")
    entries: Sequence[Mapping[str, Any]] = yaml.safe_load(text)
    return entries
