"""The texts that people read fit the code, in both directions, and are whole in each language."""

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
from homeassistant.util.yaml import load_yaml_dict
import pytest
import voluptuous as vol

from custom_components.gaze import config_flow
from custom_components.gaze.const import CONF_PRESETS, DOMAIN
from custom_components.gaze.jobs import JobEvent


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a JSON file. Raises ValueError where it has a key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"A key stands twice among {[key for key, _ in pairs]}")
    return found


def texts_of(language: str) -> dict[str, Any]:
    """Return the file of a language."""
    text = (INTEGRATION / "translations" / f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, object_pairs_hook=unique)
    return found


def flat(texts: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each text with its full key, in order; an object without texts as itself."""
    for key, value in texts.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def placeholders(text: str) -> set[str]:
    """Return the names in braces, as Home Assistant finds them."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


INTEGRATION = Path(__file__).parent.parent / "custom_components" / "gaze"
LANGUAGES = {"en", "de", "fr", "es", "it", "nl", "pl", "pt-BR", "cs", "sv", "uk", "ja", "zh-Hans"}
FILES = sorted((INTEGRATION / "translations").iterdir())
OTHERS = sorted({file.stem for file in FILES} - {"en"})
# The other languages follow when the English texts of 0.2.0 are done.
FOLLOWING = [
    pytest.param(language, marks=pytest.mark.xfail(reason="not translated yet", strict=False))
    for language in OTHERS
]
TRANSLATIONS = ["en", *FOLLOWING]
TEXTS = texts_of("en")
ENGLISH: dict[str, str] = dict(flat(TEXTS))
A_SENTENCE = 4  # words; shorter texts, such as Checkpoint, may be the same in two languages
ICONS: dict[str, Any] = json.loads((INTEGRATION / "icons.json").read_text())
SERVICES_FILE = INTEGRATION / "services.yaml"
SERVICES: dict[str, Any] = load_yaml_dict(str(SERVICES_FILE))
NAMED_AFTER_THEIR_DEVICE = {"preset_image"}
CODE = "\n".join(path.read_text() for path in sorted(INTEGRATION.rglob("*.py")))


def fields(action: str) -> dict[str, set[str]]:
    """Return the fields of an action in services.yaml, by section; "" is none."""
    found: dict[str, set[str]] = {"": set()}
    for name, field in (SERVICES[action] or {}).get("fields", {}).items():
        if "fields" in field:
            found[name] = set(field["fields"])
        else:
            found[""].add(name)
    return found


@pytest.mark.parametrize("action", SERVICES)
def test_every_action_and_field_has_its_texts_and_icon(action: str) -> None:
    texts = TEXTS["services"][action]
    described = fields(action)
    sections = set(described) - {""}

    assert texts["name"]
    assert texts["description"]
    assert set(texts.get("fields", {})) == set().union(*described.values())
    assert all(text["name"] and text["description"] for text in texts.get("fields", {}).values())
    assert set(texts.get("sections", {})) == sections
    assert ICONS["services"][action]["service"].startswith("mdi:")
    assert set(ICONS["services"][action].get("sections", {})) == sections


def test_there_are_no_texts_and_icons_of_actions_that_do_not_exist() -> None:
    assert set(TEXTS["services"]) == set(SERVICES) == set(ICONS["services"])


@pytest.mark.parametrize("key", TEXTS["exceptions"])
def test_every_text_of_an_exception_is_used(key: str) -> None:
    assert f'"{key}"' in CODE


def test_every_exception_has_a_text() -> None:
    keys = set(re.findall(r'translation_key="(\w+)",\s+translation_placeholders', CODE))
    keys |= set(re.findall(r'_invalid\(\s*"(\w+)"', CODE))
    keys |= set(re.findall(r'translation_domain=DOMAIN, translation_key="(\w+)"', CODE))
    keys |= set(re.findall(r'translation_domain=DOMAIN,\s+translation_key="(\w+)"', CODE))

    assert keys
    assert keys <= set(TEXTS["exceptions"]) | set(TEXTS.get("issues", {}))


def form_fields(form: dict[str, Any]) -> set[str]:
    """Return the fields that a form has a label and a text below for, those of sections too."""
    assert set(form["data"]) == set(form["data_description"])
    fields = set(form["data"])
    for name, part in form.get("sections", {}).items():
        assert part["name"]
        fields |= {f"{name}.{field}" for field in form_fields(part)}
    return fields


def schema_fields(schema: vol.Schema) -> set[str]:
    """Return the fields of a form, those of sections behind the section's name."""
    fields: set[str] = set()
    for field, value in schema.schema.items():
        inner = schema_fields(value.schema) if isinstance(value, section) else set()
        fields |= {f"{field}.{name}" for name in inner} or {str(field)}
    return fields


def test_every_form_and_each_of_its_fields_has_its_texts_and_no_other_has() -> None:
    steps = {
        "user": config_flow.USER_SCHEMA,
        "reauth_confirm": config_flow.REAUTH_SCHEMA,
        "reconfigure": config_flow.RECONFIGURE_SCHEMA,
    }
    options = schema_fields(config_flow.OPTIONS_SCHEMA) | {CONF_PRESETS}

    assert {name: form_fields(form) for name, form in TEXTS["config"]["step"].items()} == {
        name: schema_fields(schema) for name, schema in steps.items()
    }
    assert {name: form_fields(form) for name, form in TEXTS["options"]["step"].items()} == {
        "init": options
    }


def test_every_error_of_a_form_has_a_text_and_no_other_has() -> None:
    flow = (INTEGRATION / "config_flow.py").read_text()
    errors = set(re.findall(r'(?:errors\[CONF_\w+\] = |\{CONF_\w+: )"(\w+)"', flow))

    assert errors == set(TEXTS["config"]["error"])
    # The others are those of flows that end well, which Home Assistant tells by itself.
    assert set(TEXTS["config"]["abort"]) == {"already_configured"}
    assert "_async_abort_entries_match(" in flow


def test_every_repair_has_its_texts_and_no_other_has() -> None:
    repairs = (INTEGRATION / "repairs.py").read_text()
    told = set(re.findall(r'_finding\(\s*"(\w+)"', repairs))
    mended = {"gallery_set_aside", "jobs_set_aside"}

    assert {key for key in mended if f'"{key}"' in repairs} == mended
    assert set(TEXTS["issues"]) == told | mended
    for key, issue in TEXTS["issues"].items():
        assert ("fix_flow" in issue) is (key in mended)
        assert ("description" in issue) is (key in told)
        if key in mended:
            assert set(issue["fix_flow"]["abort"]) == set(re.findall(r'reason="(\w+)"', repairs))


def test_triggers_and_choices_have_their_texts_and_no_others_have() -> None:
    types = {event.value for event in JobEvent}
    event = TEXTS["entity"]["event"]["generation"]["state_attributes"]["event_type"]["state"]
    selectors = set(re.findall(r"translation_key: (\w+)", SERVICES_FILE.read_text()))

    assert set(TEXTS["device_automation"]["trigger_type"]) == types == set(event)
    assert set(TEXTS["selector"]) == selectors


def test_icons_are_material_design_icons_and_differ_from_their_default() -> None:
    for platform in ICONS["entity"].values():
        for icons in platform.values():
            assert icons["default"].startswith("mdi:")
            assert icons["default"] not in icons.get("state", {}).values()


def test_every_icon_belongs_to_an_entity_with_a_name() -> None:
    for platform, icons in ICONS["entity"].items():
        assert set(icons) <= set(TEXTS["entity"][platform]) | NAMED_AFTER_THEIR_DEVICE


def test_the_languages_are_the_thirteen_that_home_assistant_knows_by_these_names() -> None:
    assert {file.name for file in FILES} == {f"{language}.json" for language in LANGUAGES}
    assert set(LANGUAGES) <= HOME_ASSISTANT_LANGUAGES


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_language_has_the_keys_of_english_in_their_order(language: str) -> None:
    keys = [key for key, _ in flat(texts_of(language))]

    assert keys == list(ENGLISH)


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_has_the_placeholders_of_the_english_one(language: str) -> None:
    found = {key: placeholders(text) for key, text in flat(texts_of(language))}

    assert found == {key: placeholders(text) for key, text in ENGLISH.items()}


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_no_text_is_empty_or_has_spaces_to_spare(language: str) -> None:
    for key, text in flat(texts_of(language)):
        assert isinstance(text, str), key
        assert text, key
        assert not re.search(r"[^\S\n]{2}", text), key
        assert all(line == line.strip() for line in text.split("\n")), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_no_text_holds_html_or_an_address(language: str) -> None:
    for key, text in flat(texts_of(language)):
        assert not re.search(r"<\w|\w://|\bwww\.", text), key
        assert all(
            field is None or field.isidentifier() for _, field, _, _ in Formatter().parse(text)
        ), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_has_the_markup_of_the_english_one(language: str) -> None:
    for key, text in flat(texts_of(language)):
        for mark in ("**", "*", "`", "\n\n", "](", "<", ">"):
            assert text.count(mark) == ENGLISH[key].count(mark), (key, mark)
        assert text.count("**") % 2 == 0, key
        assert text.count("*") % 2 == 0, key
        assert text.count("`") % 2 == 0, key
        assert sorted(text.split("`")[1::2]) == sorted(ENGLISH[key].split("`")[1::2]), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_bold_text_is_bold_where_no_space_parts_words(language: str) -> None:
    # Markdown closes bold text that ends in a bracket, as names of servers do, only before
    # something else than a letter.
    for key, text in flat(texts_of(language)):
        for before, inside, after in re.findall(r"(^|.)\*\*(.+?)\*\*(.|$)", text):
            assert inside == inside.strip(), key
            if "{" in inside:
                assert not before.isalnum(), (key, inside)
                assert not after.isalnum(), (key, inside)


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_no_apostrophe_keeps_a_placeholder_from_being_filled_in(language: str) -> None:
    # The frontend reads what follows an apostrophe before a brace as it stands.
    for key, text in flat(texts_of(language)):
        assert not re.search(r"'[{}]", text), key


@pytest.mark.parametrize("language", FOLLOWING)
def test_no_sentence_is_left_in_english(language: str) -> None:
    sentences = {key for key, text in ENGLISH.items() if len(text.split()) >= A_SENTENCE}

    assert not {key for key, text in flat(texts_of(language)) if text == ENGLISH[key]} & sentences


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_texts_call_things_by_the_names_that_they_have(language: str) -> None:
    texts = dict(flat(texts_of(language)))
    advanced = texts["config.step.user.sections.advanced.name"]
    track_job = texts["services.track_job.name"]

    assert advanced in texts["config.error.ssl_error"]
    assert f"**{track_job}**" in texts["issues.jobs_set_aside.fix_flow.step.confirm.description"]
    for key, text in texts.items():
        for control in ("Settings", "REST API Key", "Regenerate"):
            assert text.count(control) == ENGLISH[key].count(control), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_the_entities_of_a_device_have_different_names(language: str) -> None:
    platforms = texts_of(language)["entity"].values()
    names = [
        entity["name"].casefold()
        for platform in platforms
        for entity in platform.values()
        if "name" in entity  # others have the name of their device class
    ]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("language", TRANSLATIONS)
async def test_home_assistant_takes_every_text(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture, language: str
) -> None:
    for category, texts in texts_of(language).items():
        taken = await async_get_translations(hass, language, category, [DOMAIN])

        assert taken == dict(flat(texts, f"component.{DOMAIN}.{category}."))
    assert "placeholders" not in caplog.text
    assert "localized" not in caplog.text
