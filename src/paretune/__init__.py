"""How small can a network be and still score? Pareto fronts of parameters against
F1.
"""

__version__ = "0.2.0"
