"""The page of all runs in Debian's Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from helpers import wait_until
from memory_store import MemoryNotes, MemoryStore
from page_address import address_of
from playwright.sync_api import Locator, Page, expect
from running_web import RunningWeb

from eigerwatch.web import summarising

LIVE, OTHER, SIM, REPLAY, OPEN = "live:a", "live:b", "sim:c", "replay:d", "live:e"
HOUR_MS = 3_600_000
DASH = "\N{EN DASH}"
SLOW_MS = 30_000
"""Longer than the page waits before it asks again."""

expect.set_options(timeout=15_000)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs as fast as possible."""
    monkeypatch.setattr(summarising, "SHARE", 1.0)
    monkeypatch.setattr(summarising, "LOOK_S", 0.05)


@pytest.fixture
def runs(store: MemoryStore, notes: MemoryNotes) -> MemoryStore:
    """Return a store with five runs, the newest of which goes on."""
    random = np.random.default_rng(5)
    now_ms = int(time.time() * 1000)
    told: list[tuple[str, float, dict[str, Any]]] = [
        (LIVE, 0.004, {"number_of_images": 5000, "detector": "EIGER2 XE 16M"}),
        (OTHER, 0.001, {}),
        (SIM, 0.002, {}),
        (REPLAY, 0.0005, {}),
        (OPEN, 0.001, {"state": "collecting"}),
    ]
    for number, (key, cv, more) in enumerate(told):
        store.open(
            key,
            **{
                "state": "finished",
                "started_ms": now_ms - (5 - number) * HOUR_MS,
                "detector": "EIGER2 4M",
                **more,
            },
        )
        totals = random.normal(6e6, 6e6 * cv, 3000).astype(np.uint64)
        store.append(key, totals, skip=2 if key == SIM else 0)
    store.reject(OTHER, 17)
    notes.add(OTHER, "mirror re-aligned", "Jo")
    return store


@pytest.fixture
def judged(runs: MemoryStore, web: RunningWeb) -> RunningWeb:
    """Return the server when it has judged all runs that are over."""
    wait_until(lambda: told(web)["pending"] == 0 and told(web)["all"] == 5)
    return web


def told(web: RunningWeb, **query: Any) -> Any:
    return httpx.get(f"{web.url}api/v1/runs", params=query).json()


@pytest.fixture
def page(watched: Any, judged: RunningWeb) -> Iterator[Page]:
    watched.page.goto(f"{judged.url}runs")
    expect(rows(watched.page)).to_have_count(5)
    yield watched.page
    watched.check()


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


def row(page: Page, key: str) -> Locator:
    return page.locator(f'#rows tr[data-series="{key}"]')


def order(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('#rows tr')].map(r => r.dataset.series)"
    )
    return found


def choose(page: Page, *keys: str) -> None:
    for key in keys:
        row(page, key).get_by_role("checkbox").check()


def shows(page: Page, *keys: str) -> None:
    wait_until(lambda: order(page) == list(keys), what=f"the order {keys}")


def test_rows_show_the_figures_of_the_server(page: Page, judged: RunningWeb) -> None:
    by_key = {run["series"]: run for run in told(judged)["runs"]}
    run, line = by_key[LIVE], row(page, LIVE)
    cells = line.locator("td").all_inner_texts()
    assert any(
        text.startswith("3\u202f000") and "of 5\u202f000" in text for text in cells
    )
    cv = f"{run['cv_percent']:.3f}"
    expect(line).to_contain_text(cv)
    expect(line).to_contain_text(
        f"{run['cv_beam_low']:.3f} to {run['cv_beam_high']:.3f}"
    )
    expect(line.locator(".verdict")).to_have_text(re.compile("beam-limited"))
    expect(line.locator(".verdict use")).to_have_attribute("href", "#v-beam_limited")
    expect(line.locator("svg.spark polyline")).to_have_count(1)
    expect(row(page, SIM).locator("svg.spark")).to_have_attribute(
        "aria-label", re.compile(r"from 0\.99\d+ to 1\.00\d+ of the mean")
    )
    expect(page.locator("#count")).to_have_text("5 runs")


def test_what_is_not_live_says_so(page: Page) -> None:
    expect(row(page, SIM).locator(".source")).to_have_text("SIMULATED")
    expect(row(page, REPLAY).locator(".source")).to_have_text("REPLAY")
    expect(row(page, LIVE).locator(".source")).to_have_text("live")


def test_a_run_that_goes_on_has_no_figures(page: Page) -> None:
    expect(row(page, OPEN).locator(".verdict")).to_have_text(re.compile("collecting"))
    expect(row(page, OPEN).locator(".found")).to_have_text(DASH)


def test_a_heading_sorts_and_says_so(page: Page) -> None:
    assert order(page) == [OPEN, REPLAY, SIM, OTHER, LIVE]
    heading = page.get_by_role("columnheader", name="CV %", exact=True)
    heading.get_by_role("button").click()
    shows(page, LIVE, SIM, OTHER, REPLAY, OPEN)
    expect(heading).to_have_attribute("aria-sort", "descending")
    heading.get_by_role("button").press("Enter")
    shows(page, REPLAY, OTHER, SIM, LIVE, OPEN)
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert page.locator("th[aria-sort]").count() == 1
    page.reload()  # the address holds it
    shows(page, REPLAY, OTHER, SIM, LIVE, OPEN)


def test_search_and_filters(page: Page) -> None:
    page.locator("#q").fill("MIRROR jo")
    shows(page, OTHER)
    expect(page.locator("#count")).to_have_text("1 of 5 runs")
    page.locator("#q").fill("xe 16m")
    shows(page, LIVE)
    page.locator("#q").fill("")
    page.locator("#source").select_option("replay")
    shows(page, REPLAY)
    page.locator("#q").fill("nothing like it")
    expect(page.locator("#empty")).to_contain_text("No run fits")
    expect(page.locator("#runs")).to_be_hidden()
    page.get_by_role("button", name="Clear").click()
    expect(rows(page)).to_have_count(5)
    assert page.evaluate("() => location.search") == ""


def test_days_are_those_of_the_browser(page: Page, runs: MemoryStore) -> None:
    noon_ms = page.evaluate("() => new Date('2020-05-17T00:00').getTime()")
    runs.update(LIVE, started_ms=noon_ms)  # the first moment of that day
    page.locator("#from").fill("2020-05-17")
    page.locator("#to").fill("2020-05-17")
    shows(page, LIVE)
    page.locator("#from").fill("2020-05-16")
    page.locator("#to").fill("2020-05-16")
    expect(rows(page)).to_have_count(0)


def test_a_click_on_a_row_opens_the_run(page: Page) -> None:
    row(page, SIM).locator(".verdict").click()
    page.wait_for_url(re.compile(r"/\?series=sim%3Ac"))
    expect(page.locator("#kind")).to_have_text("SIMULATED")
    page.locator("#to-runs").click()
    expect(rows(page)).to_have_count(5)
    page.get_by_role("navigation", name="Pages", exact=True).get_by_role(
        "link", name="Live"
    ).click()
    page.wait_for_url(re.compile(r":\d+/(\?.*)?$"))


def test_tags_are_added_found_and_taken_away(page: Page) -> None:
    choose(page, LIVE, SIM)
    expect(page.locator("#chosen-count")).to_have_text("2 chosen")
    page.locator("#new-tag").fill("new optics")
    page.locator("#new-tag").press("Enter")
    chip = row(page, SIM).get_by_role("button", name="new optics")
    expect(chip).to_be_visible()
    chip.click()
    shows(page, SIM, LIVE)
    expect(page.locator("#tag")).to_have_value("new optics")
    page.get_by_role("button", name="Take tag new optics away").click()
    expect(rows(page)).to_have_count(0)
    page.locator("#clear").click()
    expect(rows(page)).to_have_count(5)
    expect(row(page, SIM).locator(".tags button")).to_have_count(0)


def test_a_refusal_is_told(page: Page, runs: MemoryStore) -> None:
    runs.update(LIVE, archived=True)
    choose(page, LIVE)
    page.locator("#new-tag").fill("late")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#chosen-problem")).to_contain_text("live:a is archived")
    expect(page.locator("#new-tag")).to_have_value("late")


def test_pin_and_unpin(page: Page) -> None:
    choose(page, OTHER)
    expect(page.get_by_role("button", name="Unpin")).to_be_disabled()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(row(page, OTHER).get_by_text("pinned")).to_be_visible()
    page.get_by_role("button", name="Unpin").click()
    expect(row(page, OTHER).get_by_text("pinned")).to_be_hidden()


def names(page: Page, plot: str) -> list[str]:
    found: list[str] = page.evaluate(
        "id => (document.getElementById(id).data ?? []).map(t => t.name)", plot
    )
    return found


def test_two_runs_are_compared(page: Page, judged: RunningWeb) -> None:
    choose(page, OTHER, LIVE)
    page.get_by_role("button", name="Compare").click()
    query = {"a": OTHER, "b": LIVE}
    said = httpx.get(f"{judged.url}api/v1/compare", params=query).json()
    expect(page.locator("#comparison-verdict")).to_have_text(
        said["comparison"]["verdict"]
    )
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    assert len(names(page, "overlay")) == len(names(page, "spectra")) == 2
    assert names(page, "ratio") == ["low", "high", "ratio"]
    drawn = page.evaluate(
        "() => document.getElementById('ratio').data.map(t => [t.type, t.y.length])"
    )
    assert [kind for kind, _ in drawn] == ["scatter"] * 3
    assert drawn[2][1] > 20
    assert page.evaluate("() => document.activeElement.id") == "comparison-title"
    link = page.locator("#change-rows").get_by_role("link", name="HTML")
    with page.expect_download() as download:
        link.click()
    assert "comparison" in download.value.suggested_filename


def test_three_more_runs_are_compared_with_the_first(
    page: Page, judged: RunningWeb
) -> None:
    choose(page, OTHER, LIVE, SIM, REPLAY)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    verdicts = page.locator("#comparison-verdict p")
    expect(verdicts).to_have_count(3)
    for n, key in enumerate((LIVE, SIM, REPLAY)):
        query = {"a": OTHER, "b": key}
        said = httpx.get(f"{judged.url}api/v1/compare", params=query).json()
        found = said["comparison"]
        expect(verdicts.nth(n)).to_have_text(f"{'BCD'[n]}: {found['verdict']}")
        cells = page.locator("#change-rows tr").nth(n).locator("td")
        texts = [found[figure]["text"] for figure in ("mean", "cv", "cv_beam")]
        expect(cells).to_have_text([*texts, "HTML"])
    expect(page.locator("#comparison-remarks")).to_contain_text("by itself")
    curves = ["ratio B", "ratio C", "ratio D"]
    wait_until(lambda: names(page, "ratio")[2::3] == curves, what="three ratios")
    # One that is gone is told; the others are compared all the same.
    page.route("**/api/v1/compare?*b=sim*", lambda route: route.fulfill(status=404))
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Compare").click()
    expect(verdicts.nth(1)).to_contain_text("C: Not compared")
    wait_until(lambda: names(page, "ratio")[2::3] == ["ratio B", "ratio D"])


def test_curves_of_one_comparison_do_not_stand_in_the_next(
    page: Page, runs: MemoryStore
) -> None:
    choose(page, OTHER, LIVE)
    page.get_by_role("button", name="Compare").click()
    wait_until(lambda: len(names(page, "overlay")) == 2)
    wait_until(lambda: len(names(page, "spectra")) == 2)
    page.get_by_role("button", name="Choose none").click()
    choose(page, SIM, REPLAY)
    page.route("**/sim*/trace?*", lambda route: route.fulfill(status=503))
    page.route(
        "**/sim*/spectrum?*",
        lambda route: route.fulfill(status=503, json={"detail": "not just now"}),
    )
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison-problem")).not_to_be_empty()
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    assert names(page, "overlay") == names(page, "spectra") == []
    page.get_by_role("button", name="Theme").click()
    page.wait_for_timeout(300)
    assert names(page, "overlay") == names(page, "spectra") == []


def test_a_one_frame_dip_is_marked_in_the_comparison(
    page: Page, runs: MemoryStore
) -> None:
    totals = np.random.default_rng(5).normal(6e6, 6000, 3000)
    totals[1234] *= 0.9
    runs.open("live:dip", state="finished", started_ms=int(time.time() * 1000))
    runs.append("live:dip", totals.astype(np.uint64))
    expect(row(page, "live:dip")).to_be_visible()
    choose(page, OTHER, "live:dip")
    page.get_by_role("button", name="Compare").click()
    off = """() => (document.getElementById("overlay").data ?? [])
      .filter((t) => Array.isArray(t.marker?.symbol))
      .map((t) => [Array.from(t.x), t.text])"""
    wait_until(lambda: page.evaluate(off), what="what is off scale")
    ((x, (text,)),) = page.evaluate(off)
    assert x == [1234]
    assert re.fullmatch(r"0\.\d{5}, off scale", text)
    assert float(text.split(",")[0]) == pytest.approx(0.9, abs=0.005)


def test_labels_hold_for_chosen_runs_that_are_not_listed(page: Page) -> None:
    choose(page, OTHER, LIVE)
    page.fill("#q", "mirror")
    shows(page, OTHER)
    page.fill("#q", "no such run")
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_enabled()
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_disabled()
    page.fill("#new-tag", "shift 7")
    page.keyboard.press("Enter")
    tag = page.locator("#chosen-tags button")
    expect(tag).to_have_count(1)
    tag.click()
    expect(tag).to_have_count(0)
    page.get_by_role("button", name="Unpin").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_disabled()


def test_an_archived_run_is_listed_opened_and_compared(
    page: Page, runs: MemoryStore, judged: RunningWeb
) -> None:
    runs.update(OTHER, archived=True, last_write_ms=1)
    expect(row(page, OTHER).get_by_text("archived")).to_be_visible()
    choose(page, OTHER, LIVE)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison-verdict")).to_contain_text("steady")
    row(page, OTHER).get_by_role("link").first.click()
    expect(page.locator("body")).to_have_attribute("data-frames", "3000")
    expect(page.locator("#source")).to_contain_text("finished")


def shown_frames(page: Page) -> list[float]:
    found: list[float] = page.evaluate(
        "() => document.getElementById('overlay').layout?.xaxis.range ?? [0, 0]"
    )
    return found


def test_traces_are_zoomed_to_the_frames(page: Page, judged: RunningWeb) -> None:
    choose(page, OTHER, LIVE)
    page.get_by_role("button", name="Compare").click()
    wait_until(lambda: len(names(page, "overlay")) == 2)
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    whole = shown_frames(page)
    assert whole == [-0.5, 2999.5]
    expect(page.locator("#overlay-whole")).to_be_disabled()
    box = page.locator("#overlay .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    wait_until(lambda: shown_frames(page)[0] == pytest.approx(1500, abs=20))
    first, last = (round(x + 0.5) for x in shown_frames(page))
    assert last == pytest.approx(1800, abs=20)

    def drawn() -> Any:
        return page.evaluate(
            """() => document.getElementById('overlay').data
                .map(t => [Array.from(t.x), Array.from(t.y)])"""
        )

    wait_until(lambda: len(drawn()[0][0]) == last - first, what="all frames")
    for key, (x, y) in zip((OTHER, LIVE), drawn(), strict=True):
        assert x == list(range(first, last))
        query = {"from": first, "to": last}
        path = f"{judged.url}api/v1/series/{key}"
        told = httpx.get(f"{path}/frames", params=query).json()
        mean = httpx.get(f"{path}/statistics").json()["raw"]["mean"]
        values = [int(total) / mean for total in told["columns"]["total"]]
        assert y == pytest.approx(values, rel=1e-6)
    assert f"traces=frame%3A{first}-{last}" in address_of(page)
    page.reload()
    wait_until(lambda: shown_frames(page) == [first - 0.5, last - 0.5])
    width = last - first
    page.keyboard.press("+")
    wait_until(
        lambda: width / 2 - 2 < shown_frames(page)[1] - shown_frames(page)[0] < width
    )
    page.keyboard.press("b")
    wait_until(lambda: shown_frames(page) == [first - 0.5, last - 0.5])
    page.keyboard.press("ArrowRight")
    wait_until(lambda: shown_frames(page)[0] > first)
    page.locator("#overlay-whole").click()
    wait_until(lambda: shown_frames(page) == whole)
    assert "traces" not in address_of(page)


def last_x(page: Page) -> float:
    found: float = page.evaluate(
        "() => Array.from(document.getElementById('overlay').data?.[0].x ?? [0]).at(-1)"
    )
    return found


def test_traces_by_frame_and_by_time(page: Page) -> None:
    choose(page, OTHER, LIVE, SIM)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#compared li")).to_have_count(3)
    wait_until(lambda: len(names(page, "overlay")) == 3)
    values = page.evaluate(
        "() => document.getElementById('overlay').data.map(t => Array.from(t.y))"
    )
    for one in values:  # each over its own mean
        assert np.nanmean(one) == pytest.approx(1, abs=0.002)
    assert last_x(page) == 2999
    page.get_by_label("by time").check()
    wait_until(lambda: last_x(page) == pytest.approx(2999 * 0.00134))
    assert "traces=time" in address_of(page)
    page.keyboard.press("Tab")  # the arrows choose among the buttons
    page.keyboard.press("+")
    wait_until(lambda: last_x(page) < 2260 * 0.00134)
    page.reload()
    wait_until(lambda: 2240 * 0.00134 < last_x(page) < 2260 * 0.00134)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#comparison")).to_be_hidden()
    assert page.evaluate("() => document.activeElement.id") == "compare"


def test_choice_and_comparison_are_in_the_address(
    page: Page, judged: RunningWeb, runs: MemoryStore
) -> None:
    choose(page, LIVE, OTHER)
    page.click("#compare")
    verdict = page.locator("#comparison-verdict")
    expect(verdict).to_have_text(re.compile("steadier"))
    before = verdict.inner_text()
    for key in (LIVE, OTHER):
        assert f"run={key.replace(':', '%3A')}" in address_of(page)
    assert "compare=1" in address_of(page)

    page.reload()
    expect(verdict).to_have_text(before)
    expect(page.locator("#chosen-count")).to_have_text("2 chosen")
    page.click("#comparison-close")
    assert "compare" not in address_of(page)
    page.click("#unchoose")
    assert "run=" not in address_of(page)

    page.goto(f"{judged.url}runs?run={LIVE}&run=live:gone&run={SIM}")
    expect(page.locator("#lost")).to_have_text("Not stored any more: live:gone")
    expect(page.locator("#chosen-count")).to_have_text("2 chosen")
    expect(page.locator("#comparison")).to_be_hidden()


def test_one_or_five_runs_are_not_compared(page: Page) -> None:
    button = page.get_by_role("button", name="Compare")
    choose(page, LIVE)
    expect(button).to_be_disabled()
    choose(page, OTHER)
    expect(button).to_be_enabled()
    choose(page, SIM, REPLAY)
    expect(button).to_be_enabled()
    choose(page, OPEN)
    expect(button).to_be_disabled()
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator("#chosen")).to_be_hidden()
    assert not any(box.is_checked() for box in page.locator("#rows input").all())


def test_the_list_renews_itself_and_keeps_focus_and_choice(
    page: Page, runs: MemoryStore, beam: Any
) -> None:
    choose(page, LIVE)
    link = row(page, SIM).get_by_role("link")
    link.focus()
    runs.open("live:new", state="collecting", detector="NEW ONE")
    runs.append("live:new", beam.totals(10))
    expect(row(page, "live:new")).to_be_visible(timeout=SLOW_MS)
    assert order(page)[0] == "live:new"
    expect(link).to_be_focused()
    expect(row(page, LIVE).get_by_role("checkbox")).to_be_checked()
    runs.update("live:new", state="finished")
    word = row(page, "live:new").locator(".verdict")
    expect(word).not_to_contain_text("collecting", timeout=SLOW_MS)


def test_focus_stays_in_a_row_that_moves(page: Page, runs: MemoryStore) -> None:
    box = row(page, LIVE).get_by_role("checkbox")
    box.focus()
    runs.update(LIVE, started_ms=int(time.time() * 1000))
    wait_until(lambda: order(page)[0] == LIVE, timeout_s=SLOW_MS / 1000)
    expect(box).to_be_focused()


def test_pages(page: Page, runs: MemoryStore, judged: RunningWeb) -> None:
    for number in range(60):
        key = f"live:p{number:02d}"
        runs.open(key, state="collecting", started_ms=1_000_000 + number)
    wait_until(lambda: told(judged)["all"] == 65)
    page.reload()
    expect(page.locator("#page")).to_have_text("1 to 50 of 65")
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").press("Enter")
    expect(page.locator("#page")).to_have_text("51 to 65 of 65")
    assert order(page)[-1] == "live:p00"
    assert "page=2" in address_of(page)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#page")).to_have_text("1 to 50 of 65")


def trend(page: Page, script: str) -> Any:
    return page.evaluate(
        f"() => {{ const d = document.getElementById('trend').data; {script} }}"
    )


@pytest.fixture
def drawn(page: Page) -> Page:
    page.locator("#trend-panel").scroll_into_view_if_needed()
    expect(page.locator("#trend")).to_have_attribute("data-runs", "5")
    wait_until(lambda: len(names(page, "trend")) == 4)
    return page


def test_trend_shows_the_figures_with_intervals(
    drawn: Page, judged: RunningWeb
) -> None:
    by_key = {run["series"]: run for run in told(judged)["runs"]}
    keys, values, up, down, kinds = trend(
        drawn,
        "const { customdata, y, error_y } = d[2];"
        "return [customdata, y, error_y.array, error_y.arrayminus, d.map(t => t.type)]",
    )
    assert kinds == ["scatter"] * 4
    assert set(keys) == {LIVE, OTHER, SIM, REPLAY}  # OPEN has no figures yet
    for key, value, above, below in zip(keys, values, up, down, strict=True):
        run = by_key[key]
        assert value == run["cv_beam_percent"]
        assert value + above == pytest.approx(run["cv_beam_high"])
        assert value - below == pytest.approx(run["cv_beam_low"])
    assert trend(drawn, "return d[3].y.filter(y => y > 0).length") == 1
    symbols = dict(
        trend(drawn, "return d[0].customdata.map((k, i) => [k, d[0].marker.symbol[i]])")
    )
    assert symbols[LIVE] == "circle"
    assert symbols[SIM] != symbols[REPLAY] != "circle"


def test_trend_follows_the_filter(drawn: Page) -> None:
    drawn.locator("#source").select_option("sim")
    shows(drawn, SIM)
    drawn.locator("#trend-panel").scroll_into_view_if_needed()
    expect(drawn.locator("#trend")).to_have_attribute("data-runs", "1", timeout=SLOW_MS)
    drawn.locator("#source").select_option("file")
    drawn.locator("#trend-panel").scroll_into_view_if_needed()
    expect(drawn.locator("#trend-text")).to_have_text(
        "No run to show.", timeout=SLOW_MS
    )


def test_a_point_names_its_run_and_opens_it(drawn: Page) -> None:
    points = drawn.locator("#trend .scatterlayer .trace").first.locator(".point")
    index = trend(drawn, f"return d[0].customdata.indexOf('{SIM}')")
    points.nth(index).scroll_into_view_if_needed()
    box = points.nth(index).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    drawn.mouse.move(x - 3, y - 3)
    drawn.mouse.move(x, y)
    expect(drawn.locator("#trend .hoverlayer")).to_contain_text("SIMULATED")
    expect(drawn.locator("#trend .hoverlayer")).to_contain_text(SIM)
    drawn.mouse.click(x, y)
    drawn.wait_for_url(re.compile(r"/\?series=sim%3Ac"))


def test_no_run_yet(watched: Any, web: RunningWeb) -> None:
    watched.page.goto(f"{web.url}runs")
    expect(watched.page.locator("#empty")).to_contain_text("No run is stored yet")
    expect(watched.page.locator("#count")).to_have_text("0 runs")
    watched.check()


def test_a_store_that_is_away_is_said(page: Page, runs: MemoryStore) -> None:
    runs.away = "Redis cannot be reached"
    problem = page.locator("#problem")
    expect(problem).to_contain_text("Redis cannot be reached", timeout=2 * SLOW_MS)
    expect(rows(page)).to_have_count(5)  # what was known stays
    runs.away = None
    expect(problem).to_be_hidden(timeout=2 * SLOW_MS)


UNNAMED = """() => [...document.querySelectorAll("button, a, input, select, summary")]
  .filter(e => e.checkVisibility())
  .filter(e => !(e.getAttribute("aria-label") || e.textContent.trim()))
  .filter(e => !e.labels?.[0]?.textContent.trim())
  .map(e => e.outerHTML)"""


@pytest.mark.parametrize("width", [390, 768, 1366])
def test_fits_the_screen_and_names_everything(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    choose(page, LIVE, OTHER)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate(UNNAMED) == []
    if width < 900:
        box = row(page, SIM).bounding_box()
        assert box is not None
        assert box["width"] <= width


CONTRAST = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = parse(text).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = getComputedStyle(e).backgroundColor;
      if ((parse(found)[3] ?? 1) === 1) return found;
    }
    return "rgb(255, 255, 255)";
  };
  const says = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("main *, header *")]
    .filter(e => e.checkVisibility() && !e.closest("svg, .plot") && says(e))
    .filter(e => {
      const [a, b] = [getComputedStyle(e).color, behind(e)].map(light);
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
    })
    .map(e => `${e.tagName} ${e.className} ${e.textContent}`);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_have_contrast(page: Page, judged: RunningWeb, theme: str) -> None:
    httpx.put(f"{judged.url}api/v1/series/{SIM}/tags", params={"tag": "x"})
    page.goto(f"{judged.url}runs?theme={theme}")
    expect(row(page, SIM).locator(".tags button")).to_have_count(1)
    choose(page, SIM)
    row(page, LIVE).hover()
    assert page.evaluate(CONTRAST) == []
