"""How the main plot can be drawn, and what lies over and below it."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from memory_store import MemoryStore
from page_address import address_of
from playwright.sync_api import Page, expect
from running_web import RunningWeb

from eigerwatch.web.tick import decode

KEY, OLD = "live:01JABC", "live:01JOLD"
N = 20_000
FRAME_TIME_S = 0.00134

expect.set_options(timeout=15_000)

FIND = """([part, name]) => {
  const figure = document.querySelector(`#plot .${part} .figure`);
  const found = (figure?.data ?? []).filter((t) => t.name === name && t.x.length);
  const plain = (values) => Array.from(values, Number);
  return found.map(({ x, y }) => ({ x: plain(x), y: plain(y) }))[0];
}"""


def drawn(page: Page, n: int = N) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


def trace(page: Page, part: str, name: str) -> Any:
    page.wait_for_function(f"what => ({FIND})(what)", arg=[part, name])
    return page.evaluate(FIND, [part, name])


def axis(page: Page, part: str = "detrended") -> list[float]:
    found: list[float] = page.evaluate(
        "part => document.querySelector(`#plot .${part} .figure`).layout.yaxis.range",
        part,
    )
    return [float(value) for value in found]


@pytest.fixture
def finished(store: MemoryStore, beam: Any) -> MemoryStore:
    """Return a store with a slow wave, a one-frame dip and a gap."""
    totals = beam.totals(N) * (1 + 0.001 * np.sin(np.arange(N) / 1000))
    totals[7777] *= 0.9
    totals = totals.astype(np.uint64)
    store.open(KEY, state="finished", number_of_images=N)
    store.append(KEY, totals[:15_000])
    store.append(KEY, totals[15_300:], skip=300)
    return store


def test_average_and_deviation_are_those_of_the_server(
    page: Page, finished: MemoryStore, web: RunningWeb
) -> None:
    drawn(page)
    expect(page.locator("#assessed")).to_contain_text("assessed to")
    told = httpx.get(f"{web.url}api/v1/series/{KEY}/trace", params={"px": 900})
    header, blocks = decode(told.content)
    page.wait_for_function(
        "value => document.querySelector('#plot .detrended .figure')"
        ".layout.shapes?.[1]?.y0 === value",
        arg=1 + header["sigma"],
    )
    average = trace(page, "detrended", "moving average")
    there = ~np.isnan(blocks["average"])
    np.testing.assert_array_equal(average["x"], blocks["average_frame"])
    np.testing.assert_allclose(np.array(average["y"])[there], blocks["average"][there])
    # The wave, without the noise of single frames; nothing over the gap.
    wave = np.array(average["y"])[there]
    assert 0.0008 < (wave.max() - wave.min()) / 2 < 0.0012
    assert not there.all()
    assert header["sigma"] == pytest.approx(
        header["tiles"]["cv_percent"] / 100, rel=1e-6
    )
    page.keyboard.press("u")
    mean = header["mean"]
    page.wait_for_function(
        "value => Math.abs(document.querySelector('#plot .detrended .figure')"
        ".layout.shapes[0].y0 / value - 1) < 1e-6",
        arg=mean * (1 - header["sigma"]),
    )


def test_the_least_frame_is_told(page: Page, finished: MemoryStore) -> None:
    drawn(page)
    expect(page.locator("#lowest")).to_have_text(
        re.compile(r"^, least 9\d\.\d\d % at frame [\d\u202f]+$")
    )


def test_raw_and_detrended_lie_over_each_other(
    page: Page, finished: MemoryStore
) -> None:
    drawn(page)
    upper = page.locator("#plot .part.raw")
    expect(upper).to_be_visible()
    page.keyboard.press("o")
    expect(upper).to_be_hidden()
    raw = trace(page, "detrended", "raw")
    detrended = trace(page, "detrended", "detrended")
    assert raw["x"] == detrended["x"]
    assert trace(page, "detrended", "raw, off scale")["x"] == [7777]
    assert "layout=overlaid" in address_of(page)
    expect(page.locator("#layout-overlaid")).to_have_attribute("aria-pressed", "true")
    page.reload()
    drawn(page)
    expect(upper).to_be_hidden()
    with page.expect_download():
        page.click("#png")
    page.click("#layout-stacked")
    expect(upper).to_be_visible()
    trace(page, "raw", "raw")
    assert "layout" not in address_of(page)


def test_the_scale_can_be_fixed(page: Page, finished: MemoryStore) -> None:
    drawn(page)
    for _ in "robust", "full":
        page.keyboard.press("y")
    expect(page.locator("#y-fixed")).to_have_attribute("aria-pressed", "true")
    fixed = "([low, high]) => { const [a, b] = document.querySelector("
    fixed += "'#plot .raw .figure').layout.yaxis.range.map(Number);"
    fixed += " return Math.abs(a - low) < 1e-9 && Math.abs(b - high) < 1e-9; }"
    page.wait_for_function(fixed, arg=[0.99, 1.01])
    page.fill("#half", "20")
    page.locator("#half").blur()
    page.wait_for_function(fixed, arg=[0.8, 1.2])
    assert axis(page) == pytest.approx([0.8, 1.2])
    assert "y=fixed" in address_of(page)
    assert "half=20" in address_of(page)
    page.fill("#half", "0")
    page.locator("#half").blur()
    expect(page.locator("#half")).to_have_value("20")
    page.reload()
    drawn(page)
    page.wait_for_function(fixed, arg=[0.8, 1.2])
    page.keyboard.press("y")
    expect(page.locator("#half")).to_be_hidden()


def test_the_window_on_the_whole_series_is_dragged(
    page: Page, finished: MemoryStore
) -> None:
    drawn(page)
    whole = page.locator("#overview")
    expect(whole).to_be_hidden()
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(whole).to_be_visible()
    page.wait_for_selector("#overview .curve[d]", state="attached")
    expect(whole).to_have_attribute(
        "aria-valuetext",
        "frames 7\u202f500 to 12\u202f499 of 20\u202f000",
    )
    box = whole.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    at = box["x"] + box["width"] / 2
    page.mouse.move(at, y)
    page.mouse.down()
    page.mouse.move(at - box["width"] / 4, y, steps=5)
    page.mouse.up()
    expect(page.locator("#range")).to_contain_text(re.compile("frames 2\u202f[45]"))
    assert 2400 < float(whole.get_attribute("aria-valuenow") or 0) < 2600
    # A click beside the window brings it there; it stays within the series.
    page.mouse.click(box["x"] + box["width"] - 3, y)
    expect(page.locator("#range")).to_contain_text("frames 15\u202f000 to 19\u202f999")
    whole.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#range")).to_contain_text("frames 13\u202f750")
    page.keyboard.press("b")
    expect(page.locator("#range")).to_contain_text("frames 15\u202f000")
    page.keyboard.press("r")
    expect(whole).to_be_hidden()


def test_a_dip_and_a_lone_frame_of_the_reference_are_seen(
    page: Page, finished: MemoryStore, beam: Any
) -> None:
    totals = beam.totals(6000)
    totals[1234] *= 0.9
    finished.open(OLD, state="finished", started_ms=1000)
    finished.append(OLD, totals[:3000])
    finished.append(OLD, totals[3000:3001], skip=1)
    finished.append(OLD, totals[3001:], skip=1)
    drawn(page)
    page.select_option("#reference", OLD)
    assert trace(page, "raw", "raw, reference, off scale")["x"] == [1234]
    page.fill("#frame-from", "2900")
    page.fill("#frame-to", "3200")
    page.keyboard.press("Enter")
    assert trace(page, "raw", "raw, reference, single frames")["x"] == [3001]


def test_many_events_are_said_to_be_more_than_marked(
    page: Page, finished: MemoryStore
) -> None:
    for frame in range(0, 12_500, 50):
        finished.event(KEY, "spike", frame=str(frame), value="1.1")
    finished.event(KEY, "alarm", frame="19000", text="CV 0.2 %, limit 0.1 %")
    drawn(page)
    label = page.locator("#plot .strip > span")
    expect(label).to_contain_text("51 earlier ones not marked, zoom in")
    marked = trace(page, "strip", "events")
    assert len(marked["x"]) == 200
    assert marked["x"][-1] == 19_000
    page.keyboard.press("+")
    expect(label).to_have_text("gaps, events")
