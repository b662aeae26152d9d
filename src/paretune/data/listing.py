"""Which files below a folder are pictures of which class and split, and what is left
out, and why. Torch is not needed.

Hidden files and folders are left out at every depth, and so is what systems leave
behind. Links are followed.
"""

import stat
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from paretune.data.pictures import NAMES, SUFFIXES
from paretune.errors import DataError
from paretune.paths import printable

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# Of macOS, Windows, file servers and Python; most hold small copies of the pictures
# beside them.
SYSTEM_FOLDERS = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "lost+found",
    "system volume information",
}
SHOWN = 10  # examples in a message
FileId = tuple[int, int]  # device, inode
Labelled = tuple[Path, int]  # a picture and the number of its class


class Reason(StrEnum):
    """Why something is left out, as words that follow a count."""

    HIDDEN = "hidden"
    SYSTEM = "of the system"
    DANGLING = "leading nowhere"
    LOOP = "leading back to a folder above"
    AGAIN = "leading to a folder that is read already"
    UNREADABLE = "not to be looked at"
    SPECIAL = "neither file nor folder"
    OUTSIDE = "outside of the class folders"
    UNUSED = "beside the folders of the splits"


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not read, and why: a :class:`Reason`, or a type such as
    ``.txt``.
    """

    path: Path
    reason: str


@dataclass
class Listing:
    """The pictures below ``folder`` by split, ``train`` at least; class numbers are
    places in ``class_names``.
    """

    folder: Path
    class_names: tuple[str, ...] = ()
    files: dict[str, list[Labelled]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Every picture, split after split."""
        return [path for part in self.files.values() for path, _ in part]

    def relative(self, path: Path) -> str:
        """The name of a file below the folder, as text that can be printed."""
        return printable(path.relative_to(self.folder))

    def require(self) -> None:
        """Raise :class:`~paretune.errors.DataError` for the mistakes that there are."""
        if not self.mistakes:
            return
        others = len(self.mistakes) - 1
        more = f" (and {others} more: paretune data check says all)" if others else ""
        raise DataError(self.mistakes[0] + more)

    def types(self) -> str:
        """How many pictures there are of which type: ``24 .png, 2 .tif``."""
        counts = Counter(path.suffix.lower() for path in self.paths)
        return ", ".join(
            f"{count:,} {suffix}" for suffix, count in counts.most_common()
        )

    def left_out_in_words(self) -> str:
        """What is left out by reason, with an example of each: ``3 hidden (such as
        `cat/.x`), 1 .txt (`notes.txt`)``.
        """
        reasons: dict[str, list[Path]] = {}
        for left in self.left_out:
            reasons.setdefault(left.reason, []).append(left.path)
        return ", ".join(
            self._with_example(reason, paths) for reason, paths in reasons.items()
        )

    def _with_example(self, reason: str, paths: Sequence[Path]) -> str:
        such_as = "such as " if len(paths) > 1 else ""
        return f"{len(paths):,} {reason} ({such_as}`{self.relative(paths[0])}`)"


def list_pictures(folder: Path) -> Listing:
    """The pictures below ``folder``, in the order of their names; what cannot be used
    is said by the listing's ``mistakes``.

    Raises :class:`~paretune.errors.DataError` if there is no such folder.
    """
    if not folder.is_dir():
        is_there = (
            f"is a file, not a folder of class folders{_for_arrays(folder)}"
            if folder.exists()
            else "is not there"
        )
        raise DataError(
            f"data folder `{printable(folder)}` {is_there}; expected a folder of "
            "class folders; set data.path"
        )
    listing = Listing(folder)
    splits = _split_folders(listing)
    classes = _classes(listing, splits["train"])
    listing.class_names = tuple(sorted(classes))
    _check_number_of_classes(listing, splits["train"])
    for split, split_folder in splits.items():
        listing.files[split] = _labelled(listing, split_folder)
    return listing


def examples(names: Sequence[str], count: int = SHOWN) -> str:
    """The first names in backquotes, and how many there are beyond them."""
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(f"`{name}`" for name in names[:count]) + more


def _for_arrays(path: Path) -> str:
    return " (arrays are data=npz)" if path.suffix == ".npz" else ""


def _split_folders(listing: Listing) -> dict[str, Path]:
    """The folder of each split, or, where none is for training, that of all
    pictures.
    """
    here = _look_into(listing.folder)
    found = {
        split: [path for path in here.folders if path.name.lower() in names]
        for split, names in SPLITS.items()
    }
    if not any(_look_into(path).folders for path in found["train"]):
        return {"train": listing.folder}  # a class may be called `train`
    for split, folders in found.items():
        if len(folders) > 1:
            names = " and ".join(f"`{printable(path.name)}`" for path in folders)
            listing.mistakes.append(
                f"data folder `{printable(listing.folder)}` has {len(folders)} "
                f"folders of the split {split}, {names}; expected one; "
                f"put them together, or leave one out"
            )
    of_splits = [path for folders in found.values() for path in folders]
    listing.left_out += here.left_out
    listing.left_out += [
        LeftOut(path, Reason.UNUSED) for path in here.folders if path not in of_splits
    ]
    listing.left_out += [LeftOut(path, _outside(path)) for path in here.files]
    return {split: folders[0] for split, folders in found.items() if folders}


def _classes(listing: Listing, folder: Path) -> dict[str, Path]:
    """The folder of each class in the folder of a split."""
    return {class_name(path): path for path in _look_into(folder).folders}


def class_name(folder: Path) -> str:
    """The name of a class, from its folder's; the two ways in which systems write an é
    are the same.
    """
    return unicodedata.normalize("NFC", printable(folder.name))


def _check_number_of_classes(listing: Listing, folder: Path) -> None:
    if len(listing.class_names) >= 2:
        return
    pictures = sum(path.suffix.lower() in SUFFIXES for path in _look_into(folder).files)
    beside = f", and {pictures:,} pictures in no class folder" if pictures else ""
    word = "class" if len(listing.class_names) == 1 else "classes"
    listing.mistakes.append(
        f"data `{printable(folder)}` has {len(listing.class_names)} {word} "
        f"({', '.join(listing.class_names) or 'none'}){beside}; expected "
        f"a folder for each of at least two classes; check data.path"
    )


def _labelled(listing: Listing, split_folder: Path) -> list[Labelled]:
    """Every picture of a split and the number of its class."""
    here = _look_into(split_folder)
    listing.left_out += here.left_out
    listing.left_out += [LeftOut(path, _outside(path)) for path in here.files]
    classes = _classes(listing, split_folder)
    _check_strangers(
        listing,
        [path for name, path in classes.items() if name not in listing.class_names],
    )
    found: list[Labelled] = []
    without: list[Path] = []
    for label, name in enumerate(listing.class_names):
        folder = classes.get(name, split_folder / name)
        walk = _Walk(above={_identity(listing.folder), _identity(split_folder)})
        pictures = walk.pictures(folder) if name in classes else []
        listing.left_out += walk.left_out
        found += [(path, label) for path in pictures]
        if not pictures:
            without.append(folder)
    _check_empty(listing, without)
    return found


def _check_strangers(listing: Listing, strangers: Sequence[Path]) -> None:
    if strangers:
        names = examples([printable(path) for path in strangers])
        verb = "is no class" if len(strangers) == 1 else "are no classes"
        listing.mistakes.append(
            f"data folder {names} {verb} of the training images; expected "
            f"{', '.join(listing.class_names)}; rename it or leave it out"
        )


def _check_empty(listing: Listing, without: Sequence[Path]) -> None:
    if without:
        names = [printable(folder) + _instead(listing, folder) for folder in without]
        verb = "has no picture" if len(without) == 1 else "have no pictures"
        listing.mistakes.append(
            f"data folder {examples(names)} {verb}; expected {NAMES} files; add some "
            "or leave the class out"
        )


def _instead(listing: Listing, folder: Path) -> str:
    """What a folder without pictures holds, if it holds anything."""
    reasons = Counter(
        left.reason for left in listing.left_out if folder in left.path.parents
    )
    found = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    return f" (with {found})" if found else ""


@dataclass
class _Walk:
    """The pictures of one class: every folder is read once, however many links lead to
    it.
    """

    above: set[FileId]
    read: set[FileId] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)

    def pictures(self, folder: Path) -> list[Path]:
        """Every picture below ``folder``, in the order of their names."""
        return sorted(self._below(folder, self.above))

    def _below(self, folder: Path, above: set[FileId]) -> list[Path]:
        identity = _identity(folder)
        if identity in above:
            self.left_out.append(LeftOut(folder, Reason.LOOP))
            return []
        if identity in self.read:
            self.left_out.append(LeftOut(folder, Reason.AGAIN))
            return []
        self.read.add(identity)
        here = _look_into(folder)
        self.left_out += here.left_out
        self.left_out += [
            LeftOut(path, _type(path)) for path in here.files if not _is_picture(path)
        ]
        found = [path for path in here.files if _is_picture(path)]
        # A link is left out for the folder that it leads to, not the folder for the
        # link.
        for subfolder in sorted(here.folders, key=Path.is_symlink):
            found += self._below(subfolder, above | {identity})
        return found


@dataclass
class _Inside:
    """What is directly in a folder."""

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def _look_into(folder: Path) -> _Inside:
    inside = _Inside()
    for path in sorted(folder.iterdir()):
        reason = _reason(path)
        if reason:
            inside.left_out.append(LeftOut(path, reason))
        elif path.is_dir():
            inside.folders.append(path)
        else:
            inside.files.append(path)
    return inside


def _reason(path: Path) -> Reason | None:
    """Why neither a file nor a folder can be had at ``path``; ``None`` if one can."""
    if path.name.startswith("."):
        return Reason.HIDDEN
    try:
        mode = path.stat().st_mode
    except OSError:
        return Reason.DANGLING if path.is_symlink() else Reason.UNREADABLE
    if stat.S_ISDIR(mode):
        return Reason.SYSTEM if path.name.lower() in SYSTEM_FOLDERS else None
    return None if stat.S_ISREG(mode) else Reason.SPECIAL


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _type(path: Path) -> str:
    return printable(path.suffix.lower()) or "without a suffix"


def _outside(path: Path) -> str:
    return Reason.OUTSIDE if _is_picture(path) else _type(path)


def _identity(folder: Path) -> FileId:
    found = folder.stat()
    return found.st_dev, found.st_ino
