"""What Home Assistant's checker and HACS ask of an integration, and what we ask of the rest."""

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

MANIFEST_KEYS = {
    "after_dependencies",
    "bluetooth",
    "codeowners",
    "config_flow",
    "dependencies",
    "dhcp",
    "disabled",
    "documentation",
    "domain",
    "homekit",
    "import_executor",
    "integration_type",
    "iot_class",
    "issue_tracker",
    "loggers",
    "mqtt",
    "name",
    "quality_scale",
    "requirements",
    "single_config_entry",
    "ssdp",
    "usb",
    "version",
    "zeroconf",
}
NEEDED_KEYS = {
    "codeowners",
    "documentation",
    "domain",
    "integration_type",
    "iot_class",
    "issue_tracker",
    "name",
    "version",
}
HACS_KEYS = {
    "content_in_root",
    "country",
    "filename",
    "hacs",
    "hide_default_branch",
    "homeassistant",
    "name",
    "persistent_directory",
    "zip_release",
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"(?:[\w./-]+@[0-9a-f]{40} # \S+|\./\.github/workflows/\w+\.yml)")


def manifest() -> dict[str, Any]:
    """Return the manifest."""
    found: dict[str, Any] = json.loads((ROOT / MANIFEST).read_text())
    return found


# The integration


def test_the_manifest_has_what_is_needed_and_nothing_unknown() -> None:
    keys = set(manifest())

    assert keys >= NEEDED_KEYS
    assert keys <= MANIFEST_KEYS


def test_the_manifest_is_in_order() -> None:
    keys = list(manifest())

    assert keys == ["domain", "name", *sorted(set(keys) - {"domain", "name"})]


def test_the_manifest_leads_to_people_and_pages() -> None:
    found = manifest()

    assert found["domain"] == DOMAIN == INTEGRATION.name
    assert all(re.fullmatch(r"@[\w-]+(/[\w-]+)?", owner) for owner in found["codeowners"])
    assert found["codeowners"]
    for page in (found["documentation"], found["issue_tracker"]):
        assert page.startswith("https://")
        assert "home-assistant.io" not in page


def test_the_version_is_the_same_everywhere() -> None:
    version = manifest()["version"]
    project = tomllib.loads((ROOT / PROJECT).read_text())["project"]

    assert re.fullmatch(r"\d+\.\d+\.\d+(b\d+)?", version)
    assert project["version"] == version


async def test_every_action_is_described(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, DOMAIN, {})

    described = load_yaml_dict(str(INTEGRATION / "services.yaml"))

    assert set(described) == set(hass.services.async_services_for_domain(DOMAIN))


def test_all_icons_are_of_the_frontend() -> None:
    icons = re.findall(r": \"([^\"]*)\"", (INTEGRATION / "icons.json").read_text())

    assert icons
    assert [icon for icon in icons if not re.fullmatch(r"mdi:[a-z0-9]+(-[a-z0-9]+)*", icon)] == []


def test_the_integration_takes_no_yaml_configuration() -> None:
    assert "CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)" in (
        INTEGRATION / "__init__.py"
    ).read_text(encoding="utf-8")


# The brand


@pytest.mark.parametrize("prefix", ["", "dark_"])
@pytest.mark.parametrize(("suffix", "side"), [("", 256), ("@2x", 512)])
def test_icons_and_logos_have_their_sizes_and_no_margin(
    prefix: str, suffix: str, side: int
) -> None:
    for name in ("icon", "logo"):
        with Image.open(BRAND / f"{prefix}{name}{suffix}.png") as picture:
            assert picture.format == "PNG"
            assert picture.mode == "RGBA"
            assert picture.height == side
            assert (picture.width == side) is (name == "icon")
            assert picture.width >= side
            assert picture.getbbox() == (0, 0, *picture.size)
            assert picture.getpixel((0, 0))[3] == 0  # type: ignore[index] # RGBA: a tuple


def test_there_are_no_other_brand_files() -> None:
    names = {f"{prefix}{name}" for prefix in ("", "dark_") for name in ("icon", "logo")}

    assert {path.name for path in BRAND.iterdir()} == {
        f"{name}{suffix}.png" for name in names for suffix in ("", "@2x")
    }


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


def test_hacs_knows_what_it_is_told() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text())

    assert set(hacs) <= HACS_KEYS
    assert hacs["name"] == manifest()["name"]
    assert hacs["homeassistant"] == "2026.10.0"


def test_there_is_one_integration_and_what_people_look_for() -> None:
    integrations = [path.name for path in INTEGRATION.parent.iterdir() if path.is_dir()]

    assert [name for name in integrations if name != "__pycache__"] == [DOMAIN]
    assert (ROOT / "README.md").read_text().startswith("# ")
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        assert (ROOT / name).read_text().startswith("# ")


@pytest.mark.parametrize("page", ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https://)([^)#]+)", text)
    programs = re.findall(r"\b(?:scripts|brand)/[\w.]+", text)

    assert [path for path in (*links, *programs) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_runs_pinned_actions(path: Path) -> None:
    workflow = load_yaml_dict(str(path))
    used = re.findall(r"uses: (.+)", path.read_text())

    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] in ({"contents": "read"}, {"contents": "write"})
        assert "uses" in job or job["timeout-minutes"]
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_programs_that_exist(path: Path) -> None:
    programs = re.findall(r"\bscripts/[\w.]+", path.read_text())

    assert [program for program in programs if not (ROOT / program).is_file()] == []


def test_a_release_is_tested_and_its_tag_checked_before_it_is_made() -> None:
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]

    commands = [step["run"] for step in jobs["release"]["steps"] if "run" in step]

    assert jobs[jobs["release"]["needs"]]["uses"] == "./.github/workflows/test.yml"
    assert "scripts/release.py notes" in commands[0]
    assert "gh release create" in commands[1]


@pytest.mark.parametrize("name", ["beta", "validate"])
def test_what_others_change_is_looked_at_daily(name: str) -> None:
    workflow = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()

    assert re.search(r'- cron: "\d+ \d+ \* \* \*"', workflow)


def test_only_the_release_may_write() -> None:
    writing = [path.stem for path in WORKFLOWS if "contents: write" in path.read_text()]

    assert writing == ["release"]


def test_the_report_of_a_bug_asks_for_diagnostics() -> None:
    form = load_yaml_dict(str(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml"))

    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert required >= {"diagnostics", "version", "home_assistant"}


# A release


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a copy of what a release changes."""
    for path in (MANIFEST, PROJECT, CHANGELOG):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    (tmp_path / CHANGELOG).write_text("# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.0.1 (2026)\n")
    return tmp_path


def test_a_release_stamps_its_version_everywhere(repository: Path) -> None:
    before = {path: (repository / path).read_text() for path in (MANIFEST, PROJECT)}

    stamp(repository, "9.8.7")

    for path, text in before.items():
        changed = zip(text.splitlines(), (repository / path).read_text().splitlines(), strict=True)
        assert ["9.8.7" in new for old, new in changed if new != old] == [True]
    assert notes(repository, "9.8.7") == "- New."


def test_a_tag_that_is_not_the_version_is_refused(repository: Path) -> None:
    stamp(repository, "9.8.7")

    with pytest.raises(
        ValueError, match=r"The tag is v9\.8\.7, the version of the manifest 9\.8\.7"
    ):
        notes(repository, "v9.8.7")


def test_a_version_without_notes_is_refused(repository: Path) -> None:
    stamp(repository, "9.8.7")
    (repository / CHANGELOG).write_text("# Changelog\n")

    with pytest.raises(ValueError, match=r"tells nothing of 9\.8\.7"):
        notes(repository, "9.8.7")


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", ""])
def test_what_is_no_version_is_not_stamped(repository: Path, version: str) -> None:
    before = (repository / MANIFEST).read_text()

    with pytest.raises(ValueError, match="is not a version"):
        stamp(repository, version)

    assert (repository / MANIFEST).read_text() == before


def test_nothing_is_stamped_twice(repository: Path) -> None:
    stamp(repository, "9.8.7")

    with pytest.raises(ValueError, match="nothing unreleased"):
        stamp(repository, "9.8.8")

    assert json.loads((repository / MANIFEST).read_text())["version"] == "9.8.7"
