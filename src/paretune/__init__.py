"""How small can a network be and still score? Pareto fronts of parameters against F1."""
