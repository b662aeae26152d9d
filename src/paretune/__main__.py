"""``python -m paretune``."""

from paretune.commands.entry_point import main

if __name__ == "__main__":
    main()
