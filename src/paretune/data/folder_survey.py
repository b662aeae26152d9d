"""What a folder of pictures holds: the same files, read in the same way as for a
training. Torch is not needed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from paretune.data.found import Found, Rows, hash_of, rows_of
from paretune.data.listing import Listing, examples, list_pictures
from paretune.data.look import Look, colours_in_words, shape, sizes_in_words
from paretune.data.pictures import (
    PictureError,
    Size,
    as_seen,
    opened,
    read_each,
    without_unused_colours,
)
from paretune.paths import printable

MODES = {
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
SIZES = 5  # are shown


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


def look_at(look: Look, path: Path) -> Seen:
    """The facts of a picture. Raises :class:`~paretune.data.pictures.PictureError`."""
    with opened(path) as file:
        mode = file.mode
        # A camera's JPEG holds small copies of itself.
        frames = 1 if file.format in ("JPEG", "MPO") else getattr(file, "n_frames", 1)
        picture = as_seen(file)
        pixels = without_unused_colours(np.asarray(picture))
        seen_by_model = look.pixels(picture)
        return Seen(
            mode=mode,
            size=(picture.height, picture.width),
            frames=frames,
            has_colours=seen_by_model.ndim == 3,
            is_blank=bool((pixels == pixels[0, 0]).all()),
            pixel_hash=hash_of(pixels),
        )


def survey_folder(path: str, look: Look) -> Found:
    """What is below ``path``. Raises :class:`~paretune.errors.DataError` if there is no
    such folder.
    """
    listing = list_pictures(Path(path))
    results = read_each(partial(look_at, look), listing.paths, "reading pictures")
    read = dict(zip(listing.paths, results, strict=True))
    seen = {path: result for path, result in read.items() if isinstance(result, Seen)}
    damaged = {
        path: result
        for path, result in read.items()
        if isinstance(result, PictureError)
    }
    parts = {split: _rows(listing, split, seen) for split in listing.files}
    found = Found(
        printable(path), listing.class_names, parts, mistakes=[*listing.mistakes]
    )
    _check(found, listing, look, seen, damaged)
    found.say(
        "pictures",
        f"{len(listing.paths):,}, {len(damaged):,} of which cannot be read"
        if damaged
        else "",
    )
    found.say("types", listing.types())
    found.say("modes", _modes(seen.values()))
    found.say("channels", _channels(listing, look, seen))
    found.say("sizes", _sizes(look, seen))
    found.say("several", _several(listing, seen))
    found.say("blank", _blank(listing, seen))
    found.say("left out", *_left_out(listing))
    found.say(
        "damaged",
        *(
            f"{listing.relative(path)}: {error.reason}"
            for path, error in damaged.items()
        ),
    )
    return found


def _rows(listing: Listing, split: str, seen: Pictures) -> Rows:
    files = [(path, label) for path, label in listing.files[split] if path in seen]
    labels = [label for _, label in files]
    names = [listing.relative(path) for path, _ in files]
    return rows_of(labels, names, [seen[path].pixel_hash for path, _ in files])


def _check(
    found: Found,
    listing: Listing,
    look: Look,
    seen: Pictures,
    damaged: dict[Path, PictureError],
) -> None:
    """Add what stops a training."""
    if damaged and (not look.skip_damaged or not seen):
        found.mistakes.append(
            f"{len(damaged):,} of {len(listing.paths):,} pictures cannot be read: see "
            "`damaged`; mend or delete them, or set "
            f"data.skip_damaged=true to leave them out"
        )
    sizes = sizes_in_words(
        listing, {path: picture.size for path, picture in seen.items()}
    )
    if sizes and not look.size:
        found.mistakes.append(sizes)


def _modes(pictures: Iterable[Seen]) -> str:
    counts = Counter(picture.mode for picture in pictures)
    return ", ".join(f"{count:,} {_mode(mode)}" for mode, count in counts.most_common())


def _mode(mode: str) -> str:
    if mode.startswith("I;16"):
        return f"{mode} (grey of 16 bits)"
    return f"{mode} ({MODES[mode]})" if mode in MODES else mode


def _channels(listing: Listing, look: Look, seen: Pictures) -> str:
    if look.channels:
        return f"{look.channels}, as data.channels says"
    coloured = [
        listing.relative(path) for path, picture in seen.items() if picture.has_colours
    ]
    if not seen:
        return ""
    return (
        f"3: {colours_in_words(coloured, len(seen))}"
        if coloured
        else "1: every picture is grey"
    )


def _sizes(look: Look, seen: Pictures) -> str:
    counts = Counter(picture.size for picture in seen.values()).most_common()
    shown = [f"{count:,} of {shape(size)}" for size, count in counts[:SIZES]]
    if len(counts) > SIZES:
        shown.append(f"and {len(counts) - SIZES:,} more")
    scaled_to = f"; all are scaled to {shape(look.size)}" if look.size else ""
    return f"{', '.join(shown)} (height, width){scaled_to}" if counts else ""


def _several(listing: Listing, seen: Pictures) -> str:
    paths = [path for path, picture in seen.items() if picture.frames > 1]
    return _count(listing, paths, "of several pictures, of which the first is read")


def _blank(listing: Listing, seen: Pictures) -> str:
    paths = [path for path, picture in seen.items() if picture.is_blank]
    return _count(listing, paths, "of one shade all over")


def _count(listing: Listing, paths: Sequence[Path], what: str) -> str:
    names = examples([listing.relative(path) for path in paths], 3)
    return f"{len(paths):,} {what}: {names}" if paths else ""


def _left_out(listing: Listing) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for left in listing.left_out:
        reasons.setdefault(left.reason, []).append(listing.relative(left.path))
    return [
        f"{len(names):,} {reason}: {examples(names, 3)}"
        for reason, names in reasons.items()
    ]
