"""Two files of a model agree where they give an image one of the largest logits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from paretune.deploy.model import check_same_outputs, count_same_classes

WHOLE_LOGITS = arrays(np.int32, (20, 4), elements=st.integers(-128, 127))
NOISE = arrays(np.float32, (20, 4), elements=st.floats(-1, 1, width=32))


@given(WHOLE_LOGITS, NOISE)
def test_the_last_digits_of_floats_make_no_other_class(logits, noise):
    scale = 0.013
    floats = ((logits + 1e-5 * noise) * scale).astype(np.float32)
    floats[0] = 127 * scale  # a largest logit, which a tie is measured by

    assert count_same_classes(logits.argmax(1), floats) == len(logits)


@given(WHOLE_LOGITS)
def test_a_class_that_is_a_step_behind_is_another(logits):
    best = logits.max(axis=1, keepdims=True)
    others = np.where(logits == best, -1000, logits).argmax(1)
    is_tied = (logits == best).all(axis=1)
    floats = (logits * 0.013).astype(np.float32)

    assert count_same_classes(others, floats) == is_tied.sum()


def test_logits_that_tie_leave_the_exporter():
    expected = np.array([[1.0, 1.0, 0.0]], dtype=np.float32)
    outputs = np.array([[1.0, 1.0 + 1e-6, 0.0]], dtype=np.float32)

    assert check_same_outputs("ONNX", outputs, expected) < 1e-5
