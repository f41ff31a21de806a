"""The page in Debian's Chromium, on the real web server, without WebGL."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_store import MemoryStore
from page_address import address_of
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from running_web import RunningWeb

KEY = "live:01JABC"
DASH = "\N{EN DASH}"
HOSTILE = '<img src=x onerror="window.hacked=1"><b>bold</b>'

expect.set_options(timeout=10_000)

FIND = """name => [...document.querySelectorAll("#plot .figure")]
  .flatMap(f => f.data).find(t => t.name === name)"""

TRACE = f"""name => {{
  const trace = ({FIND})(name);
  const plain = v => Array.from(v, Number);
  return {{ type: trace.type, x: plain(trace.x), y: plain(trace.y) }};
}}"""


def trace(page: Page, name: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(TRACE, name)
    return found


def zoom_in(page: Page) -> None:
    """Drag over a small part of the plot."""
    box = page.locator("#plot .nsewdrag").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=5)
    page.mouse.up()


def await_frames(page: Page, text: str) -> None:
    expect(page.locator("#frames")).to_have_text(re.compile(f"^{text}$"))


def await_drawn(page: Page, n: int) -> None:
    """Wait until the plot has been drawn with the series' first n frames."""
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


@pytest.fixture
def collecting(store: MemoryStore, beam: Any) -> MemoryStore:
    """Return a store with a series of 20 000 frames with a one-frame dip."""
    totals = beam.totals(20_000)
    totals[7777] *= 0.9
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, totals)
    return store


def test_nothing_yet(page: Page) -> None:
    expect(page.locator("#source")).to_contain_text("no data")
    expect(page.locator("#link")).to_contain_text("connected")
    expect(page.locator("#cv")).to_have_text(DASH)
    expect(page.locator("#rate")).to_have_text(DASH)
    expect(page).to_have_title("no data · Eigerwatch")
    expect(page.locator("#plot")).to_contain_text("no frames yet")


def test_live_updates_arrive(page: Page, collecting: MemoryStore, beam: Any) -> None:
    await_frames(page, "20\u202f000 / 100\u202f000")
    collecting.append(KEY, beam.totals(1000))
    expect(page.locator("#source")).to_contain_text("collecting")
    await_frames(page, "21\u202f000 / 100\u202f000")
    await_drawn(page, 21_000)
    rows = page.locator("#table tr")
    expect(rows.nth(0)).to_contain_text("21\u202f000")
    assert rows.locator("th").all_text_contents() == [
        "count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max",
    ]  # fmt: skip
    assert float(page.locator("#cv").inner_text()) == pytest.approx(0.138, abs=0.1)
    expect(page.locator("#shot")).to_have_text("shot-noise limit 0.039 %")


def test_a_one_frame_dip_is_drawn_and_marked(
    page: Page, collecting: MemoryStore
) -> None:
    await_drawn(page, 20_000)
    raw = trace(page, "raw")
    assert raw["type"] == "scatter"
    assert raw["y"][raw["x"].index(7777)] == pytest.approx(0.9, abs=0.01)
    assert trace(page, "raw, off scale")["x"] == [7777]
    assert trace(page, "detrended, off scale")["x"] == [7777]

    page.keyboard.press("y")
    page.wait_for_function(
        "() => document.querySelector('#plot .raw .figure')"
        ".layout.yaxis.range[0] < 0.91"
    )
    assert page.evaluate(f"name => !({FIND})(name)", "raw, off scale")


def test_gaps_and_lost_frames_are_visible(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.append(KEY, beam.totals(500), skip=300)
    collecting.reject(KEY, 5000)
    await_drawn(page, 20_800)
    expect(page.locator("#missing")).to_have_text("300")
    expect(page.locator("#rejected")).to_have_text("1")
    assert trace(page, "missing")["x"] == [20_149.5]
    assert trace(page, "rejected")["x"] == [5000]
    raw = trace(page, "raw")
    assert np.isnan(raw["y"][raw["x"].index(20_000)])
    pieces = page.locator("#plot .scatterlayer .trace").first.locator(".js-line")
    expect(pieces).to_have_count(3)


def test_the_strip_says_how_many_frames_are_missing_rejected_and_late(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.append(KEY, beam.totals(500), skip=12)
    collecting.fill(KEY, 20_003, 6_485_000)
    collecting.fill(KEY, 20_004, 6_485_000)
    collecting.reject(KEY, 20_006)
    await_drawn(page, 20_512)
    texts = f"name => ({FIND})(name).text"
    expect(page.locator("#missing")).to_have_text("9")
    expect(page.locator("#late")).to_have_text("2")
    assert page.evaluate(texts, "missing") == [
        "frames 20\u202f000 to 20\u202f002: 3 missing"
    ]
    assert page.evaluate(texts, "rejected") == [
        "frames 20\u202f005 to 20\u202f011: 6 missing, 1 rejected"
    ]
    assert page.evaluate(texts, "late") == ["frames 20\u202f003 to 20\u202f004: 2 late"]

    # More runs than can be told apart: joined, and said so.
    totals = beam.totals(10_000)
    for start in range(0, 10_000, 10):
        collecting.append(KEY, totals[start : start + 9], skip=1)
    await_drawn(page, 30_512)
    said = page.evaluate(texts, "missing") + page.evaluate(texts, "rejected")
    assert len([text for text in said if "missing among frames" in text]) > 200
    counts = [int(n) for text in said for n in re.findall(r"(\d+) missing", text)]
    assert sum(counts) == 1009
    assert sum("1 rejected" in text for text in said) == 1


def test_no_late_frame_is_not_worth_a_word(page: Page, collecting: MemoryStore) -> None:
    await_drawn(page, 20_000)
    expect(page.locator("#late-shown")).to_be_hidden()


def test_a_line_over_many_gaps_is_broken_and_the_page_says_how(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    totals = beam.totals(25_000)
    for start in range(0, 25_000, 50):
        collecting.append(KEY, totals[start : start + 49], skip=1)
    await_drawn(page, 45_000)
    said = page.locator("#range-gaps")
    expect(said).to_have_text(
        re.compile(r"gaps of fewer than \d+ frames break the line once per \d+")
    )
    assert np.isnan(trace(page, "raw")["y"]).sum() > 300  # in 391 bins
    zoom_in(page)
    expect(page.locator("#range")).to_contain_text("every frame")
    expect(said).to_be_empty()


def test_zoom_shows_every_frame_and_its_statistics(
    page: Page, collecting: MemoryStore
) -> None:
    await_drawn(page, 20_000)
    page.keyboard.press("2")
    zoom_in(page)
    expect(page.locator("#range")).to_contain_text("every frame")
    raw = trace(page, "raw")
    assert raw["x"] == list(range(int(raw["x"][0]), int(raw["x"][-1]) + 1))
    expect(page.locator("#table tr").nth(0).locator("td").first).to_have_text(
        str(len(raw["x"]))
    )
    assert "from=" in address_of(page)
    expect(page.locator("#mean")).to_contain_text("6\u202f4")

    page.keyboard.press("r")
    expect(page.locator("#range")).to_have_text("whole series")
    await_drawn(page, 20_000)
    assert "from=" not in address_of(page)


def test_statistics_of_the_last_frames(page: Page, collecting: MemoryStore) -> None:
    await_drawn(page, 20_000)
    page.select_option("#scope", "frames")
    page.fill("#window", "250")
    page.keyboard.press("Enter")
    count = page.locator("#table tr").nth(0).locator("td").first
    expect(count).to_have_text("250")


def test_an_earlier_series_can_be_chosen(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.open("live:01JOLD", state="finished", started_ms=1000, series_id=3)
    collecting.append("live:01JOLD", beam.totals(50))
    await_frames(page, "20\u202f000 / 100\u202f000")
    page.focus("#series")
    page.wait_for_function("() => document.getElementById('series').length === 2")
    page.select_option("#series", "live:01JOLD")
    await_frames(page, "50")
    expect(page.locator("#notice")).to_contain_text("Not the live series, which is")
    expect(page.locator("#source")).to_contain_text("finished")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#rate")).to_have_text(DASH)
    expect(page.locator("#get-table")).to_have_attribute(
        "href", re.compile("live%3A01JOLD/download.csv")
    )
    page.keyboard.press("f")
    await_frames(page, "20\u202f000 / 100\u202f000")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_series_older_than_the_list(
    page: Page, store: MemoryStore, beam: Any
) -> None:
    store.open("live:OLD", started_ms=1000, detector="EIGER OLD", channels=("a", "b"))
    store.append("live:OLD", beam.totals(50))
    store.append("live:OLD", beam.totals(50), channel="b")
    for n in range(120):
        store.open(f"live:{n:03}", started_ms=10**12 + n, state="finished")
    page.goto(f"{address_of(page).partition('?')[0]}?series=live:OLD")
    await_frames(page, "50")
    expect(page.locator("#identity")).to_contain_text("EIGER OLD")
    expect(page.locator("#series option:checked")).to_contain_text("1970")
    expect(page.locator("#channel")).to_be_visible()
    page.select_option("#channel", "b")
    expect(page.locator("#get-frames")).to_have_attribute("href", re.compile("=b&"))


def test_downloads_are_of_what_is_shown(page: Page, collecting: MemoryStore) -> None:
    await_frames(page, "20\u202f000 / 100\u202f000")

    def lines(link: str) -> list[str]:
        with page.expect_download() as started:
            page.locator(link).click()
        return started.value.path().read_text(encoding="utf-8").splitlines()

    expect(page.locator("#download-of")).to_have_text("whole series")
    assert len(lines("#get-frames")) == 20_001
    page.keyboard.press("3")
    page.fill("#window", "500")
    page.press("#window", "Enter")
    expect(page.locator("#scope-text")).to_contain_text("19\u202f500 to 19\u202f999")
    assert float(lines("#get-table")[1].split(",")[1]) == 500
    assert len(lines("#get-frames")) == 20_001
    page.goto(f"{address_of(page).partition('?')[0]}?from=100&to=200")
    expect(page.locator("#download-of")).to_have_text("frames 100 to 199")
    found = lines("#get-frames")
    assert [found[1].split(",")[0], found[-1].split(",")[0]] == ["101", "200"]
    assert "101" in "".join(lines("#get-html"))
    report = "\n".join(lines("#get-report"))
    assert '"first": 100' in report
    assert '"last": 199' in report
    expect(page.locator("#get-nexus")).to_have_text("NeXus, whole series")


def test_the_next_series_shows_by_itself(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    await_drawn(page, 20_000)
    collecting.update(KEY, state="finished")
    expect(page.locator("#source")).to_contain_text("finished")
    collecting.open("live:01JNEXT", started_ms=10**13, series_id=8)
    collecting.append("live:01JNEXT", beam.totals(30))
    await_drawn(page, 30)
    expect(page.locator("#identity")).to_contain_text("no. 8")


def test_channels(page: Page, store: MemoryStore) -> None:
    store.open(KEY, channels=("threshold_1", "threshold_2"))
    store.append(KEY, [100, 100], channel="threshold_1")
    store.append(KEY, [900, 900], channel="threshold_2")
    expect(page.locator("#mean")).to_have_text("100.000")
    page.select_option("#channel", "threshold_2")
    expect(page.locator("#mean")).to_have_text("900.000")


def test_pause_holds_the_picture(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    await_drawn(page, 20_000)
    page.keyboard.press(" ")
    expect(page.locator("#banner")).to_contain_text("Paused")
    collecting.append(KEY, beam.totals(100))
    collecting.event(KEY, "note", text="the picture is held")
    expect(page.locator("#events")).to_contain_text("the picture is held")
    await_frames(page, "20\u202f000 / 100\u202f000")
    page.keyboard.press(" ")
    await_drawn(page, 20_100)
    expect(page.locator("#banner")).not_to_contain_text("Paused")


def test_what_is_held_can_be_looked_at_otherwise(
    page: Page, collecting: MemoryStore, beam: Any
) -> None:
    await_drawn(page, 20_000)
    page.keyboard.press(" ")
    expect(page.locator("#banner")).to_contain_text("Paused")
    collecting.append(KEY, beam.totals(100))
    page.keyboard.press("u")
    unit = "() => document.querySelector('#plot .raw .figure').layout.yaxis.title.text"
    page.wait_for_function(f"() => ({unit})() === 'raw (counts)'")
    assert max(trace(page, "raw")["x"]) < 20_000
    zoom_in(page)
    expect(page.locator("#range")).to_contain_text("every frame")
    expect(page.locator("#banner")).to_contain_text("Paused")
    page.keyboard.press("r")
    page.keyboard.press(" ")
    await_drawn(page, 20_100)


def test_a_dead_consumer_does_not_look_live(
    page: Page, collecting: MemoryStore
) -> None:
    await_drawn(page, 20_000)
    collecting.drop_lease()
    expect(page.locator("#source")).to_contain_text("error")
    banner = page.locator("#banner")
    expect(banner).to_contain_text("No consumer is running")
    expect(banner).to_contain_text(re.compile(r"values from .*\d\d:\d\d:\d\d.* ago"))
    expect(page.locator("#rate")).to_have_text(DASH)
    expect(page.locator("#lag")).to_have_text(DASH)


def test_silence_of_the_detector_shows_as_stalled(
    page: Page, collecting: MemoryStore
) -> None:
    await_drawn(page, 20_000)
    expect(page.locator("#source")).to_contain_text("stalled", timeout=10_000)
    expect(page.locator("#banner")).to_contain_text("Stalled: no frame for")
    expect(page.locator("#link")).to_contain_text("connected")


def test_server_restart_leaves_no_hole(
    watched: Any, store: MemoryStore, beam: Any
) -> None:
    store.open(KEY)
    store.append(KEY, beam.totals(1000))
    page = watched.page
    first = RunningWeb(store)
    watched.own.append(first.url)
    page.goto(first.url)
    await_drawn(page, 1000)
    first.stop()
    expect(page.locator("#link")).to_contain_text("disconnected")
    expect(page.locator("#link")).to_contain_text(re.compile(r"retry in \d s|trying"))
    expect(page.locator("#banner")).to_contain_text("No connection to the server")
    store.append(KEY, beam.totals(500))
    second = RunningWeb(store, first.port)
    try:
        back_s = time.monotonic()
        await_drawn(page, 1500)
        assert time.monotonic() - back_s < 6
        expect(page.locator("#link")).to_contain_text("connected")
        expect(page.locator("#banner")).to_be_hidden()
        raw = trace(page, "raw")
        assert not np.isnan(raw["y"]).any()
    finally:
        second.stop()


def test_a_server_that_stays_away_is_never_called_connected(
    watched: Any, store: MemoryStore, beam: Any
) -> None:
    store.open(KEY)
    store.append(KEY, beam.totals(1000))
    page = watched.page
    server = RunningWeb(store)
    watched.own.append(server.url)
    page.goto(server.url)
    await_drawn(page, 1000)
    server.stop()
    expect(page.locator("#link")).to_contain_text("disconnected")
    # Retries and polling by now: 1 + 2 + 3 s, then every 3 s.
    page.evaluate(
        """() => {
            window.links = [];
            const link = document.getElementById("link");
            new MutationObserver(() => window.links.push(link.textContent))
                .observe(link, {childList: true, characterData: true, subtree: true});
        }"""
    )
    page.wait_for_function("() => window.links.length >= 12", timeout=30_000)
    said = page.evaluate("() => window.links")
    assert all("disconnected" in text for text in said), said


def test_silence_of_the_server_shows_as_stale(
    watched: Any, web: Any, collecting: MemoryStore
) -> None:
    page = watched.page
    silent = {"now": False}

    def forward(socket: Any) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda m: None if silent["now"] else socket.send(m))
        socket.on_message(server.send)

    page.route_web_socket(re.compile("/api/v1/live"), forward)
    page.goto(web.url)
    await_drawn(page, 20_000)
    silent["now"] = True
    expect(page.locator("#link")).to_contain_text("stale", timeout=5000)
    expect(page.locator("#banner")).to_contain_text("No message from the server")
    expect(page.locator("#source")).to_contain_text("unknown: was")
    expect(page.locator("#lag")).to_have_text(DASH)
    silent["now"] = False
    expect(page.locator("#link")).to_contain_text("connected")


def test_polling_where_the_websocket_is_blocked(
    watched: Any, web: Any, collecting: MemoryStore, beam: Any
) -> None:
    page = watched.page
    page.route_web_socket(re.compile("/api/v1/live"), lambda socket: socket.close())
    page.goto(web.url)
    expect(page.locator("#link")).to_contain_text("by polling")
    await_drawn(page, 20_000)
    collecting.append(KEY, beam.totals(10))
    await_drawn(page, 20_010)


def test_foreign_text_is_only_text(page: Page, store: MemoryStore, beam: Any) -> None:
    key = "live:<img src=x onerror=window.hacked=1>"
    store.open(key, detector=HOSTILE, channels=(HOSTILE, "b"))
    store.append(key, beam.totals(20))
    store.event(key, "note", text=HOSTILE, frame="3")
    store.beat(
        sources={"live": {"state": "armed", "connected": False, "endpoint": HOSTILE}}
    )
    await_drawn(page, 20)
    expect(page.locator("#identity")).to_contain_text("<b>bold</b>")
    expect(page.locator("#events")).to_contain_text("<b>bold</b>")
    expect(page.locator("#channel")).to_contain_text("<b>bold</b>")
    expect(page.locator("img[src='x']")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None


@pytest.mark.parametrize(("kind", "word"), [("sim", "SIMULATED"), ("replay", "REPLAY")])
def test_what_is_not_live_says_so_everywhere(
    page: Page, store: MemoryStore, beam: Any, kind: str, word: str
) -> None:
    store.open(f"{kind}:01J")
    store.append(f"{kind}:01J", beam.totals(20))
    await_drawn(page, 20)
    expect(page.locator("#kind")).to_have_text(word)
    expect(page.locator("#series")).to_contain_text(word)
    expect(page.locator("#plot")).to_contain_text(word)
    expect(page).to_have_title(re.compile(f"^{word} "))


def test_themes(page: Page, collecting: MemoryStore) -> None:
    await_drawn(page, 20_000)
    colour = "() => getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.keyboard.press("d")
    assert page.evaluate(colour) != before
    page.reload()
    assert page.evaluate(colour) != before


def test_without_plotly_the_page_says_so_and_draws_curves(
    browser: Browser, web: Any, collecting: MemoryStore, beam: Any
) -> None:
    page = browser.new_page()
    page.route(re.compile("/assets/plotly.*js"), lambda route: _refuse(route))
    page.goto(web.url)
    expect(page.locator(".plots .failed")).to_contain_text("could not be loaded")
    # What the curve looks like can be seen all the same.
    sketch = page.locator("#plot .sketch path")
    expect(sketch).to_have_count(2)
    before = sketch.first.get_attribute("d")
    assert before is not None
    assert before.count("L") > 1000
    collecting.append(KEY, beam.totals(1000))
    expect(sketch.first).not_to_have_attribute("d", before)
    await_frames(page, "21\u202f000 / 100\u202f000")
    page.close()


def test_the_plot_is_saved_as_one_image(
    page: Page, collecting: MemoryStore, tmp_path: Path
) -> None:
    await_drawn(page, 20_000)
    with page.expect_download() as download:
        page.click("#png")
    download.value.save_as(tmp_path / "plot.png")
    assert re.fullmatch(r"eigerwatch .*\.png", download.value.suggested_filename)
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width == 1600
        pixels = np.asarray(image.convert("RGB"), int)
    blue = (pixels[:, :, 2] - pixels[:, :, 0] > 80).any(axis=1)
    orange = (pixels[:, :, 0] - pixels[:, :, 2] > 80).any(axis=1)
    half = image.height // 2
    assert blue[:half].sum() > 100  # raw above
    assert orange[half:].sum() > 100  # detrended below


def _refuse(route: Route) -> None:
    route.abort()


def test_picked_event_shows_its_frames(page: Page, collecting: MemoryStore) -> None:
    collecting.event(KEY, "topup", frame="7777", value="0.9")
    await_drawn(page, 20_000)
    page.locator("#events button").click()
    expect(page.locator("#range")).to_contain_text("frames 7\u202f577 to 7\u202f977")


def test_api_documentation_works_offline(watched: Any, web: Any) -> None:
    page = watched.page
    page.goto(f"{web.url}docs")
    expect(page.locator("#api")).to_contain_text("GET /api/v1/series/{series}/trace")
    expect(page.locator("#api")).to_contain_text("SeriesDetail")
    watched.check()


@pytest.mark.parametrize("size", [(1920, 1080), (1366, 768), (390, 844)])
def test_nothing_sticks_out(
    browser: Browser, web: Any, collecting: MemoryStore, size: tuple[int, int]
) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(web.url)
    await_drawn(page, 20_000)
    overflow = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert overflow == 0
    page.close()


SIGNS = """() => {
  const pill = document.getElementById("source");
  return [pill.dataset.state, pill.querySelector("span").textContent,
          pill.querySelector("use").getAttribute("href")];
}"""


def test_every_state_of_the_source_is_unmistakable(
    page: Page, store: MemoryStore, beam: Any
) -> None:
    """Told by word and by sign; never by colour alone."""
    seen = {}

    def look(state: str) -> None:
        expect(page.locator("#source")).to_have_attribute("data-state", state)
        _, word, sign = page.evaluate(SIGNS)
        seen[state] = word, sign
        assert page.locator(f"symbol{sign}").count() == 1
        expect(page).to_have_title(re.compile(f"(^| ){re.escape(word)} · Eigerwatch$"))

    look("no_data")
    store.open(KEY, state="armed")
    look("armed")
    store.append(KEY, beam.totals(2000))
    for state in ("collecting", "settling", "finished", "stopped_early", "error"):
        store.append(KEY, beam.totals(10))
        store.update(KEY, state=state)
        look(state)
        expect(page.locator("#rate")).to_have_text(
            re.compile(r"\d" if state in ("collecting", "settling") else DASH)
        )
    store.update(KEY, state="collecting")
    look("stalled")
    assert len({word for word, _ in seen.values()}) == len(seen) == 8
    assert len({sign for _, sign in seen.values()}) == 8
