"""``paretune cache``: what is kept in the user's cache folder."""

from collections.abc import Sequence

from paretune import cache, paths
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import format_count, make_parser

ABOUT = (
    "What Paretune keeps for the next time: decoded pictures and compiled kernels. It "
    "is made again where it is missing. "
    f"Over {cache.BOUND_VARIABLE} bytes (default: {cache.DEFAULT_BOUND_BYTES:,}) the longest "
    "unused is removed."
)


def cli(arguments: Sequence[str] | None = None) -> None:
    """Print what is kept of decoded pictures and compiled kernels, or remove it; a
    person's mistake is one line and exit code 2.
    """
    parser = make_parser("paretune cache", ABOUT)
    parser.add_argument("--clear", action="store_true", help="remove it")
    given = parser.parse_args(arguments)
    # RuntimeError: no home folder.
    with exit_on_mistake("paretune cache", RuntimeError):
        bound_bytes = cache.read_bound_bytes()
        if given.clear:
            removed = cache.clear()
            print(f"removed {_describe_size(removed)} from {paths.cache()}")
        else:
            _print_kept(bound_bytes)


def _print_kept(bound_bytes: int) -> None:
    kept = cache.list_entries()
    print(
        f"{paths.cache()}: {_describe_size(kept)} of at most {bound_bytes:,} "
        f"({cache.BOUND_VARIABLE})"
    )
    for kind in dict.fromkeys(cache.KIND_OF_PATTERN.values()):
        of_kind = [entry for entry in kept if entry.kind == kind]
        print(f"  {kind:<10}{_describe_size(of_kind)}")


def _describe_size(entries: Sequence[cache.Entry]) -> str:
    """``3 files, 1,234 bytes``."""
    size_bytes = sum(entry.size_bytes for entry in entries)
    return f"{format_count(len(entries), 'file')}, {size_bytes:,} bytes"
