"""Kept images: files, index, thumbnails and the HTTP view."""

from .errors import GalleryError, ImageGoneError, PictureError, UnsupportedFormatError
from .files import write_copy
from .gallery import Gallery
from .models import Content, Folder, GalleryOptions, Image, ListedImage, Overview, Selection
from .view import ImageView

__all__ = [
    "Content",
    "Folder",
    "Gallery",
    "GalleryError",
    "GalleryOptions",
    "Image",
    "ImageGoneError",
    "ImageView",
    "ListedImage",
    "Overview",
    "PictureError",
    "Selection",
    "UnsupportedFormatError",
    "write_copy",
]
