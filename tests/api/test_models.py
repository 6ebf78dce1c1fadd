"""Tests of reading responses and of building requests."""

from typing import Any

from hypothesis import given, strategies as st
from mashumaro.exceptions import MissingField
import pytest

from custom_components.gaze.api import GenerateOptions, JobReport, Preset
from custom_components.gaze.api.models import JobList, JobResult, PresetList, QueuedJob, is_job_id

JOB_ID = "783f0268-ba85-4426-8ca2-6393c844c887"

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


def spoilt(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects with valid, invalid, or missing fields, or any other JSON."""
    kinds = {name: right | ANYTHING for name, right in fields.items()}
    return st.fixed_dictionaries({}, optional=kinds) | ANYTHING


PRESET = spoilt(slug=st.text("abc_", min_size=1), name=st.text())
QUEUED = spoilt(job_id=st.just(JOB_ID) | st.text("abc-/", max_size=3))
RESULT = spoilt(image_url=st.text(), seed=st.integers(0, 2**64 - 1))


def test_presets_are_read_in_order_without_unknown_fields() -> None:
    data = {
        "presets": [
            {"preset_id": "b-1", "slug": "b1", "name": "Bé", "has_cover": True, "new": [1]},
            {"slug": "a", "name": ""},
        ],
        "schema": 2,
    }

    presets = PresetList.from_dict(data)

    assert presets.presets == [Preset(slug="b1", name="Bé"), Preset(slug="a", name="a")]


@pytest.mark.parametrize(
    ("slug", "usable"),
    [
        ("neon_city", True),
        ("Neon-City-2", True),
        ("a" * 255, True),
        ("a" * 256, False),
        ("", False),
        ("neon city", False),
        ("../job", False),
        ("neon/city", False),
        ("neon\n", False),
        ("kirschblüte", False),
    ],
)
def test_preset_with_unusable_slug_is_skipped(slug: str, usable: bool) -> None:
    data = {"presets": [{"slug": slug, "name": ""}, {"slug": "other", "name": ""}]}

    slugs = [preset.slug for preset in PresetList.from_dict(data).presets]

    assert slugs == [slug, "other"] if usable else ["other"]


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        True,
        "presets",
        {},
        {"presets": None},
        {"presets": {}},
        {"presets": "abc"},
        {"presets": [None]},
        {"presets": ["neon_city"]},
        {"presets": [["slug", "neon_city"]]},
        {"presets": [{"name": "Neon city"}]},
        {"presets": [{"slug": 7, "name": "Neon city"}]},
    ],
)
def test_malformed_preset_list_is_rejected(data: Any) -> None:
    with pytest.raises((ValueError, MissingField)):
        PresetList.from_dict(data)


def test_empty_preset_list_is_valid() -> None:
    assert PresetList.from_dict({"presets": []}).presets == []


def test_accepted_jobs_are_identified_by_their_ids() -> None:
    data = {"jobs": [{"job_id": JOB_ID, "status": "queued"}, {"job_id": "2"}]}

    answer = JobList.from_dict(data)

    assert answer.jobs == [QueuedJob(job_id=JOB_ID), QueuedJob(job_id="2")]


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"jobs": []},
        {"jobs": {}},
        {"jobs": [JOB_ID]},
        {"jobs": [{"status": "queued"}]},
        {"jobs": [{"job_id": 7}]},
        {"jobs": [{"job_id": ""}]},
        {"jobs": [{"job_id": "../presets"}]},
        {"jobs": [{"job_id": "a" * 65}]},
    ],
)
def test_generate_response_without_jobs_is_rejected(data: Any) -> None:
    with pytest.raises((ValueError, MissingField)):
        JobList.from_dict(data)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (None, "neon_city"),
        (7, "7"),
        (0.5, "0.5"),
        (True, "neon_city"),
        ([], "neon_city"),
        ("", "neon_city"),
        (" \t", "neon_city"),
    ],
)
def test_preset_with_invalid_name_is_named_by_slug(name: Any, read: str) -> None:
    data = {"presets": [{"slug": "neon_city", "name": name}, {"slug": "bare"}]}

    presets = PresetList.from_dict(data).presets

    assert presets == [Preset(slug="neon_city", name=read), Preset(slug="bare", name="bare")]


@pytest.mark.parametrize("odd", [None, 7, "a", [], {}, {"slug": 7}, {"slug": "a/b"}, {"name": "A"}])
def test_malformed_preset_does_not_affect_others(odd: Any) -> None:
    data = {"presets": [odd, {"slug": "neon_city", "name": "Neon city"}]}

    assert PresetList.from_dict(data).presets == [Preset(slug="neon_city", name="Neon city")]


@pytest.mark.parametrize("odd", [None, 7, "a", [], {}, {"job_id": 7}, {"job_id": "a/b"}])
def test_malformed_job_does_not_affect_others(odd: Any) -> None:
    data = {"jobs": [{"job_id": JOB_ID}, odd, {"job_id": JOB_ID}]}

    assert JobList.from_dict(data).jobs == [QueuedJob(job_id=JOB_ID)]


@pytest.mark.parametrize(
    ("error", "read"),
    [
        ({"code": 1, "message": "Out of memory"}, "Out of memory"),
        ({"error": {"message": "deep"}}, None),
        ({"code": 1}, None),
        (507, "507"),
        (False, None),
        (["Out of memory"], None),
    ],
)
def test_report_is_usable_when_error_is_no_text(error: Any, read: str | None) -> None:
    report = JobReport.from_dict({"id": JOB_ID, "status": "failed", "error": error})

    assert report == JobReport(id=JOB_ID, status="failed", error=read)


@pytest.mark.parametrize(
    ("seed", "read"),
    [
        ("7", 7),
        (" 18446744073709551615 ", 2**64 - 1),
        ("18446744073709551616", None),
        ("-7", None),
        ("\u0667", None),
        ("9" * 5000, None),
        (7.0, 7),
        (7.5, None),
        (1e300, None),
        (float("inf"), None),
        (-1, None),
        (True, None),
        (None, None),
    ],
)
def test_seed_is_read_exactly_or_omitted(seed: Any, read: int | None) -> None:
    result = JobResult.from_dict({"image_url": "/a.png", "seed": seed})

    assert result == JobResult(image_url="/a.png", seed=read)


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (
            {"id": JOB_ID, "label": "Preset", "status": "pending", "error": None},
            JobReport(id=JOB_ID, status="pending"),
        ),
        (
            {"id": JOB_ID, "status": "failed", "error": "ComfyUI: out of memory"},
            JobReport(id=JOB_ID, status="failed", error="ComfyUI: out of memory"),
        ),
        ({"id": JOB_ID, "status": "rendering"}, JobReport(id=JOB_ID, status="rendering")),
        (
            {"id": JOB_ID, "status": "done", "result": {}},
            JobReport(id=JOB_ID, status="done", result=JobResult()),
        ),
        (
            {
                "id": JOB_ID,
                "status": "done",
                "result": {"image_url": "/a.png", "relative_path": "a.png", "seed": 2**64 - 1},
            },
            JobReport(
                id=JOB_ID, status="done", result=JobResult(image_url="/a.png", seed=2**64 - 1)
            ),
        ),
    ],
)
def test_job_report_is_read(data: Any, report: JobReport) -> None:
    assert JobReport.from_dict(data) == report


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"id": JOB_ID, "status": "done"}],
        {},
        {"id": JOB_ID},
        {"status": "done"},
        {"id": 7, "status": "done"},
        {"id": JOB_ID, "status": None},
        {"id": JOB_ID, "status": True},
        {"id": JOB_ID, "status": ["done"]},
        {"id": JOB_ID, "status": "done", "result": []},
        {"id": JOB_ID, "status": "done", "result": "/a.png"},
        {"id": JOB_ID, "status": "done", "result": {"image_url": 7}},
        {"id": JOB_ID, "status": "done", "result": {"image_url": "/" * 4_001}},
    ],
)
def test_malformed_job_report_is_rejected(data: Any) -> None:
    with pytest.raises((ValueError, MissingField)):
        JobReport.from_dict(data)


@pytest.mark.parametrize("result", [[], "/a.png", False, 7, {"image_url": 7}])
@pytest.mark.parametrize("status", ["pending", "processing", "failed"])
def test_result_of_job_that_is_not_done_is_ignored(status: str, result: Any) -> None:
    report = JobReport.from_dict({"id": JOB_ID, "status": status, "result": result})

    assert report == JobReport(id=JOB_ID, status=status)


@given(spoilt(presets=st.lists(PRESET)))
def test_any_preset_list_is_read_or_rejected(data: Any) -> None:
    try:
        answer = PresetList.from_dict(data)
    except ValueError, MissingField:
        return

    assert all(type(preset.slug) is type(preset.name) is str for preset in answer.presets)


@given(spoilt(jobs=st.lists(QUEUED)))
def test_any_generate_response_is_read_or_rejected(data: Any) -> None:
    try:
        answer = JobList.from_dict(data)
    except ValueError, MissingField:
        return

    assert answer.jobs
    assert all(is_job_id(job.job_id) for job in answer.jobs)


@given(spoilt(id=st.just(JOB_ID), status=st.text(), error=st.none() | st.text(), result=RESULT))
def test_any_job_report_is_read_or_rejected(data: Any) -> None:
    try:
        report = JobReport.from_dict(data)
    except ValueError, MissingField:
        return

    assert type(report.id) is type(report.status) is str
    assert report.error is None or type(report.error) is str
    if report.result is not None:
        assert report.result.seed is None or type(report.result.seed) is int
        assert report.result.image_url is None or type(report.result.image_url) is str


def test_request_contains_only_fields_that_are_set() -> None:
    assert GenerateOptions().as_body() == {"count": 1}


def test_request_contains_fields_set_to_empty_values() -> None:
    options = GenerateOptions(
        count=20,
        checkpoint="Illustrious/model.safetensors",
        extra_positive="",
        extra_negative="blurry",
        seed=0,
        width=768,
        height=1152,
    )

    assert options.as_body() == {
        "count": 20,
        "checkpoint": "Illustrious/model.safetensors",
        "extra_positive": "",
        "extra_negative": "blurry",
        "seed": 0,
        "width": 768,
        "height": 1152,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (JOB_ID, True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("a/b", False),
        ("..", False),
        (f"{JOB_ID}\n", False),
    ],
)
def test_job_id_that_does_not_fit_path_is_rejected(text: str, expected: bool) -> None:
    assert is_job_id(text) is expected
