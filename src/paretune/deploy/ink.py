"""What counts as ink, where the training images are measured and where a picture is placed."""

__all__ = ["INK"]

INK = 0.25  # a pixel brighter than this share of the brightest
