"""The decisions of ``paretune auto``: how long trainings are, which models are finished and
confirmed, and in which way they are trained to the end.

Everything here is a function of plain data, but for the record on the disk; the stages
themselves are run by :mod:`paretune.commands.auto`.
"""
