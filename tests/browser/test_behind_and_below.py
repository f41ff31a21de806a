"""A reference series behind the plot, the histogram below it, and the wall."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from memory_store import MemoryStore, growing
from page_address import address_of
from playwright.sync_api import Browser, Page, Route, expect

from eigerwatch.sections import TargetSettings

KEY = "live:01JABC"
OLD = "live:01JOLD"
HOSTILE = 'live:<img src=x onerror="window.hacked=1">'
N = 4000

expect.set_options(timeout=15_000)

TRACE = """([id, name]) => {
  const figures = [...document.querySelectorAll(`#${id} .figure, #${id}`)];
  const trace = figures.flatMap(f => f.data ?? []).find(t => t.name === name);
  return trace && { type: trace.type, x: Array.from(trace.x, Number),
                    y: Array.from(trace.y, Number) };
}"""
BEHIND = ["plot", "raw, reference"]
HAS = f"argument => Boolean(({TRACE})(argument)?.x.length)"


def drawn(page: Page, n: int = N) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


def trace(page: Page, element: str, name: str) -> Any:
    page.wait_for_function(HAS, arg=[element, name])
    return page.evaluate(TRACE, [element, name])


@pytest.fixture
def collecting(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(OLD, state="finished", started_ms=1000, series_id=3)
    store.append(OLD, 2_000_000 + np.arange(1000) % 9)
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, beam.totals(N))
    return store


# ---- reference ----


def test_a_reference_is_drawn_behind(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    page.select_option("#reference", OLD)
    expect(page.locator("#reference-text")).to_have_text(
        re.compile("grey: no. 3, .*, by its own mean")
    )
    for name in ("raw", "detrended"):
        behind = trace(page, "plot", f"{name}, reference")
        assert behind["x"] == list(range(1000))
        np.testing.assert_allclose(behind["y"], 1, atol=1e-5)
    names = page.evaluate(
        "() => document.querySelector('#plot .raw .figure').data.map(t => t.name)"
    )
    assert names.index("raw, reference") < names.index("raw")
    assert "ref=live%3A01JOLD" in address_of(page)

    page.reload()
    drawn(page)
    trace(page, "plot", "raw, reference")
    expect(page.locator("#reference")).to_have_value(OLD)
    page.select_option("#reference", "")
    page.wait_for_function(f"argument => !({TRACE})(argument)", arg=BEHIND)
    expect(page.locator("#reference-text")).to_have_text("")


def test_a_reference_of_another_frame_time_says_so(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    slow = "live:01JSLOW"
    collecting.open(slow, state="finished", started_ms=500, frame_time_s=0.01)
    collecting.append(slow, beam.totals(500))
    drawn(page)
    page.focus("#series")
    page.select_option("#reference", slow)
    expect(page.locator("#reference-text")).to_contain_text(
        "frame by frame: its frames take 10 ms, these 1.34 ms"
    )


def test_the_reference_follows_range_and_unit(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    page.goto(f"{web.url}?ref={OLD}&from=100&to=200&unit=counts")
    drawn(page)
    behind = trace(page, "plot", "raw, reference")
    assert behind["x"] == list(range(100, 200))
    np.testing.assert_allclose(behind["y"], 2_000_000 + np.arange(100, 200) % 9)
    expect(page.locator("#reference-text")).to_contain_text("in its own counts")
    watched.check()


def test_a_reference_that_is_gone_is_told_and_ticks_go_on(
    watched: Any, web: Any, collecting: MemoryStore, beam: Any
) -> None:
    page = watched.page
    page.goto(f"{web.url}?ref={HOSTILE}")
    drawn(page)
    text = page.locator("#reference-text")
    expect(text).to_contain_text("No reference: no series")
    expect(text).to_contain_text("<img")
    assert page.evaluate("() => window.hacked") is None
    collecting.append(KEY, beam.totals(10))
    drawn(page, N + 10)


def test_a_reference_that_does_not_answer_holds_nothing_up(
    watched: Any, web: Any, collecting: MemoryStore, beam: Any
) -> None:
    page = watched.page
    held: list[Route] = []
    page.route(re.compile("/trace"), lambda route: held.append(route))
    page.goto(f"{web.url}?ref={OLD}")
    drawn(page)
    for k in range(1, 4):
        collecting.append(KEY, beam.totals(10))
        drawn(page, N + 10 * k)
    assert len(held) == 1
    held[0].continue_()
    trace(page, "plot", "raw, reference")


def test_a_reference_that_vanishes_is_told(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    page.select_option("#reference", OLD)
    trace(page, "plot", "raw, reference")
    collecting.forget(OLD)
    text = page.locator("#reference-text")
    expect(text).to_contain_text(f"No reference: no series '{OLD}'", timeout=40_000)
    page.wait_for_function(f"argument => !({TRACE})(argument)", arg=BEHIND)


def test_a_growing_range_does_not_ask_for_the_reference_each_time(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/trace" in r.url else None)
    drawn(page)
    page.select_option("#reference", OLD)
    trace(page, "plot", "raw, reference")
    for k in range(1, 6):
        collecting.append(KEY, beam.totals(10))
        drawn(page, N + 10 * k)
    assert 1 <= len(asked) <= 2


# ---- histogram ----


def test_the_histogram_shows_the_width_of_counting(
    page: Page, collecting: MemoryStore
) -> None:
    drawn(page)
    page.locator("#histogram-panel").scroll_into_view_if_needed()
    bars = trace(page, "histogram-plot", "detrended")
    assert bars["type"] == "bar"
    assert sum(bars["y"]) == N
    assert trace(page, "histogram-plot", "raw")["type"] == "scatter"
    curve = trace(page, "histogram-plot", "pure counting")
    top = np.argmax(curve["y"])
    assert curve["x"][top] == pytest.approx(1)
    text = page.locator("#histogram-text")
    expect(text).to_contain_text("of pure counting 0.0393 %")
    expect(page.locator("#histogram-usage")).to_contain_text(f"{N} of {N} frames")


def test_the_histogram_is_of_the_frames_chosen_and_in_their_unit(
    page: Page, collecting: MemoryStore
) -> None:
    drawn(page)
    page.select_option("#scope", "frames")
    page.fill("#window", "250")
    page.keyboard.press("Enter")
    page.locator("#window").blur()
    page.keyboard.press("u")
    page.locator("#histogram-panel").scroll_into_view_if_needed()
    expect(page.locator("#histogram-text")).to_contain_text("250 frames;")
    bars = trace(page, "histogram-plot", "detrended")
    assert np.mean(bars["x"]) == pytest.approx(6.485e6, rel=0.01)


def test_the_histogram_follows_the_zoom(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    page.locator("#histogram-panel").scroll_into_view_if_needed()
    frames = """() => (document.getElementById("histogram-plot").data ?? [])
      .find((t) => t.name === "detrended")?.y.reduce((a, b) => a + b, 0)"""
    page.wait_for_function(f"n => ({frames})() === n", arg=N)
    page.keyboard.press("+")
    page.wait_for_function(f"n => ({frames})() === n", arg=N / 2)
    # Frames that were chosen for the statistics are others.
    page.keyboard.press("3")
    page.fill("#window", "100")
    page.locator("#window").blur()
    page.locator("#histogram-panel").scroll_into_view_if_needed()
    page.wait_for_function(f"n => ({frames})() === n", arg=100)


def test_the_histogram_says_how_many_frames_are_left_out(
    page: Page, store: MemoryStore, beam: Any
) -> None:
    totals = beam.totals(N)
    totals[[5, 50]] = 0
    store.open(KEY)
    store.append(KEY, totals)
    drawn(page)
    page.locator("#histogram-panel").scroll_into_view_if_needed()
    expect(page.locator("#histogram-usage")).to_contain_text("excluded: 2 empty")


# ---- wall ----

MEASURE = """() => {
  const $ = (id) => document.getElementById(id);
  const seen = (id) => $(id).getBoundingClientRect();
  const size = (id) => parseFloat(getComputedStyle($(id)).fontSize);
  const plot = seen("plot");
  const last = seen("excluded");
  return {
    over: [document.documentElement.scrollWidth - innerWidth,
           document.documentElement.scrollHeight - innerHeight],
    digits: ["cv", "beam", "mean", "drift", "excluded"].map(size),
    cut: ["cv", "beam", "verdict", "mean", "drift", "excluded"].filter((id) => {
      const tile = $(id).closest(".tile").getBoundingClientRect();
      const { right, bottom, top } = seen(id);
      return right > tile.right || bottom > tile.bottom || top < tile.top;
    }),
    plot: (plot.width * plot.height) / (innerWidth * innerHeight),
    bottom: Math.max(plot.bottom, last.bottom),
  };
}"""


SIZES = """(ids) => ids.map((id) => {
  const element = document.getElementById(id);
  return parseFloat(getComputedStyle(element).fontSize) * Boolean(element.textContent);
})"""
BESIDE = ["cv-interval", "shot", "rate", "missing", "rejected"]
"""What is read from 3 m, too, half as large as the figures in the tiles,"""
STANDING = ["source", "link", "newest"]
"""and how things stand, a third as large."""


@pytest.mark.parametrize("targets", [TargetSettings(), TargetSettings(cv_percent=0.01)])
@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160)])
def test_the_wall_fills_the_screen(
    browser: Browser,
    web: Any,
    collecting: MemoryStore,
    beam: Any,
    size: tuple[int, int],
    targets: TargetSettings,
) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{web.url}?wall=1")
    with growing(collecting, KEY, beam.totals):  # else there is no alarm
        expect(page.locator("#assessed-reach")).to_be_visible()
        expect(page.locator("#assessed-reach")).to_contain_text("assessed to")
        if targets.limited:
            expect(page.locator("#go")).to_be_visible()
            expect(page.locator("#alarm")).to_be_visible()
    found = page.evaluate(MEASURE)
    assert found["over"] == [0, 0]
    least = 70 if targets.limited else 86  # with three banners, and none
    assert min(found["digits"]) >= least * size[1] / 1080 - 0.5
    assert min(page.evaluate(SIZES, BESIDE)) >= 36 * size[1] / 1080
    standing = STANDING + (["alarm-text"] if targets.limited else [])
    assert min(page.evaluate(SIZES, standing)) >= 30 * size[1] / 1080
    assert found["cut"] == []
    assert found["plot"] > 0.4
    assert found["bottom"] <= size[1]
    for hidden in ("#scope", "#series", "#histogram-panel", "#y-full"):
        expect(page.locator(hidden)).to_be_hidden()
    page.close()


@pytest.mark.parametrize("leave", ["w", "Escape", "button"])
def test_the_wall_is_entered_and_left(
    page: Page, collecting: MemoryStore, leave: str
) -> None:
    drawn(page)
    page.keyboard.press("Escape")  # means nothing here
    expect(page.locator("#scope")).to_be_visible()
    page.keyboard.press("w")
    expect(page.locator("#scope")).to_be_hidden()
    expect(page.locator("#wall")).to_have_attribute("aria-pressed", "true")
    assert "wall=1" in address_of(page)
    if leave == "button":
        page.click("#wall")
    else:
        page.keyboard.press(leave)
    expect(page.locator("#scope")).to_be_visible()
    assert "wall" not in address_of(page)
    page.wait_for_function(
        "() => document.querySelector('#plot .figure')._fullLayout.width"
        " === document.getElementById('plot').clientWidth"
    )
