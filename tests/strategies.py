"""Hypothesis strategies for the things that Paretune reasons about."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# few distinct values, so that ties and duplicates are common
coordinates = st.one_of(
    st.integers(0, 6).map(float), st.floats(0, 1e6), st.sampled_from([np.nan, np.inf])
)
costs = st.integers(0, 25).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=coordinates)
)
finite_costs = st.integers(0, 25).flatmap(
    lambda n: arrays(
        np.float64, (n, 2), elements=st.integers(0, 9).map(float) | st.floats(0, 10)
    )
)
widths = st.lists(st.integers(1, 12), min_size=2, max_size=5)
