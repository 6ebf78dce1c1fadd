"""What can go wrong with saved images."""


class GalleryError(Exception):
    """An image could not be saved, found, or read. The text says why, without paths."""


class ImageGoneError(GalleryError):
    """The image's file is no longer there: somebody deleted it."""


class PictureError(Exception):
    """The bytes are not a complete PNG, JPEG, or WebP image of acceptable size."""


class UnsupportedFormatError(PictureError):
    """The bytes are a file of another format. Downloading it again changes nothing."""

    def __init__(self, name: str) -> None:
        """Name the format."""
        super().__init__(f"{name} files are not supported")
        self.format = name
