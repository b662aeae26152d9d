"""Surveys of a folder of pictures: the same files, read in the same way as for a
training. Torch is not needed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from paretune.data.file_kinds import SIGNALS
from paretune.data.found import Found, Rows, hash_pixels, make_rows, say_values
from paretune.data.listing import Listing, format_examples, list_files
from paretune.data.look import Look, describe_colours, describe_sizes, format_size
from paretune.data.pictures import (
    Resize,
    Size,
    convert_picture,
    drop_unused_colours,
    open_picture,
    read_each,
)
from paretune.data.signal_files import read_signals
from paretune.data.unreadable import UnreadableError
from paretune.paths import printable

MODE_WORDS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey, transparent",
    "P": "palette",
    "PA": "palette, transparent",
    "RGB": "colours",
    "RGBA": "colours, transparent",
    "CMYK": "print colours",
    "F": "floats",
}
MOST_SIZES_SHOWN = 5
FITTED: dict[Resize, str] = {
    "stretch": "all are scaled to",
    "crop": "the middle of each is scaled to",
    "pad": "each is scaled and padded to",
}


@dataclass(frozen=True)
class Seen:
    """A picture that was read: how it is saved, its height and width in pixels, and
    what its pixels hold.
    """

    mode: str
    size: Size
    frames: int
    has_colours: bool
    is_blank: bool
    pixel_hash: bytes


Pictures = dict[Path, Seen]
Damaged = dict[Path, UnreadableError]


def look_at(look: Look, path: Path) -> Seen:
    """The facts of a picture. Raises :class:`~paretune.data.pictures.PictureError`."""
    with open_picture(path) as file:
        mode = file.mode
        frames = _count_frames(file)
        picture = convert_picture(file)
        pixels = drop_unused_colours(np.asarray(picture))
        seen_by_model = look.apply(picture)
        return Seen(
            mode=mode,
            size=(picture.height, picture.width),
            frames=frames,
            has_colours=seen_by_model.ndim == 3,
            is_blank=bool((pixels == pixels[0, 0]).all()),
            pixel_hash=hash_pixels(pixels),
        )


def _count_frames(file: Image.Image) -> int:
    # A camera's JPEG holds small copies of itself.
    if file.format in ("JPEG", "MPO"):
        return 1
    frames: int = getattr(file, "n_frames", 1)
    return frames


def survey_folder(path: str, look: Look) -> Found:
    """The pictures or signals below ``path``, and what is to be said of them.

    Raises :class:`~paretune.errors.DataError` if there is no such folder, and for
    signals that a training would refuse.
    """
    listing = list_files(Path(path))
    if listing.kind is SIGNALS:
        return _survey_signals(listing, look)
    look.check_for_pictures()
    seen, damaged = _look_at_each(listing, look)
    parts = {split: _make_rows(listing, split, seen) for split in listing.files}
    mistakes = list(listing.mistakes)
    found = Found(printable(path), listing.class_names, parts, mistakes=mistakes)
    _check(found, listing, look, seen, damaged)
    found.say("pictures", _describe_number(listing, damaged))
    found.say("types", listing.describe_types())
    found.say("modes", _describe_modes(seen))
    found.say("channels", _describe_channels(listing, look, seen))
    found.say("sizes", _describe_sizes(look, seen))
    found.say("several", _describe_several(listing, seen))
    found.say("blank", _describe_blank(listing, seen))
    found.say("left out", *_describe_left_out(listing))
    found.say("damaged", *_describe_damaged(listing, damaged))
    return found


def _survey_signals(listing: Listing, look: Look) -> Found:
    look.refuse_for_signals()
    read = read_signals(listing, skip_damaged=look.skip_damaged)
    parts: dict[str, Rows] = {}
    for split, part in read.parts.items():
        paths = [path for path, _ in listing.files[split] if path not in read.damaged]
        names = [listing.relative(path) for path in paths]
        hashes = [hash_pixels(pixels) for pixels in part.pixels]
        parts[split] = make_rows(part.labels.tolist(), names, hashes)
    mistakes = list(listing.mistakes)
    found = Found(
        printable(listing.folder), listing.class_names, parts, mistakes=mistakes
    )
    channels, _, length = read.parts["train"].pixels.shape[1:]
    found.say("signals", f"{channels} x {length} (channels, length)")
    found.say("types", listing.describe_types())
    say_values(found, read.values, read.parts["train"])
    found.say("left out", *_describe_left_out(listing))
    names = [listing.relative(path) for path in read.damaged]
    found.say("damaged", f"{len(names):,}: {format_examples(names)}" if names else "")
    return found


def _look_at_each(listing: Listing, look: Look) -> tuple[Pictures, Damaged]:
    """The pictures that can be read, and those that cannot."""
    return read_each(partial(look_at, look), listing.paths, "reading pictures")


def _make_rows(listing: Listing, split: str, seen: Pictures) -> Rows:
    labels: list[int] = []
    names: list[str] = []
    hashes: list[bytes] = []
    for path, label in listing.files[split]:
        if path in seen:
            labels.append(label)
            names.append(listing.relative(path))
            hashes.append(seen[path].pixel_hash)
    return make_rows(labels, names, hashes)


def _check(
    found: Found, listing: Listing, look: Look, seen: Pictures, damaged: Damaged
) -> None:
    """Add what stops a training."""
    if damaged and not (look.skip_damaged and seen):
        found.mistakes.append(
            f"{len(damaged):,} of {len(listing.paths):,} pictures cannot be read: see "
            "`damaged`; mend or delete them, or set data.skip_damaged=true to leave "
            "them out"
        )
    if look.size:
        return
    mistake = describe_sizes(
        listing, {path: picture.size for path, picture in seen.items()}
    )
    if mistake:
        found.mistakes.append(mistake)


def _describe_number(listing: Listing, damaged: Damaged) -> str:
    if not damaged:
        return ""
    return f"{len(listing.paths):,}, {len(damaged):,} of which cannot be read"


def _describe_modes(seen: Pictures) -> str:
    counts = Counter(picture.mode for picture in seen.values())
    modes = [
        f"{count:,} {_describe_mode(mode)}" for mode, count in counts.most_common()
    ]
    return ", ".join(modes)


def _describe_mode(mode: str) -> str:
    if mode.startswith("I;16"):
        return f"{mode} (grey of 16 bits)"
    if mode in MODE_WORDS:
        return f"{mode} ({MODE_WORDS[mode]})"
    return mode


def _describe_channels(listing: Listing, look: Look, seen: Pictures) -> str:
    if look.channels:
        return f"{look.channels}, as data.channels says"
    if not seen:
        return ""
    coloured = [
        listing.relative(path) for path, picture in seen.items() if picture.has_colours
    ]
    if not coloured:
        return "1: every picture is grey"
    return f"3: {describe_colours(coloured, len(seen))}"


def _describe_sizes(look: Look, seen: Pictures) -> str:
    if not seen:
        return ""
    counts = Counter(picture.size for picture in seen.values())
    sizes = [
        f"{count:,} of {format_size(size)}"
        for size, count in counts.most_common(MOST_SIZES_SHOWN)
    ]
    if len(counts) > MOST_SIZES_SHOWN:
        sizes.append(f"and {len(counts) - MOST_SIZES_SHOWN:,} more")
    text = f"{', '.join(sizes)} (height, width)"
    if look.size:
        text += f"; {FITTED[look.resize]} {format_size(look.size)}"
    return text


def _describe_several(listing: Listing, seen: Pictures) -> str:
    paths = [path for path, picture in seen.items() if picture.frames > 1]
    fault = "of several pictures, of which the first is read"
    return _describe_some(listing, paths, fault)


def _describe_blank(listing: Listing, seen: Pictures) -> str:
    paths = [path for path, picture in seen.items() if picture.is_blank]
    return _describe_some(listing, paths, "of one shade all over")


def _describe_some(listing: Listing, paths: Sequence[Path], fault: str) -> str:
    if not paths:
        return ""
    names = [listing.relative(path) for path in paths]
    return f"{len(paths):,} {fault}: {format_examples(names, 3)}"


def _describe_left_out(listing: Listing) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for left in listing.left_out:
        reasons.setdefault(left.reason, []).append(listing.relative(left.path))
    return [
        f"{len(names):,} {reason}: {format_examples(names, 3)}"
        for reason, names in reasons.items()
    ]


def _describe_damaged(listing: Listing, damaged: Damaged) -> list[str]:
    return [
        f"{listing.relative(path)}: {error.reason}" for path, error in damaged.items()
    ]
