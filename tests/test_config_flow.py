"""Tests of the user, reauth, reconfigure, and options flows."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
import logging
from typing import Any
from unittest.mock import patch

from aiohttp import ClientTimeout
from homeassistant.config_entries import SOURCE_USER, ConfigEntryState, ConfigFlowResult
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData, section
from homeassistant.helpers.translation import async_get_translations
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import (
    CONF_AI_TASK_TIMEOUT,
    CONF_GIVE_UP_AFTER,
    CONF_KEEP_IMAGES,
    CONF_MAX_OPEN_JOBS,
    CONF_PRESETS,
    CONF_SAVE_IMAGES,
    CONF_STRIP_METADATA,
    DOMAIN,
)
from testing.faults import Fault
from testing.gaze_server import GazeServer

ADVANCED = "advanced"
LIST_PRESETS = "custom_components.gaze.api.GazeClient.list_presets"


pytestmark = pytest.mark.usefixtures("setup_integration")  # unloads what a flow has set up


@pytest.fixture
def added_entry(hass: HomeAssistant, config_entry: MockConfigEntry) -> MockConfigEntry:
    """Return the entry of the server, which is added but not loaded."""
    config_entry.add_to_hass(hass)
    return config_entry


@pytest.fixture
async def texts(hass: HomeAssistant) -> dict[str, str]:
    """Return the texts of the forms."""
    prefix = f"component.{DOMAIN}.config."
    translations = await async_get_translations(hass, "en", "config", [DOMAIN])
    return {key.removeprefix(prefix): text for key, text in translations.items()}


async def begin(hass: HomeAssistant) -> ConfigFlowResult:
    """Begin to add a server."""
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})


async def submit(
    hass: HomeAssistant, form: ConfigFlowResult, user_input: dict[str, Any]
) -> ConfigFlowResult:
    """Submit a form."""
    result = await hass.config_entries.flow.async_configure(form["flow_id"], user_input)
    await hass.async_block_till_done()
    return result


async def add(hass: HomeAssistant, **user_input: Any) -> ConfigFlowResult:
    """Add a server with one form."""
    return await submit(hass, await begin(hass), user_input)


def suggested(form: ConfigFlowResult) -> dict[str, Any]:
    """Return the suggested values of a form, including its sections."""
    schema = form["data_schema"]
    assert schema is not None
    return _suggested(schema)


def _suggested(schema: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, kind in schema.schema.items():
        if isinstance(kind, section):
            values[str(key)] = _suggested(kind.schema)
        elif key.description is not None:
            values[str(key)] = key.description["suggested_value"]
    return values


async def test_server_is_set_up_in_one_form(hass: HomeAssistant, server: GazeServer) -> None:
    form = await begin(hass)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "user")
    assert not form["errors"]

    result = await submit(
        hass,
        form,
        {
            CONF_HOST: f" 127.0.0.1:{server.port}/ ",
            CONF_API_KEY: f"\t{server.api_key}\n",
            ADVANCED: {CONF_VERIFY_SSL: False},
        },
    )

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "GAZE"
    assert result["data"] == {
        CONF_HOST: server.url,
        CONF_API_KEY: server.api_key,
        CONF_VERIFY_SSL: False,
    }
    assert result["result"].unique_id is None
    assert result["result"].state is ConfigEntryState.LOADED


@pytest.mark.parametrize("advanced", [{}, {ADVANCED: {}}])
async def test_omitted_section_uses_defaults(
    hass: HomeAssistant, server: GazeServer, advanced: dict[str, Any]
) -> None:
    result = await add(hass, host=server.url, api_key=server.api_key, **advanced)

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"][CONF_VERIFY_SSL] is True


async def test_section_is_collapsed_in_frontend(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, server: GazeServer
) -> None:
    assert await async_setup_component(hass, "config", {})
    assert await async_setup_component(hass, "websocket_api", {})
    client = await hass_client()
    response = await client.post("/api/config/config_entries/flow", json={"handler": DOMAIN})
    form = await response.json()

    response = await client.post(
        f"/api/config/config_entries/flow/{form['flow_id']}",
        json={CONF_HOST: server.url, CONF_API_KEY: "wrong"},
    )
    form = await response.json()

    assert response.status == HTTPStatus.OK
    host, api_key, advanced = form["data_schema"]
    assert (host["name"], host["required"]) == (CONF_HOST, True)
    assert host["description"] == {"suggested_value": server.url}
    assert (api_key["name"], api_key["required"]) == (CONF_API_KEY, True)
    assert api_key["selector"]["text"]["type"] == "password"
    assert "description" not in api_key
    assert (advanced["name"], advanced["type"]) == (ADVANCED, "expandable")
    assert advanced["expanded"] is False
    assert "default" not in advanced  # it would hide what is suggested inside
    assert advanced["schema"][0]["default"] is True
    assert form["errors"] == {CONF_API_KEY: "invalid_auth"}


async def test_form_without_address_is_rejected(hass: HomeAssistant) -> None:
    form = await begin(hass)

    with pytest.raises(InvalidData):
        await submit(hass, form, {CONF_API_KEY: "key"})


@pytest.mark.parametrize(
    ("address", "url", "title"),
    [
        ("gaze.local", "http://gaze.local:5782", "GAZE (gaze.local)"),
        ("GAZE.local:5782/", "http://gaze.local:5782", "GAZE (gaze.local)"),
        ("192.168.1.20:8080", "http://192.168.1.20:8080", "GAZE (192.168.1.20:8080)"),
        ("fd00::5", "http://[fd00::5]:5782", "GAZE ([fd00::5])"),
        ("[fd00:0::5]:8080", "http://[fd00::5]:8080", "GAZE ([fd00::5]:8080)"),
        (
            "https://gaze.example.org/prefix/",
            "https://gaze.example.org/prefix",
            "GAZE (gaze.example.org/prefix)",
        ),
        (
            "http://gaze.example.org:81/a/b",
            "http://gaze.example.org:81/a/b",
            "GAZE (gaze.example.org:81/a/b)",
        ),
        ("münchen.local", "http://xn--mnchen-3ya.local:5782", "GAZE (münchen.local)"),
    ],
)
async def test_title_of_second_server_contains_host(
    hass: HomeAssistant, added_entry: MockConfigEntry, address: str, url: str, title: str
) -> None:
    with patch(LIST_PRESETS, return_value=[]):  # none of these addresses is this host
        result = await add(hass, host=address, api_key="key")

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert (result["data"][CONF_HOST], result["title"]) == (url, title)
    assert added_entry.title == "GAZE"


@pytest.mark.parametrize("address", ["{url}", "127.0.0.1:{port}", "HTTP://127.0.0.1:{port}/"])
async def test_same_address_twice_is_rejected(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry, address: str
) -> None:
    address = address.format(url=server.url, port=server.port)

    result = await add(hass, host=address, api_key=server.api_key)

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert hass.config_entries.async_entries(DOMAIN) == [added_entry]
    assert not server.log


def offline(server: GazeServer) -> None:
    server.set_online(False)


def online(server: GazeServer) -> None:
    server.faults.clear()
    server.set_online(True)


def fault(name: str, value: Any = True) -> Callable[[GazeServer], object]:
    return lambda server: server.faults.on(name, value=value)


@pytest.mark.parametrize(
    ("break_it", "errors"),
    [
        pytest.param(offline, {"base": "cannot_connect"}, id="offline"),
        pytest.param(fault("truncated"), {"base": "not_gaze"}, id="truncated"),
        pytest.param(fault("busy"), {"base": "cannot_connect"}, id="busy"),
        pytest.param(fault("busy", 429), {"base": "cannot_connect"}, id="too many requests"),
        pytest.param(fault("server_error"), {"base": "cannot_connect"}, id="server error"),
        pytest.param(fault("server_error", 502), {"base": "cannot_connect"}, id="bad gateway"),
        pytest.param(fault("key_regenerated"), {CONF_API_KEY: "invalid_auth"}, id="new key"),
        pytest.param(fault("redirect"), {"base": "not_gaze"}, id="redirect"),
        pytest.param(fault("server_error", 400), {"base": "not_gaze"}, id="bad request"),
        pytest.param(fault("server_error", 404), {"base": "not_gaze"}, id="not found"),
        pytest.param(fault("garbage_json"), {"base": "not_gaze"}, id="garbage"),
        pytest.param(fault("wrong_types"), {"base": "not_gaze"}, id="wrong types"),
        pytest.param(fault("huge_json"), {"base": "not_gaze"}, id="huge"),
    ],
)
async def test_each_fault_has_error_and_flow_recovers(
    hass: HomeAssistant,
    server: GazeServer,
    break_it: Callable[[GazeServer], object],
    errors: dict[str, str],
) -> None:
    user_input = {CONF_HOST: f"127.0.0.1:{server.port}", CONF_API_KEY: server.api_key}
    break_it(server)

    form = await add(hass, **user_input, advanced={CONF_VERIFY_SSL: False})

    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "user")
    assert form["errors"] == errors
    assert suggested(form) == {
        CONF_HOST: f"127.0.0.1:{server.port}",
        ADVANCED: {CONF_VERIFY_SSL: False},
    }

    online(server)
    result = await submit(hass, form, user_input)

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_flow_recovers_from_timeout(hass: HomeAssistant, server: GazeServer) -> None:
    user_input = {CONF_HOST: server.url, CONF_API_KEY: server.api_key}
    server.faults.on(Fault.HANG)
    with patch("custom_components.gaze.api.client.API_TIMEOUT", ClientTimeout(total=0.1)):
        form = await add(hass, **user_input)

    assert form["errors"] == {"base": "timeout_connect"}

    server.faults.clear()
    result = await submit(hass, form, user_input)

    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("host", ["", "gaze local", "ftp://gaze.local", "gaze.local:0", "[fd00::5"])
async def test_invalid_address_has_error_at_its_field(
    hass: HomeAssistant, server: GazeServer, host: str
) -> None:
    form = await add(hass, host=host, api_key=server.api_key)

    assert form["errors"] == {CONF_HOST: "invalid_host"}
    assert suggested(form)[CONF_HOST] == host

    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("api_key", ["", "  ", "schlüssel", "key\r\nX-Other: 1", "\x7f", "“key”"])
async def test_impossible_key_is_rejected_without_request(
    hass: HomeAssistant, server: GazeServer, api_key: str
) -> None:
    form = await add(hass, host=server.url, api_key=api_key)

    assert form["errors"] == {CONF_API_KEY: "invalid_auth"}
    assert not server.log

    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_flow_recovers_from_wrong_path(hass: HomeAssistant, server: GazeServer) -> None:
    form = await add(hass, host=f"{server.url}/prefix", api_key=server.api_key)

    assert form["errors"] == {"base": "not_gaze"}
    assert server.log[0].path == "/prefix/api/v1/presets"

    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_server_without_http_is_not_gaze(hass: HomeAssistant, server: GazeServer) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_10.0\r\n")

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]

        form = await add(hass, host=f"127.0.0.1:{port}", api_key=server.api_key)

    assert form["errors"] == {"base": "not_gaze"}

    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_self_signed_certificate_is_accepted_only_on_request(
    hass: HomeAssistant, self_signed_url: str
) -> None:
    user_input = {CONF_HOST: self_signed_url, CONF_API_KEY: "key"}

    form = await add(hass, **user_input, advanced={CONF_VERIFY_SSL: True})

    assert form["errors"] == {"base": "ssl_error"}

    result = await submit(hass, form, {**user_input, ADVANCED: {CONF_VERIFY_SSL: False}})

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {**user_input, CONF_VERIFY_SSL: False}


async def test_flow_recovers_from_https_without_tls(
    hass: HomeAssistant, server: GazeServer
) -> None:
    form = await add(hass, host=f"https://127.0.0.1:{server.port}", api_key=server.api_key)

    assert form["errors"] == {"base": "ssl_error"}

    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_flow_logs_unexpected_error_and_recovers(
    hass: HomeAssistant, server: GazeServer, caplog: pytest.LogCaptureFixture
) -> None:
    user_input = {CONF_HOST: server.url, CONF_API_KEY: server.api_key}
    with patch(LIST_PRESETS, side_effect=RuntimeError("surprise")):
        form = await add(hass, **user_input)

    assert form["errors"] == {"base": "unknown"}
    assert "Unexpected error while listing the presets" in caplog.text
    assert "RuntimeError: surprise" in caplog.text

    result = await submit(hass, form, user_input)

    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_reauth_stores_key_and_reloads_entry(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry
) -> None:
    new_key = server.regenerate_key()
    form = await added_entry.start_reauth_flow(hass)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "reauth_confirm")
    assert form["description_placeholders"] == {"host": server.url, "name": "GAZE"}

    result = await submit(hass, form, {CONF_API_KEY: f" {new_key} "})

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    assert added_entry.data == {
        CONF_HOST: server.url,
        CONF_API_KEY: new_key,
        CONF_VERIFY_SSL: True,
    }
    assert added_entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize(
    ("break_it", "errors"),
    [
        (GazeServer.regenerate_key, {CONF_API_KEY: "invalid_auth"}),
        (offline, {"base": "cannot_connect"}),
    ],
)
async def test_reauth_shows_error_when_key_is_invalid(
    hass: HomeAssistant,
    server: GazeServer,
    added_entry: MockConfigEntry,
    break_it: Callable[[GazeServer], object],
    errors: dict[str, str],
) -> None:
    present_key = server.api_key
    break_it(server)
    form = await added_entry.start_reauth_flow(hass)

    form = await submit(hass, form, {CONF_API_KEY: present_key})

    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "reauth_confirm")
    assert form["errors"] == errors
    assert suggested(form) == {}
    assert added_entry.data[CONF_API_KEY] == present_key
    assert added_entry.state is ConfigEntryState.NOT_LOADED

    online(server)
    result = await submit(hass, form, {CONF_API_KEY: server.api_key})

    assert result["reason"] == "reauth_successful"
    assert added_entry.data[CONF_API_KEY] == server.api_key


async def test_reconfigure_changes_address(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(
        added_entry,
        data={CONF_HOST: "http://gaze.local:5782", CONF_API_KEY: "old", CONF_VERIFY_SSL: False},
    )
    form = await added_entry.start_reconfigure_flow(hass)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "reconfigure")
    assert suggested(form) == {
        CONF_HOST: "http://gaze.local:5782",
        ADVANCED: {CONF_VERIFY_SSL: False},
    }

    result = await submit(
        hass,
        form,
        {
            CONF_HOST: f"127.0.0.1:{server.port}",
            CONF_API_KEY: server.api_key,
            ADVANCED: {CONF_VERIFY_SSL: True},
        },
    )

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert added_entry.data == {
        CONF_HOST: server.url,
        CONF_API_KEY: server.api_key,
        CONF_VERIFY_SSL: True,
    }
    assert added_entry.title == "GAZE"
    assert added_entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize("no_key", [{}, {CONF_API_KEY: ""}, {CONF_API_KEY: "  "}])
async def test_reconfigure_without_key_uses_stored_key(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry, no_key: dict[str, str]
) -> None:
    form = await added_entry.start_reconfigure_flow(hass)

    result = await submit(hass, form, {CONF_HOST: server.url, **no_key})

    assert result["reason"] == "reconfigure_successful"
    assert added_entry.data[CONF_API_KEY] == server.api_key


@pytest.mark.parametrize("no_key", [{}, {CONF_API_KEY: ""}, {CONF_API_KEY: "  "}])
@pytest.mark.parametrize(
    "stored",
    ["http://gaze.local:{port}", "http://127.0.0.1:1", "https://127.0.0.1:{port}"],
    ids=["host", "port", "scheme"],
)
async def test_reconfigure_requires_key_when_origin_changes(
    hass: HomeAssistant,
    server: GazeServer,
    added_entry: MockConfigEntry,
    stored: str,
    no_key: dict[str, str],
) -> None:
    before = {**added_entry.data, CONF_HOST: stored.format(port=server.port)}
    hass.config_entries.async_update_entry(added_entry, data=before)
    form = await added_entry.start_reconfigure_flow(hass)

    form = await submit(hass, form, {CONF_HOST: server.url, **no_key})
    sent = list(server.log)
    unchanged = dict(added_entry.data)
    result = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert form["errors"] == {CONF_API_KEY: "key_required"}
    assert sent == []
    assert unchanged == before
    assert result["reason"] == "reconfigure_successful"


async def test_reconfigure_uses_stored_key_when_path_changes(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry
) -> None:
    data = {**added_entry.data, CONF_HOST: f"{server.url}/gaze"}
    hass.config_entries.async_update_entry(added_entry, data=data)
    form = await added_entry.start_reconfigure_flow(hass)

    result = await submit(hass, form, {CONF_HOST: server.url})

    assert result["reason"] == "reconfigure_successful"
    assert added_entry.data[CONF_API_KEY] == server.api_key


async def test_reconfigure_changes_nothing_when_validation_fails(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry
) -> None:
    before = dict(added_entry.data)
    form = await added_entry.start_reconfigure_flow(hass)

    form = await submit(hass, form, {CONF_HOST: "gaze local", ADVANCED: {CONF_VERIFY_SSL: False}})
    assert form["errors"] == {CONF_HOST: "invalid_host"}
    form = await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: "wrong"})
    assert form["errors"] == {CONF_API_KEY: "invalid_auth"}
    assert suggested(form)[CONF_HOST] == server.url
    assert added_entry.data == before
    assert added_entry.state is ConfigEntryState.NOT_LOADED
    result = await submit(hass, form, {CONF_HOST: server.url})

    assert result["reason"] == "reconfigure_successful"
    assert added_entry.data == before


async def test_reconfigure_rejects_address_of_other_server(
    hass: HomeAssistant, server: GazeServer, added_entry: MockConfigEntry
) -> None:
    data = {**added_entry.data, CONF_HOST: "http://gaze.local:5782"}
    other_entry = MockConfigEntry(domain=DOMAIN, data=data)
    other_entry.add_to_hass(hass)
    form = await other_entry.start_reconfigure_flow(hass)

    result = await submit(hass, form, {CONF_HOST: server.url})

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert other_entry.data == data
    assert not server.log


@pytest.mark.parametrize(
    ("title", "new_title"),
    [("GAZE (gaze.local)", "GAZE (127.0.0.1:{port})"), ("Basement", "Basement")],
)
async def test_reconfigure_updates_only_automatic_title(
    hass: HomeAssistant, server: GazeServer, title: str, new_title: str
) -> None:
    entry = MockConfigEntry(
        domain=DOMAIN,
        title=title,
        data={
            CONF_HOST: "http://gaze.local:5782",
            CONF_API_KEY: server.api_key,
            CONF_VERIFY_SSL: True,
        },
    )
    entry.add_to_hass(hass)
    form = await entry.start_reconfigure_flow(hass)

    await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: server.api_key})

    assert entry.title == new_title.format(port=server.port)


async def test_fields_have_names_and_descriptions(
    hass: HomeAssistant, added_entry: MockConfigEntry, texts: dict[str, str]
) -> None:
    forms = [
        await begin(hass),
        await added_entry.start_reauth_flow(hass),
        await added_entry.start_reconfigure_flow(hass),
    ]

    for form in forms:
        step = f"step.{form['step_id']}"
        schema = form["data_schema"]
        assert schema is not None
        expected = {f"{step}.title", f"{step}.description"}
        for key, kind in schema.schema.items():
            if isinstance(kind, section):
                within = f"{step}.sections.{key}"
                expected.add(f"{within}.name")
                for inner in kind.schema.schema:
                    expected |= {f"{within}.data.{inner}", f"{within}.data_description.{inner}"}
            else:
                expected |= {f"{step}.data.{key}", f"{step}.data_description.{key}"}
        assert {key for key in texts if key.startswith(f"{step}.")} == expected
        placeholders = form["description_placeholders"] or {}
        for key in expected:
            assert texts[key].format(**placeholders)


def test_errors_and_aborts_have_texts(texts: dict[str, str]) -> None:
    explained = {key for key in texts if key.startswith(("abort.", "error."))}

    assert explained == {
        "abort.already_configured",
        "error.cannot_connect",
        "error.invalid_auth",
        "error.invalid_host",
        "error.key_required",
        "error.not_gaze",
        "error.ssl_error",
        "error.timeout_connect",
        "error.unknown",
    }


async def test_key_is_in_no_log_and_no_form(
    hass: HomeAssistant,
    server: GazeServer,
    added_entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    old_key, new_key, wrong_key = server.api_key, server.regenerate_key(), "a-wrong-key-0815"
    answers = [await add(hass, host=f"{server.url}/prefix", api_key=new_key)]
    with patch(LIST_PRESETS, side_effect=RuntimeError("surprise")):
        answers.append(await submit(hass, answers[0], {CONF_HOST: "gaze", CONF_API_KEY: new_key}))
    form = await added_entry.start_reauth_flow(hass)
    answers.append(await submit(hass, form, {CONF_API_KEY: wrong_key}))
    answers.append(await submit(hass, form, {CONF_API_KEY: new_key}))
    form = await added_entry.start_reconfigure_flow(hass)
    answers.append(await submit(hass, form, {CONF_HOST: server.url, CONF_API_KEY: wrong_key}))
    answers.append(await submit(hass, form, {CONF_HOST: server.url}))

    assert "surprise" in caplog.text
    assert added_entry.data[CONF_API_KEY] == new_key
    shown = str([(answer, suggested(answer)) for answer in answers if answer.get("data_schema")])
    for key in (old_key, new_key, wrong_key):
        assert key not in caplog.text
        assert key not in shown


async def choices_of_presets(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str]:
    """Return the names of the offered presets, by slug."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    schema = form["data_schema"]
    assert schema is not None
    return {
        choice["value"]: choice["label"] for choice in schema.schema[CONF_PRESETS].config["options"]
    }


async def test_options_have_defaults_and_reload_entry(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    before = entry.runtime_data
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "init")

    result = await hass.config_entries.options.async_configure(
        form["flow_id"], {CONF_KEEP_IMAGES: 20.0, CONF_PRESETS: ["neon_city"]}
    )
    await hass.async_block_till_done()

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options == {
        CONF_PRESETS: ["neon_city"],
        CONF_SAVE_IMAGES: True,
        CONF_STRIP_METADATA: False,
        CONF_KEEP_IMAGES: 20,
        CONF_MAX_OPEN_JOBS: 100,
        CONF_GIVE_UP_AFTER: 12,
        CONF_AI_TASK_TIMEOUT: 15,
    }
    assert type(entry.options[CONF_KEEP_IMAGES]) is int
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data is not before


async def test_options_show_stored_values(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    options = {
        CONF_PRESETS: ["neon_city"],
        CONF_SAVE_IMAGES: False,
        CONF_STRIP_METADATA: True,
        CONF_KEEP_IMAGES: 0,
        CONF_MAX_OPEN_JOBS: 1,
        CONF_GIVE_UP_AFTER: 336,
        CONF_AI_TASK_TIMEOUT: 60,
    }
    hass.config_entries.async_update_entry(entry, options=options)

    form = await hass.config_entries.options.async_init(entry.entry_id)

    assert suggested(form) == options


@pytest.mark.parametrize(
    "user_input",
    [
        {CONF_KEEP_IMAGES: -1},
        {CONF_MAX_OPEN_JOBS: 0},
        {CONF_GIVE_UP_AFTER: 0},
        {CONF_GIVE_UP_AFTER: 337},
        {CONF_AI_TASK_TIMEOUT: 0},
        {CONF_AI_TASK_TIMEOUT: 1441},
        {"no_such_option": True},
    ],
)
async def test_invalid_options_are_rejected(
    hass: HomeAssistant, added_entry: MockConfigEntry, user_input: dict[str, Any]
) -> None:
    form = await hass.config_entries.options.async_init(added_entry.entry_id)

    with pytest.raises(InvalidData):
        await hass.config_entries.options.async_configure(form["flow_id"], user_input)


async def test_options_offer_current_and_selected_presets(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_PRESETS: ["lost", "neon_city"]})

    choices = await choices_of_presets(hass, entry)

    names = {slug: preset.name for slug, preset in server.presets.items()}
    assert choices == {"lost": "lost", **names}


async def test_options_offer_selected_presets_when_server_is_not_loaded(
    hass: HomeAssistant, added_entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(added_entry, options={CONF_PRESETS: ["neon_city"]})

    assert await choices_of_presets(hass, added_entry) == {"neon_city": "neon_city"}
