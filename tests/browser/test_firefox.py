"""The pages in Debian's Firefox: they work, and nothing is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import NO_WEBGL
from firefox import firefox
from memory_store import MemoryNotes, MemoryStore
from running_web import RunningWeb

from eigerwatch.web import summarising

KEY = "live:01JABC"
FRAMES = 20_000
TRACES = """[...document.querySelectorAll("#plot .figure")].flatMap(f => f.data)"""


@pytest.mark.timeout(180)
def test_firefox_connects_draws_and_zooms(
    web: RunningWeb, store: MemoryStore, beam: Any, tmp_path: Path
) -> None:
    totals = beam.totals(FRAMES)
    totals[7777] *= 0.9
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, totals)
    with firefox(tmp_path) as browser:
        browser.size(1366, 768)
        browser.before_pages(NO_WEBGL)
        browser.open(web.url)
        drawn = "Number(document.body.dataset.frames)"
        browser.until(f"{drawn} === {FRAMES}", "the first plot")
        link = browser.evaluate("document.getElementById('link').dataset.state")
        assert link == "connected"
        assert browser.evaluate(
            f"{TRACES}.find((t) => t.name === 'raw, off scale').x"
        ) == [7777]
        lines = "document.querySelectorAll('#plot .scatterlayer .js-line').length"
        assert browser.evaluate(lines) >= 2

        store.append(KEY, beam.totals(1000))
        browser.until(f"{drawn} === {FRAMES + 1000}", "live updates")

        box = browser.evaluate(
            "document.querySelector('#plot .nsewdrag').getBoundingClientRect()"
        )
        x = round(box["x"] + 0.3 * box["width"])
        browser.drag(x, round(box["y"] + box["height"] / 2), x + 20)
        text = "document.getElementById('range').textContent"
        browser.until(f"{text}.includes('every frame')", "zoomed view")
        browser.until(
            f"{TRACES}.find((t) => t.name === 'raw').x.length < 1000",
            "frames of the zoomed view",
        )
        assert "from=" in browser.evaluate("location.search")
        browser.press("r")
        browser.until(f"{text} === 'whole series'", "whole view")

        store.update(KEY, state="finished")
        source = "document.getElementById('source').textContent"
        browser.until(f"{source}.includes('finished')", "the end of the series")
        assert browser.evaluate("violations") == []
        assert browser.evaluate("contexts") == 0
        assert browser.problems() == []


DRAWN = "Number(document.body.dataset.frames)"
OTHER = "live:01JOTHER"
SAID = "document.getElementById('said').textContent"


def points_of(plot: str) -> str:
    """Return an expression: of how many points a plot consists."""
    traces = f"document.getElementById('{plot}').data ?? []"
    return f"({traces}).map((t) => t.x.length).reduce((a, b) => a + b, 0)"


@pytest.mark.timeout(240)
def test_firefox_decides_compares_and_comes_back(
    web: RunningWeb,
    store: MemoryStore,
    notes: MemoryNotes,
    beam: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(summarising, "SHARE", 1.0)
    monkeypatch.setattr(summarising, "LOOK_S", 0.05)
    for key, state in ((OTHER, "finished"), (KEY, "collecting")):
        store.open(key, state=state, number_of_images=100_000)
        store.append(key, beam.totals(5000))
    with firefox(tmp_path) as browser:
        browser.size(1366, 768)
        browser.before_pages(NO_WEBGL)
        browser.open(web.url)
        browser.until(f"{DRAWN} === 5000", "the first plot")
        for plot in ("spectrum-plot", "histogram-plot"):  # drawn when they are in sight
            browser.evaluate(f"document.getElementById('{plot}').scrollIntoView()")
            browser.until(f"{points_of(plot)} > 20", plot)

        browser.press("+")
        browser.until("location.search.includes('from=1250')", "half of the frames")
        browser.press("x")
        browser.until(f"{SAID} === 'Excluded: frames 1\u202f250 to 3\u202f749.'", "it")
        assert [edit.first for edit in notes.exclusions(KEY)] == [1250]
        browser.press("z")
        browser.until(f"{SAID} === 'Undone.'", "the undoing")
        assert not notes.exclusions(KEY)
        browser.press("b")
        browser.until("!location.search.includes('from=')", "the whole series")

        browser.press("w")
        browser.until("'wall' in document.documentElement.dataset", "the wall")
        browser.size(3840, 2160)
        across = "document.documentElement.scrollWidth <= innerWidth"
        assert browser.evaluate(across)
        browser.press("w")
        browser.size(390, 844)
        browser.until(across, "a page as wide as the phone")
        browser.size(1366, 768)

        web.stop()
        link = "document.getElementById('link').dataset.state"
        browser.until(f"{link} !== 'connected'", "the loss of the server")
        store.append(KEY, beam.totals(500))
        again = RunningWeb(store, port=web.port, notes=notes)
        try:
            browser.until(f"{DRAWN} === 5500", "the frames since")
            browser.until(f"{link} === 'connected'", "the connection")
            store.update(KEY, state="finished")

            browser.problems()
            browser.events.clear()  # of the server that was away
            keys = f"run={OTHER}&run={KEY}"
            browser.open(f"{again.url}runs?{keys}&compare=1&traces=frame:100-200")
            browser.until("document.querySelectorAll('#rows tr').length === 2", "rows")
            traces = "document.getElementById('overlay').data ?? []"
            lengths = f"({traces}).map((t) => t.x.length).join()"
            browser.until(f"{lengths} === '100,100'", "the traces of these frames")
            verdict = "document.getElementById('comparison-verdict').textContent"
            browser.until(f"/CV|steady|steadier|change/.test({verdict})", "a verdict")
            browser.until(f"{points_of('ratio')} > 100", "the ratio of the spectra")
            browser.evaluate("document.getElementById('trend').scrollIntoView()")
            browser.until(f"{points_of('trend')} > 0", "the trend")
            assert browser.evaluate("violations") == []
            assert browser.evaluate("contexts") == 0
            assert browser.problems() == []
        finally:
            again.stop()
