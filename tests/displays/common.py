"""Helpers of the tests of displays."""

from io import BytesIO

from PIL import Image as Pillow, ImageDraw


def scene() -> bytes:
    """Return a small landscape: smooth sky, sharp edges, strong and weak colors."""
    gray = Pillow.linear_gradient("L").resize((90, 120))
    image = Pillow.merge(
        "RGB", (gray, gray.point(lambda level: 128 + level // 3), gray.rotate(180))
    )
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 10, 40, 40), fill=(250, 210, 40))
    draw.polygon([(0, 120), (45, 50), (90, 120)], fill=(40, 110, 60))
    draw.rectangle((60, 80, 80, 110), fill=(170, 40, 40))
    draw.line((0, 0, 89, 119), fill=(255, 255, 255))
    result = BytesIO()
    image.save(result, format="PNG")
    return result.getvalue()
