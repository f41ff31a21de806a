"""The page on the real thing: store, consumer, virtual detector and a recording."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until
from page_panels import panel
from playwright.sync_api import Page, expect
from running_demo import RunningDemo, running_demo
from typer.testing import CliRunner

from eigersim.cli import app as simulator

SERIES_S = 12
RECORDED = 400
STATES = """() => {
  const source = document.getElementById("source");
  window.states = [source.dataset.state];
  new MutationObserver(() => {
    if (states.at(-1) !== source.dataset.state) states.push(source.dataset.state);
  }).observe(source, { attributes: true, attributeFilter: ["data-state"] });
}"""

expect.set_options(timeout=30_000)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one small recording."""
    folder = tmp_path_factory.mktemp("recordings")
    arguments = ["make-dataset", str(folder / "evening_master.h5")]
    arguments += ["--detector", "256x128", "--frames", str(RECORDED)]
    arguments += ["--frame-rate", "40"]
    assert CliRunner().invoke(simulator, arguments).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[RunningDemo]:
    options = ["--detector", "500k", "--frame-rate", "100"]
    variables = {"EIGERWATCH_REPLAY__ROOTS": json.dumps([str(folder)])}
    with running_demo(*options, "--series-s", str(SERIES_S), **variables) as demo:
        yield demo


def ask(demo: RunningDemo, path: str) -> Any:
    with urllib.request.urlopen(f"{demo.url}api/v1/{path}", timeout=10) as answer:
        return json.load(answer)


def listed(demo: RunningDemo, source: str) -> list[dict[str, Any]]:
    found = ask(demo, "series")["series"]
    return [one for one in found if one["source"] == source]


@pytest.fixture
def opened(watched: Any, demo: RunningDemo) -> Iterator[Page]:
    page: Page = watched.page
    watched.own.append(demo.url)
    page.goto(demo.url)
    expect(page.locator("#source")).to_have_attribute("data-state", "collecting")
    yield page
    watched.check()


def test_one_series_after_another(opened: Page, demo: RunningDemo) -> None:
    opened.evaluate(STATES)
    first = opened.locator("#series").input_value()
    expect(opened.locator("#kind")).to_have_text("SIMULATED")
    expect(opened.locator("#identity")).to_contain_text("EIGER2")
    opened.wait_for_function("() => states.includes('finished')")
    opened.wait_for_function("() => states.at(-1) === 'collecting'")
    expect(opened.locator("#series")).not_to_have_value(first)
    seen = opened.evaluate("() => window.states")
    assert not {"error", "stalled", "stopped_early"} & set(seen)
    ended = next(one for one in listed(demo, "sim") if one["series"] == first)
    assert (ended["state"], ended["frames"]) == ("finished", 100 * SERIES_S)
    for none in ("#missing", "#rejected"):
        expect(opened.locator(none)).to_have_text("0")


def test_frames_are_excluded_noted_and_undone(opened: Page, demo: RunningDemo) -> None:
    wait_until(lambda: listed(demo, "sim")[0]["frames"] > 100, 30, "some frames")
    series = opened.locator("#series").input_value()
    opened.goto(f"{demo.url}?series={series}")
    opened.wait_for_function("() => Number(document.body.dataset.frames) > 100")
    opened.fill("#frame-from", "20")
    opened.fill("#frame-to", "49")
    opened.keyboard.press("Enter")
    opened.locator("#frame-to").blur()
    opened.keyboard.press("x")
    expect(opened.locator("#said")).to_contain_text("Excluded: frames 20 to 49.")
    expect(opened.locator("#excluded-kinds")).to_contain_text("30 by hand")
    opened.locator("#notes-panel").scroll_into_view_if_needed()
    opened.fill("#note", "the hutch door was open")
    opened.click("#note-add")
    expect(opened.locator("#notes li")).to_contain_text("the hutch door was open")
    path = f"series/{series}"
    assert ask(demo, f"{path}/notes")["notes"][0]["text"] == "the hutch door was open"
    opened.keyboard.press("Escape")
    opened.locator("#note").blur()
    opened.keyboard.press("z")
    expect(opened.locator("#excluded-kinds")).not_to_contain_text("by hand")


def test_limits_and_a_region_hold_from_the_next_series_on(
    opened: Page, demo: RunningDemo
) -> None:
    settings = panel(opened, "settings")
    expect(opened.locator("#settings-high")).to_have_value("auto")
    opened.fill("#settings-high", "300")
    opened.click("#settings-add")
    row = settings.locator("#settings-rois li")
    row.locator(".name").fill("spot")
    for label, value in (("y0", 10), ("y1", 20), ("x0", 30), ("x1", 60)):
        row.get_by_label(label, exact=True).fill(str(value))
    running = listed(demo, "sim")[0]["series"]
    opened.click("#settings-use")
    expect(settings.locator("#settings-done")).to_contain_text("Taken")

    def high(series: str) -> int:
        return int(ask(demo, f"series/{series}")["filter_high"])

    wait_until(lambda: high(listed(demo, "sim")[0]["series"]) == 300, 60, "the limit")
    assert high(running) != 300
    expect(opened.locator("#region option")).to_contain_text(["whole image", "spot"])
    opened.select_option("#region", "spot")
    expect(opened.locator("#region-shown")).to_contain_text("spot")
    opened.click("#settings-reset")
    expect(opened.locator("#settings-high")).to_have_value("auto")


def test_a_recording_is_replayed_paused_and_stopped(
    opened: Page, demo: RunningDemo
) -> None:
    replay = panel(opened, "replay")
    opened.locator("#replay-list").select_option(index=0)
    expect(replay.locator("#replay-chosen")).to_contain_text("evening_master.h5")
    opened.locator("#replay-speed").select_option("1")
    opened.click("#replay-start")
    expect(opened.locator("#replay-state")).to_have_text("Playing")
    opened.click("#replay-pause")
    expect(opened.locator("#replay-state")).to_have_text("Paused")
    wait_until(lambda: listed(demo, "replay"), 30, "the replay's series")
    (made,) = listed(demo, "replay")
    opened.click("#replay-pause")
    opened.locator("#replay-pace").select_option("10")
    expect(opened.locator("#replay-state")).to_have_text("Finished")
    opened.goto(f"{demo.url}?series={made['series']}")
    expect(opened.locator("#kind")).to_have_text("REPLAY")
    expect(opened.locator("#frames")).to_contain_text(f"{RECORDED}")
    expect(opened).to_have_title(re.compile("^REPLAY "))
    opened.goto(f"{demo.url}runs")
    run = opened.locator(f"#runs tr[data-series='{made['series']}']")
    expect(run).to_contain_text("REPLAY")


def test_a_frozen_consumer_is_no_sleeping_beam(opened: Page, demo: RunningDemo) -> None:
    with demo.frozen():
        expect(opened.locator("#source")).to_have_attribute("data-state", "error")
        expect(opened.locator("#banner")).to_contain_text("consumer")
        expect(opened.locator("#rate")).to_have_text("\N{EN DASH}")
    expect(opened.locator("#source")).to_have_attribute("data-state", "collecting")
