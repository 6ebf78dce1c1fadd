"""English has every text that the code uses. Other languages have no other keys or placeholders.

Home Assistant shows the English text for a key that a language lacks.
"""

from collections.abc import Iterator
import json
from pathlib import Path
import re
from string import Formatter
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import section
from homeassistant.generated.languages import LANGUAGES as HOME_ASSISTANT_LANGUAGES
from homeassistant.helpers.translation import async_get_translations
import pytest
import voluptuous as vol

from custom_components.gaze import config_flow
from custom_components.gaze.const import CONF_PRESETS, DOMAIN
from custom_components.gaze.jobs import JobEvent


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a JSON file. Raises ValueError if it has a key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"Duplicate key among {[key for key, _ in pairs]}")
    return found


def texts_of(language: str) -> dict[str, Any]:
    """Return the texts of a language."""
    text = (INTEGRATION / "translations" / f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, object_pairs_hook=unique)
    return found


def flat(texts: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each text with its full key, in order."""
    for key, value in texts.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def placeholders(text: str) -> set[str]:
    """Return the names of the placeholders in a text, parsed as Home Assistant does."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


INTEGRATION = Path(__file__).parent.parent / "custom_components" / "gaze"
TRANSLATIONS = sorted(path.stem for path in (INTEGRATION / "translations").iterdir())
TEXTS = texts_of("en")
ENGLISH: dict[str, str] = dict(flat(TEXTS))
SENTENCE_WORDS = 4  # Shorter texts, such as "Checkpoint", may be the same in two languages
SERVICES_FILE = INTEGRATION / "services.yaml"
CODE = "\n".join(path.read_text() for path in sorted(INTEGRATION.rglob("*.py")))


@pytest.mark.parametrize("key", TEXTS["exceptions"])
def test_exception_text_is_used(key: str) -> None:
    assert f'"{key}"' in CODE


def test_exceptions_have_texts() -> None:
    keys = set(re.findall(r'translation_key="(\w+)",\s+translation_placeholders', CODE))
    keys |= set(re.findall(r'_invalid\(\s*"(\w+)"', CODE))
    keys |= set(re.findall(r'translation_domain=DOMAIN,\s+translation_key="(\w+)"', CODE))

    assert keys
    assert keys <= set(TEXTS["exceptions"]) | set(TEXTS["issues"])


def form_fields(form: dict[str, Any]) -> set[str]:
    """Return the fields of a form that have a label and a description, also in sections."""
    assert set(form["data"]) == set(form["data_description"])
    fields = set(form["data"])
    for name, part in form.get("sections", {}).items():
        assert part["name"]
        fields |= {f"{name}.{field}" for field in form_fields(part)}
    return fields


def schema_fields(schema: vol.Schema) -> set[str]:
    """Return the fields of a schema, also in sections."""
    fields: set[str] = set()
    for field, value in schema.schema.items():
        inner = schema_fields(value.schema) if isinstance(value, section) else set()
        fields |= {f"{field}.{name}" for name in inner} or {str(field)}
    return fields


@pytest.mark.parametrize(
    ("flow", "step", "fields"),
    [
        ("config", "user", schema_fields(config_flow.USER_SCHEMA)),
        ("config", "reauth_confirm", schema_fields(config_flow.REAUTH_SCHEMA)),
        ("config", "reconfigure", schema_fields(config_flow.RECONFIGURE_SCHEMA)),
        ("options", "init", schema_fields(config_flow.OPTIONS_SCHEMA) | {CONF_PRESETS}),
    ],
)
def test_form_fields_have_texts(flow: str, step: str, fields: set[str]) -> None:
    assert form_fields(TEXTS[flow]["step"][step]) == fields


def test_form_errors_have_texts() -> None:
    flow = (INTEGRATION / "config_flow.py").read_text()
    errors = set(re.findall(r'(?:errors\[CONF_\w+\] = |\{CONF_\w+: )"(\w+)"', flow))

    assert errors
    assert errors <= set(TEXTS["config"]["error"])
    assert all(f'"{key}"' in flow for key in TEXTS["config"]["error"])


def test_repair_issues_have_texts() -> None:
    found = set(re.findall(r'_finding\(\s*"(\w+)"', CODE))

    assert found
    assert found <= set(TEXTS["issues"])
    for key, issue in TEXTS["issues"].items():
        assert f'"{key}"' in CODE
        assert ("fix_flow" in issue) is not ("description" in issue)


def test_event_types_and_selector_options_have_texts() -> None:
    event = TEXTS["entity"]["event"]["generation"]["state_attributes"]["event_type"]["state"]
    selectors = set(re.findall(r"translation_key: (\w+)", SERVICES_FILE.read_text()))

    assert set(event) == {event.value for event in JobEvent}
    assert selectors <= set(TEXTS["selector"])


def test_languages_are_known_to_home_assistant() -> None:
    assert set(TRANSLATIONS) <= HOME_ASSISTANT_LANGUAGES


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_language_has_exactly_the_texts_of_english(language: str) -> None:
    assert {key for key, _ in flat(texts_of(language))} == ENGLISH.keys()


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_placeholders_match_english(language: str) -> None:
    found = {key: placeholders(text) for key, text in flat(texts_of(language))}

    assert found == {key: placeholders(ENGLISH[key]) for key in found}


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_texts_are_not_empty_and_have_no_stray_spaces(language: str) -> None:
    for key, text in flat(texts_of(language)):
        assert isinstance(text, str), key
        assert text, key
        assert not re.search(r"[^\S\n]{2}", text), key
        assert all(line == line.strip() for line in text.split("\n")), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_texts_contain_no_html_or_url(language: str) -> None:
    for key, text in flat(texts_of(language)):
        assert not re.search(r"<\w|\w://|\bwww\.", text), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_apostrophe_does_not_escape_placeholder(language: str) -> None:
    # The frontend treats what follows an apostrophe before a brace as plain text.
    for key, text in flat(texts_of(language)):
        assert not re.search(r"'[{}]", text), key


@pytest.mark.parametrize("language", sorted(set(TRANSLATIONS) - {"en"}))
def test_no_sentence_is_copied_from_english(language: str) -> None:
    sentences = {key for key, text in ENGLISH.items() if len(text.split()) >= SENTENCE_WORDS}

    assert not {key for key, text in flat(texts_of(language)) if text == ENGLISH[key]} & sentences


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_entity_names_are_unique_per_platform(language: str) -> None:
    for platform, entities in texts_of(language)["entity"].items():
        # An entity without a name has that of its device class.
        names = [entity["name"].casefold() for entity in entities.values() if "name" in entity]

        assert len(names) == len(set(names)), platform


@pytest.mark.parametrize("language", TRANSLATIONS)
async def test_home_assistant_loads_every_text(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture, language: str
) -> None:
    for category in TEXTS:
        prefix = f"component.{DOMAIN}.{category}."
        expected = dict(flat(TEXTS[category], prefix))
        expected |= dict(flat(texts_of(language).get(category, {}), prefix))

        assert await async_get_translations(hass, language, category, [DOMAIN]) == expected
    assert "placeholders" not in caplog.text
    assert "localized" not in caplog.text
