"""Saved images: files, index, thumbnails, and the HTTP view."""

from .errors import (
    BackupRunningError,
    GalleryError,
    GalleryUnavailableError,
    ImageContentError,
    ImageGoneError,
    UnknownImagesError,
    UnsupportedFormatError,
)
from .gallery import Gallery
from .metadata import strip as strip_metadata
from .models import Content, Folder, GalleryOptions, Image, ListedImage, Overview, Selection
from .view import ImageView

__all__ = [
    "BackupRunningError",
    "Content",
    "Folder",
    "Gallery",
    "GalleryError",
    "GalleryOptions",
    "GalleryUnavailableError",
    "Image",
    "ImageContentError",
    "ImageGoneError",
    "ImageView",
    "ListedImage",
    "Overview",
    "Selection",
    "UnknownImagesError",
    "UnsupportedFormatError",
    "strip_metadata",
]
