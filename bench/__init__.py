"""What Paretune's speed claims rest on: ``make bench`` (or ``python -m bench throughput
memory ...`` for a part).

Every claim is a ratio of two things timed in turns within one process, best of several
rounds, one thread.
"""
