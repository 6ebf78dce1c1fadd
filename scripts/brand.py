"""Makes the PNG files of the brand from brand/logo.svg, with Chromium."""

from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import FloatRect, sync_playwright

from testing.chromium import CHROMIUM

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "brand" / "logo.svg"
TARGET = ROOT / "custom_components" / "gaze" / "brand"
ICON = FloatRect(x=0, y=0, width=256, height=256)
SCHEMES: tuple[tuple[str, Literal["light", "dark"]], ...] = (("", "light"), ("dark_", "dark"))


def main() -> None:
    """Write icon and logo, light and dark, in both sizes."""
    page_text = f"<body style='margin: 0'>{SOURCE.read_text()}</body>"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for prefix, scheme in SCHEMES:
            for suffix, scale in (("", 1), ("@2x", 2)):
                page = browser.new_page(color_scheme=scheme, device_scale_factor=scale)
                page.set_content(page_text)
                save(f"{prefix}icon{suffix}", page.screenshot(clip=ICON, omit_background=True))
                logo = page.locator("svg").screenshot(omit_background=True)
                save(f"{prefix}logo{suffix}", logo)
                page.close()
        browser.close()


def save(name: str, content: bytes) -> None:
    """Write one image with the best lossless compression."""
    Image.open(BytesIO(content)).save(TARGET / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
