"""What is asked of ``paretune export``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.deploy.c_input import DEFAULT_INPUT, CInput
from paretune.trust import Trust

if TYPE_CHECKING:
    from paretune.front import Point
    from paretune.reports.query import Query


@dataclass(frozen=True)
class Options:
    """A person's request.

    ``model`` is the ONNX file to write, or a folder for all members of the front.
    ``run`` is the beginning of a run's id. With ``confirmed`` weights of a confirmation
    are wanted where there is one; with ``c`` a C program that takes ``c_input``; with
    ``int8`` the model in whole numbers, too.
    """

    sweep: str
    model: Path
    query: "Query"
    run: str | None
    confirmed: bool
    c: bool
    int8: bool
    trust: Trust
    store_uri: str
    c_input: CInput = DEFAULT_INPUT


@dataclass(frozen=True)
class Request:
    """A model to export: its point, and how it was confirmed (a row of
    ``SweepResults.confirmed``), if it was.
    """

    options: Options
    point: "Point"
    confirmation: Mapping[str, Any] | None

    @property
    def exported_confirmation(self) -> Mapping[str, Any] | None:
        """The confirmation whose weights are exported; ``None`` for those of the
        search.
        """
        if self.options.confirmed:
            return self.confirmation
        return None
