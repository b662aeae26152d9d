"""Search policies, judged on a model of recorded curves: ``python -m studies replay``.

What a policy is stands in :mod:`studies.replay.policy`; a new one is added to
:data:`studies.replay.policies.POLICIES`.
"""
