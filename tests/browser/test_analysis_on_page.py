"""What the analysis says, on the page: figures, events, panels, decisions."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from memory_store import MemoryNotes, MemoryStore, growing
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Locator, Page, Request, expect

from eigerwatch.model import REGION_ROW
from eigerwatch.sections import TargetSettings
from eigerwatch.web.assessing import Assessor

KEY = "live:01JABC"
OLD = "live:01JOLD"
N = 20_000
EMPTY = 5000
DASH = "\N{EN DASH}"
HOSTILE = '<img src=x onerror="window.hacked=1"><b>bold</b>'
MODULES = 8

expect.set_options(timeout=15_000)


def png() -> bytes:
    out = io.BytesIO()
    Picture.new("L", (8, 4), 90).save(out, "PNG")
    return out.getvalue()


def versions(name: str = "module") -> dict[str, str]:
    described = [
        {
            "name": f"{name}_{k + 1}",
            "kind": "rectangle",
            "module": True,
            "pixels": 512 * 1028,
            "y": [550 * (k // 2), 550 * (k // 2) + 512],
            "x": [1040 * (k % 2), 1040 * (k % 2) + 1028],
        }
        for k in range(MODULES)
    ]
    settings = [{"number": 0, "regions": described}]
    return {"stream": "v2", "settings": json.dumps(settings)}


def with_modules(store: MemoryStore, totals: np.ndarray, key: str = KEY) -> None:
    """Give a series modules of which the fourth loses a tenth in the last quarter."""
    rows = np.zeros((len(totals), MODULES), REGION_ROW)
    rows["total"] = (np.asarray(totals) // MODULES)[:, None]
    rows["total"][len(totals) * 3 // 4 :, 3] -= np.uint64(int(totals[0]) // 80)
    rows["kept"] = 512 * 1028
    store.show(key, rows, png())


@pytest.fixture
def totals(beam: Any) -> np.ndarray:
    """Sums with one empty frame and a line of 0.1 % at 1/40 of the rate."""
    found: np.ndarray = beam.totals(N)
    wave = 1 + 1e-3 * np.sin(2 * np.pi * np.arange(N) / 40)
    found = (found * wave).astype(np.uint64)
    found[EMPTY] = 0
    return found


@pytest.fixture
def collecting(store: MemoryStore, totals: np.ndarray) -> MemoryStore:
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, totals)
    return store


@pytest.fixture
def flowing(collecting: MemoryStore, beam: Any) -> Iterator[threading.Event]:
    """Let frames come until the event is set."""
    with growing(collecting, KEY, beam.totals) as over:
        yield over


@pytest.fixture
def ready(page: Page, collecting: MemoryStore) -> Page:
    """Return the page with everything assessed."""
    assessed(page)
    expect(page.locator("#found tr")).to_have_count(1)
    return page


@pytest.fixture
def asked(watched: Any) -> list[str]:
    """Return what the page has asked the server for, so far."""
    seen: list[str] = []

    def note(request: Request) -> None:
        seen.append(f"{request.method} {request.url}")

    watched.page.on("request", note)
    return seen


def assessed(page: Page) -> None:
    expect(page.locator("#assessed")).to_contain_text("assessed to")


def trace_of(page: Page, name: str, plot: str = "plot") -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        """([plot, name]) => {
            const figures = document.querySelectorAll(`#${plot} .figure, #${plot}`);
            const traces = [...figures].flatMap(f => f.data ?? []);
            const { x, y, marker } = traces.find(t => t.name === name);
            return { x: Array.from(x), y: Array.from(y), symbol: marker?.symbol };
        }""",
        [plot, name],
    )
    return found


def row(page: Page, kind: str) -> Locator:
    return page.locator(f"#found tr[data-kind='{kind}']")


# ---- figures ----


def test_figures_are_of_the_assessment(ready: Page) -> None:
    cv = float(ready.locator("#cv").inner_text())
    assert cv == pytest.approx(0.155, abs=0.01)
    interval = ready.locator("#cv-interval").inner_text()
    low, high = map(float, re.findall(r"\d\.\d+", interval))
    assert low < cv < high < 1.1 * cv
    expect(ready.locator("#shot")).to_have_text("shot-noise limit 0.039 %")
    expect(ready.locator("#beam-interval")).to_contain_text(" to 0.1")
    expect(ready.locator("#verdict")).to_have_text("beam-limited")
    expect(ready.locator("#verdict-icon")).to_have_attribute("href", "#v-beam_limited")
    expect(ready.locator("#verdict-text")).to_contain_text("above the shot-noise limit")
    expect(ready.locator("#drift-error")).to_contain_text("± 0.0")
    expect(ready.locator("#excluded")).to_have_text("1")
    expect(ready.locator("#excluded-kinds")).to_have_text("1 empty")
    expect(ready.locator("#assessed")).to_contain_text("19999 of 20000 frames")


def test_photon_limited(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, np.random.default_rng(1).poisson(1_000_000, 5000))
    expect(page.locator("#verdict")).to_have_text("photon-limited")
    tile = page.locator("#verdict-tile")
    expect(tile).to_have_attribute("data-verdict", "photon_limited")


def test_before_the_first_assessment(
    watched: Any, web: Any, collecting: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Assessor, "assess_soon", lambda *_: None)
    page = watched.page
    page.goto(web.url)
    expect(page.locator("#assessed")).to_contain_text("being assessed")
    expect(page.locator("#verdict")).to_have_text(DASH)
    expect(page.locator("#verdict-text")).to_contain_text("being assessed")
    expect(page.locator("#cv")).to_have_text(re.compile(r"\d\.\d{3}"))
    expect(page.locator("#cv-interval")).to_have_text("")
    expect(page.locator("#excluded")).to_have_text(DASH)
    expect(page.locator("#go")).to_be_hidden()
    watched.check()


def test_few_frames_tell_nothing(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, [100, 100])
    assessed(page)
    expect(page.locator("#mean")).to_have_text("100.000")
    expect(page.locator("#verdict")).to_have_text("not known")
    expect(page.locator("#verdict-text")).to_contain_text("not enough data")


# ---- go or no-go ----


@pytest.mark.parametrize(
    ("targets", "decision", "word"),
    [
        (TargetSettings(cv_percent=1), "go", "GO"),
        (TargetSettings(cv_percent=0.01), "no_go", "NO GO"),
        (TargetSettings(min_mean=1e9, cv_percent=1), "no_beam", "NO BEAM"),
    ],
)
def test_go_or_no_go(
    page: Page, flowing: threading.Event, decision: str, word: str
) -> None:
    banner = page.locator("#go")
    expect(banner).to_have_attribute("data-decision", decision)
    expect(page.locator("#go-word")).to_have_text(word)
    expect(page.locator("#go-icon")).to_have_attribute("href", f"#g-{decision}")
    expect(page.locator("#go-text")).not_to_be_empty()
    expect(page.locator("#go-scope")).to_contain_text("newest 60 s, since")
    flowing.set()
    # Nothing comes any more: the decision is an old one, and says so.
    expect(page.locator("#source")).to_contain_text("stalled")
    expect(page.locator("#go-word")).to_have_text(f"was {word}")
    expect(banner).to_have_attribute("data-decision", "past")


@pytest.mark.parametrize("targets", [TargetSettings(cv_percent=1)])
def test_what_the_limits_do_not_tell_is_said(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, [100, 100])
    banner = page.locator("#go")
    expect(banner).to_have_attribute("data-decision", "unknown")
    expect(page.locator("#go-word")).to_have_text("NOT KNOWN")
    expect(page.locator("#go-icon")).to_have_attribute("href", "#g-unknown")
    expect(page.locator("#go-text")).to_contain_text("not enough")
    store.away = "the disk is full"
    expect(page.locator("#go-text")).to_contain_text("the disk is full")
    store.away = None


@pytest.mark.usefixtures("flowing")
@pytest.mark.parametrize("targets", [TargetSettings(min_mean=1e9)])
@pytest.mark.parametrize("scope", ["1", "3"])
def test_without_beam_there_is_no_cv(page: Page, scope: str) -> None:
    page.keyboard.press(scope)
    expect(page.locator("#go-word")).to_have_text("NO BEAM")
    expect(page.locator("#verdict")).to_have_text("no beam")
    expect(page.locator("#verdict-icon")).to_have_attribute("href", "#v-no_beam")
    expect(page.locator("#verdict-text")).to_contain_text("no beam: the mean of")
    for figure in ("#cv", "#beam"):
        expect(page.locator(figure)).to_have_text(DASH)
    for under in ("#cv-interval", "#recent"):
        expect(page.locator(under)).to_have_text("")
    expect(page.locator("#shot")).to_have_text(f"shot-noise limit {DASH} %")
    row = page.locator("#table tr").filter(has_text="CV%").locator("td")
    expect(row).to_have_text([DASH, DASH])
    expect(page.locator("#scope-text")).to_contain_text("no beam, no CV")
    expect(page.locator("#mean")).not_to_have_text(DASH)
    expect(page).to_have_title(re.compile(r"^no beam, collecting"))


@pytest.mark.usefixtures("flowing")
@pytest.mark.parametrize("targets", [TargetSettings(cv_percent=0.01)])
def test_decision_and_alarm_come_by_polling_too(watched: Any, web: Any) -> None:
    page = watched.page
    page.route_web_socket(re.compile("/api/v1/live"), lambda socket: socket.close())
    page.goto(web.url)
    expect(page.locator("#link")).to_contain_text("by polling")
    expect(page.locator("#go-word")).to_have_text("NO GO")
    expect(page.locator("#go-scope")).to_contain_text("newest 60 s, since")
    expect(page.locator("#alarm-word")).to_have_text("ALARM")
    watched.check()


def test_without_limits_there_is_no_banner(ready: Page) -> None:
    expect(ready.locator("#go")).to_be_hidden()


@pytest.mark.parametrize("targets", [TargetSettings(cv_percent=0.01)])
def test_another_series_has_its_own_decision(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.open(OLD, state="finished", started_ms=1000)
    collecting.append(OLD, beam.totals(500))
    expect(page.locator("#go-word")).to_have_text(re.compile("NO GO"))
    page.focus("#series")
    page.wait_for_function("() => document.getElementById('series').length === 2")
    page.select_option("#series", OLD)
    expect(page.locator("#go-word")).to_have_text("series: NO GO")
    expect(page.locator("#go-scope")).to_have_text("whole series")


# ---- events and exclusions ----


def test_events_are_listed_and_marked(ready: Page) -> None:
    empty = row(ready, "empty")
    expect(empty.locator(".what")).to_have_text("empty")
    expect(empty.locator(".frames")).to_have_text("5\u202f000")
    expect(empty.locator(".why")).not_to_be_empty()
    expect(empty.locator(".state")).to_have_text("excluded")
    ready.wait_for_function(
        """() => document.querySelector("#plot .strip .figure").data
            .find(t => t.name === "found")?.x.length === 1"""
    )
    mark = trace_of(ready, "found")
    assert mark["x"] == [EMPTY]
    assert mark["symbol"] == ["circle"]
    shade = trace_of(ready, "raw, excluded")
    assert shade["x"] == [4999.5, 4999.5, 5000.5, 5000.5, None]

    empty.get_by_role("button", name="Show").click()
    expect(ready.locator("#range")).to_contain_text("frames 4\u202f800 to 5\u202f200")


def test_an_event_is_included_excluded_and_undone(
    ready: Page, notes: MemoryNotes
) -> None:
    empty = row(ready, "empty")
    button = empty.locator(".decide")
    expect(button).to_have_attribute("aria-label", "Include empty, 5\u202f000")
    ready.fill("#reason", "a shutter")
    button.focus()
    ready.keyboard.press("Enter")
    expect(empty.locator(".state")).to_have_text("counts")
    expect(button).to_have_text("Exclude")
    expect(button).to_be_focused()
    expect(ready.locator("#decided")).to_contain_text("Included again")
    expect(ready.locator("#excluded")).to_have_text("0")
    expect(ready.locator("#excluded-kinds")).to_have_text("all frames count")
    (edit,) = notes.exclusions(KEY)
    assert (edit.first, edit.last, edit.excluded) == (EMPTY, EMPTY, False)
    assert edit.reason == "a shutter"
    expect(ready.locator("#reason")).to_have_value("")
    assert trace_of(ready, "found")["symbol"] == ["circle-open"]

    ready.locator("#undo").click()
    expect(empty.locator(".state")).to_have_text("excluded")
    expect(ready.locator("#excluded")).to_have_text("1")
    expect(ready.locator("#undo")).to_be_hidden()
    expect(ready.locator("#found-title")).to_be_focused()
    assert notes.exclusions(KEY) == []


def test_the_visible_range_is_excluded(ready: Page, notes: MemoryNotes) -> None:
    expect(ready.locator("#exclude-range")).to_be_hidden()
    ready.keyboard.press("]")
    expect(ready.locator("#range")).to_contain_text("frames 4\u202f800 to 5\u202f200")
    ready.locator("#exclude-range").click()
    by_hand = row(ready, "user")
    expect(by_hand.locator(".frames")).to_have_text("4\u202f800 to 5\u202f200")
    expect(ready.locator("#excluded")).to_have_text("401")
    ready.locator("#notes-panel").scroll_into_view_if_needed()
    expect(ready.locator("#edits li")).to_have_count(1)
    by_hand.locator(".decide").click()
    expect(by_hand).to_have_count(0)
    expect(ready.locator("#excluded")).to_have_text("0")
    assert [edit.excluded for edit in notes.exclusions(KEY)] == [True, False]

    # Undone in the list of what was decided: the range is excluded again.
    undo = ready.locator("#edits li").first.get_by_role("button")
    expect(ready.locator("#edits li")).to_have_count(2)
    undo.click()
    expect(undo).to_have_text("Sure?")
    undo.click()
    expect(ready.locator("#edits li")).to_have_count(1)
    expect(ready.locator("#excluded")).to_have_text("401")


def test_what_a_browser_may_not_do_is_told(
    ready: Page, collecting: MemoryStore
) -> None:
    collecting.away = "no answer"
    row(ready, "empty").locator(".decide").click()
    expect(ready.locator("#decided")).to_contain_text("Not done")
    expect(ready.locator("#decided")).to_contain_text("no answer")
    collecting.away = None


def test_the_analysis_is_asked_for_when_there_is_something_new(
    asked: list[str], page: Page, collecting: MemoryStore, beam: Any
) -> None:
    def analyses() -> int:
        return sum("/analysis" in one for one in asked)

    assessed(page)
    expect(page.locator("#found tr")).to_have_count(1)
    page.wait_for_timeout(6000)
    assert analyses() == 1  # nothing is new: nothing is asked
    times = {1: time.monotonic()}
    while analyses() < 3:
        assert time.monotonic() - times[1] < 60
        collecting.append(KEY, beam.totals(50))
        page.wait_for_timeout(200)
        times.setdefault(analyses(), time.monotonic())
    # However fast frames come, the panel waits between two questions.
    assert times[3] - times[2] > 4.5
    assert all("recent=true" in one for one in asked if "/analysis" in one)


# ---- panels ----


def test_spectrum_lines_and_bands(ready: Page, asked: list[str]) -> None:
    assert not [one for one in asked if "/spectrum" in one]
    ready.locator("#spectrum-panel").scroll_into_view_if_needed()
    first = ready.locator("#lines tr").first
    expect(first.locator("th")).to_have_text("18.657")
    expect(first.locator("td").first).to_have_text(re.compile("^0.(099|1)"))
    expect(ready.locator("#bands tr")).to_have_count(6)
    ready.wait_for_function("() => document.getElementById('spectrum-plot').data")
    density = trace_of(ready, "density", "spectrum-plot")
    assert len(density["x"]) > 100
    assert min(density["x"]) > 0
    floor = trace_of(ready, "shot noise", "spectrum-plot")
    assert floor["y"] == pytest.approx(2 * [2 * 0.00134 / 6.485e6], rel=0.01)


def test_a_line_with_a_name_is_called_by_it(
    page: Page, store: MemoryStore, beam: Any, web: Any
) -> None:
    n = 20_000
    mains = 1 + 0.001 * np.sin(2 * np.pi * 50 * 0.00134 * np.arange(n))
    store.open(KEY, state="finished")
    store.append(KEY, (beam.totals(n) * mains).astype(np.uint64))
    page.locator("#spectrum-panel").scroll_into_view_if_needed()
    page.wait_for_function("() => document.getElementById('spectrum-plot').data")
    told = httpx.get(f"{web.url}api/v1/series/{KEY}/spectrum").json()
    (line, *_) = told["search"]["lines"]
    assert line["frequency_hz"] == pytest.approx(50, abs=0.1)
    name = line["naming"]["name"]
    over = """() => document.getElementById("spectrum-plot").data
      .find((t) => t.name === "lines").text[0]"""
    assert page.evaluate(over) == name
    expect(page.locator("#lines tr").first).to_contain_text(name)
    band = told["bands"]["bands"][0]
    cells = page.locator("#bands tr").first.locator("td")
    assert float(cells.nth(0).inner_text()) == pytest.approx(
        band["rms_percent"], rel=0.01
    )
    assert float(cells.nth(1).inner_text()) == pytest.approx(
        100 * band["share"], rel=0.02
    )


def test_a_closed_panel_asks_for_nothing(
    asked: list[str], ready: Page, collecting: MemoryStore, beam: Any
) -> None:
    ready.locator("#spectrum-panel summary").focus()
    ready.keyboard.press(" ")
    expect(ready.locator("#spectrum-plot")).to_be_hidden()
    asked.clear()
    collecting.append(KEY, beam.totals(50))
    ready.wait_for_timeout(3000)
    assert not [one for one in asked if "/spectrum" in one]


def test_modules_and_image(page: Page, store: MemoryStore, totals: np.ndarray) -> None:
    store.open(KEY, meta=versions())
    store.append(KEY, totals)
    with_modules(store, totals)
    page.locator("#modules-panel").scroll_into_view_if_needed()
    text = page.locator("#modules-text")
    expect(text).to_contain_text(re.compile("Stands out: module 4 .*%"))
    expect(page.locator("#module-map g")).to_have_count(MODULES)
    expect(page.locator("#module-map g.out text")).to_contain_text("\N{MINUS SIGN}")
    expect(page.locator("#preview")).to_be_visible()
    page.locator(".inner summary").click()
    expect(page.locator("#modules tr")).to_have_count(MODULES)
    expect(page.locator("#modules tr.out")).to_contain_text("stands out")


def test_the_image_tells_its_frame_and_shows_the_regions(
    page: Page, store: MemoryStore, totals: np.ndarray
) -> None:
    shapes = [
        {"name": "spot", "kind": "disc", "center": [40, 60], "radius": 20},
        {"name": "ring_1", "kind": "annulus", "center": [40, 60], "radius": [20, 30]},
        {"name": "box", "kind": "rectangle", "y": [0, 10], "x": [0, 30]},
        {"name": HOSTILE, "kind": "polygon", "corners": [[1, 1], [9, 1], [9, 9]]},
        {"name": "odd", "kind": "of a later version"},
    ]
    store.open(KEY, meta={"settings": json.dumps([{"number": 0, "regions": shapes}])})
    store.append(KEY, totals)
    facts = PngInfo()
    told = {"image_id": 4711, "received_ns": str(10**18), "factor": 10}
    facts.add_text("eigerwatch", json.dumps(told))
    out = io.BytesIO()
    Picture.new("L", (12, 8), 90).save(out, "PNG", pnginfo=facts)
    regions = np.zeros((len(totals), len(shapes)), REGION_ROW)
    store.show(KEY, regions, out.getvalue())
    page.locator("#modules-panel").scroll_into_view_if_needed()
    about = page.locator("#preview-of")
    expect(about).to_contain_text("frame 4\u202f711, 2001-09-09")
    expect(about).to_contain_text("regions: spot, ring 1, box")
    outlines = page.locator("#preview-outlines")
    expect(outlines).to_have_attribute("viewBox", "0 0 120 80")
    expect(outlines.locator("g title")).to_have_text(["spot", "ring_1", "box", HOSTILE])
    expect(outlines.locator("ellipse")).to_have_count(3)
    over = page.evaluate(
        """() => ["preview", "preview-outlines"].map((id) => {
            const { x, y, width, height } = document.getElementById(id)
                .getBoundingClientRect();
            return [x, y, width, height].map(Math.round);
        })"""
    )
    assert over[0] == over[1]
    assert page.evaluate("() => window.hacked") is None


def test_without_modules_and_image(page: Page, store: MemoryStore, beam: Any) -> None:
    store.open(KEY)
    store.append(KEY, beam.totals(500))
    page.locator("#modules-panel").scroll_into_view_if_needed()
    expect(page.locator("#modules-text")).to_contain_text("No sums of modules")
    expect(page.locator("#preview-none")).to_be_visible()
    for absent in ("#preview", "#preview-outlines", "#preview-of", "#module-map"):
        expect(page.locator(absent)).to_be_hidden()


def test_notes_are_written_and_deleted(ready: Page, notes: MemoryNotes) -> None:
    ready.locator("#notes-panel").scroll_into_view_if_needed()
    expect(ready.locator("#note-add")).to_be_enabled()
    ready.fill("#author", "operator")
    ready.fill("#note", "new mirror\nsecond line")
    ready.locator("#note-add").click()
    item = ready.locator("#notes li")
    expect(item).to_have_count(1)
    expect(item.locator("p")).to_have_text("new mirror\nsecond line")
    expect(item).to_contain_text("operator")
    assert [n.author for n in notes.all(KEY)] == ["operator"]
    expect(ready.locator("#note")).to_have_value("")

    button = item.get_by_role("button")
    button.click()
    assert len(notes.all(KEY)) == 1
    button.click()
    expect(item).to_have_count(0)
    expect(ready.locator("#notes-none")).to_be_visible()
    assert notes.all(KEY) == []
    ready.reload()
    expect(ready.locator("#author")).to_have_value("operator")


def test_two_series_are_compared(
    page: Page, collecting: MemoryStore, totals: np.ndarray
) -> None:
    collecting.open(OLD, state="finished", started_ms=1000, series_id=3)
    collecting.append(OLD, np.random.default_rng(2).normal(6.485e6, 30_000, 5000))
    assessed(page)
    page.locator("#compare-panel summary").click()
    expect(page.locator("#compare-go")).to_be_enabled()
    expect(page.locator("#compare-b")).to_have_value(KEY)
    page.select_option("#compare-a", OLD)
    expect(page.locator("#compare-html")).to_have_attribute(
        "href", "/api/v1/compare.html?a=live%3A01JOLD&b=live%3A01JABC"
    )
    page.locator("#compare-go").click()
    expect(page.locator("#compare-verdict")).to_contain_text("live:01JABC")
    rows = page.locator("#compare-rows tr")
    expect(rows.nth(1).locator("th")).to_have_text("CV %")
    ratio = float(rows.nth(1).locator("td").nth(2).inner_text())
    assert ratio == pytest.approx(0.155 / 0.463, rel=0.1)


def test_reports_are_offered(ready: Page) -> None:
    base = "/api/v1/series/live%3A01JABC"
    for name, path in (("get-report", "report.html"), ("get-pdf", "report.pdf")):
        href = f"{base}/{path}?channel=threshold_1"
        expect(ready.locator(f"#{name}")).to_have_attribute("href", href)


# ---- whatever people write ----


def test_foreign_text_is_only_text(
    page: Page, store: MemoryStore, notes: MemoryNotes, totals: np.ndarray
) -> None:
    store.open(KEY, meta=versions(HOSTILE))
    store.append(KEY, totals)
    with_modules(store, totals)
    notes.add(KEY, HOSTILE, HOSTILE)
    notes.exclude(KEY, 10, 20, reason=HOSTILE, author=HOSTILE)
    assessed(page)
    expect(row(page, "user").locator(".why")).to_have_text(HOSTILE)
    page.locator("#notes-panel").scroll_into_view_if_needed()
    expect(page.locator("#notes p")).to_have_text(HOSTILE)
    expect(page.locator("#edits p")).to_contain_text(HOSTILE)
    page.locator("#modules-panel").scroll_into_view_if_needed()
    expect(page.locator("#modules-text")).to_contain_text("<b>bold</b>")
    expect(page.locator("img[src='x']")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None


def test_nodes_stay(ready: Page, collecting: MemoryStore, beam: Any) -> None:
    """What is shown is written in place: no node comes or goes with a tick."""
    ready.locator("#modules-panel").scroll_into_view_if_needed()
    ready.wait_for_timeout(1500)
    ready.evaluate("() => { window.kept = document.querySelector('#found tr'); }")
    count = "() => document.querySelectorAll('body *:not(#plot *)').length"
    before = ready.evaluate(count)
    for _ in range(8):
        collecting.append(KEY, beam.totals(100))
        ready.wait_for_timeout(800)
    assert ready.evaluate(count) == before
    assert ready.evaluate("() => window.kept === document.querySelector('#found tr')")


@pytest.fixture(params=[(1920, 1080), (1366, 768), (390, 844)])
def sized(request: pytest.FixtureRequest, watched: Any, web: Any) -> Iterator[Page]:
    width, height = request.param
    watched.page.set_viewport_size({"width": width, "height": height})
    watched.page.goto(web.url)
    yield watched.page
    watched.check()


@pytest.mark.parametrize("targets", [TargetSettings(cv_percent=0.01)])
def test_nothing_sticks_out(
    sized: Page,
    store: MemoryStore,
    totals: np.ndarray,
    notes: MemoryNotes,
    beam: Any,
) -> None:
    store.open(KEY, meta=versions())
    store.append(KEY, totals)
    with_modules(store, totals)
    notes.add(KEY, "x" * 400, "y" * 150)
    notes.exclude(KEY, 10, 20, reason="z" * 400)
    with growing(store, KEY, beam.totals):  # else there is no alarm
        assessed(sized)
        expect(sized.locator("#go")).to_be_visible()
        expect(sized.locator("#alarm")).to_be_visible()
    for panel in ("found", "spectrum", "modules", "notes"):
        sized.locator(f"#{panel}-panel").scroll_into_view_if_needed()
    expect(sized.locator("#notes li")).to_have_count(1)
    overflow = sized.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert overflow == 0
    sized.evaluate("() => scrollTo(0, 0)")
    if sized.viewport_size and sized.viewport_size["width"] > 1000:
        box = sized.locator("main").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= sized.viewport_size["height"]
