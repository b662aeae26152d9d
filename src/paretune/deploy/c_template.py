"""The parts that headers in floats and in whole numbers share: comment, guard, macros, the
average over views.
"""

import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, Template

from paretune.deploy.c_text import in_comment
from paretune.deploy.model import Deployable

GUARD = "PARETUNE_GUARD"  # where a header's own stands, which is drawn from its text


def render_header(
    template: str,
    model: Deployable,
    about: str,
    *,
    name: str,
    classes: int,
    **values: Any,
) -> str:
    """A header: the ``template`` with ``values``, ``about`` at its top, whose code
    averages as many views as ``model``.

    Everything in it begins with ``name``; what only the header calls with ``name_op_``,
    so that no other model's name begins so. Its guard is drawn from all of its text:
    two models never have the same one.
    """
    views = model.net.views
    text: str = _load_template(template).render(
        values,
        name=name,
        internal=f"{name}_op_",
        classes=classes,
        layout=model.layout(classes),
        about=[in_comment(line) for line in about.splitlines()],
        guard=GUARD,
        reach=views.reach if views else None,
        views=len(views.corners) if views else 1,
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return text.replace(GUARD, f"PARETUNE_{digest.upper()}_H")


def _load_template(template: str) -> Template:
    environment = Environment(
        loader=PackageLoader("paretune.deploy"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template)
