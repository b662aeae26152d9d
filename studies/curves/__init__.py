"""Whole trainings over the spaces that sweeps search, with their learning curves.

``python -m studies curves`` records them (``studies/curves/<data>.csv``), and ``python
-m studies replay`` judges search policies by them. ``studies/curves/README.md`` says
how they are made.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
EPOCHS = 27  # of every training
