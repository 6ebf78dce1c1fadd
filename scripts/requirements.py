"""Prints the requirements that Home Assistant would install at its first start.

These are the pinned requirements of the components that the demo and the tests set up,
and of all their dependencies.
With `--constraints` it prints the path of Home Assistant's own constraints file.
"""

import importlib.util
import json
from pathlib import Path
import sys

COMPONENTS = (
    "ai_task",
    "assist_satellite",
    "automation",
    "collection_image",
    "config",
    "frontend",
    "history",
    "infrared",
    "isal",
    "logbook",
    "media_source",
    "mobile_app",
    "radio_frequency",
    "recorder",
    "script",
)


def home_assistant() -> Path:
    """Return the folder of the installed `homeassistant` package."""
    spec = importlib.util.find_spec("homeassistant")
    if spec is None or spec.origin is None:
        sys.exit("Home Assistant is not installed")
    return Path(spec.origin).parent


def requirements(components: Path) -> set[str]:
    """Return the pinned requirements of `COMPONENTS` and their dependencies."""
    found: set[str] = set()
    seen: set[str] = set()
    open_domains = list(COMPONENTS)
    while open_domains:
        domain = open_domains.pop()
        if domain in seen:
            continue
        seen.add(domain)
        manifest = json.loads((components / domain / "manifest.json").read_text())
        found.update(manifest.get("requirements", ()))
        open_domains += manifest.get("dependencies", ())
        open_domains += manifest.get("after_dependencies", ()) if domain in COMPONENTS else ()
    return found


if __name__ == "__main__":
    package = home_assistant()
    if "--constraints" in sys.argv:
        print(package / "package_constraints.txt")
    else:
        print(*sorted(requirements(package / "components")), sep="\n")
