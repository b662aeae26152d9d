"""Hydra finds the sweeper here; what it does is in :mod:`paretune.search`."""
