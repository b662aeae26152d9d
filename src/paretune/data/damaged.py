"""What a person is told of files that cannot be read."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from paretune.data.listing import MOST_EXAMPLES, Listing
from paretune.data.unreadable import UnreadableError
from paretune.paths import printable


def describe_damaged(listing: Listing, damaged: Mapping[Path, UnreadableError]) -> str:
    """The first files of the listing that cannot be read, why, and how many there
    are.
    """
    total = len(listing.paths)
    examples = [
        f"`{listing.relative(path)}` ({error.reason})"
        for path, error in islice(damaged.items(), MOST_EXAMPLES)
    ]
    text = ", ".join(examples)
    if len(damaged) > MOST_EXAMPLES:
        text += f" and {len(damaged) - MOST_EXAMPLES:,} more"
    remedy = "mend or delete them, or set data.skip_damaged=true to leave them out"
    if len(damaged) == total:
        remedy = "check data.path"
    return (
        f"data folder `{printable(listing.folder)}` has {len(damaged):,} of {total:,} "
        f"{listing.kind.plural} that cannot be read: {text}; expected "
        f"{listing.kind.formats}; {remedy}"
    )
