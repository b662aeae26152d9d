"""What any data set holds, before anything is trained on it. Those that Paretune knows
are read without torch.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paretune.data.arrays import Arrays
from paretune.data.folder_survey import survey_folder
from paretune.data.found import Fact, Found, Rows, rows_of_arrays
from paretune.data.look import look_of
from paretune.data.splitting import WORDS, Splitting, divided
from paretune.errors import ConfigError, ParetuneError, first_line
from paretune.paths import printable

OWN_TEST_SIZE = 0.15  # of folders and arrays
Settings = Mapping[str, Any]


@dataclass
class Survey:
    """A data set as a training would have it: images by split, and what is said of
    them.
    """

    name: str
    class_names: tuple[str, ...]
    parts: dict[str, Rows]
    drawn: tuple[str, ...] = ()
    facts: list[Fact] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def survey(data: Settings) -> Survey:
    """What the data set of a plain ``data`` config holds.

    Raises :class:`~paretune.errors.ParetuneError` where nothing can be said, such as
    for a folder that is not there.
    """
    look_into = KNOWN.get(str(data.get("_target_")), _loaded)
    found = look_into(data)
    splitting = _splitting(data)
    result = Survey(
        found.name,
        found.class_names,
        found.parts,
        facts=found.facts,
        mistakes=found.mistakes,
    )
    if len(result.class_names) > 1:
        _divide(result, splitting, data.get("test_size", OWN_TEST_SIZE))
    result.warnings = copies_in_words(result.parts, result.class_names)
    return result


def _splitting(data: Settings) -> Splitting:
    settings = {
        name: value
        for name, value in data.get("splitting", {}).items()
        if name != "_target_"
    }
    try:
        return replace(Splitting(**settings), train_on_val=False)
    except TypeError as error:
        raise ConfigError(
            f"data.splitting is invalid ({first_line(error)}); expected as in "
            "conf/data; set it so"
        ) from error


def _setting(data: Settings, name: str) -> Any:
    """A setting that must be there."""
    value = data.get(name)
    if value is None:
        raise ConfigError(f"data.{name} is missing; expected a value; set data.{name}")
    return value


def _divide(result: Survey, splitting: Splitting, test_size: float) -> None:
    """Draw the splits that the data set itself has not, as a training would."""
    try:
        parts = divided(
            result.name, result.parts, result.class_names, splitting, test_size
        )
    except ParetuneError as error:
        result.mistakes.append(str(error))
        return
    result.drawn = tuple(
        split for split in parts if split not in result.parts and len(parts[split])
    )
    result.parts = {split: part for split, part in parts.items() if len(part)}


def _folder(data: Settings) -> Found:
    look = look_of(
        data.get("image_size"),
        data.get("channels"),
        skip_damaged=data.get("skip_damaged", False),
    )
    return survey_folder(_setting(data, "path"), look)


def _npz(data: Settings) -> Found:
    from paretune.data.npz import read_npz

    patterns = tuple(data.get("arrays", ("x_*", "y_*")))
    parts, names = read_npz(
        Path(_setting(data, "path")), patterns, tuple(data.get("class_names") or ())
    )
    return _of_arrays(printable(_setting(data, "path")), names, parts)


def _idx(data: Settings) -> Found:
    from paretune.data.mnist import read_pair

    hashes = tuple(_setting(data, "files").items())
    folder = Path(_setting(data, "root")) / _setting(data, "name")
    num_classes = data.get("num_classes", 10)
    pairs = {"train": hashes[:2], "test": hashes[2:]}
    parts = {
        split: read_pair(folder, _setting(data, "mirrors"), num_classes, pair)
        for split, pair in pairs.items()
    }
    return _of_arrays(_setting(data, "name"), _numbers(num_classes), parts)


def _cifar(data: Settings) -> Found:
    from paretune.data.cifar import TEST, TRAIN, read_archive
    from paretune.data.fetch import find_or_fetch

    folder = Path(_setting(data, "root")) / _setting(data, "name")
    (archive,) = find_or_fetch(
        folder, _setting(data, "mirrors"), tuple(_setting(data, "files").items())
    )
    names = tuple(_setting(data, "class_names"))
    parts = {
        split: read_archive(archive, len(names), start)
        for split, start in {"train": TRAIN, "test": TEST}.items()
    }
    return _of_arrays(_setting(data, "name"), names, parts)


def _digits(data: Settings) -> Found:
    from paretune.data.digits import SIDE, TEST_SIZE, read_digits

    digits = read_digits()
    train = Arrays(digits.pixels[:-TEST_SIZE], digits.labels[:-TEST_SIZE])
    test = Arrays(digits.pixels[-TEST_SIZE:], digits.labels[-TEST_SIZE:])
    found = _of_arrays("digits", _numbers(10), {"train": train, "test": test})
    found.say("scaled to", f"1 x {SIDE} x {SIDE}")
    return found


def _loaded(data: Settings) -> Found:
    """Of a function that Paretune does not know: its images are loaded as for a
    training.
    """
    from paretune.data import load  # import torch

    images = load(data)
    tensors = {"train": images.train, "val": images.val, "test": images.load_test()}
    parts = {
        split: Arrays(part.pixels.numpy(), part.labels.numpy())
        for split, part in tensors.items()
        if len(part)
    }
    return _of_arrays(
        images.name, images.class_names or _numbers(images.num_classes), parts
    )


KNOWN: dict[str, Callable[[Settings], Found]] = {
    "paretune.data.cifar.load": _cifar,
    "paretune.data.digits.load": _digits,
    "paretune.data.folder.load": _folder,
    "paretune.data.mnist.load_idx": _idx,
    "paretune.data.npz.load": _npz,
}


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


def _of_arrays(
    name: str, class_names: Sequence[str], parts: Mapping[str, Arrays]
) -> Found:
    found = Found(
        name,
        tuple(class_names),
        {split: rows_of_arrays(split, part) for split, part in parts.items()},
    )
    shapes = {part.pixels.shape[1:]: split for split, part in parts.items()}
    found.say(
        "images",
        *(
            f"{' x '.join(map(str, shape))} (channels, height, width)"
            for shape in shapes
        ),
    )
    if len(shapes) > 1:
        found.mistakes.append(
            f"data `{name}` has images of the shapes {sorted(shapes)}; expected one; "
            "make them equal"
        )
    blank = {split: _blank(part) for split, part in parts.items()}
    found.say(
        "blank",
        *(
            f"{count:,} {WORDS[split]} images of one shade all over"
            for split, count in blank.items()
            if count
        ),
    )
    return found


def _blank(part: Arrays) -> int:
    flat = part.pixels.reshape(len(part), -1)
    return int((flat == flat[:, :1]).all(axis=1).sum())


def copies_in_words(parts: Mapping[str, Rows], class_names: Sequence[str]) -> list[str]:
    """Which images are in several splits, in several classes, or several times in one
    split.
    """
    lines = [
        _shared_in_words(parts, first, second)
        for first, second in PAIRS
        if first in parts and second in parts
    ]
    lines += [_two_classes_in_words(parts, class_names), _repeated_in_words(parts)]
    return [line for line in lines if line]


PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))


def _shared_in_words(parts: Mapping[str, Rows], first: str, second: str) -> str:
    originals = dict(zip(parts[first].hashes, parts[first].names, strict=True))
    others = zip(parts[second].hashes, parts[second].names, strict=True)
    pairs = [
        (name, originals[pixels]) for pixels, name in others if pixels in originals
    ]
    if not pairs:
        return ""
    name, original = pairs[0]
    verb = "is" if len(pairs) == 1 else "are"
    return (
        f"{len(pairs):,} of {len(parts[second]):,} {WORDS[second]} images {verb} "
        f"among the {WORDS[first]} images, too, such as "
        f"`{name}` as `{original}`: scores look better than they are; keep one of each"
    )


def _two_classes_in_words(parts: Mapping[str, Rows], class_names: Sequence[str]) -> str:
    classes: defaultdict[bytes, dict[int, str]] = defaultdict(dict)
    for part in parts.values():
        for pixels, label, name in zip(
            part.hashes, part.labels.tolist(), part.names, strict=True
        ):
            classes[pixels].setdefault(label, name)
    contradicting = [names for names in classes.values() if len(names) > 1]
    if not contradicting:
        return ""
    examples = " and ".join(
        f"`{name}` ({class_names[label]})" for label, name in contradicting[0].items()
    )
    verb = "image is" if len(contradicting) == 1 else "images are"
    return (
        f"{len(contradicting):,} {verb} in more than one class, such as {examples}: "
        "keep the right ones"
    )


def _repeated_in_words(parts: Mapping[str, Rows]) -> str:
    counts = {
        split: len(part) - len(Counter(part.hashes)) for split, part in parts.items()
    }
    shown = [f"{count:,} {WORDS[split]}" for split, count in counts.items() if count]
    return f"copies within a split: {', '.join(shown)}" if shown else ""
