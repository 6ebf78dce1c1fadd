"""Tests of the quality scale: its rules, and the claim in the manifest."""

from collections.abc import Callable
import json
from pathlib import Path
import re
from typing import Any

from homeassistant.util.yaml import load_yaml_dict
import pytest

ROOT = Path(__file__).parent.parent
INTEGRATION = ROOT / "custom_components" / "gaze"
MANIFEST: dict[str, Any] = json.loads((INTEGRATION / "manifest.json").read_text())
TEXTS: dict[str, Any] = json.loads((INTEGRATION / "translations" / "en.json").read_text())

RULES = {
    "bronze": """
        action-setup appropriate-polling brands common-modules config-flow
        config-flow-test-coverage dependency-transparency docs-actions docs-conditions
        docs-high-level-description docs-installation-instructions docs-removal-instructions
        docs-triggers entity-event-setup entity-unique-id has-entity-name runtime-data
        test-before-configure test-before-setup unique-config-entry
        """,
    "silver": """
        action-exceptions config-entry-unloading docs-configuration-parameters
        docs-installation-parameters entity-unavailable integration-owner log-when-unavailable
        parallel-updates reauthentication-flow test-coverage
        """,
    "gold": """
        devices diagnostics discovery discovery-update-info docs-data-update docs-examples
        docs-known-limitations docs-supported-devices docs-supported-functions
        docs-troubleshooting docs-use-cases dynamic-devices entity-category entity-device-class
        entity-disabled-by-default entity-translations exception-translations icon-translations
        reconfiguration-flow repair-issues stale-devices
        """,
    "platinum": "async-dependency inject-websession strict-typing",
}
TIERS = list(RULES)


def answers() -> dict[str, tuple[str, str]]:
    """Return the status and comment of each rule."""
    found: dict[str, tuple[str, str]] = {}
    for rule, answer in load_yaml_dict(str(INTEGRATION / "quality_scale.yaml"))["rules"].items():
        if isinstance(answer, str):
            found[rule] = (answer, "")
        else:
            assert set(answer) <= {"status", "comment"}
            found[rule] = (answer["status"], answer.get("comment", ""))
    return found


ANSWERS = answers()


def open_rules(tier: str) -> list[str]:
    """Return the rules up to a tier that are not met."""
    wanted = " ".join(RULES[name] for name in TIERS[: TIERS.index(tier) + 1]).split()
    return [rule for rule in wanted if ANSWERS[rule][0] == "todo"]


def code(name: str) -> str:
    """Return a module of the integration."""
    return (INTEGRATION / name).read_text()


def platforms() -> list[str]:
    """Return the modules of the entities."""
    names = re.findall(r"^    Platform\.(\w+),", code("__init__.py"), re.MULTILINE)
    return [f"{name.lower()}.py" for name in names]


def described(flow: dict[str, Any]) -> bool:
    """Return whether all fields of a flow have a description, also in sections."""
    for step in flow["step"].values():
        for form in (step, *step.get("sections", {}).values()):
            if set(form.get("data", {})) != set(form.get("data_description", {})):
                return False
    return True


def documented(file: str) -> bool:
    """Return whether the documentation names every trigger or condition of a file."""
    page = (ROOT / "docs" / "events.md").read_text()
    return all(
        f"gaze.{name}" in page
        for name in load_yaml_dict(str(INTEGRATION / file))
        if not name.startswith(".")
    )


# What the tree shows for a rule that is called done. The tests of the modules show the rest.
EVIDENCE: dict[str, Callable[[], bool]] = {
    "action-setup": lambda: (
        "async_setup_services(hass)"
        in code("__init__.py").partition("async def async_setup(")[2].partition("\nasync def")[0]
    ),
    "brands": (INTEGRATION / "brand" / "icon.png").is_file,
    "common-modules": lambda: (
        (INTEGRATION / "coordinator.py").is_file() and (INTEGRATION / "entity.py").is_file()
    ),
    "config-flow": lambda: (
        MANIFEST["config_flow"]
        and all(map(described, (TEXTS["config"], TEXTS["options"])))
        and all(map(described, TEXTS["config_subentries"].values()))
    ),
    "docs-conditions": lambda: documented("conditions.yaml"),
    "docs-triggers": lambda: documented("triggers.yaml"),
    "dependency-transparency": lambda: MANIFEST["requirements"] == [],
    "has-entity-name": lambda: "_attr_has_entity_name = True" in code("entity.py"),
    "test-coverage": lambda: (
        "LEAST = 95.0" in (ROOT / "scripts" / "report_coverage.py").read_text()
        and "report_coverage.py" in (ROOT / "scripts" / "test").read_text()
    ),
    "runtime-data": lambda: "entry.runtime_data = " in code("__init__.py"),
    "config-entry-unloading": lambda: "async def async_unload_entry" in code("__init__.py"),
    "integration-owner": lambda: bool(MANIFEST["codeowners"]),
    "parallel-updates": lambda: all("\nPARALLEL_UPDATES = " in code(name) for name in platforms()),
    "reauthentication-flow": lambda: "async def async_step_reauth" in code("config_flow.py"),
    "reconfiguration-flow": lambda: "async def async_step_reconfigure" in code("config_flow.py"),
    "diagnostics": lambda: "def async_get_config_entry_diagnostics" in code("diagnostics.py"),
    "entity-category": lambda: "EntityCategory.DIAGNOSTIC" in code("sensor.py"),
    "entity-disabled-by-default": lambda: (
        "entity_registry_enabled_default=False" in code("sensor.py")
    ),
    "exception-translations": lambda: all(
        "translation_key" in module or "Error(" not in module
        for module in (code("services.py"), code("coordinator.py"), code("button.py"))
    ),
    "icon-translations": lambda: "mdi:" in code("icons.json"),
    "repair-issues": lambda: "issues" in TEXTS,
    "inject-websession": lambda: "async_get_clientsession" in code("coordinator.py"),
    "strict-typing": lambda: "strict = true" in (ROOT / "pyproject.toml").read_text(),
}


def test_every_rule_has_status_and_no_other_rule_exists() -> None:
    rules = [rule for tier in TIERS for rule in RULES[tier].split()]

    assert len(rules) == 54
    assert sorted(ANSWERS) == sorted(rules)


@pytest.mark.parametrize("rule", ANSWERS)
def test_rule_has_known_status_and_comment(rule: str) -> None:
    status, comment = ANSWERS[rule]

    assert status in {"done", "exempt", "todo"}
    assert comment or status == "done"


@pytest.mark.parametrize("rule", EVIDENCE)
def test_done_rule_has_evidence_in_repository(rule: str) -> None:
    assert ANSWERS[rule][0] != "done" or EVIDENCE[rule]()


def test_manifest_claims_only_fulfilled_scale() -> None:
    claimed = MANIFEST.get("quality_scale")

    assert claimed in {None, *TIERS}
    assert claimed is None or open_rules(claimed) == []
