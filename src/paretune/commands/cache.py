"""``paretune cache``: what is kept in the user's cache folder."""

from collections.abc import Sequence

from paretune import cache, paths
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import counted, parser_of


def cli() -> None:
    """Print what is kept of decoded pictures and compiled kernels, or remove it; a
    person's mistake is one line and exit code 2.
    """
    about = (
        "What Paretune keeps for the next time: decoded pictures and compiled "
        "kernels. It is made again where it is missing. "
        f"Over {cache.BOUND_VARIABLE} bytes (default: {cache.DEFAULT_BOUND_BYTES:,}) the "
        "longest unused is removed."
    )
    parser = parser_of("paretune cache", about)
    parser.add_argument("--clear", action="store_true", help="remove it")
    options = parser.parse_args()
    # RuntimeError: no home folder.
    with exit_on_mistake("paretune cache", RuntimeError):
        bound_bytes = cache.read_bound_bytes()
        if options.clear:
            removed = cache.clear()
            print(f"removed {_size(removed)} from {paths.cache()}")
            return
        kept = cache.list_entries()
        print(
            f"{paths.cache()}: {_size(kept)} of at most {bound_bytes:,} ({cache.BOUND_VARIABLE})"
        )
        for kind in dict.fromkeys(cache.KIND_OF_PATTERN.values()):
            print(
                f"  {kind:<10}{_size([entry for entry in kept if entry.kind == kind])}"
            )


def _size(entries: Sequence[cache.Entry]) -> str:
    """``3 files, 1,234 bytes``."""
    return (
        f"{counted(len(entries), 'file')}, "
        f"{sum(entry.size_bytes for entry in entries):,} bytes"
    )
