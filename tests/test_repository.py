"""Version, brand, workflows, imports of tests, and releases.

hassfest and the HACS action check the manifest, the icons, and the actions in CI.
"""

import ast
from http import HTTPStatus
import json
from pathlib import Path
import re
import tomllib
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import load_yaml_dict
from PIL import Image
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import DOMAIN
from scripts.release import CHANGELOG, MANIFEST, PROJECT, notes, stamp

ROOT = Path(__file__).parent.parent
INTEGRATION = ROOT / "custom_components" / DOMAIN
BRAND = INTEGRATION / "brand"

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"(?:[\w./-]+@[0-9a-f]{40} # \S+|\./\.github/workflows/\w+\.yml)")


def manifest() -> dict[str, Any]:
    """Return the manifest."""
    found: dict[str, Any] = json.loads((ROOT / MANIFEST).read_text())
    return found


# The integration


def test_version_is_the_same_in_manifest_and_project() -> None:
    project = tomllib.loads((ROOT / PROJECT).read_text())["project"]

    assert project["version"] == manifest()["version"]


async def test_described_actions_are_the_registered_ones(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, DOMAIN, {})

    described = load_yaml_dict(str(INTEGRATION / "services.yaml"))

    assert set(described) == set(hass.services.async_services_for_domain(DOMAIN))


# The brand


@pytest.mark.parametrize("prefix", ["", "dark_"])
@pytest.mark.parametrize(("suffix", "side"), [("", 256), ("@2x", 512)])
def test_icons_and_logos_are_transparent_without_margin(
    prefix: str, suffix: str, side: int
) -> None:
    for name in ("icon", "logo"):
        with Image.open(BRAND / f"{prefix}{name}{suffix}.png") as image:
            assert image.format == "PNG"
            assert image.mode == "RGBA"
            assert image.height == side
            assert (image.width == side) is (name == "icon")
            assert image.width >= side
            assert image.getbbox() == (0, 0, *image.size)
            assert image.getpixel((0, 0))[3] == 0  # type: ignore[index] # RGBA: a tuple


async def test_home_assistant_serves_the_brand(
    hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> None:
    assert await async_setup_component(hass, "brands", {})
    client = await hass_client()

    for path in BRAND.iterdir():
        response = await client.get(f"/api/brands/integration/{DOMAIN}/{path.name}")

        assert response.status == HTTPStatus.OK
        assert await response.read() == path.read_bytes()


# The repository


def test_hacs_and_blueprints_require_the_same_home_assistant() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text())

    assert hacs["name"] == manifest()["name"]
    for path in (ROOT / "blueprints").rglob("*.yaml"):
        assert f"min_version: {hacs['homeassistant']}\n" in path.read_text(), path.name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_has_few_permissions_and_pinned_actions(path: Path) -> None:
    workflow = load_yaml_dict(str(path))
    used = re.findall(r"uses: (.+)", path.read_text())

    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] in ({"contents": "read"}, {"contents": "write"})
        assert "uses" in job or job["timeout-minutes"]
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_runs_existing_scripts(path: Path) -> None:
    programs = re.findall(r"\bscripts/[\w.]+", path.read_text())

    assert [program for program in programs if not (ROOT / program).is_file()] == []


def test_release_is_tested_before_it_is_published() -> None:
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]

    commands = [step["run"] for step in jobs["release"]["steps"] if "run" in step]

    assert jobs[jobs["release"]["needs"]]["uses"] == "./.github/workflows/test.yml"
    assert "scripts/release.py notes" in commands[0]
    assert "gh release create" in commands[1]


@pytest.mark.parametrize("name", ["beta", "validate"])
def test_workflow_runs_daily(name: str) -> None:
    workflow = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()

    assert re.search(r'- cron: "\d+ \d+ \* \* \*"', workflow)


def test_only_release_workflow_may_write() -> None:
    writing = [path.stem for path in WORKFLOWS if "contents: write" in path.read_text()]

    assert writing == ["release"]


def test_bug_form_requires_diagnostics_and_versions() -> None:
    form = load_yaml_dict(str(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml"))

    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert required >= {"diagnostics", "version", "home_assistant"}


# The tests

TESTS = ROOT / "tests"
# A program is imported only by its own tests.
PROGRAMS = {"benchmarks", "demo"}


def imported_modules(code: str) -> set[str]:
    """Return the names of the modules that a module imports, without leading dots."""
    names = set[str]()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module or ''}.{alias.name}" for alias in node.names)
    return names


def forbidden_imports(path: Path, code: str) -> list[str]:
    """Return the imports of test modules and programs, which no test module may import."""
    allowed = path.parent.name
    return [
        name
        for name in sorted(imported_modules(code))
        if any(part.startswith("test_") for part in name.split(".") if part != "test_utils")
        or (name.split(".")[0] in PROGRAMS - {allowed})
    ]


def test_tests_import_helpers_only() -> None:
    for path in sorted(TESTS.rglob("*.py")):
        assert forbidden_imports(path, path.read_text()) == [], path


@pytest.mark.parametrize(
    "code",
    [
        "from .test_sensor import state",
        "from . import test_sensor",
        "from tests.test_sensor import state",
        "import tests.jobs.test_engine",
        "from demo.__main__ import main",
        "import benchmarks",
    ],
)
def test_import_of_test_or_program_is_forbidden(code: str) -> None:
    assert forbidden_imports(TESTS / "test_button.py", code)


def test_program_may_be_imported_by_its_tests() -> None:
    code = "from demo.__main__ import main"

    assert forbidden_imports(TESTS / "demo" / "test_demo.py", code) == []


# A release


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a copy of the files that a release changes."""
    for path in (MANIFEST, PROJECT, CHANGELOG):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    (tmp_path / CHANGELOG).write_text("# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.0.1 (2026)\n")
    return tmp_path


def test_stamp_writes_version_to_all_files(repository: Path) -> None:
    before = {path: (repository / path).read_text() for path in (MANIFEST, PROJECT)}

    stamp(repository, "9.8.7")

    for path, text in before.items():
        changed = zip(text.splitlines(), (repository / path).read_text().splitlines(), strict=True)
        assert ["9.8.7" in new for old, new in changed if new != old] == [True]
    assert notes(repository, "9.8.7") == "- New."


def test_notes_reject_tag_that_differs_from_version(repository: Path) -> None:
    stamp(repository, "9.8.7")

    with pytest.raises(
        ValueError, match=r"The tag v9\.8\.7 is not the version of the manifest, 9\.8\.7"
    ):
        notes(repository, "v9.8.7")


def test_notes_reject_version_without_notes(repository: Path) -> None:
    stamp(repository, "9.8.7")
    (repository / CHANGELOG).write_text("# Changelog\n")

    with pytest.raises(ValueError, match=r"has no section for 9\.8\.7"):
        notes(repository, "9.8.7")


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", ""])
def test_stamp_rejects_invalid_version(repository: Path, version: str) -> None:
    before = (repository / MANIFEST).read_text()

    with pytest.raises(ValueError, match="is not a version"):
        stamp(repository, version)

    assert (repository / MANIFEST).read_text() == before


def test_stamp_rejects_second_release_without_notes(repository: Path) -> None:
    stamp(repository, "9.8.7")

    with pytest.raises(ValueError, match="no section Unreleased"):
        stamp(repository, "9.8.8")

    assert json.loads((repository / MANIFEST).read_text())["version"] == "9.8.7"
