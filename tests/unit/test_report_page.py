from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from report_cases import (
    ALL_EXCLUDED,
    EDGE_CASES,
    HOSTILE,
    NO_GO,
    Page,
    counted,
    read_number,
    run,
    typical_run,
)

from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.exclusion import Interval
from eigerwatch.analysis.targets import Decision, Judged
from eigerwatch.report.contents import run_document
from eigerwatch.report.model import Run
from eigerwatch.report.page import html_page, html_report
from eigerwatch.report.timeline import MOST_SHADES, bands, broken_line


@pytest.fixture(scope="module")
def typical() -> Run:
    return typical_run()


@pytest.fixture(scope="module")
def text(typical: Run) -> str:
    return html_page(run_document(typical))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def page_of(given: Run) -> Page:
    return Page(html_page(run_document(given)))


def test_every_section_and_table_is_there(page: Page) -> None:
    for heading in ("Run", "Intensity", "Frequencies", "Regions"):
        assert heading in page.texts
    assert {
        "What was measured",
        "Frames of this selection",
        "Against the limits that are set",
        "Key figures",
        "Sum of the kept pixels per frame [counts]",
        "Lines in the intensity, the strongest first",
        "Fluctuation by band",
        "Region by region, detrended",
        "Events",
        "Exclusions",
        "Stable stretches",
        "Settings in effect",
    } <= page.rows.keys()


def test_every_plot_is_there_with_a_description(page: Page) -> None:
    labels = [
        attributes["aria-label"]
        for tag, attributes in page.tags
        if tag == "div" and attributes.get("role") == "img"
    ]
    assert len(labels) == 9
    assert all(labels)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == 9


def test_figures_are_those_of_the_assessment(page: Page, typical: Run) -> None:
    known = typical.assessment.as_dict()
    rows = page.table("Key figures")
    for label, value in (
        ("CV, raw", known["table"]["raw"]["cv_percent"]),
        ("CV, detrended", known["detrended"]["cv_percent"]),
        ("CV of counting alone", known["shot_noise"]["cv_shot_percent"]),
        ("CV of the beam", known["shot_noise"]["cv_beam_percent"]),
        ("Fano factor", known["shot_noise"]["fano"]),
    ):
        assert read_number(rows[label][0]) == pytest.approx(value, rel=6e-4)
    low, high = rows["CV of the beam"][1].split(" to ")
    interval = known["uncertainty"]["cv_beam"]
    assert read_number(low) == pytest.approx(interval["low"], rel=6e-4)
    assert read_number(high) == pytest.approx(interval["high"], rel=6e-4)


def test_the_origins_table_has_raw_and_detrended(page: Page, typical: Run) -> None:
    known = typical.assessment.as_dict()["table"]
    rows = page.table("Sum of the kept pixels per frame [counts]")
    for label, key in (("mean", "mean"), ("std", "std"), ("max", "maximum")):
        for cell, column in zip(rows[label], ("raw", "detrended"), strict=True):
            assert read_number(cell) == pytest.approx(known[column][key], rel=1e-5)


def test_lines_are_those_of_the_assessment(page: Page, typical: Run) -> None:
    assert typical.assessment.frequencies is not None
    lines = typical.assessment.frequencies.lines.lines
    rows = page.table("Lines in the intensity, the strongest first")
    assert len(lines) >= 2
    for k, line in enumerate(lines, 1):
        assert read_number(rows[str(k)][0]) == pytest.approx(
            line.frequency_hz, abs=line.frequency_se_hz
        )


def test_all_digits_are_there_for_programs(page: Page, typical: Run) -> None:
    (script,) = page.scripts
    assert json.loads(script)["assessment"] == json.loads(
        json.dumps(typical.assessment.as_dict())
    )


def test_every_event_is_listed_with_its_reason(page: Page, typical: Run) -> None:
    events = typical.assessment.events
    assert len(events) >= 3
    reasons = [row[-1] for row in page.rows["Events"]]
    assert {event.reason for event in events} <= set(reasons)


def test_a_decision_is_told_by_text_and_shape(text: str, page: Page) -> None:
    assert "NO GO" in page.texts
    go = Page(html_page(run_document(typical_run(Judged(Decision.GO, "fine", ())))))
    assert "GO" in go.texts

    def outline(one: Page) -> str | None:
        return next(a["points"] for tag, a in one.tags if tag == "polygon")

    assert outline(page) != outline(go)


def test_checks_say_what_held(page: Page) -> None:
    rows = page.table("Against the limits that are set")
    assert [rows[check.name][2] for check in NO_GO.checks] == [
        "✗ exceeded",
        "✓ within",
        "? not known",
    ]
    assert rows["missing frames"][0] == "-"


def test_nothing_is_loaded_from_elsewhere(text: str, page: Page) -> None:
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\((?!#)", text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:"))


def test_no_script_runs(page: Page) -> None:
    kinds = [attributes for tag, attributes in page.tags if tag == "script"]
    assert kinds == [{"type": "application/json", "id": "figures"}]


def test_ids_are_unique_and_references_lead_somewhere(text: str, page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r"url\(#([^)]+)\)", text))
    referred |= set(re.findall(r'xlink:href="#([^"]+)"', text))
    assert referred
    assert referred <= set(ids)


def test_headers_of_tables_have_a_scope(page: Page) -> None:
    assert all("scope" in a for tag, a in page.tags if tag == "th")


def test_language_and_title_are_told(text: str) -> None:
    assert '<html lang="en">' in text
    assert "<title>after the new crystals - Beam intensity report</title>" in text


def test_hostile_text_stays_text() -> None:
    given = run(
        counted(np.random.default_rng(1).poisson(1e5, 300)),
        Judged(Decision.UNKNOWN, HOSTILE, ()),
        title=HOSTILE,
        facts=((HOSTILE, HOSTILE),),
        settings={HOSTILE: HOSTILE},
        version=HOSTILE,
        frequencies=False,
    )
    shown = page_of(given)
    assert len(shown.scripts) == 1
    assert shown.table("What was measured")[HOSTILE] == [HOSTILE]
    assert shown.table("Settings in effect")[HOSTILE] == [HOSTILE]


def test_large_sums_keep_every_digit() -> None:
    shown = page_of(run(counted([2**63 + 1, 2**63 + 3]), frequencies=False))
    rows = shown.table("Sum of the kept pixels per frame [counts]")
    plain = [rows[label][0].replace("\u202f", "") for label in ("min", "max")]
    assert plain == [str(2**63 + 1), str(2**63 + 3)]


@pytest.mark.parametrize("name", EDGE_CASES)
def test_data_that_can_occur_gives_a_page(name: str) -> None:
    shown = page_of(run(EDGE_CASES[name]))
    assert not re.search(r"\bnan\b|\binf\b|None", shown.text)
    assert "Key figures" in shown.rows


def test_a_run_without_a_used_frame_says_so() -> None:
    frames = counted(np.random.default_rng(1).poisson(1e5, 300))
    shown = page_of(run(frames, None, ALL_EXCLUDED))
    assert "Not enough data (n = 0)" in shown.texts
    assert shown.table("Frames of this selection")["frames used"] == ["0"]


def test_without_regions_there_is_no_section_of_them() -> None:
    shown = page_of(run(counted([5, 7, 6]), frequencies=False))
    assert "Regions" not in shown.texts
    assert "Frequencies" not in shown.texts


def test_many_events_are_counted_and_the_rare_ones_listed() -> None:
    given = run(counted(np.random.default_rng(1).poisson(1e5, 300)), frequencies=False)
    spikes = [
        Event(EventKind.SPIKE, k, k, 1, 0.1, "relative", 0.9, f"spike {k}")
        for k in range(250)
    ]
    step = Event(EventKind.STEP, 299, 299, 1, 0.1, "relative", 0.9, "a step")
    many = replace(given.assessment, events=[*spikes, step])
    shown = page_of(replace(given, assessment=many))
    rows = shown.rows["Events"]
    assert rows[-1][-1] == "a step"
    assert len(rows) == 201
    assert "Not listed: 51 spike or dip." in shown.texts


def test_the_report_is_that_of_its_parts(typical: Run, text: str) -> None:
    again = html_report(
        typical.subject, typical.assessment, typical.judged, typical.frames
    )
    assert again == text


def test_a_single_deep_frame_stays_in_the_line() -> None:
    values = np.ones(50_000)
    values[31_234] = 0.5
    x, y, _ = broken_line(np.arange(50_000), values)
    assert x.size <= 3000
    assert x[np.nanargmin(y)] == 31_234
    assert np.nanmin(y) == 0.5


def test_the_line_breaks_where_frames_are_missing() -> None:
    positions = np.array([0, 1, 2, 10, 11])
    x, y, alone = broken_line(positions, np.ones(5))
    assert x[np.isnan(y)].tolist() == [3]
    assert not alone.any()


def test_every_exclusion_is_shaded_however_many_there_are() -> None:
    many = [Interval(10 * k, 10 * k + 2, "user", "x") for k in range(300)]
    many.append(Interval(3000, None, "damaged", "x"))
    found = bands(many, 3500)
    assert len([one for one in found if one.kind == "user"]) <= MOST_SHADES
    shaded = np.zeros(3501, np.bool_)
    for one in found:
        assert one.last is not None
        shaded[one.first : one.last + 1] = True
    for one in many:
        assert shaded[one.first : 3501 if one.last is None else one.last + 1].all()
