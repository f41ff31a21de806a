"""axe-core finds nothing against WCAG 2.1 AA: every state, theme and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_alarms import MemoryAlarms
from memory_desk import MemoryDesk
from memory_store import MemoryNotes, MemoryStore
from playwright.sync_api import Browser, Page, expect
from running_web import RunningWeb
from scenarios import scenario
from stored_scenario import store_scenario

from eigerwatch.sections import ReplaySettings, TargetSettings
from eigerwatch.web import summarising

KEY, OTHER, THIRD = "live:01JABC", "sim:01JOLD", "live:01JOLDER"
DRAWN = scenario(5, topups=2, damage=False, missing=0.02, frames=8000)
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SIZES = {"desk": (1920, 1080), "phone": (390, 844)}

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.timeout(180)

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
def web(
    store: MemoryStore,
    notes: MemoryNotes,
    targets: TargetSettings,
    desk: MemoryDesk,
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningWeb]:
    monkeypatch.setattr(summarising, "SHARE", 1.0)
    monkeypatch.setattr(summarising, "LOOK_S", 0.05)
    (recordings / "one_master.h5").write_bytes(b"")
    web = RunningWeb(
        store,
        notes=notes,
        targets=targets,
        commands=desk,
        replay=ReplaySettings(roots=(recordings,)),
        alarms=MemoryAlarms(),
    )
    yield web
    web.stop()


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


def check(page: Page) -> None:
    """Look at the page in both themes."""
    found = {}
    for _ in range(2):
        theme = page.evaluate("() => document.documentElement.dataset.theme")
        # Colours glide.
        page.wait_for_timeout(300)
        page.evaluate(AXE)
        if violations := page.evaluate(RUN, RULES):
            found[theme] = violations
        button = page.locator("#theme")
        if button.is_visible() and not page.locator("dialog[open]").count():
            button.click()
        else:
            page.evaluate(
                """() => {
                  const { dataset } = document.documentElement;
                  dataset.theme = dataset.theme === "dark" ? "light" : "dark";
                }"""
            )
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
    page.goto(page.url.split("?")[0] + "?series=live:gone")
    expect(page.locator("#source")).to_contain_text("error")


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
    wall,
]


@pytest.fixture(params=SIZES)
def sized(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000)
    yield page
    page.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_the_page(
    sized: Page,
    web: RunningWeb,
    filled: MemoryStore,
    state: Callable[[Page, MemoryStore], None],
) -> None:
    sized.goto(web.url)
    expect(sized.locator("body")).to_have_attribute(
        "data-frames", str(len(DRAWN.totals))
    )
    state(sized, filled)
    check(sized)


def test_the_page_without_data(
    sized: Page, web: RunningWeb, store: MemoryStore
) -> None:
    sized.goto(web.url)
    nothing(sized, store)
    check(sized)


def test_the_page_without_connection(
    sized: Page, web: RunningWeb, filled: MemoryStore
) -> None:
    sized.goto(web.url)
    expect(sized.locator("body")).to_have_attribute(
        "data-frames", str(len(DRAWN.totals))
    )
    web.stop()
    expect(sized.locator("#link")).to_contain_text("disconnected")
    check(sized)


def test_the_runs(sized: Page, web: RunningWeb, filled: MemoryStore) -> None:
    sized.goto(f"{web.url}runs?run={THIRD}&run={OTHER}&compare=1")
    expect(sized.locator("#rows tr")).to_have_count(3)
    expect(sized.locator("#comparison-verdict")).to_contain_text("less steady")
    expect(sized.locator("#count")).to_have_text("3 runs")
    check(sized)


@pytest.mark.parametrize("query", ["", "?q=nobody"])
def test_no_runs(sized: Page, web: RunningWeb, filled: MemoryStore, query: str) -> None:
    if not query:
        for key in (KEY, OTHER, THIRD):
            filled.forget(key)
    sized.goto(f"{web.url}runs{query}")
    expect(sized.locator("#empty")).to_be_visible()
    check(sized)


def test_the_documentation(sized: Page, web: RunningWeb) -> None:
    sized.goto(f"{web.url}docs")
    expect(sized.locator("h2").first).to_be_visible()
    check(sized)
