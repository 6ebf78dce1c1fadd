"""What can go wrong with kept images."""


class GalleryError(Exception):
    """An image could not be kept, found or read; the text says why, without paths."""


class ImageGoneError(GalleryError):
    """The image's file is no longer there: somebody deleted it."""


class PictureError(Exception):
    """The bytes are not a whole PNG, JPEG or WebP picture of bearable size."""
