"""Suites that a new family, data set, sampler or report inherits by adding itself to a
table.
"""
