"""The model card: what a person needs to know of the files beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from safetensors.torch import save_file

from paretune.deploy.graph import graph_of
from paretune.deploy.memory import plan
from paretune.deploy.model import Deployable
from paretune.errors import ExportError

__all__ = ["costs", "write_card", "write_safetensors"]

FLOAT_BYTES = 4


def costs(model: Deployable) -> dict[str, str]:
    """Multiply-accumulates of one inference, and bytes of weights and of memory to work in, in words."""
    try:
        graph = graph_of(model.net, model.image_shape)
    except ExportError as error:
        return {"MACs per image": f"not counted ({str(error).split(';')[0]})"}
    peak = plan(graph).size * FLOAT_BYTES
    return {
        "MACs per image": f"{graph.macs:,}",
        "weights": f"{model.point.params * FLOAT_BYTES:,} bytes as float32",
        "peak activations": f"{peak:,} bytes as float32, beside the image",
    }


def write_safetensors(model: Deployable, path: Path) -> None:
    """The state dict of the network alone, its config as metadata (https://github.com/huggingface/safetensors)."""
    config = json.dumps(model.point.config)
    save_file(
        {name: value.contiguous() for name, value in model.net.net.state_dict().items()}, path, {"config": config}
    )


def write_card(model: Deployable, path: Path, facts: Mapping[str, str], commands: Sequence[str]) -> None:
    """Markdown: ``facts`` as a table, the config, and the ``commands`` that made it."""
    point = model.point
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    config = yaml.safe_dump(dict(point.config), sort_keys=False)
    made = "\n".join(commands)
    path.write_text(f"""# {point.family}, {point.params:,} parameters, {point.data}

Trained with Paretune. Its input is `images`, `(batch, {", ".join(map(str, model.image_shape))})`, in [0, 1], white on black; its output is
`logits`, the largest of which is the class.

| | |
|---|---|
{rows}

## How it was made

```
{made}
```

```yaml
{config}```
""")
