"""What can go wrong with saved images."""

from collections.abc import Sequence


class GalleryError(Exception):
    """An image could not be saved, found, or read. The text says why, without paths."""


class ImageGoneError(GalleryError):
    """The file of the image was deleted."""


class GalleryUnavailableError(GalleryError):
    """The disk with the images cannot be used. Nothing was changed. Trying again later may work.

    `cause` is `missing` if the folder, or the marker in it, is not there, `unreadable` if the
    folder cannot be read, `full` if it has no room, and `unwritable` if it cannot be written
    for another reason. It is `index` if the index cannot be used, whose disk may be another one.
    """

    def __init__(self, cause: str, text: str) -> None:
        """Store the cause."""
        super().__init__(text)
        self.cause = cause


class IndexFailedError(GalleryError):
    """The index could not be read or written."""


class BackupRunningError(GalleryError):
    """Home Assistant is making a backup, so no file can be deleted."""

    def __init__(self) -> None:
        """Set the text."""
        super().__init__("a backup is being made")


class UnknownImagesError(GalleryError):
    """Images to be marked do not exist. Nothing was changed."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        """Name the images."""
        super().__init__("some of the images do not exist")
        self.job_ids = job_ids


class ImageContentError(Exception):
    """The bytes are not a complete PNG, JPEG, or WebP image of acceptable size.

    `final` is whether downloading them again changes nothing.
    """

    final = False


class TooManyPixelsError(ImageContentError):
    """The image is too large to be decoded."""

    final = True

    def __init__(self) -> None:
        """Set the text."""
        super().__init__("it has too many pixels")


class UnsupportedFormatError(ImageContentError):
    """The bytes are a file of another format."""

    final = True

    def __init__(self, name: str) -> None:
        """Name the format."""
        super().__init__(f"{name} files are not supported")
        self.format = name
