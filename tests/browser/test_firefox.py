"""The page in Debian's Firefox: it connects, draws and zooms, and nothing is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import NO_WEBGL
from firefox import firefox
from memory_store import MemoryStore
from running_web import RunningWeb

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
