"""Stability over time on the page: plots, countdown, and a stretch used alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from memory_store import MemoryNotes, MemoryStore
from playwright.sync_api import Page, Request, expect
from running_web import RunningWeb
from scenarios import scenario
from stored_scenario import store_scenario

KEY = "live:01JABC"
DRAWN = scenario(5, topups=3, damage=False, missing=0.0, frames=12_000)

expect.set_options(timeout=20_000)


@pytest.fixture
def filled(store: MemoryStore) -> MemoryStore:
    store_scenario(store, KEY, DRAWN)
    return store


@pytest.fixture
def asked(watched: Any) -> list[str]:
    """Return what the page has asked for of stability over time."""
    seen: list[str] = []

    def note(request: Request) -> None:
        if "/stability?" in request.url:
            seen.append(request.url)

    watched.page.on("request", note)
    return seen


@pytest.fixture
def opened(
    watched: Any, web: RunningWeb, filled: MemoryStore, asked: list[str]
) -> Iterator[Page]:
    """Return the page with the panel open and in sight."""
    page = watched.page
    page.goto(web.url)
    expect(page.locator("#assessed")).to_contain_text("assessed to")
    assert asked == []  # closed: nothing is asked for
    page.locator("#stability-panel summary").click()
    page.wait_for_selector("#spectrogram-plot .heatmaplayer image")
    yield page
    watched.check()


def test_the_panel_shows_plots_and_sentences(opened: Page, asked: list[str]) -> None:
    assert len(asked) == 1
    names = opened.evaluate(
        """() => document.getElementById("allan-plot").data
            .map(t => [t.name, t.y.length])"""
    )
    lengths = dict(names)
    assert lengths["deviation"] == lengths["shot noise"] > 5
    expect(opened.locator("#allan-text")).to_contain_text("agree best")
    image = opened.locator("#spectrogram-plot .heatmaplayer image")
    assert (image.get_attribute("href") or "").startswith("data:image/png")
    assert opened.locator("#stability-panel canvas").count() == 0
    expect(opened.locator("#level-low")).to_contain_text("1e\u2212")
    expect(opened.locator("#level-high")).to_contain_text("1/Hz")
    expect(opened.locator("#position-text")).to_contain_text("regions")
    expect(opened.locator("#position tr")).not_to_have_count(0)
    expect(opened.locator("#position tr").first).to_contain_text("in common")
    expect(opened.locator("#topup-text")).to_contain_text("from 3 top-ups")


def test_it_stays_open_and_follows_the_theme(opened: Page) -> None:
    before = opened.evaluate(
        "() => document.getElementById('allan-plot').layout.paper_bgcolor"
    )
    opened.keyboard.press("d")
    opened.wait_for_function(
        "(b) => document.getElementById('allan-plot').layout.paper_bgcolor !== b",
        arg=before,
    )
    opened.reload()
    opened.wait_for_function("() => document.getElementById('stability-panel').open")


def test_the_next_topup_is_counted_down(
    watched: Any, web: RunningWeb, filled: MemoryStore
) -> None:
    page = watched.page

    def answer(route: Any) -> None:
        response = route.fetch()
        told = response.json()
        told["topup"]["due_ms"] = page.evaluate("() => Date.now()") + 60_000
        told["topup"]["due_spread_s"] = 0.5
        route.fulfill(response=response, json=told)

    page.route("**/stability?*", answer)
    page.goto(web.url)
    page.locator("#stability-panel summary").click()
    text = page.locator("#topup-next")
    expect(text).to_contain_text("Next top-up in 5")
    expect(text).to_contain_text("± 0.5 s")
    first = text.inner_text()
    page.wait_for_function(
        "(f) => document.getElementById('topup-next').textContent !== f", arg=first
    )
    page.unroute_all()
    watched.check()


def test_a_series_that_ended_promises_nothing(
    watched: Any, web: RunningWeb, filled: MemoryStore
) -> None:
    filled.update(KEY, state="finished")
    watched.page.goto(web.url)
    watched.page.locator("#stability-panel summary").click()
    expect(watched.page.locator("#topup-next")).to_have_text(
        "No next top-up can be told."
    )


def test_a_stretch_is_shown(opened: Page) -> None:
    expect(opened.locator("#segment-text")).to_contain_text("the longest of 4")
    first = opened.locator("#segment-text").inner_text().split()[1]
    opened.click("#segment-show")
    expect(opened.locator("#range")).to_contain_text(f"frames {first}")


def test_a_stretch_is_used_alone_and_undone(opened: Page, notes: MemoryNotes) -> None:
    only = opened.locator("#segment-only")
    expect(only).to_be_enabled()
    only.focus()
    opened.keyboard.press("Enter")
    expect(opened.locator("#segment-said")).to_contain_text("In use: only frames")
    expect(opened.locator("#segment-undo")).to_be_focused()
    made = notes.exclusions(KEY)
    assert made
    assert all(one.excluded for one in made)
    expect(only).to_be_disabled()
    expect(opened.locator("#excluded-kinds")).to_contain_text("by hand")
    opened.keyboard.press("Enter")
    expect(opened.locator("#segment-said")).to_have_text("Undone.")
    expect(opened.locator("#segment-title")).to_be_focused()
    assert notes.exclusions(KEY) == []
    expect(only).to_be_enabled()


def test_what_was_decided_of_one_series_is_not_said_of_another(
    opened: Page, store: MemoryStore, notes: MemoryNotes
) -> None:
    store_scenario(store, "live:other", DRAWN, started_ms=1000)
    opened.locator("#segment-only").dblclick()
    said = opened.locator("#segment-said")
    expect(said).to_contain_text("In use: only frames")
    made = notes.exclusions(KEY)
    rest = [(one.first, one.last) for one in made]
    assert len(set(rest)) == len(rest)  # pressed twice, done once
    opened.focus("#series")
    expect(opened.locator("#series option")).to_have_count(2)
    opened.select_option("#series", "live:other")
    expect(said).to_have_text("")
    expect(opened.locator("#segment-undo")).to_be_hidden()
    opened.locator("#segment-title").click()
    opened.keyboard.press("z")
    expect(opened.locator("#said")).to_have_text("There is nothing to undo")
    assert len(notes.exclusions(KEY)) == len(made)


def test_the_newest_decision_is_undone_wherever_it_was_made(
    opened: Page, notes: MemoryNotes
) -> None:
    opened.fill("#frame-to", "9")
    opened.keyboard.press("Enter")
    opened.keyboard.press("x")
    expect(opened.locator("#decided")).to_have_text("Excluded: frames 0 to 9.")
    opened.keyboard.press("r")
    opened.locator("#segment-only").scroll_into_view_if_needed()
    opened.click("#segment-only")
    expect(opened.locator("#segment-said")).to_contain_text("In use: only frames")
    assert len(notes.exclusions(KEY)) > 1
    opened.keyboard.press("z")
    expect(opened.locator("#segment-said")).to_have_text("Undone.")
    assert [(edit.first, edit.last) for edit in notes.exclusions(KEY)] == [(0, 9)]
    opened.keyboard.press("z")
    expect(opened.locator("#decided")).to_have_text("Undone.")
    assert notes.exclusions(KEY) == []


def test_a_decision_that_is_refused_is_said(opened: Page, notes: MemoryNotes) -> None:
    opened.route(
        "**/exclusions",
        lambda route: route.fulfill(status=503, json={"detail": "<b>away</b>"}),
    )
    opened.click("#segment-only")
    expect(opened.locator("#segment-said")).to_have_text("Not done: <b>away</b>")
    assert notes.exclusions(KEY) == []
    expect(opened.locator("#segment-undo")).to_be_hidden()


def test_what_fails_is_said(watched: Any, web: RunningWeb, filled: Any) -> None:
    watched.page.route(
        "**/stability?*",
        lambda route: route.fulfill(status=503, json={"detail": "the store is away"}),
    )
    watched.page.goto(web.url)
    watched.page.locator("#stability-panel summary").click()
    expect(watched.page.locator("#stability-problem")).to_have_text("the store is away")


def test_the_nexus_file_is_offered(
    watched: Any, web: RunningWeb, filled: MemoryStore
) -> None:
    watched.page.goto(web.url)
    link = watched.page.locator("#get-nexus")
    expect(link).to_have_attribute("href", re.compile("download.nxs"))
    with watched.page.expect_download() as started:
        link.click()
    assert started.value.suggested_filename.endswith("_series.nxs")
    with h5py.File(started.value.path()) as file:
        totals = file["entry/intensity/total"][()]
    np.testing.assert_array_equal(totals, DRAWN.totals)
    watched.check()
