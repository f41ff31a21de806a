"""axe-core finds nothing against WCAG 2.1 AA: every state, theme and size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_alarms import MemoryAlarms
from memory_store import MemoryNotes, MemoryStore, growing
from page_address import address_of
from playwright.sync_api import Browser, Page, expect
from running_web import RunningWeb
from scenarios import scenario
from stored_scenario import store_scenario

from eigerwatch.sections import TargetSettings
from eigerwatch.web import summarising

KEY, OTHER, THIRD = "live:01JABC", "sim:01JOLD", "live:01JOLDER"
DRAWN = scenario(5, topups=2, damage=False, missing=0.02, frames=8000)
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SIZES = {"desk": (1920, 1080), "phone": (390, 844)}

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.timeout(180)

PAINTED = """() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(done));
})"""

RUN = """async (rules) => {
  const { violations } = await axe.run(document, {
    runOnly: rules, resultTypes: ["violations"],
  });
  return violations.map(({ id, nodes }) =>
    `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""


@pytest.fixture
def targets() -> TargetSettings:
    """A limit that is broken: the alarm's banner and "no go" are to be seen."""
    return TargetSettings(cv_percent=0.01, hold_off_s=0.1)


@pytest.fixture
def kept() -> MemoryAlarms:
    return MemoryAlarms()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, recordings: Path) -> None:
    """Judge runs as fast as possible; there is something to replay."""
    monkeypatch.setattr(summarising, "SHARE", 1.0)
    monkeypatch.setattr(summarising, "LOOK_S", 0.05)
    (recordings / "one_master.h5").write_bytes(b"")


@pytest.fixture
def filled(store: MemoryStore, notes: MemoryNotes, beam: Any) -> MemoryStore:
    """Return a store with a series that is taken, and two that were."""
    for key, cv in ((THIRD, 0.002), (OTHER, 0.004)):
        random = np.random.default_rng(len(key))
        store.open(key, state="finished", started_ms=10**12, detector="EIGER2 4M")
        store.append(key, random.normal(6e6, 6e6 * cv, 3000).astype(np.uint64))
    store_scenario(store, KEY, DRAWN, number_of_images=9000)
    store.reject(KEY, 77)
    store.event(KEY, "topup", frame="500", value="0.9")
    notes.add(KEY, "mirror re-aligned", "Jo")
    return store


def check(page: Page, *sizes: str) -> None:
    """Look at the page in both themes and some sizes; by default in all."""
    page.evaluate(AXE)
    found = {}
    for size in sizes or SIZES:
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("dark", "light"):
            page.evaluate(
                "(t) => { document.documentElement.dataset.theme = t; }", theme
            )
            page.evaluate(PAINTED)
            if violations := page.evaluate(RUN, RULES):
                found[f"{size}, {theme}"] = violations
    assert found == {}


def nothing(page: Page, store: MemoryStore) -> None:
    expect(page.locator("#source")).to_contain_text("no data")


def everything(page: Page, store: MemoryStore) -> None:
    """Open every panel, take a reference, zoom."""
    expect(page.locator("#assessed")).to_contain_text("assessed to")
    page.select_option("#reference", OTHER)
    closed = page.locator("details.panel:not([open]) > summary")
    while closed.count():
        closed.first.click()
    page.wait_for_selector("#spectrogram-plot .heatmaplayer image")
    page.locator("#found-table .show").first.click()
    expect(page.locator("#exclude-range")).to_be_visible()


def alarm(page: Page, store: MemoryStore) -> None:
    store.append(KEY, DRAWN.totals[:100])
    expect(page.locator("#alarm-word")).to_have_text("ALARM")


def alarm_history(page: Page, store: MemoryStore) -> None:
    alarm(page, store)
    page.locator("#alarms-open").click()
    expect(page.locator("dialog[open]")).to_be_visible()


def keys(page: Page, store: MemoryStore) -> None:
    page.locator("#help").click()
    expect(page.locator("dialog[open]")).to_be_visible()


def paused(page: Page, store: MemoryStore) -> None:
    page.keyboard.press(" ")
    expect(page.locator("#banner")).to_contain_text("Paused")


def stalled(page: Page, store: MemoryStore) -> None:
    expect(page.locator("#source")).to_contain_text("stalled")


def no_consumer(page: Page, store: MemoryStore) -> None:
    store.drop_lease()
    expect(page.locator("#banner")).to_contain_text("No consumer")


def vanished(page: Page, store: MemoryStore) -> None:
    page.goto(address_of(page).split("?")[0] + "?series=live:gone")
    expect(page.locator("#source")).to_contain_text("error")


def overlaid(page: Page, store: MemoryStore) -> None:
    """Draw one plot of a fixed scale, zoomed."""
    for key in ("o", "y", "y", "+"):
        page.keyboard.press(key)
    expect(page.locator("#half")).to_be_visible()
    expect(page.locator("#overview")).to_be_visible()


def wall(page: Page, store: MemoryStore) -> None:
    page.keyboard.press("w")
    expect(page.locator("#scope")).to_be_hidden()


STATES: list[Callable[[Page, MemoryStore], None]] = [
    everything,
    alarm,
    alarm_history,
    keys,
    paused,
    stalled,
    no_consumer,
    vanished,
    overlaid,
    wall,
]


@pytest.fixture
def bare(browser: Browser) -> Iterator[Page]:
    # Without transitions: a colour on its way has another contrast.
    page = browser.new_page(
        viewport={"width": 1366, "height": 768}, reduced_motion="reduce"
    )
    page.set_default_timeout(30_000)
    yield page
    page.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_the_page(
    bare: Page,
    web: RunningWeb,
    filled: MemoryStore,
    state: Callable[[Page, MemoryStore], None],
) -> None:
    bare.goto(web.url)
    expect(bare.locator("body")).to_have_attribute(
        "data-frames", str(len(DRAWN.totals))
    )
    state(bare, filled)
    check(bare)


def test_the_page_without_data(bare: Page, web: RunningWeb, store: MemoryStore) -> None:
    bare.goto(web.url)
    nothing(bare, store)
    check(bare)


def test_the_page_without_connection(
    bare: Page, web: RunningWeb, filled: MemoryStore
) -> None:
    bare.goto(web.url)
    expect(bare.locator("body")).to_have_attribute(
        "data-frames", str(len(DRAWN.totals))
    )
    web.stop()
    expect(bare.locator("#link")).to_contain_text("disconnected")
    check(bare)


def test_the_runs(bare: Page, web: RunningWeb, filled: MemoryStore) -> None:
    bare.goto(f"{web.url}runs?run={THIRD}&run={OTHER}&compare=1")
    expect(bare.locator("#rows tr")).to_have_count(3)
    expect(bare.locator("#comparison-verdict")).to_contain_text("less steady")
    expect(bare.locator("#count")).to_have_text("3 runs")
    check(bare)


@pytest.mark.parametrize("query", ["", "?q=nobody"])
def test_no_runs(bare: Page, web: RunningWeb, filled: MemoryStore, query: str) -> None:
    if not query:
        for key in (KEY, OTHER, THIRD):
            filled.forget(key)
    bare.goto(f"{web.url}runs{query}")
    expect(bare.locator("#empty")).to_be_visible()
    check(bare)


def test_the_documentation(bare: Page, web: RunningWeb) -> None:
    bare.goto(f"{web.url}docs")
    expect(bare.locator("h2").first).to_be_visible()
    check(bare)


@pytest.mark.parametrize(
    "state", ["armed", "collecting", "settling", "finished", "stopped_early", "error"]
)
def test_states_of_the_source(
    bare: Page, web: RunningWeb, filled: MemoryStore, state: str
) -> None:
    filled.open("live:new", state=state, started_ms=10**14)
    if state != "armed":
        filled.append("live:new", DRAWN.totals[:1000])
    bare.goto(f"{web.url}?series=live:new")
    expect(bare.locator("#source")).to_have_attribute("data-state", state)
    check(bare, "desk")


@pytest.mark.parametrize("way", ["by polling", "stale"])
def test_states_of_the_link(
    bare: Page, web: RunningWeb, filled: MemoryStore, way: str
) -> None:
    def forward(socket: Any) -> None:
        if way == "by polling":
            socket.close()
            return
        server = socket.connect_to_server()
        passed: list[object] = []

        def pass_on(message: str | bytes) -> None:
            passed.append(message)
            if len(passed) < 6:  # then there is silence
                socket.send(message)

        server.on_message(pass_on)

    bare.route_web_socket(re.compile("/api/v1/live"), forward)
    bare.goto(web.url)
    expect(bare.locator("#link")).to_contain_text(way)
    check(bare, "desk")


@pytest.mark.parametrize(
    "targets", [TargetSettings(min_mean=1e12), TargetSettings(cv_percent=90)]
)
def test_decisions_about_the_beam(
    bare: Page, web: RunningWeb, filled: MemoryStore
) -> None:
    bare.goto(web.url)
    with growing(filled, KEY, lambda n: DRAWN.totals[:n]):
        expect(bare.locator("#go-word")).to_have_text(re.compile("^(NO BEAM|GO)$"))
        check(bare, "desk")


def test_a_replay(bare: Page, web: RunningWeb, filled: MemoryStore) -> None:
    filled.open("replay:new", started_ms=10**14)
    filled.append("replay:new", DRAWN.totals[:1000])
    bare.goto(f"{web.url}?series=replay:new&nonsense=1")
    expect(bare.locator("#kind")).to_have_text("REPLAY")
    expect(bare.locator("#notice")).to_be_visible()
    check(bare, "desk")
