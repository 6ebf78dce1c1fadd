"""Describes files of images that are not in the index. Blocks: call it in the executor.

This is how images return after the server was removed and added again, or after an older backup
was restored. What cannot be found out from the name and the text in a PNG stays empty.
"""

from collections.abc import Iterator, Mapping
import json
from typing import Any, Final

from .decoding import FORMATS, open_image
from .files import Files
from .models import Image
from .names import FoundFile

_HEAD: Final = 2 * 2**20  # bytes in which the text of a PNG is
_MOST_TEXT: Final = 8_000  # characters


def describe(files: Files, found: FoundFile, preset: str, preset_name: str) -> tuple[Image, str]:
    """Return the image of a file, and more text in which it can be searched.

    Raises GalleryError if the file is not readable, and ImageContentError if it is no image.
    """
    content, size = files.read_head(found.path, _HEAD)
    if content.startswith(b"RIFF"):  # Pillow takes a WebP only as a whole
        content = files.read(found.path)[0] or b""
    with open_image(content) as opened_image:
        width, height = opened_image.size
        content_type, _ = FORMATS[opened_image.format or ""]
        texts = dict(opened_image.info)
    seed, words = _read_texts(texts)
    image = Image(
        job_id=found.job_id,
        preset=preset,
        preset_name=preset_name,
        batch_id=found.job_id,
        tag=None,
        seed=seed if found.seed == "0" else found.seed,
        checkpoint=None,
        extra_positive=None,
        extra_negative=None,
        made_at=found.made_at,
        path=found.path,
        content_type=content_type,
        width=width,
        height=height,
        size=size,
        root=files.marker or "",
    )
    return image, words[:_MOST_TEXT]


def _read_texts(texts: Mapping[str | tuple[int, int], Any]) -> tuple[str | None, str]:
    """Return the seed and the prompts in the texts of a PNG."""
    seed: str | None = None
    words: list[str] = []
    if isinstance(graph := texts.get("prompt"), str):
        for name, value in _list_inputs(graph):
            if name in {"seed", "noise_seed"} and type(value) is int:
                seed = str(value)
            elif name in {"text", "ckpt_name"} and isinstance(value, str):
                words.append(value)
    if isinstance(parameters := texts.get("parameters"), str):
        words.append(parameters)
    return seed, "\n".join(words).encode(errors="replace").decode()


def _list_inputs(graph: str) -> Iterator[tuple[str, Any]]:
    """Yield the inputs of the nodes of a ComfyUI graph."""
    try:
        nodes = json.loads(graph)  # unlike orjson, it reads NaN, which ComfyUI writes
    except ValueError, RecursionError:
        return
    for node in nodes.values() if isinstance(nodes, Mapping) else ():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if isinstance(inputs, Mapping):
            yield from inputs.items()
