"""The page on the real thing: store, consumer, virtual detector and a recording."""

from __future__ import annotations

import csv
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until
from page_address import address_of
from page_panels import panel
from playwright.sync_api import Page, expect
from proxy import proxied
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

    def high(series: str) -> int | None:
        found: int | None = ask(demo, f"series/{series}")["filter_high"]
        return found  # None before the first frame

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


def finished(demo: RunningDemo, n: int) -> list[str]:
    """Wait until so many series are over and judged; return the newest ones."""

    def judged() -> list[str]:
        runs = ask(demo, "runs?source=sim")["runs"]
        return [one["series"] for one in runs if one["judged"] == "done"]

    wait_until(lambda: len(judged()) >= n, 120, "runs that are judged")
    return judged()[:n]


def test_runs_are_found_tagged_and_compared(opened: Page, demo: RunningDemo) -> None:
    first, second = finished(demo, 2)
    opened.goto(f"{demo.url}runs?run={second}&run={first}")
    expect(opened.locator("#chosen-count")).to_have_text("2 chosen")
    opened.fill("#new-tag", "before the shutdown")
    opened.keyboard.press("Enter")
    expect(opened.locator("#chosen-tags button")).to_have_count(1)
    opened.fill("#q", "before the shutdown")
    rows = opened.locator("#rows tr")
    expect(rows).to_have_count(2)
    opened.click("#compare")
    said = ask(demo, f"compare?a={second}&b={first}")["comparison"]
    expect(opened.locator("#comparison-verdict")).to_have_text(said["verdict"])
    expect(opened.locator("#change-rows td").nth(1)).to_have_text(said["cv"]["text"])
    opened.wait_for_function(
        "() => document.getElementById('overlay').data?.length > 1"
    )
    link = address_of(opened)
    opened.goto(demo.url)
    opened.goto(link)
    expect(opened.locator("#comparison-verdict")).to_have_text(said["verdict"])
    opened.click("#pin")
    expect(rows.first.get_by_text("pinned")).to_be_visible()
    opened.click("#unpin")
    expect(opened.locator("#unpin")).to_be_disabled()


def test_links_and_files_hold_what_is_shown(
    opened: Page, demo: RunningDemo, tmp_path: Path
) -> None:
    (series,) = finished(demo, 1)
    opened.goto(f"{demo.url}?series={series}&from=200&to=300&unit=counts&axis=time")
    expect(opened.locator("#range")).to_contain_text("frames 200 to 299")
    other = next(one for one in finished(demo, 3) if one != series)
    opened.select_option("#reference", other)
    expect(opened.locator("#reference-text")).to_contain_text("grey: ")
    link = address_of(opened)
    opened.goto(f"{demo.url}runs")
    opened.goto(link)
    expect(opened.locator("#range")).to_contain_text("frames 200 to 299")
    expect(opened.locator("#unit-counts")).to_have_attribute("aria-pressed", "true")
    expect(opened.locator("#axis-time")).to_have_attribute("aria-pressed", "true")
    expect(opened.locator("#reference-text")).to_contain_text("grey: ")

    def taken(link: str) -> bytes:
        with opened.expect_download() as started:
            opened.click(link)
        return started.value.path().read_bytes()

    frames = list(csv.DictReader(taken("#get-frames").decode().splitlines()))
    assert len(frames) == 100
    told = ask(demo, f"series/{series}/frames?from=200&to=300")
    totals = [int(frame["total"]) for frame in frames]
    assert totals == [int(total) for total in told["columns"]["total"]]
    assert taken("#get-report").startswith(b"<!DOCTYPE html>")
    assert taken("#get-nexus").startswith(b"\x89HDF")
    assert taken("#png").startswith(b"\x89PNG")


def test_a_limit_that_is_broken_alarms(watched: Any) -> None:
    options = ["--detector", "500k", "--frame-rate", "100"]
    limits = {
        "EIGERWATCH_TARGETS__CV_PERCENT": "0.001",
        "EIGERWATCH_TARGETS__HOLD_OFF_S": "1",
    }
    page: Page = watched.page
    with running_demo(*options, **limits) as demo:
        watched.own.append(demo.url)
        page.goto(demo.url)
        expect(page.locator("#go-word")).to_have_text("NO GO")
        expect(page.locator("#alarm-word")).to_have_text("ALARM")
        page.keyboard.press("a")
        expect(page.locator("#alarm-word")).to_have_text("Alarm seen")
        page.keyboard.press("a")
        expect(page.locator("#alarm-list li").first).to_contain_text("limit 0.001 %")
        assert ask(demo, "alarms")["lasting"]["acknowledged"]
        page.keyboard.press("Escape")


def test_a_frozen_detector_is_stalled_behind_nginx(
    watched: Any, demo: RunningDemo, tmp_path: Path
) -> None:
    page: Page = watched.page
    port = int(demo.url.rstrip("/").rpartition(":")[2])
    with proxied(tmp_path, port) as url:
        watched.own.append(url)
        page.goto(url)
        source = page.locator("#source")
        expect(source).to_have_attribute("data-state", "collecting")
        with demo.frozen_detector():
            expect(source).to_have_attribute("data-state", "stalled")
            expect(page.locator("#banner")).to_contain_text("Stalled")
            expect(page.locator("#rate")).to_have_text("\N{EN DASH}")
        expect(source).to_have_attribute("data-state", "collecting")
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#link")).not_to_contain_text("polling")
    watched.check()


def test_a_frozen_consumer_is_no_sleeping_beam(opened: Page, demo: RunningDemo) -> None:
    with demo.frozen():
        expect(opened.locator("#source")).to_have_attribute("data-state", "error")
        expect(opened.locator("#banner")).to_contain_text("consumer")
        expect(opened.locator("#rate")).to_have_text("\N{EN DASH}")
    expect(opened.locator("#source")).to_have_attribute("data-state", "collecting")
