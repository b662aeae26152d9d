"""Image data sets, each a function that returns an :class:`~paretune.data.images.ImageData`."""
