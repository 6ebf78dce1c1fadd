"""The manual and the code say the same: names, labels, texts, reasons, links, commands."""

from collections.abc import Iterator
from functools import cache
import importlib.util
import json
from pathlib import Path
import re
import shlex
from typing import Any
from urllib.parse import parse_qs, urlsplit

from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import slugify
from homeassistant.util.yaml import load_yaml_dict
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.jobs import JobEvent, Reason
from testing.gaze_server import GazeServer

from .pages import MANUAL, PAGES, ROOT, Table, anchors, blocks, code, links, prose, table, tables

INTEGRATION = ROOT / "custom_components" / DOMAIN
TEXTS: dict[str, Any] = json.loads((INTEGRATION / "translations" / "en.json").read_text())
SERVICES: dict[str, Any] = load_yaml_dict(str(INTEGRATION / "services.yaml"))
REPOSITORY: str = json.loads((INTEGRATION / "manifest.json").read_text())["documentation"]
MY = "my.home-assistant.io"
WEB = {"github.com", MY, "semver.org"}
# What stands in menus beside the texts of the frontend and ours
GAZE_MENUS = {"REST API Key", "Regenerate"}
NEWER_MENUS = {"Marketplace", "Add from link"}  # of 2026.11
OTHER_MENUS = {"GAZE", "⋮", "AI generated images", "Security", "Report a vulnerability"}
# What Home Assistant itself says, with the module that says it
FOREIGN_TEXTS = {"… does not support attachments": "ai_task/task.py"}


@cache
def home_assistant(package: str = "homeassistant") -> Path:
    """Return the folder of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def bold(cell: str) -> list[str]:
    """Return what is emphasised as a label."""
    return re.findall(r"\*\*(.+?)\*\*", cell)


def labels(flow: str) -> set[str]:
    """Return the labels of all fields of a flow, and the names of their sections."""
    found: set[str] = set()
    for step in TEXTS[flow]["step"].values():
        sections = step.get("sections", {}).values()
        found.update(*(form.get("data", {}).values() for form in (step, *sections)))
        found.update(section["name"] for section in sections)
    return found


# Entities


async def test_the_table_of_entities_has_all_of_them_and_no_others(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    presets = "|".join(slugify(preset.name) for preset in server.presets.values())
    made = {
        re.sub(rf"\.gaze_({presets})(?=_|$)", ".gaze_<preset>", entity.entity_id): entity
        for entity in entities
    }

    rows = table("README.md", "entity").rows

    told = {entity_id: row[1] for row in rows for entity_id in code(row[0])}
    assert told.keys() == made.keys()
    for entity_id, entity in made.items():
        diagnostic = entity.entity_category is EntityCategory.DIAGNOSTIC
        assert ("diagnostic" in told[entity_id]) is diagnostic, entity_id
        assert ("disabled" in told[entity_id]) is bool(entity.disabled_by), entity_id


# Configuration


def test_the_tables_of_configuration_have_all_labels_and_no_others() -> None:
    connection = table("README.md", "field", "Configuration")
    options = table("README.md", "option", "Configuration")

    assert {label for cell in connection.column(0) for label in bold(cell)} == labels("config")
    assert {label for cell in options.column(0) for label in bold(cell)} == labels("options")


# Actions


def test_all_actions_are_described_and_no_others() -> None:
    listed = code(" ".join(table("README.md", "action").column(0)))
    described = {one.heading for one in tables("docs/actions.md") if one.header[0] == "field"}

    assert sorted(listed) == sorted(f"{DOMAIN}.{action}" for action in SERVICES)
    assert described == set(listed)


@pytest.mark.parametrize("action", SERVICES)
def test_all_fields_of_an_action_are_described_by_their_labels(action: str) -> None:
    texts = TEXTS["services"][action]["fields"]

    rows = table("docs/actions.md", "field", f"{DOMAIN}.{action}").rows

    assert {code(row[0])[0]: row[1] for row in rows} == {
        name: field["name"] for name, field in texts.items()
    }


@pytest.mark.parametrize("action", SERVICES)
def test_fields_that_are_needed_and_defaults_are_told(action: str) -> None:
    fields: dict[str, Any] = {}
    for name, field in SERVICES[action]["fields"].items():
        fields |= field.get("fields", {name: field})
    rows = table("docs/actions.md", "field", f"{DOMAIN}.{action}").rows
    told = {code(row[0])[0]: row[2] for row in rows}

    for name, field in fields.items():
        if field.get("required"):
            assert "needed" in told[name], name
        if isinstance(field.get("default"), int) and "as in" not in told[name]:
            default = "off" if field["default"] is False else str(field["default"])
            assert f"{default} by default" in told[name], name


@pytest.mark.parametrize("action", SERVICES)
def test_every_action_has_an_example(action: str) -> None:
    steps = [block.text for block in blocks("docs/actions.md", "yaml")]

    assert any(f"action: {DOMAIN}.{action}\n" in text for text in steps)


# Events


def test_all_types_reasons_and_fields_of_events_are_told() -> None:
    [event] = blocks("docs/events.md", "json")
    types = table("docs/events.md", "type").column(0)
    reasons = table("docs/events.md", "reason").column(0)
    fields = table("docs/events.md", "field").column(0)

    assert [code(cell) for cell in types] == [[one.value] for one in JobEvent]
    assert {name for cell in reasons for name in code(cell)} == {one.value for one in Reason}
    assert {name for cell in fields for name in code(cell)} == set(json.loads(event.text)) - {
        "type",
        "config_entry_id",
        "device_id",
    }


def test_every_device_trigger_has_an_example_below_its_label() -> None:
    page = (ROOT / "docs" / "events.md").read_text()

    found = re.findall(
        r"^\*([^*\n]+)\*:\n\n```yaml\n.*?type: (\w+)\n", page, re.DOTALL | re.MULTILINE
    )

    assert {trigger: label for label, trigger in found} == TEXTS["device_automation"][
        "trigger_type"
    ]


# Texts


def said() -> list[tuple[Table, str]]:
    """Return what the manual says that people read in an error."""
    found = [one for page in MANUAL for one in tables(page) if one.header[0] == "what it says"]
    return [(one, cell) for one in found for cell in one.column(0)]


def beginnings(message: str) -> Iterator[str]:
    """Return patterns of what a text begins with, up to the end of a phrase."""
    for end in (*(match.start() for match in re.finditer(r"[.:,](?= |$)|(?= \()|$", message)),):
        for last in {end, min(end + 1, len(message))}:
            yield re.sub(r"\\\{\w+\\\}", ".+", re.escape(message[:last]))


def is_said(text: str, messages: list[str]) -> bool:
    """Tell whether a message begins with a text; `…` stands for what differs."""
    return any(
        re.fullmatch(pattern, text) for message in messages for pattern in beginnings(message)
    )


def repair(key: str) -> str:
    """Return the title of a repair, of a first server."""
    title: str = TEXTS["issues"][key]["title"]
    return title.replace("{title}", "GAZE")


def test_every_error_that_is_quoted_has_this_text() -> None:
    messages = [
        *TEXTS["config"]["error"].values(),
        *TEXTS["config"]["abort"].values(),
        *(one["message"] for one in TEXTS["exceptions"].values()),
        *map(repair, TEXTS["issues"]),
    ]
    quoted = [text for _, text in said()]

    unknown = [text for text in quoted if not is_said(text, messages)]

    assert quoted
    assert sorted(unknown) == sorted(FOREIGN_TEXTS)
    for text, module in FOREIGN_TEXTS.items():
        source = (home_assistant() / "components" / module).read_text()
        assert text.removeprefix("…") in source


@pytest.mark.parametrize("part", ["error", "abort"])
def test_every_error_of_the_set_up_is_explained(part: str) -> None:
    explained = table("docs/troubleshooting.md", "what it says", "While setting up").column(0)

    for key, message in TEXTS["config"][part].items():
        assert any(is_said(text, [message]) for text in explained), key


@pytest.mark.parametrize("key", TEXTS["issues"])
def test_every_repair_is_explained(key: str) -> None:
    explained = table("docs/troubleshooting.md", "what it says", "Repairs").column(0)

    assert any(is_said(text, [repair(key)]) for text in explained)


def test_menus_are_called_as_the_frontend_calls_them() -> None:
    shown = {*GAZE_MENUS, *NEWER_MENUS, *OTHER_MENUS, "My media"}
    for file in (home_assistant("hass_frontend") / "static" / "translations").rglob("en-*.json"):
        shown.update(json.loads(file.read_text()).values())
    paths = [
        " ".join(path.split())
        for page in (*MANUAL, "SECURITY.md")
        for path in re.findall(r"(?<!\*)\*{1,2}([^*|]*→[^*|]*)\*{1,2}", prose(page))
    ]

    unknown = {
        name.strip() for path in paths for name in path.split("→") if name.strip() not in shown
    }

    assert len(paths) > 10
    assert unknown == set()


# Links


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in links(page):
        address = urlsplit(link)
        if address.scheme:
            if address.hostname not in WEB or address.scheme != "https":
                broken.append(link)
            continue
        target = ((ROOT / page).parent / address.path).resolve() if address.path else ROOT / page
        name = target.relative_to(ROOT).as_posix()
        if not target.exists() or (address.fragment and address.fragment not in anchors(name)):
            broken.append(link)

    assert broken == []


def test_issue_forms_lead_to_pages_that_exist() -> None:
    forms = (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")
    found = {
        link
        for form in forms
        for link in re.findall(rf"{re.escape(REPOSITORY)}[\w./#-]*", form.read_text())
    }

    assert found
    for link in found:
        path, _, anchor = link.removeprefix(REPOSITORY).partition("#")
        page = path.removeprefix("/blob/main/") or "README.md"
        assert (ROOT / page).is_file(), link
        assert not anchor or anchor in anchors(page), link


def test_my_links_are_of_this_repository_and_integration() -> None:
    owner, _, name = urlsplit(REPOSITORY).path.strip("/").partition("/")
    wanted = {
        "hacs_repository": {"owner": [owner], "repository": [name], "category": ["integration"]},
        "config_flow_start": {"domain": [DOMAIN]},
    }

    found = {
        address.path.rpartition("redirect/")[2].strip("/"): parse_qs(address.query)
        for address in map(urlsplit, links("README.md"))
        if address.hostname == MY and "/redirect/" in address.path
    }

    imported = found.pop("blueprint_import")["blueprint_url"][0]
    assert found == wanted
    assert imported.startswith(f"{REPOSITORY}/blob/main/blueprints/")


# Commands


def commands() -> list[tuple[str, list[str]]]:
    """Return the commands on all pages: those of blocks, and of our scripts within the text."""
    found = [
        (page, shlex.split(line, comments=True))
        for page in PAGES
        for block in blocks(page, "bash")
        for line in block.text.splitlines()
    ]
    found += [
        (page, shlex.split(" ".join(words.split())))
        for page in PAGES
        for words in code(prose(page))
        if re.match(r"(?:scripts/|(?:\S*/)?python3? )", words)
    ]
    return [(page, words) for page, words in found if words]


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda part: str(part)[:60])
def test_a_command_can_be_given(page: str, words: list[str], pytestconfig: pytest.Config) -> None:
    program, *arguments = words
    if program in {"python3", ".venv/bin/python"}:
        program, *arguments = arguments
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    script = ROOT / program
    source = script.read_text()
    if program == "scripts/demo":
        source = (ROOT / "demo" / "__main__.py").read_text()
    if program == "scripts/bench":
        source = "--help"
        for name in arguments[:1]:
            assert name == "NAME" or (ROOT / "benchmarks" / f"{name}.py").is_file()
            source += "" if name == "NAME" else (ROOT / "benchmarks" / f"{name}.py").read_text()
    if program == "scripts/test":  # they go to pytest
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/"))
        assert all(pytestconfig.getoption(option) is not None for option in options)
        options = []

    assert script.is_file()
    assert script.suffix == ".py" or script.stat().st_mode & 0o111
    assert all(f'"{option}"' in source or option in source.split() for option in options)
