"""What can be chosen of the plot, and the address and link that carry all of it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from memory_store import MemoryStore
from page_address import address_of
from playwright.sync_api import Browser, Page, expect

from eigerwatch.model import REGION_ROW

KEY = "live:01JABC"
N = 4000
FRAME_TIME_S = 0.00134
HOSTILE = '<img src=x onerror="window.hacked=1">'

expect.set_options(timeout=15_000)

TRACE = """name => {
  const traces = [...document.querySelectorAll("#plot .figure")].flatMap(f => f.data);
  const trace = traces.find(t => t.name === name);
  return trace && { x: Array.from(trace.x, Number), y: Array.from(trace.y, Number) };
}"""


def described(*names: str) -> dict[str, str]:
    regions = [{"name": name, "kind": "rectangle", "pixels": 10} for name in names]
    return {"settings": json.dumps([{"number": 0, "regions": regions}])}


def with_regions(store: MemoryStore, key: str, n: int) -> None:
    """Give a series a region of 1000 to 1006 counts, and one with a hostile name."""
    rows = np.zeros((n, 2), REGION_ROW)
    rows["total"][:, 0] = 1000 + np.arange(n) % 7
    rows["total"][:, 1] = 5
    store.show(key, rows)


@pytest.fixture
def collecting(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(KEY, number_of_images=100_000, meta=described("left", HOSTILE))
    store.append(KEY, beam.totals(N))
    with_regions(store, KEY, N)
    return store


def drawn(page: Page, n: int = N) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


def wait_plot(page: Page, condition: str, argument: Any = None) -> None:
    """Wait until the plot is drawn as said; `plot` is the lower panel."""
    page.wait_for_function(
        "argument => { const plot ="
        " document.querySelector('#plot .detrended .figure');"
        f" return plot?.layout && ({condition}); }}",
        arg=argument,
    )


def parameters(url: str) -> dict[str, str]:
    return {name: text[0] for name, text in parse_qs(urlsplit(url).query).items()}


def pressed(page: Page, name: str) -> None:
    expect(page.locator(f"#{name}")).to_have_attribute("aria-pressed", "true")


def counts(page: Page) -> list[float]:
    found: list[float] = page.evaluate(TRACE, "raw")["y"]
    return found


# ---- axis and unit ----


def test_the_axis_tells_frames_or_time(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    pressed(page, "axis-frame")
    page.keyboard.press("t")
    pressed(page, "axis-time")
    wait_plot(page, "plot.layout.xaxis.title.text.includes('time since the first')")
    ticks = page.evaluate(
        """() => {
          const plot = document.querySelector("#plot .detrended .figure");
          return [plot.layout.xaxis.tickvals, plot.layout.xaxis.ticktext];
        }"""
    )
    assert len(ticks[1]) > 2
    for frame, text in zip(*ticks, strict=True):
        assert float(text) == pytest.approx(frame * FRAME_TIME_S, abs=1e-6)
    assert parameters(address_of(page)) == {"axis": "time"}

    page.click("#axis-frame")
    wait_plot(page, "plot.layout.xaxis.title.text === 'frame and time'")
    assert parameters(address_of(page)) == {}


def test_without_frame_time_there_is_no_time_axis(
    page: Page, store: MemoryStore, beam: Any
) -> None:
    store.open(KEY, frame_time_s=None)
    store.append(KEY, beam.totals(100))
    drawn(page, 100)
    button = page.locator("#axis-time")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", re.compile("frame time .* is not known"))
    page.keyboard.press("t")
    expect(page.locator("#said")).to_contain_text("frame time of this series")
    pressed(page, "axis-frame")
    wait_plot(page, "plot.layout.xaxis.title.text === 'frame'")


def test_the_unit_is_the_mean_or_counts(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    assert np.mean(counts(page)) == pytest.approx(1, abs=0.01)
    page.keyboard.press("u")
    wait_plot(page, "plot.layout.yaxis.title.text === 'detrended (counts)'")
    assert np.mean(counts(page)) == pytest.approx(6.485e6, rel=0.01)
    fit = page.evaluate(TRACE, "fit")
    assert fit["y"] == pytest.approx([6.485e6] * 2, rel=0.01)
    low, high = page.evaluate(
        "() => document.querySelector('#plot .raw .figure').layout.yaxis.range"
    )
    assert 6.3e6 < low < 6.485e6 < high < 6.6e6
    pressed(page, "unit-counts")

    page.click("#unit-normalised")
    wait_plot(page, "plot.layout.yaxis.title.text === 'detrended / mean'")
    assert np.mean(counts(page)) == pytest.approx(1, abs=0.01)


# ---- region ----


def test_one_regions_counts_are_shown(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    expect(page.locator("#region-shown")).to_be_hidden()
    page.select_option("#region", "left")
    mean = page.locator("#table tr").nth(1).locator("td").first
    expect(mean).to_have_text(re.compile(r"^1.?00[23]\."))
    expect(page.locator("#region-shown")).to_have_text("Region left")
    # The tiles stay those of the whole image, and say so.
    expect(page.locator("#mean")).to_contain_text("6\u202f4")
    expect(page.locator("#tiles-of")).to_contain_text("above: whole image")
    assert parameters(address_of(page)) == {"region": "left"}

    page.keyboard.press("u")
    wait_plot(page, "plot.layout.yaxis.title.text === 'detrended (counts)'")
    assert set(counts(page)) == set(range(1000, 1007))
    page.select_option("#region", "")
    expect(mean).to_contain_text("6\u202f4")
    expect(page.locator("#tiles-of")).to_be_hidden()


def test_a_region_may_be_counted_in_the_address(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    page.goto(f"{web.url}?region=0")
    expect(page.locator("#region-shown")).to_have_text("Region left")
    expect(page.locator("#region")).to_have_value("left")
    assert parameters(address_of(page)) == {"region": "left"}
    watched.check()


def test_a_regions_name_is_only_text(page: Page, collecting: MemoryStore) -> None:
    drawn(page)
    page.select_option("#region", HOSTILE)
    expect(page.locator("#region-shown")).to_have_text(f"Region {HOSTILE}")
    expect(page.locator("img[src='x']")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None


@pytest.mark.parametrize("polling", [False, True])
def test_an_unknown_region_is_told_and_left(
    watched: Any, web: Any, collecting: MemoryStore, polling: bool
) -> None:
    page = watched.page
    if polling:
        page.route_web_socket(re.compile("/api/v1/live"), lambda socket: socket.close())
    page.goto(f"{web.url}?region=nowhere&unit=counts")
    expect(page.locator("#notice")).to_contain_text("no region 'nowhere'; it has left")
    drawn(page)
    assert parameters(address_of(page)) == {"unit": "counts"}
    if not polling:  # the polled answers are 404, as a browser notes
        watched.check()


def test_the_next_live_series_keeps_the_region(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    drawn(page)
    page.select_option("#region", "left")
    expect(page.locator("#region-shown")).to_have_text("Region left")
    collecting.update(KEY, state="finished")
    collecting.open("live:2", started_ms=10**13, meta=described("left", "right"))
    collecting.append("live:2", beam.totals(50))
    with_regions(collecting, "live:2", 50)
    drawn(page, 50)
    expect(page.locator("#region-shown")).to_have_text("Region left")

    collecting.update("live:2", state="finished")
    collecting.open("live:3", started_ms=10**13 + 1)
    collecting.append("live:3", beam.totals(30))
    drawn(page, 30)
    expect(page.locator("#region-shown")).to_be_hidden()
    expect(page.locator("#notice")).to_contain_text("series live:3 has no region")


# ---- the address, and links ----


def test_a_link_shows_the_same_in_a_fresh_page(
    browser: Browser, page: Page, web: Any, collecting: MemoryStore, beam: Any
) -> None:
    drawn(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.select_option("#region", "left")
    for key in ("t", "u", "y", "4", "d"):
        page.keyboard.press(key)
    page.fill("#window", "2.5")
    page.keyboard.press("Enter")
    page.locator("#window").blur()
    wait_plot(page, "plot.layout.yaxis.title.text === 'detrended (counts)'")
    theme = page.evaluate("() => document.documentElement.dataset.theme")
    page.click("#copy-link")
    expect(page.locator("#said")).to_contain_text("Link copied")
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(web.url)
    assert parameters(link) == {
        "series": KEY, "region": "left", "from": "0", "to": str(N), "y": "full",
        "scope": "seconds", "window": "2.5", "axis": "time", "unit": "counts",
        "theme": theme,
    }  # fmt: skip
    assert "series" not in parameters(address_of(page))  # here it goes on to follow

    collecting.append(KEY, beam.totals(500))
    with_regions(collecting, KEY, N + 500)
    other = browser.new_page(viewport={"width": 1366, "height": 768})
    other.goto(link)
    drawn(other, N + 500)
    shown = other.evaluate(TRACE, "raw")["x"]
    assert (shown[0], shown[-1]) == (0, pytest.approx(N - 1, abs=7))  # bins
    wait_plot(other, "plot.layout.yaxis.title.text === 'detrended (counts)'")
    wait_plot(other, "plot.layout.xaxis.title.text.startsWith('time')")
    for name in ("axis-time", "unit-counts", "y-full"):
        pressed(other, name)
    expect(other.locator("#region")).to_have_value("left")
    expect(other.locator("#scope")).to_have_value("seconds")
    expect(other.locator("#window")).to_have_value("2.5")
    expect(other.locator("#range")).to_contain_text("frames 0 to 3\u202f999")
    expect(other.locator("#notice")).to_be_hidden()
    assert other.evaluate("() => document.documentElement.dataset.theme") == theme
    assert parameters(other.url) == parameters(link)
    other.close()


def test_a_link_is_copied_without_clipboard_api(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
        "document.execCommand = what => {"
        " window.copied = [what, document.activeElement.value]; return true; };"
    )
    page.goto(web.url)
    drawn(page)
    page.keyboard.press("l")
    expect(page.locator("#said")).to_contain_text("Link copied")
    what, text = page.evaluate("() => window.copied")
    assert what == "copy"
    assert parameters(text)["series"] == KEY
    watched.check()


def test_what_the_address_may_not_say_is_told(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    page.goto(
        f"{web.url}?y=sideways&from=-3&to=x&window=0&scope=all&axis=depth&unit=kg"
        f"&series=nokey&ref=1&theme=pink&wall=yes&hops={HOSTILE}"
    )
    drawn(page)
    notice = page.locator("#notice")
    for part in (
        "y=sideways",
        "from=-3",
        "to=x",
        "window=0",
        "scope=all",
        "axis=depth",
    ):
        expect(notice).to_contain_text(part)
    for part in ("unit=kg", "series=nokey", "ref=1", "theme=pink", "wall=yes"):
        expect(notice).to_contain_text(part)
    expect(notice).to_contain_text("hops=<img")
    assert page.evaluate("() => window.hacked") is None
    assert parameters(address_of(page)) == {}
    notice.get_by_role("button").click()
    expect(notice).to_be_hidden()
    watched.check()


def test_going_back_shows_what_the_address_says(
    page: Page, collecting: MemoryStore
) -> None:
    drawn(page)
    page.keyboard.press("u")
    wait_plot(page, "plot.layout.yaxis.title.text === 'detrended (counts)'")
    page.evaluate("() => history.pushState(null, '', '?from=100&to=200&axis=time')")
    page.evaluate("() => history.pushState(null, '', '?')")
    page.go_back()
    expect(page.locator("#range")).to_contain_text("frames 100 to 199")
    pressed(page, "axis-time")
    pressed(page, "unit-normalised")
    page.go_back()
    expect(page.locator("#range")).to_have_text("whole series")
    pressed(page, "unit-counts")


def test_an_unknown_series_is_told(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    page.goto(f"{web.url}?series=live:gone")
    expect(page.locator("#banner")).to_contain_text("No series 'live:gone'")
    page.get_by_role("button", name="Follow live").last.click()
    drawn(page)
    expect(page.locator("#notice")).to_be_hidden()
