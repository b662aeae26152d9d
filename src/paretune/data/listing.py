"""Which files below a folder are pictures, or signals, of which class and split, and
what is left out, and why. Torch is not needed.

Hidden files and folders are left out at every depth, and so is what systems leave
behind. Links are followed.
"""

import stat
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path

from paretune.data.file_kinds import PICTURES, SIGNALS, FileKind
from paretune.errors import DataError
from paretune.paths import printable

# Names of the folders of each split.
SPLIT_FOLDERS = {
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
# In a message.
MOST_EXAMPLES = 10
# Device and inode.
FolderId = tuple[int, int]
# A file and the number of its class.
LabelledPath = tuple[Path, int]


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
    """The files of one ``kind`` below ``folder`` by split, ``train`` at least; class
    numbers are places in ``class_names``.
    """

    folder: Path
    kind: FileKind = PICTURES
    class_names: tuple[str, ...] = ()
    files: dict[str, list[LabelledPath]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Every file, split after split."""
        return [path for part in self.files.values() for path, _ in part]

    def relative(self, path: Path) -> str:
        """The name of a file below the folder, as text that can be printed."""
        return printable(path.relative_to(self.folder))

    def raise_mistakes(self) -> None:
        """Raise :class:`~paretune.errors.DataError` for the mistakes that there are."""
        if not self.mistakes:
            return
        text = self.mistakes[0]
        others = len(self.mistakes) - 1
        if others:
            text += f" (and {others} more: paretune data check says all)"
        raise DataError(text)

    def describe_types(self) -> str:
        """How many files there are of which type: ``24 .png, 2 .tif``."""
        counts = Counter(path.suffix.lower() for path in self.paths)
        types = [f"{count:,} {suffix}" for suffix, count in counts.most_common()]
        return ", ".join(types)

    def describe_left_out(self) -> str:
        """Numbers of files left out by reason, with an example of each: ``3 hidden
        (such as `cat/.x`), 1 .txt (`notes.txt`)``.
        """
        reasons: dict[str, list[Path]] = {}
        for left in self.left_out:
            reasons.setdefault(left.reason, []).append(left.path)
        texts = [self._describe(reason, paths) for reason, paths in reasons.items()]
        return ", ".join(texts)

    def _describe(self, reason: str, paths: Sequence[Path]) -> str:
        such_as = "such as " if len(paths) > 1 else ""
        return f"{len(paths):,} {reason} ({such_as}`{self.relative(paths[0])}`)"


def list_files(folder: Path) -> Listing:
    """The pictures below ``folder``, or, where there are none, the signals, in the
    order of their names; the listing's ``mistakes`` say what cannot be used.

    Raises :class:`~paretune.errors.DataError` if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"data folder `{printable(folder)}` {_explain_no_folder(folder)}; expected "
            "a folder of class folders; set data.path"
        )
    pictures = _list_kind(folder, PICTURES)
    if pictures.paths:
        return pictures
    signals = _list_kind(folder, SIGNALS)
    return signals if signals.paths else pictures


def _list_kind(folder: Path, kind: FileKind) -> Listing:
    listing = Listing(folder, kind)
    splits = _find_split_folders(listing)
    listing.class_names = tuple(sorted(_find_classes(splits["train"])))
    _check_number_of_classes(listing, splits["train"])
    for split, split_folder in splits.items():
        listing.files[split] = _list_split(listing, split_folder)
    return listing


def _explain_no_folder(path: Path) -> str:
    if not path.exists():
        return "is not there"
    text = "is a file, not a folder of class folders"
    if path.suffix == ".npz":
        text += " (arrays are data=npz)"
    return text


def format_examples(names: Sequence[str], count: int = MOST_EXAMPLES) -> str:
    """The first names in backquotes, and how many there are beyond them."""
    text = ", ".join(f"`{name}`" for name in names[:count])
    if len(names) > count:
        text += f" and {len(names) - count:,} more"
    return text


def _find_split_folders(listing: Listing) -> dict[str, Path]:
    """The folder of each split, or, where none is for training, that of all
    pictures.
    """
    here = _look_into(listing.folder)
    found: dict[str, list[Path]] = {}
    for split, names in SPLIT_FOLDERS.items():
        found[split] = [path for path in here.folders if path.name.lower() in names]
    # A class may be called `train`.
    if not any(_look_into(path).folders for path in found["train"]):
        return {"train": listing.folder}
    _leave_out_beside_splits(listing, here, found)
    splits: dict[str, Path] = {}
    for split, folders in found.items():
        if len(folders) > 1:
            listing.mistakes.append(_describe_two_folders(listing, split, folders))
        if folders:
            splits[split] = folders[0]
    return splits


def _describe_two_folders(listing: Listing, split: str, folders: Sequence[Path]) -> str:
    names = " and ".join(f"`{printable(path.name)}`" for path in folders)
    return (
        f"data folder `{printable(listing.folder)}` has {len(folders)} folders of the "
        f"split {split}, {names}; put them together, or leave one out"
    )


def _leave_out_beside_splits(
    listing: Listing, here: "_Inside", found: Mapping[str, Sequence[Path]]
) -> None:
    """Note what stands beside the folders of the splits."""
    of_splits = set(chain.from_iterable(found.values()))
    listing.left_out += here.left_out
    for path in here.folders:
        if path not in of_splits:
            listing.left_out.append(LeftOut(path, Reason.UNUSED))
    for path in here.files:
        listing.left_out.append(LeftOut(path, _name_outside(path, listing.kind)))


def _find_classes(folder: Path) -> dict[str, Path]:
    """The folder of each class in the folder of a split."""
    return {make_class_name(path): path for path in _look_into(folder).folders}


def make_class_name(folder: Path) -> str:
    """The name of a class, from its folder's; the two ways in which systems write an é
    are the same.
    """
    return unicodedata.normalize("NFC", printable(folder.name))


def _check_number_of_classes(listing: Listing, folder: Path) -> None:
    number = len(listing.class_names)
    if number >= 2:
        return
    names = ", ".join(listing.class_names) or "none"
    word = "class" if number == 1 else "classes"
    kind = listing.kind
    files = [path for path in _look_into(folder).files if kind.has(path)]
    beside = ""
    if files:
        beside = f", and {len(files):,} {kind.plural} in no class folder"
    listing.mistakes.append(
        f"data `{printable(folder)}` has {number} {word} ({names}){beside}; expected a "
        "folder for each of at least two classes; check data.path"
    )


def _list_split(listing: Listing, split_folder: Path) -> list[LabelledPath]:
    """Every file of a split and the number of its class."""
    here = _look_into(split_folder)
    listing.left_out += here.left_out
    for path in here.files:
        listing.left_out.append(LeftOut(path, _name_outside(path, listing.kind)))
    classes = _find_classes(split_folder)
    _check_strangers(listing, classes)

    found: list[LabelledPath] = []
    without: list[Path] = []
    for label, name in enumerate(listing.class_names):
        folder = classes.get(name, split_folder / name)
        files: list[Path] = []
        if name in classes:
            files = _list_class(listing, split_folder, folder)
        if not files:
            without.append(folder)
        found += [(path, label) for path in files]
    _check_empty(listing, without)
    return found


def _list_class(listing: Listing, split_folder: Path, folder: Path) -> list[Path]:
    """Every file of a class in a split."""
    above = {_identify(listing.folder), _identify(split_folder)}
    walk = _Walk(listing.kind, above)
    files = walk.list_files(folder)
    listing.left_out += walk.left_out
    return files


def _check_strangers(listing: Listing, classes: Mapping[str, Path]) -> None:
    """Note classes that the training images have not."""
    strangers = [
        printable(path)
        for name, path in classes.items()
        if name not in listing.class_names
    ]
    if strangers:
        verb = "is no class" if len(strangers) == 1 else "are no classes"
        listing.mistakes.append(
            f"data folder {format_examples(strangers)} {verb} of the training images; "
            f"expected {', '.join(listing.class_names)}; rename it or leave it out"
        )


def _check_empty(listing: Listing, without: Sequence[Path]) -> None:
    if without:
        names = [
            printable(folder) + _describe_others(listing, folder) for folder in without
        ]
        kind = listing.kind
        verb = f"has no {kind.word}"
        if len(without) > 1:
            verb = f"have no {kind.plural}"
        listing.mistakes.append(
            f"data folder {format_examples(names)} {verb}; expected {kind.formats} "
            "files; add some or leave the class out"
        )


def _describe_others(listing: Listing, folder: Path) -> str:
    """The other files of a folder without any of the kind, if there are any."""
    reasons = Counter(
        left.reason for left in listing.left_out if folder in left.path.parents
    )
    if not reasons:
        return ""
    found = [f"{count:,} {reason}" for reason, count in reasons.most_common()]
    return f" (with {', '.join(found)})"


@dataclass
class _Walk:
    """The files of one class: every folder is read once, however many links lead to it."""

    kind: FileKind
    above: set[FolderId]
    read: set[FolderId] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)

    def list_files(self, folder: Path) -> list[Path]:
        """Every file of the kind below ``folder``, in the order of their names."""
        return sorted(self._find_below(folder, self.above))

    def _find_below(self, folder: Path, above: set[FolderId]) -> list[Path]:
        identity = _identify(folder)
        if identity in above:
            self.left_out.append(LeftOut(folder, Reason.LOOP))
            return []
        if identity in self.read:
            self.left_out.append(LeftOut(folder, Reason.AGAIN))
            return []
        self.read.add(identity)
        here = _look_into(folder)
        self.left_out += here.left_out
        found: list[Path] = []
        for path in here.files:
            if self.kind.has(path):
                found.append(path)
            else:
                self.left_out.append(LeftOut(path, _name_type(path)))
        # A link is left out for the folder that it leads to, not the folder for the
        # link.
        for subfolder in sorted(here.folders, key=Path.is_symlink):
            found += self._find_below(subfolder, above | {identity})
        return found


@dataclass
class _Inside:
    """Folders and files directly in a folder."""

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def _look_into(folder: Path) -> _Inside:
    inside = _Inside()
    for path in sorted(folder.iterdir()):
        reason = _find_reason(path)
        if reason:
            inside.left_out.append(LeftOut(path, reason))
        elif path.is_dir():
            inside.folders.append(path)
        else:
            inside.files.append(path)
    return inside


def _find_reason(path: Path) -> Reason | None:
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


def _name_type(path: Path) -> str:
    return printable(path.suffix.lower()) or "without a suffix"


def _name_outside(path: Path, kind: FileKind) -> str:
    return Reason.OUTSIDE if kind.has(path) else _name_type(path)


def _identify(folder: Path) -> FolderId:
    found = folder.stat()
    return found.st_dev, found.st_ino
