"""What the page commands: the replay of a recording, the next series' settings."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_desk import FILE, MemoryDesk
from memory_store import MemoryStore
from page_panels import panel
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from eigerwatch.model import REGION_ROW
from eigerwatch.store.commanded import NextSettings, ReplayState

KEY = "live:01JABC"
REPLAYED = "replay:01JXYZ"
HOSTILE = '<img src=x onerror="window.hacked=1">_master.h5'
SPOT = {"name": "spot", "rectangle": [10, 20, 30, 60]}

expect.set_options(timeout=15_000)


def preview(factor: int) -> bytes:
    out, text = io.BytesIO(), PngInfo()
    text.add_text("eigerwatch", json.dumps({"factor": factor}))
    Picture.new("L", (20, 10), 90).save(out, "PNG", pnginfo=text)
    return out.getvalue()


@pytest.fixture
def collecting(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, beam.totals(500))
    store.show(KEY, np.zeros((500, 0), REGION_ROW), preview(10))
    return store


@pytest.fixture
def recorded(recordings: Path) -> Path:
    for age, name in enumerate(("new_master.h5", HOSTILE, "old_master.h5")):
        (recordings / name).write_bytes(b"")
        os.utime(recordings / name, (2_000_000_000 - age,) * 2)
    return recordings


# ---- replay ----


def test_a_recording_is_found_and_replayed_by_keyboard(
    collecting: MemoryStore, recorded: Path, page: Page, desk: MemoryDesk
) -> None:
    replay = panel(page, "replay")
    options = replay.locator("#replay-list option")
    expect(options).to_have_count(3)
    expect(options.first).to_contain_text("new_master.h5")
    expect(replay.locator("#replay-count")).to_have_text("3 recordings.")
    expect(page.locator("#replay-start")).to_be_disabled()

    page.locator("#replay-search").press_sequentially("onerror")
    expect(options).to_have_count(1)
    expect(options.first).to_contain_text(HOSTILE)
    page.locator("#replay-list").focus()
    page.keyboard.press("ArrowDown")
    expect(replay.locator("#replay-chosen")).to_have_text(f"{HOSTILE} in {recorded}")
    page.locator("#replay-speed").select_option("as fast as it goes")
    page.locator("#replay-start").press("Enter")
    expect(page.locator("#replay-state")).to_have_text("Playing")
    ((command, fields),) = desk.given
    assert command == "replay.start"
    assert fields["speed"] in ("0", "0.0")
    assert fields["file"].endswith("_master.h5")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#replay-panel img").count() == 0


def test_a_replay_is_paused_sped_up_and_stopped(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    desk.state = ReplayState(state="playing", name=HOSTILE, speed=3.5, frames=60)
    replay = panel(page, "replay")
    expect(replay.locator("#replay-file")).to_have_text(HOSTILE)
    # A speed that the page does not offer, set by a program.
    expect(page.locator("#replay-pace")).to_have_value("3.5")
    expect(replay.locator("#replay-frames")).to_have_text("frame 0 of 60")
    desk.play(frame=45)
    expect(replay.locator("#replay-frames")).to_have_text("frame 45 of 60")
    assert page.locator("#replay-progress").evaluate("e => e.value / e.max") == 0.75

    button = page.locator("#replay-pause")
    button.click()
    expect(page.locator("#replay-state")).to_have_text("Paused")
    expect(button).to_have_text("Go on")
    button.click()
    expect(button).to_have_text("Pause")
    page.locator("#replay-pace").select_option("10")
    page.locator("#replay-stop").click()
    expect(page.locator("#replay-state")).to_have_text("Stopped")
    expect(page.locator("#replay-stop")).to_be_disabled()
    assert [name for name, _ in desk.given] == [
        *("replay.pause", "replay.go", "replay.speed", "replay.stop")
    ]
    assert float(desk.given[2][1]["speed"]) == 10


def test_while_one_is_replayed_no_other_is_started(
    collecting: MemoryStore, recorded: Path, page: Page, desk: MemoryDesk
) -> None:
    panel(page, "replay")
    page.locator("#replay-list").select_option(index=0)
    expect(page.locator("#replay-start")).to_be_enabled()
    desk.state = ReplayState(state="playing", name="other_master.h5")
    expect(page.locator("#replay-start")).to_be_disabled()
    desk.state = ReplayState(state="finished", name="other_master.h5")
    expect(page.locator("#replay-start")).to_be_enabled()
    # Somebody else was faster.
    desk.refusal = "other_master.h5 is being replayed; stop it"
    page.locator("#replay-start").click()
    problem = page.locator("#replay-problem")
    expect(problem).to_have_text("Other_master.h5 is being replayed; stop it.")
    desk.refusal = ""
    page.locator("#replay-start").click()
    expect(problem).to_have_text("")


def test_a_replay_that_failed_says_why(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    text = f"{HOSTILE} is damaged; try another copy of it"
    desk.state = ReplayState(state="failed", name="x_master.h5", text=text)
    replay = panel(page, "replay")
    expect(page.locator("#replay-state")).to_have_text("Failed")
    expect(replay.locator("#replay-text")).to_have_text(f"{text}.")
    assert page.evaluate("() => window.hacked") is None


def test_a_silent_service_is_told(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    desk.beats = False
    desk.state = ReplayState(state="playing", name="x_master.h5", beat_ms=1)
    panel(page, "replay")
    state = page.locator("#replay-state")
    expect(state).to_have_text("No sign of life of the service")
    expect(page.locator("#replay-stop")).to_be_disabled()


def test_the_series_of_a_replay_is_shown_and_marked(
    collecting: MemoryStore, page: Page, desk: MemoryDesk, beam: Any
) -> None:
    collecting.open(REPLAYED, state="finished")
    collecting.append(REPLAYED, beam.totals(400))
    desk.state = ReplayState(state="finished", name="x_master.h5", series=REPLAYED)
    panel(page, "replay")
    expect(page.locator("#kind")).to_be_hidden()
    page.locator("#replay-show").click()
    expect(page.locator("#kind")).to_have_text("REPLAY")
    expect(page.locator("#series")).to_have_value(REPLAYED)
    expect(page.locator("#plot")).to_contain_text("REPLAY")
    page.wait_for_function("() => document.title.startsWith('REPLAY')")


# ---- settings of the next series ----


def test_a_region_is_drawn_with_the_mouse(collecting: MemoryStore, page: Page) -> None:
    settings = panel(page, "settings")
    picture = settings.locator("#settings-map image")
    expect(picture).to_be_visible()
    picture.scroll_into_view_if_needed()
    _, _, width, height = map(
        float, str(page.locator("#settings-map").get_attribute("viewBox")).split()
    )
    box = picture.bounding_box()
    assert box is not None

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=4)
        page.mouse.up()

    drag(at(0.75, 0.5), at(0.25, 0.125))  # to the upper left
    rows = settings.locator("#settings-rois li")
    expect(rows).to_have_count(1)
    expect(rows.locator(".name")).to_have_value("roi_1")
    found = [float(x.input_value()) for x in rows.locator("[data-field]").all()]
    wanted = [0.125 * height, 0.5 * height, 0.25 * width, 0.75 * width]
    assert found == pytest.approx(wanted, abs=2)
    expect(page.locator("#settings-map .band")).to_have_count(0)
    expect(page.locator("#settings-use")).to_be_enabled()

    drag(at(0.5, 0.5), at(0.5, 0.5))  # a click draws nothing
    expect(rows).to_have_count(1)
    drag(at(0.5, 0.5), at(2, 2))  # beyond the picture: up to its border
    expect(rows).to_have_count(2)
    last = rows.last.locator("[data-field]").all()
    ends = [float(last[1].input_value()), float(last[3].input_value())]
    assert ends == [height, width]


def test_limits_regions_and_rings_are_chosen(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    page.locator("#author").fill("Ann")
    settings = panel(page, "settings")
    effect = settings.locator("#settings-effect")
    expect(effect).to_have_text("The next series is counted as the settings file says.")
    expect(page.locator("#settings-high")).to_have_value("auto")
    expect(page.locator("#settings-use")).to_be_disabled()
    page.locator("#settings-low").fill("2")
    page.locator("#settings-high").fill("300")
    page.locator("#settings-rings").fill("20, 5, 3")

    page.locator("#settings-add").click()
    row = settings.locator("#settings-rois li")
    expect(row.locator(".name")).to_be_focused()
    row.locator(".name").fill("spot")
    for label, value in (("y0", 10), ("y1", 20), ("x0", 30), ("x1", 60)):
        row.get_by_label(label, exact=True).fill(str(value))
    page.locator("#settings-add").click()
    row = settings.locator("#settings-rois li").nth(1)
    row.locator(".name").fill("wedge")
    row.locator(".shape").select_option("polygon")
    row.get_by_label("Corners").fill("0 0, 50 0; 50 90.5")
    page.locator("#settings-use").click()

    expect(settings.locator("#settings-done")).to_contain_text("Taken")
    expect(effect).to_contain_text("as chosen here by Ann")
    expect(page.locator("#settings-low-file")).to_have_text("file: 0")
    ((command, fields),) = desk.given
    assert (command, fields["by"]) == ("settings.change", "Ann")
    assert json.loads(fields["settings"]) == {
        "filter": {"low": 2, "high": 300},
        "regions": {
            "rois": [
                SPOT,
                {"name": "wedge", "polygon": [[0.0, 0.0], [50.0, 0.0], [50.0, 90.5]]},
            ],
            "rings": [20.0, 5.0, 3.0],
        },
    }


def test_what_is_wrong_is_said_and_nothing_is_lost(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    settings = panel(page, "settings")
    expect(page.locator("#settings-high")).to_have_value("auto")
    page.locator("#settings-low").fill("9")
    page.locator("#settings-high").fill("3")
    page.locator("#settings-use").click()
    problem = settings.locator("#settings-problem")
    expect(problem).to_have_text(
        "Not taken: filter.high = 3: not below filter.low, which is 9"
    )
    page.locator("#settings-high").fill("<b>")
    page.locator("#settings-use").click()
    expect(problem).to_contain_text("filter.high = '<b>'")
    expect(page.locator("#settings-high")).to_have_value("<b>")
    assert desk.given == []
    page.locator("#settings-drop").click()
    expect(page.locator("#settings-high")).to_have_value("auto")
    expect(problem).to_have_text("")


def test_what_others_choose_does_not_disturb_whoever_edits(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    settings = panel(page, "settings")
    expect(page.locator("#settings-high")).to_have_value("auto")
    page.locator("#settings-low").fill("7")
    desk.kept = NextSettings(FILE, {"filter": {"high": 55}}, "<b>Bob</b>", 5)
    effect = settings.locator("#settings-effect")
    expect(effect).to_contain_text("chosen here by <b>Bob</b>")
    expect(page.locator("#settings-low")).to_have_value("7")
    expect(page.locator("#settings-high")).to_have_value("auto")
    page.locator("#settings-drop").click()
    expect(page.locator("#settings-high")).to_have_value("55")
    page.locator("#settings-reset").click()
    expect(page.locator("#settings-high")).to_have_value("auto")
    assert desk.given[-1][0] == "settings.reset"


def test_regions_are_drawn_over_the_newest_image(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    regions = [
        SPOT,
        {"name": "dot", "disc": [50, 100, 7]},
        {"name": "halo", "annulus": [50, 100, 20, 30]},
        {"name": "wedge", "polygon": [[0, 0], [50, 0], [50, 90]]},
    ]
    desk.kept = NextSettings(FILE, {"regions": {"rois": regions}}, "Ann", 5)
    settings = panel(page, "settings")
    drawn = settings.locator("#settings-map")
    # 20 x 10 squares of ten pixels each.
    expect(drawn).to_have_attribute("viewBox", "0 0 200 100")
    expect(drawn.locator("image")).to_have_attribute("width", "200")
    box = drawn.locator("rect")
    for name, value in (("x", 30), ("y", 10), ("width", 30), ("height", 10)):
        expect(box).to_have_attribute(name, str(value))
    expect(drawn.locator("ellipse")).to_have_count(3)
    expect(drawn.locator("ellipse").first).to_have_attribute("cx", "100")
    expect(drawn.locator("polygon")).to_have_attribute("points", "0,0 0,50 90,50")
    expect(drawn.locator("text")).to_have_text([r["name"] for r in regions])
    # Edits are drawn at once; what is no shape is not drawn.
    row = settings.locator("#settings-rois li").first
    row.get_by_label("x1").fill("90")
    expect(box).to_have_attribute("width", "60")
    row.get_by_label("x1").fill("9")
    expect(box).to_have_count(0)
    settings.get_by_role("button", name="Remove region halo").press("Enter")
    expect(drawn.locator("ellipse")).to_have_count(1)
    expect(page.locator("#settings-add")).to_be_focused()


def test_the_running_series_keeps_its_settings_and_says_so(
    collecting: MemoryStore, page: Page, desk: MemoryDesk
) -> None:
    running = page.locator("#settings-running")
    panel(page, "settings")
    expect(running).to_contain_text("counts 0 to 4\u202f500, as the next one will")
    page.locator("#settings-low").fill("7")
    page.locator("#settings-use").click()
    expect(running).to_contain_text("counts 0 to 4\u202f500, and keeps that")
