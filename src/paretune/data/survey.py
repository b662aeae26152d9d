"""Surveys of any data set, before anything is trained on it. Those that Paretune knows
are read without torch.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paretune.data.arrays import Arrays
from paretune.data.folder_survey import survey_folder
from paretune.data.found import (
    Fact,
    Found,
    Rows,
    make_rows_of_arrays,
    say_values,
)
from paretune.data.look import make_look
from paretune.data.splitting import SPLIT_WORDS, Splitting, divide
from paretune.errors import ConfigError, ParetuneError, first_line
from paretune.paths import printable

# Of folders and arrays.
OWN_TEST_SIZE = 0.15
# A plain ``data`` config.
DataConfig = Mapping[str, Any]


@dataclass
class Survey:
    """A data set as a training would have it: images by split, with facts, warnings and
    mistakes.
    """

    name: str
    class_names: tuple[str, ...]
    parts: dict[str, Rows]
    drawn: tuple[str, ...] = ()
    facts: list[Fact] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def survey(data: DataConfig) -> Survey:
    """The splits of the data set of a plain ``data`` config, and what is to be said of
    them.

    Raises :class:`~paretune.errors.ParetuneError` where nothing can be said, such as
    for a folder that is not there.
    """
    find = FINDERS.get(str(data.get("_target_")), _find_in_loaded)
    found = find(data)
    splitting = _read_splitting(data)
    result = Survey(
        found.name,
        found.class_names,
        found.parts,
        facts=found.facts,
        mistakes=found.mistakes,
    )
    if len(result.class_names) > 1:
        _divide(result, splitting, data.get("test_size", OWN_TEST_SIZE))
    result.warnings = describe_copies(result.parts, result.class_names)
    return result


def _read_splitting(data: DataConfig) -> Splitting:
    settings = {
        name: value
        for name, value in data.get("splitting", {}).items()
        if name != "_target_"
    }
    try:
        return replace(Splitting(**settings), train_on_val=False)
    except TypeError as error:
        raise ConfigError(
            f"data.splitting is invalid ({first_line(error)}); see the files in "
            "conf/data for its keys"
        ) from error


def _require(data: DataConfig, name: str) -> Any:
    """A setting that must be there."""
    value = data.get(name)
    if value is None:
        raise ConfigError(f"data.{name} is missing; set it")
    return value


def _divide(result: Survey, splitting: Splitting, test_size: float) -> None:
    """Draw the splits that the data set itself has not, as a training would."""
    try:
        parts = divide(
            result.name, result.parts, result.class_names, splitting, test_size
        )
    except ParetuneError as error:
        result.mistakes.append(str(error))
        return
    own = result.parts
    result.parts = {split: part for split, part in parts.items() if len(part)}
    result.drawn = tuple(split for split in result.parts if split not in own)


def _find_in_folder(data: DataConfig) -> Found:
    look = make_look(
        data.get("image_size"),
        data.get("channels"),
        skip_damaged=data.get("skip_damaged", False),
        resize=data.get("resize", "stretch"),
    )
    return survey_folder(_require(data, "path"), look)


def _find_in_npz(data: DataConfig) -> Found:
    from paretune.data.npz import Names, read_npz

    path = _require(data, "path")
    names = Names(
        patterns=tuple(data.get("arrays", ("x_*", "y_*"))),
        classes=tuple(data.get("class_names") or ()),
        signals=data.get("signals", False),
    )
    read = read_npz(Path(path), names)
    found = _find_in_arrays(printable(path), read.class_names, read.parts)
    if read.values:
        say_values(found, read.values, read.parts["train"])
    return found


def _find_in_mnist1d(data: DataConfig) -> Found:
    from paretune.data.mnist1d import read_mnist1d

    parts, values = read_mnist1d()
    found = _find_in_arrays("mnist1d", _number_classes(10), parts)
    say_values(found, values, parts["train"])
    return found


def _find_in_idx(data: DataConfig) -> Found:
    from paretune.data.mnist import read_pair

    name = _require(data, "name")
    folder = Path(_require(data, "root")) / name
    mirrors = _require(data, "mirrors")
    hashes = tuple(_require(data, "files").items())
    num_classes = data.get("num_classes", 10)
    parts = {
        "train": read_pair(folder, mirrors, num_classes, hashes[:2]),
        "test": read_pair(folder, mirrors, num_classes, hashes[2:]),
    }
    return _find_in_arrays(name, _number_classes(num_classes), parts)


def _find_in_cifar(data: DataConfig) -> Found:
    from paretune.data.cifar import TEST_PREFIX, TRAIN_PREFIX, read_archive
    from paretune.data.fetch import find_or_fetch

    name = _require(data, "name")
    folder = Path(_require(data, "root")) / name
    hashes = tuple(_require(data, "files").items())
    [archive] = find_or_fetch(folder, _require(data, "mirrors"), hashes)
    class_names = tuple(_require(data, "class_names"))
    parts = {
        "train": read_archive(archive, len(class_names), TRAIN_PREFIX),
        "test": read_archive(archive, len(class_names), TEST_PREFIX),
    }
    return _find_in_arrays(name, class_names, parts)


def _find_in_digits(data: DataConfig) -> Found:
    from paretune.data.digits import SIDE, TEST_SIZE, read_digits

    digits = read_digits()
    parts = {
        "train": Arrays(digits.pixels[:-TEST_SIZE], digits.labels[:-TEST_SIZE]),
        "test": Arrays(digits.pixels[-TEST_SIZE:], digits.labels[-TEST_SIZE:]),
    }
    found = _find_in_arrays("digits", _number_classes(10), parts)
    found.say("scaled to", f"1 x {SIDE} x {SIDE}")
    return found


def _find_in_loaded(data: DataConfig) -> Found:
    """For a function that Paretune does not know: its images are loaded as for a
    training.
    """
    from paretune.data import load  # import torch

    images = load(data)
    splits = {"train": images.train, "val": images.val, "test": images.load_test()}
    parts: dict[str, Arrays] = {}
    for split, part in splits.items():
        if len(part):
            parts[split] = Arrays(part.pixels.numpy(), part.labels.numpy())
    class_names = images.class_names or _number_classes(images.num_classes)
    return _find_in_arrays(images.name, class_names, parts)


FINDERS: dict[str, Callable[[DataConfig], Found]] = {
    "paretune.data.cifar.load": _find_in_cifar,
    "paretune.data.digits.load": _find_in_digits,
    "paretune.data.folder.load": _find_in_folder,
    "paretune.data.mnist.load_idx": _find_in_idx,
    "paretune.data.mnist1d.load": _find_in_mnist1d,
    "paretune.data.npz.load": _find_in_npz,
}


def _number_classes(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


def _find_in_arrays(
    name: str, class_names: Sequence[str], parts: Mapping[str, Arrays]
) -> Found:
    rows = {split: make_rows_of_arrays(split, part) for split, part in parts.items()}
    found = Found(name, tuple(class_names), rows)
    shapes = list(dict.fromkeys(part.pixels.shape[1:] for part in parts.values()))
    found.say("images", *[_describe_shape(shape) for shape in shapes])
    if len(shapes) > 1:
        found.mistakes.append(
            f"data `{name}` has images of the shapes {sorted(shapes)}; make them equal"
        )
    found.say("blank", *[_describe_blank(*item) for item in parts.items()])
    return found


def _describe_shape(shape: Sequence[int]) -> str:
    return f"{' x '.join(map(str, shape))} (channels, height, width)"


def _describe_blank(split: str, part: Arrays) -> str:
    flat = part.pixels.reshape(len(part), -1)
    is_blank = (flat == flat[:, :1]).all(axis=1)
    count = int(is_blank.sum())
    if count == 0:
        return ""
    return f"{count:,} {SPLIT_WORDS[split]} images of one shade all over"


def describe_copies(parts: Mapping[str, Rows], class_names: Sequence[str]) -> list[str]:
    """Which images are in several splits, in several classes, or several times in one
    split.
    """
    lines = [
        _describe_shared(parts, first, second)
        for first, second in PAIRS_OF_SPLITS
        if first in parts and second in parts
    ]
    lines += [_describe_contradicting(parts, class_names), _describe_repeated(parts)]
    return [line for line in lines if line]


PAIRS_OF_SPLITS = (("train", "val"), ("train", "test"), ("val", "test"))


def _describe_shared(parts: Mapping[str, Rows], first: str, second: str) -> str:
    """How many images of the second split are also in the first, with an example."""
    originals = dict(zip(parts[first].hashes, parts[first].names, strict=True))
    copies = [
        (name, originals[pixel_hash])
        for pixel_hash, name in zip(
            parts[second].hashes, parts[second].names, strict=True
        )
        if pixel_hash in originals
    ]
    if not copies:
        return ""
    name, original = copies[0]
    verb = "is" if len(copies) == 1 else "are"
    return (
        f"{len(copies):,} of {len(parts[second]):,} {SPLIT_WORDS[second]} images "
        f"{verb} among the {SPLIT_WORDS[first]} images, too, such as `{name}` as "
        f"`{original}`: scores look better than they are; keep one of each"
    )


def _describe_contradicting(
    parts: Mapping[str, Rows], class_names: Sequence[str]
) -> str:
    """How many images are in several classes, with an example."""
    contradicting = [names for names in _name_by_class(parts) if len(names) > 1]
    if not contradicting:
        return ""
    examples = [
        f"`{name}` ({class_names[label]})" for label, name in contradicting[0].items()
    ]
    verb = "image is" if len(contradicting) == 1 else "images are"
    return (
        f"{len(contradicting):,} {verb} in more than one class, such as "
        f"{' and '.join(examples)}: keep the right ones"
    )


def _name_by_class(parts: Mapping[str, Rows]) -> list[dict[int, str]]:
    """For all different pixels: a name in each class that they are in."""
    names: defaultdict[bytes, dict[int, str]] = defaultdict(dict)
    for part in parts.values():
        labels = part.labels.tolist()
        for pixel_hash, label, name in zip(
            part.hashes, labels, part.names, strict=True
        ):
            names[pixel_hash].setdefault(label, name)
    return list(names.values())


def _describe_repeated(parts: Mapping[str, Rows]) -> str:
    """How many images of each split stand in it already."""
    counts: list[str] = []
    for split, part in parts.items():
        n_copies = len(part) - len(set(part.hashes))
        if n_copies:
            counts.append(f"{n_copies:,} {SPLIT_WORDS[split]}")
    if not counts:
        return ""
    return f"copies within a split: {', '.join(counts)}"
