"""A run's config as tags, to be queried and read without a file."""

import json
import marshal
from collections.abc import Iterable, Mapping
from itertools import count, takewhile
from typing import Any

from paretune.tracking.schema import LONGEST_VALUE, Tag

MARSHAL_WITHOUT_REFERENCES = 2  # its version, in which equal values have equal bytes


def config_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The tags that hold a run's config."""
    text = json.dumps(config)
    tags: dict[str, str] = {}
    for number, start in enumerate(range(0, len(text), LONGEST_VALUE)):
        tags[_name_tag(number)] = text[start : start + LONGEST_VALUE]
    return tags


def config_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The config that is in the tags of a run; an empty one of a run that ended before
    it was known.
    """
    names = takewhile(tags.__contains__, map(_name_tag, count()))
    text = "".join(tags[name] for name in names)
    return dict(json.loads(text or "{}"))


def configs_of(runs: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The configs in the tags of many runs, to be read and not changed: equal sections
    are one object.

    The trials of a sweep differ in a few settings, and 20,000 whole configs take 180
    MB.
    """
    known: dict[bytes, Any] = {}
    configs: list[dict[str, Any]] = []
    for tags in runs:
        config = config_of(tags)
        for name, section in config.items():
            # Quicker than text, and tells 1 from true.
            key = marshal.dumps(section, MARSHAL_WITHOUT_REFERENCES)
            config[name] = known.setdefault(key, section)
        configs.append(config)
    return configs


def _name_tag(number: int) -> str:
    if number == 0:
        return Tag.CONFIG
    return f"{Tag.CONFIG}.{number}"
