"""Links, anchors, and commands on all pages work, and generated sections are current."""

import json
from pathlib import Path
import re
import shlex
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from custom_components.gaze.const import DOMAIN
from scripts.render_docs import ACTIONS, PAGES as RENDERED_PAGES, render, section_names

from .pages import PAGES, ROOT, anchors, blocks, code, links, prose

MANIFEST = ROOT / "custom_components" / DOMAIN / "manifest.json"
REPOSITORY: str = json.loads(MANIFEST.read_text())["documentation"]
FILES = f"{REPOSITORY}/blob/main/"
OWNER, NAME = urlsplit(REPOSITORY).path.strip("/").split("/")
MY = "https://my.home-assistant.io/redirect/"
ISSUE_FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def is_broken(page: Path, link: str) -> bool:
    """Return whether a link leads to no file or heading of this repository."""
    if link.startswith(FILES):
        page, link = ROOT / "README.md", link.removeprefix(FILES)
    address = urlsplit(link)
    if address.scheme:
        return address.scheme != "https"
    target = (page.parent / unquote(address.path)).resolve() if address.path else page
    if not target.exists():
        return True
    return bool(address.fragment) and address.fragment not in anchors(
        target.relative_to(ROOT).as_posix()
    )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    assert [link for link in links(page) if is_broken(ROOT / page, link)] == []


@pytest.mark.parametrize("form", ISSUE_FORMS, ids=lambda form: form.stem)
def test_links_in_issue_forms_lead_to_files_and_headings(form: Path) -> None:
    found = re.findall(rf"{re.escape(REPOSITORY)}[\w./#-]*", form.read_text())

    assert [link for link in found if is_broken(form, link)] == []


@pytest.mark.parametrize("page", RENDERED_PAGES, ids=lambda page: page.stem)
def test_generated_sections_are_current(page: Path) -> None:
    text = page.read_text()

    assert render(text) == text, "Run scripts/docs"


def test_docs_have_generated_section_for_every_action() -> None:
    assert {f"action {action}" for action in ACTIONS} <= section_names()


@pytest.mark.parametrize("page", PAGES)
def test_my_links_name_this_repository(page: str) -> None:
    for link in links(page):
        if not link.startswith(MY):
            continue
        address = urlsplit(link)
        query = parse_qs(address.query)
        match address.path.strip("/").rpartition("/")[2]:
            case "hacs_repository":
                wanted = {"owner": [OWNER], "repository": [NAME], "category": ["integration"]}
                assert query == wanted
            case "config_flow_start":
                assert query == {"domain": [DOMAIN]}
            case "blueprint_import":
                [url] = query["blueprint_url"]
                assert url.startswith(f"{FILES}blueprints/")
                assert not is_broken(ROOT / page, url)


def commands() -> list[tuple[str, list[str]]]:
    """Return the commands in code blocks, and those of our scripts in the text."""
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
def test_command_exists_with_its_options(
    page: str, words: list[str], pytestconfig: pytest.Config
) -> None:
    program, *arguments = words
    if program in {"python3", ".venv/bin/python"}:
        program, *arguments = arguments
    if program == "-m":
        program, *arguments = [f"{arguments[0].replace('.', '/')}.py", *arguments[1:]]
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
        support = (ROOT / "benchmarks" / "support").glob("*.py")
        source += "".join(f"\n{file.read_text()}" for file in support)
    if program == "scripts/test":
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/"))
        # All other options go to pytest.
        options = [option for option in options if f'"{option}"' not in source]
        assert all(pytestconfig.getoption(option) is not None for option in options)
        options = []

    assert script.is_file(), page
    assert script.suffix == ".py" or script.stat().st_mode & 0o111
    assert all(f'"{option}"' in source or option in source.split() for option in options)
