"""The command line of ``paretune``, for a process of its own."""

import sys

# Warnings of libraries are not what is measured.
PARETUNE = (sys.executable, "-W", "ignore", "-m", "paretune")
