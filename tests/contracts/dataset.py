"""What every data set promises. A new one inherits the suite by defining the fixture
``make``: splitting -> data.
"""

import torch

from paretune.data.images import Splitting


class DatasetContract:
    """Tests of what ``make(splitting)`` returns."""

    def test_images_are_bytes_and_labels_are_classes(self, make):
        data = make(Splitting(val_size=4))
        for images in (data.train, data.val, data.load_test()):
            assert images.pixels.dtype == torch.uint8
            assert images.pixels.shape[1] in (1, 3)
            assert images.labels.shape == images.pixels.shape[:1]
            assert images.labels.min() >= 0 and images.labels.max() < data.num_classes  # noqa: PT018

    def test_the_split_decides_what_validates_and_never_touches_the_test_images(
        self, make
    ):
        small, large = make(Splitting(val_size=4)), make(Splitting(val_size=8))

        assert (len(small.val), len(large.val)) == (4, 8)
        assert len(small.train) + 4 == len(large.train) + 8
        assert small.load_test().pixels.equal(large.load_test().pixels)

    def test_loading_again_gives_the_same(self, make):
        first, second = make(Splitting(val_size=4)), make(Splitting(val_size=4))

        assert first.train.pixels.equal(second.train.pixels)
        assert first.mean == second.mean

    def test_train_size_keeps_that_many(self, make):
        assert len(make(Splitting(val_size=4, train_size=5)).train) == 5

    def test_mean_and_deviation_are_of_bytes(self, make):
        data = make(Splitting(val_size=4))

        assert 0 < data.mean < 255
        assert 0 < data.std < 255
