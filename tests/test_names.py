"""Tests of the labels of presets."""

from hypothesis import given, strategies as st
import pytest

from custom_components.gaze.api import Preset
from custom_components.gaze.names import clean, preset_labels


def _labels(*presets: tuple[str, str]) -> dict[str, str]:
    return preset_labels({slug: Preset(slug=slug, name=name) for slug, name in presets})


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Oil painting", "Oil painting"),
        ("  two\n\tlines  ", "two lines"),
        ("<b>bold</b> \"quoted\" 'single'", "<b>bold</b> \"quoted\" 'single'"),
        ("Family 👨\u200d👩\u200d👧", "Family 👨\u200d👩\u200d👧"),
        ("\u202egpj.exe\u202c\u200f\u2066", "gpj.exe"),
        ("שלום", "שלום"),
        ("nul\0bell\a", "nulbell"),
        ("🎨", "slug_1"),
        ("", "slug_1"),
        ("\u200f", "slug_1"),
        ("x" * 10_000, "x" * 79 + "…"),
        ("\u200f" * 10_000 + "x", "slug_1"),
        ("ab " * 10_000, ("ab " * 26)[:78] + "a…"),
    ],
)
def test_label_is_one_readable_line(name: str, label: str) -> None:
    assert _labels(("slug_1", name)) == {"slug_1": label}


def test_labels_contain_slugs_when_presets_have_same_name() -> None:
    assert _labels(("a", "Foo"), ("b", "Foo"), ("c", "Bar")) == {
        "a": "Foo (a)",
        "b": "Foo (b)",
        "c": "Bar",
    }


def test_label_with_slug_differs_from_names_of_other_presets() -> None:
    assert _labels(("a", "Foo"), ("b", "Foo"), ("c", "Foo (a)")) == {
        "a": "Foo (a 2)",
        "b": "Foo (b)",
        "c": "Foo (a)",
    }


def test_labels_are_numbered_when_slugs_have_same_beginning() -> None:
    labels = _labels(("s" * 200 + "1", "Foo"), ("s" * 200 + "2", "Foo"))

    assert list(labels.values()) == [f"Foo ({'s' * 60})", f"Foo ({'s' * 60} 2)"]


@given(st.lists(st.text(max_size=300), max_size=8))
def test_labels_are_unique_and_fit_into_state(names: list[str]) -> None:
    labels = _labels(*((f"p{number}", name) for number, name in enumerate(names)))

    assert len(set(labels.values())) == len(names)
    assert all(0 < len(label) <= 150 for label in labels.values())


@given(st.text(max_size=600), st.integers(min_value=1, max_value=100))
def test_clean_text_is_one_line_within_limit(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert cleaned == cleaned.strip()
    assert not {"\n", "\r", "\u2028", "\u202e"} & set(cleaned)
