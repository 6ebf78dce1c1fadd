"""Draws the images of the fake GAZE server: small landscapes that depend on the seed.

An image is painted at half its size at most and then enlarged, which is fast. Grain gives the
file the size of a real image.
"""

from collections.abc import Callable
import colorsys
from dataclasses import dataclass
import functools
import io
import json
import math
import random
from typing import Any
import zlib

from PIL import Image, ImageChops, ImageDraw, ImageFont, PngImagePlugin

MAX_SIDE = 4096  # pixels. A larger image fails, as on a GPU with too little memory
CANVAS_SIDE = 576  # pixels of the longer side that is painted, before it is enlarged
GRAIN_SIDE = 256
CAPTION_FROM = 128  # pixels of width below which no text would be legible
MAX_LINES = 3  # of the prompt in the caption
MAX_TEXT = 400  # characters of the prompt in the caption
FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")

type Colour = tuple[int, int, int]
type Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Properties of an image. Equal properties result in the same bytes."""

    slug: str
    name: str
    prompt: str
    negative: str
    checkpoint: str
    seed: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Canvas:
    """The surface of a motif, with its random numbers and colors."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    chance: random.Random
    light: Colour
    shadow: Colour

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.image.height

    def shade(self, depth: float) -> Colour:
        """Return the color of an object that is near (1) or far (0)."""
        return _mixed(self.light, self.shadow, 0.25 + 0.75 * depth)

    def ridge(self, level: float, swing: float) -> Callable[[float], float]:
        """Return a smooth random line, as a function of the share of the width (0 to 1)."""
        waves = [
            (self.chance.uniform(0.5, 2.5) * order, self.chance.uniform(0, math.tau), swing / order)
            for order in (1, 2, 4)
        ]

        def line(x: float) -> float:
            bend = sum(size * math.sin(math.tau * pace * x + start) for pace, start, size in waves)
            return self.height * (level + bend)

        return line


@functools.lru_cache(maxsize=8)
def draw(picture: Picture) -> bytes:
    """Return an image as a PNG file, with the text chunks that ComfyUI writes."""
    image = _painted(picture)
    if picture.width >= CAPTION_FROM:
        _write_caption(image, picture)
    chunks = PngImagePlugin.PngInfo()
    for name, graph in (("prompt", _prompt(picture)), ("workflow", _workflow(picture))):
        chunks.add_text(name, json.dumps(graph))
    file = io.BytesIO()
    image.save(file, "png", pnginfo=chunks, compress_level=1)
    return file.getvalue()


def _painted(picture: Picture) -> Image.Image:
    """Return the image without its caption."""
    size = (picture.width, picture.height)
    shrink = min(1.0, CANVAS_SIDE / max(size))
    wishes = f"{picture.slug} {picture.prompt} {picture.negative} {picture.checkpoint}"
    chance = random.Random(f"{picture.seed} {wishes}")  # noqa: S311 - paints, keeps no secret
    name = picture.name.casefold()
    style = list(MOTIFS.values())[zlib.crc32(picture.slug.encode()) % len(MOTIFS)]
    motif, hue = next((found for word, found in MOTIFS.items() if word in name), style)
    hue += chance.uniform(-0.07, 0.07)
    image = _gradient(
        (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))),
        _colour(hue + chance.uniform(0.02, 0.1), 0.6, 0.45),
        _colour(hue - 0.12, 0.45, 0.98),
    )
    canvas = Canvas(
        image=image,
        draw=ImageDraw.Draw(image),
        chance=chance,
        light=_colour(hue - 0.1, 0.4, 0.9),
        shadow=_colour(hue + 0.08, 0.7, 0.2),
    )
    _sun(canvas)
    motif(canvas)
    image = image.resize(size, Image.Resampling.BICUBIC)
    return ImageChops.add(image, _grain(*size), 1, -2)


def _sun(canvas: Canvas) -> None:
    """Paint a sun, or a moon, with its glow."""
    centre = canvas.width * canvas.chance.uniform(0.2, 0.8)
    level = canvas.height * canvas.chance.uniform(0.15, 0.4)
    glow = round(min(canvas.image.size) * canvas.chance.uniform(0.9, 1.3)) + 1
    corner = (round(centre - glow / 2), round(level - glow / 2))
    # Pillow's gradient is not black at the edges of its square, so it is darkened there.
    halo = Image.radial_gradient("L").resize((glow, glow)).point(lambda far: max(0, 180 - far))
    canvas.image.paste((255, 244, 214), corner, halo)
    canvas.draw.circle((centre, level), glow * 0.11, fill=(255, 250, 235))


def _hills(canvas: Canvas) -> None:
    for depth in range(5):
        line = canvas.ridge(0.5 + 0.1 * depth, 0.05)
        _fill_below(canvas, line, canvas.shade(depth / 4))


def _sea(canvas: Canvas) -> None:
    horizon = canvas.height * 0.55
    _fill_below(canvas, canvas.ridge(0.53, 0.02), canvas.shade(0.2))
    water = _gradient(
        (canvas.width, canvas.height - round(horizon)), canvas.light, canvas.shade(0.8)
    )
    canvas.image.paste(water, (0, round(horizon)))
    for _ in range(90):
        depth = canvas.chance.random() ** 1.5
        x, y = canvas.chance.random() * canvas.width, horizon + depth * (canvas.height - horizon)
        length = canvas.width * (0.02 + 0.1 * depth)
        colour = _mixed(canvas.light, (255, 255, 255), canvas.chance.random() * 0.6)
        canvas.draw.line([(x, y), (x + length, y)], fill=colour, width=1 + round(2 * depth))
    for _ in range(canvas.chance.randint(2, 4)):
        depth = canvas.chance.uniform(0.05, 0.4)
        x, y = canvas.width * canvas.chance.uniform(0.1, 0.9), horizon * (1 + 0.5 * depth)
        mast = canvas.height * (0.06 + 0.3 * depth)
        sail = [(x, y - mast), (x, y - 0.1 * mast), (x + 0.45 * mast, y - 0.1 * mast)]
        canvas.draw.polygon(sail, fill=(250, 246, 236))
        jib = [(x - 2, y - 0.8 * mast), (x - 2, y - 0.1 * mast), (x - 0.3 * mast, y - 0.1 * mast)]
        canvas.draw.polygon(jib, fill=canvas.shade(0.1))
        hull = [(x - 0.4 * mast, y - 0.06 * mast), (x + 0.5 * mast, y - 0.06 * mast)]
        hull += [(x + 0.35 * mast, y + 0.08 * mast), (x - 0.28 * mast, y + 0.08 * mast)]
        canvas.draw.polygon(hull, fill=canvas.shadow)


def _skyline(canvas: Canvas) -> None:
    for row in range(4):
        x = -canvas.width * 0.05
        wall = canvas.shade(row / 3)
        lamp = _mixed(wall, (255, 221, 140), 0.35 + 0.2 * row)
        while x < canvas.width:
            breadth = canvas.width * canvas.chance.uniform(0.07, 0.15)
            top = canvas.height * (canvas.chance.uniform(0.3, 0.55) + 0.1 * row)
            canvas.draw.rectangle([x, top, x + breadth, canvas.height], fill=wall)
            _windows(canvas, (x, top), breadth, lamp)
            x += breadth * canvas.chance.uniform(0.9, 1.3)


def _windows(canvas: Canvas, corner: Point, breadth: float, lamp: Colour) -> None:
    """Light some windows of a house that reaches to the bottom of the image."""
    pitch = max(4.0, canvas.width * 0.02)
    for column in range(1, int(breadth / pitch)):
        for floor in range(1, int((canvas.height - corner[1]) / (pitch * 1.5))):
            if canvas.chance.random() < 0.4:  # noqa: PLR2004 - the share of people at home
                x, y = corner[0] + column * pitch, corner[1] + floor * pitch * 1.5
                canvas.draw.rectangle([x, y, x + pitch * 0.4, y + pitch * 0.7], fill=lamp)


def _trees(canvas: Canvas) -> None:
    for row in range(5):
        line = canvas.ridge(0.55 + 0.1 * row, 0.03)
        colour = canvas.shade(row / 4)
        _fill_below(canvas, line, colour)
        for _ in range(26 - 4 * row):
            x = canvas.chance.random()
            foot, tall = line(x) + 3, canvas.height * (0.06 + 0.035 * row)
            tall *= canvas.chance.uniform(0.7, 1.3)
            for tier in range(3):
                top, spread = foot - tall * (1 - 0.25 * tier), tall * (0.12 + 0.07 * tier)
                base, middle = top + tall * 0.5, x * canvas.width
                corners = [(middle, top), (middle - spread, base), (middle + spread, base)]
                canvas.draw.polygon(corners, fill=colour)


def _blossoms(canvas: Canvas) -> None:
    _fill_below(canvas, canvas.ridge(0.72, 0.04), canvas.shade(0.45))
    _fill_below(canvas, canvas.ridge(0.82, 0.04), canvas.shade(0.8))
    for number in range(140):
        depth = number / 140
        size = min(canvas.image.size) * (0.008 + 0.045 * depth**3)
        x, y = (canvas.chance.random() * side for side in canvas.image.size)
        petal = _mixed((255, 214, 226), canvas.light, canvas.chance.random() * 0.7)
        turn = canvas.chance.random()
        for leaf in range(5):
            angle = math.tau * (turn + leaf / 5)
            centre = (x + size * math.cos(angle), y + size * math.sin(angle))
            canvas.draw.circle(centre, size * 0.72, fill=petal)
        canvas.draw.circle((x, y), size * 0.4, fill=(255, 236, 170))


# Motif and hue (0 to 1) of the sky by a word in the name of a preset
MOTIFS: dict[str, tuple[Callable[[Canvas], None], float]] = {
    "harbour": (_sea, 0.55),
    "paint": (_hills, 0.07),
    "city": (_skyline, 0.82),
    "blüte": (_blossoms, 0.68),
    "forest": (_trees, 0.42),
    "garden": (_blossoms, 0.5),
    "desert": (_hills, 0.12),
}


def _fill_below(canvas: Canvas, line: Callable[[float], float], colour: Colour) -> None:
    """Fill the canvas from a line down."""
    steps = 64
    points: list[Point] = [
        (canvas.width * step / steps, line(step / steps)) for step in range(steps + 1)
    ]
    corners: list[Point] = [(canvas.width, canvas.height), (0, canvas.height)]
    canvas.draw.polygon([*points, *corners], fill=colour)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """Return a vertical gradient between two colors."""
    mask = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return a mix of two colors. A share of 1 is the second one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@functools.lru_cache(maxsize=4)
def _grain(width: int, height: int) -> Image.Image:
    """Return noise of 0 to 4 in each pixel, which is the same for every image of this size."""
    noise = random.Random(0).randbytes(GRAIN_SIDE**2)  # noqa: S311 - paints, keeps no secret
    tile = Image.frombytes("L", (GRAIN_SIDE, GRAIN_SIDE), noise).point(lambda value: value // 52)
    grain = Image.new("L", (width, height))
    for left in range(0, width, GRAIN_SIDE):
        for top in range(0, height, GRAIN_SIDE):
            grain.paste(tile, (left, top))
    return grain.convert("RGB")


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return a font. The last choice is the font of Pillow, which supports only ASCII."""
    for file in FONTS:
        try:
            return ImageFont.truetype(file, size)
        except OSError:
            continue
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


def _write_caption(image: Image.Image, picture: Picture) -> None:
    """Write the preset, prompt, and seed on a shaded strip at the bottom."""
    unit = min(picture.width, picture.height) / 100
    title, text = _font(max(9, round(6 * unit))), _font(max(7, round(3.2 * unit)))
    prompt = _wrapped(picture.prompt, text, picture.width - 8 * unit)
    lines = [(picture.name, title), *((line, text) for line in prompt)]
    lines.append((f"seed {picture.seed}", text))
    tall = round(sum(font.size * 1.35 for _, font in lines) + 7 * unit)
    shade = Image.linear_gradient("L").resize((picture.width, tall))
    strip = shade.point(lambda value: min(210, value * 3))
    image.paste((16, 18, 26), (0, picture.height - tall), strip)
    write = ImageDraw.Draw(image)
    level = picture.height - tall + 4 * unit
    for line, font in lines:
        write.text((4 * unit, level), line, fill=(248, 247, 242), font=font)
        level += font.size * 1.35


def _wrapped(text: str, font: ImageFont.FreeTypeFont, wide: float) -> list[str]:
    """Break a text into at most `MAX_LINES` lines of a width in pixels."""
    lines: list[str] = []
    for word in text[:MAX_TEXT].split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= wide:
            lines[-1] = longer
        elif len(lines) < MAX_LINES:
            lines.append(word)
        else:
            lines[-1] += " …"
            break
    return lines


def _prompt(picture: Picture) -> dict[str, Any]:
    """Return the graph of ComfyUI, as in the text chunk `prompt` of its files."""
    positive = ", ".join(filter(None, ("masterpiece, best quality", picture.name, picture.prompt)))
    negative = ", ".join(filter(None, ("lowres, bad anatomy", picture.negative)))
    size = {"width": picture.width, "height": picture.height, "batch_size": 1}
    sampler = {
        "seed": picture.seed,
        "steps": 28,
        "cfg": 5.5,
        "sampler_name": "euler_ancestral",
        "scheduler": "normal",
        "denoise": 1,
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
    }
    nodes: list[tuple[str, str, dict[str, Any]]] = [
        ("3", "KSampler", sampler),
        ("4", "CheckpointLoaderSimple", {"ckpt_name": picture.checkpoint}),
        ("5", "EmptyLatentImage", size),
        ("6", "CLIPTextEncode", {"text": positive, "clip": ["4", 1]}),
        ("7", "CLIPTextEncode", {"text": negative, "clip": ["4", 1]}),
        ("8", "VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
        ("9", "SaveImage", {"filename_prefix": "gaze", "images": ["8", 0]}),
    ]
    return {number: {"class_type": kind, "inputs": inputs} for number, kind, inputs in nodes}


def _workflow(picture: Picture) -> dict[str, Any]:
    """Return the graph of ComfyUI's editor, as in the text chunk `workflow` of its files."""
    nodes = [
        {"id": int(number), "type": node["class_type"], "widgets_values": node["inputs"]}
        for number, node in _prompt(picture).items()
    ]
    return {"last_node_id": 9, "nodes": nodes, "links": [], "version": 0.4}
