"""Companions of an exported model: its weights, and a card that says what it is and
how it was made.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from safetensors.torch import save

from paretune.confusion import Confusion
from paretune.costs import COSTS
from paretune.deploy.model import Deployable
from paretune.front import Point
from paretune.models.tracing import measure_network

CARD = """\
# {family}, {params:,} parameters, {data}

Trained with Paretune. Its input is `images`, `{shape}`, in [0, 1]{ground}: {order}.
Its output is `logits`, the largest of which is the class: {classes}.

| | |
|---|---|
{rows}
{answers}
## How it was made

```
{commands}
```

```yaml
{config}```
"""

# Of Markdown, a backslash first: it takes the meaning of the others.
MARKS = "\\|<>*_`[]&~$#!"
ANSWERS = """
## What it gets wrong

Of {count:,} test images, by {weights}:

| class | images | F1 | mostly taken for |
|---|---:|---:|---|
{rows}

![Which classes are taken for which others]({picture})
"""


def describe_costs(model: Deployable) -> dict[str, str]:
    """The costs of one inference, in words."""
    counted = measure_network(model.net.net, model.image_shape).costs
    if counted.keys() == {"params"}:
        return {"MACs per image": "not counted, the network does not run on one image"}
    words: dict[str, str] = {}
    for name, cost in COSTS.items():
        if cost.card_label and name in counted:
            words[cost.card_label] = cost.card_words.format(counted[name])
    return words


def write_safetensors(model: Deployable, path: Path) -> None:
    """The state dict of the network alone, its config as metadata
    (https://github.com/huggingface/safetensors).
    """
    config = json.dumps(remove_folders(model.point))
    weights = model.net.net.state_dict()
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    # save_file makes files that nobody else may read.
    path.write_bytes(save(tensors, {"config": config}))


def describe_answers(confusion: Confusion, picture: str, *, int8: bool = False) -> str:
    """The part of the card that says what these weights get wrong, or, with ``int8``,
    what they do in whole numbers; ``picture`` is the name of the file that shows it.
    """
    rows: list[str] = []
    for part in confusion.classes:
        name, taken_for = escape_cell(part.name), ""
        if part.mistakes:
            taken_for = f"{escape_cell(part.taken_for)} ({part.mistakes:,})"
        rows.append(f"| {name} | {part.count:,} | {part.f1:.4f} | {taken_for} |")
    return ANSWERS.format(
        count=confusion.count,
        weights="these weights in int8" if int8 else "these weights",
        rows="\n".join(rows),
        picture=quote(picture),
    )


def escape_cell(text: str) -> str:
    """A text as a cell of a table in Markdown, in which nothing is markup."""
    for mark in MARKS:
        text = text.replace(mark, f"\\{mark}")
    return text


def write_card(
    model: Deployable,
    path: Path,
    facts: Mapping[str, str],
    commands: Sequence[str],
    answers: str = "",
) -> None:
    """Markdown: ``facts`` as a table, what :func:`describe_answers` says, the config,
    and the ``commands`` that made it.
    """
    point = model.point
    layout = model.layout(model.logits().shape[1])
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    text = CARD.format(
        family=point.family,
        params=point.params,
        data=point.data,
        shape=f"(batch, {layout.channels}, {layout.height}, {layout.width})",
        ground=layout.ground,
        order=layout.order,
        classes=escape_cell(layout.classes),
        rows="\n".join(rows),
        answers=answers,
        commands="\n".join(commands),
        config=yaml.safe_dump(remove_folders(point), sort_keys=False),
    )
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def remove_folders(point: Point) -> dict[str, Any]:
    """The config of a point without the folders that this machine has its data and its
    teacher in.
    """
    config = dict(point.config)
    if "data" in config:
        config["data"] = {
            name: value for name, value in config["data"].items() if name != "root"
        }
    distillation = config.get("trainer", {}).get("distillation", {})
    teacher = distillation.get("teacher")
    if teacher:
        distillation = {**distillation, "teacher": Path(teacher).name}
        config["trainer"] = {**config["trainer"], "distillation": distillation}
    return config
