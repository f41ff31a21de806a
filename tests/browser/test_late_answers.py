"""Answers that come late, twice or not at all: nothing old stands for something new."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest
from helpers import wait_until
from memory_store import MemoryNotes, MemoryStore
from page_panels import panel
from playwright.sync_api import Page, Route, expect
from running_web import RunningWeb

KEY, OTHER = "live:01JABC", "live:01JOLD"
DASH = "\N{EN DASH}"
N = 4000

expect.set_options(timeout=15_000)

BOX = """() => document.querySelector("#plot .raw .figure").data
  .find((t) => t.name === "raw").x.length"""


def drawn(page: Page, n: int = N) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


@pytest.fixture
def finished(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(OTHER, state="finished", started_ms=1000, series_id=3)
    store.append(OTHER, beam.totals(1000))
    store.open(KEY, state="finished", number_of_images=N)
    store.append(KEY, beam.totals(N))
    return store


def test_following_what_is_shown_already_shows_it(
    page: Page, finished: MemoryStore
) -> None:
    drawn(page)
    expect(page.locator("#assessed")).to_contain_text("assessed to")
    for follow in ("key", "button"):
        if follow == "key":
            page.keyboard.press("f")
        else:
            page.click("#follow")
        expect(page.locator("#mean")).not_to_have_text(DASH)
        page.wait_for_function(f"() => ({BOX})() > 1000")
        expect(page.locator("#frames")).to_contain_text("4\u202f000")


def test_a_panel_asks_again_soon_after_an_answer_that_failed(
    page: Page, finished: MemoryStore
) -> None:
    """However long that took: a server that stood still would silence it for long."""
    answers = []

    def late(route: Route) -> None:
        answers.append(route.request.url)
        if len(answers) == 1:
            threading.Event().wait(3)
            route.fulfill(status=503, json={"detail": "not just now"})
        else:
            route.continue_()

    page.route("**/spectrum?*", late)
    drawn(page)
    page.locator("#spectrum-panel").scroll_into_view_if_needed()
    expect(page.locator("#spectrum-problem")).to_have_text("not just now")
    expect(page.locator("#spectrum-text")).to_contain_text("Of the whole series")
    expect(page.locator("#spectrum-problem")).to_have_text("")
    expect(page.locator("#spectrum-panel .as-of")).to_have_text(
        re.compile(r"^as of \d\d:\d\d:\d\d$")
    )


@pytest.fixture
def held(page: Page, store: MemoryStore, beam: Any) -> Page:
    """Return the page, paused, with a series that is taken."""
    store.open(KEY)
    store.append(KEY, beam.totals(N))
    drawn(page)
    page.keyboard.press(" ")
    expect(page.locator("#banner")).to_contain_text("Paused")
    return page


def test_what_is_held_is_not_exchanged_for_the_next_series(
    held: Page, store: MemoryStore
) -> None:
    page = held
    store.update(KEY, state="finished")
    store.open("live:02", started_ms=10**14)
    store.append("live:02", np.full(N + 500, 100))
    expect(page.locator("#series option")).to_have_count(2)  # it is known here
    page.keyboard.press("+")
    expect(page.locator("#range")).to_contain_text("frames 1\u202f000 to 2\u202f999")
    page.wait_for_function(f"() => ({BOX})() === 2000")
    page.keyboard.press("u")
    page.wait_for_function(
        """() => document.querySelector("#plot .raw .figure")
          .layout.yaxis.title.text === "raw (counts)" """
    )
    expect(page.locator("#banner")).to_contain_text("Paused")
    assert float(page.locator("#mean").inner_text().replace("\u202f", "")) > 1e6
    page.keyboard.press(" ")
    drawn(page, N + 500)


def test_the_statistics_of_what_is_held_are_those_chosen(held: Page) -> None:
    held.keyboard.press("4")
    held.fill("#window", "0.1333")
    held.locator("#window").blur()
    count = held.locator("#table tr").first.locator("td").first
    expect(count).to_have_text("100")
    held.keyboard.press("1")
    expect(count).to_have_text("4\u202f000")


def test_a_connection_that_brings_nothing_is_replaced_by_polling(
    watched: Any, web: RunningWeb, finished: MemoryStore
) -> None:
    """Some accept every connection, and let nothing through or close it at once."""
    page = watched.page
    opened = []

    def shut(socket: Any) -> None:
        opened.append(socket)
        socket.close(code=1013, reason="too many clients")

    page.route_web_socket(re.compile("/api/v1/live"), shut)
    page.goto(web.url)
    expect(page.locator("#link")).to_contain_text("by polling")
    drawn(page)
    watched.check()


def test_the_list_of_events_comes_after_all(page: Page, finished: MemoryStore) -> None:
    finished.event(KEY, "topup", frame="500", value="0.9")
    finished.event(OTHER, "damaged", frame="7", n="1")
    asked = []

    def fail_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=502)
        else:
            route.continue_()

    page.route("**/events?*", fail_once)
    drawn(page)
    events = page.locator("#events button")
    expect(events).to_have_count(1)
    expect(events).to_contain_text("topup")
    # Chosen while the answer about another one is on its way.
    page.unroute("**/events?*")
    page.route(
        f"**/{KEY.replace(':', '%3A')}/events?*",
        lambda route: (threading.Event().wait(1), route.continue_()),
    )
    page.reload()
    drawn(page)
    page.select_option("#series", OTHER)
    drawn(page, 1000)
    expect(events).to_contain_text("damaged")
    expect(events).to_have_count(1)


def test_a_series_that_is_gone_has_no_events(
    watched: Any, web: RunningWeb, finished: MemoryStore
) -> None:
    finished.event(KEY, "topup", frame="500", value="0.9")
    page = watched.page
    page.goto(web.url)
    expect(page.locator("#events button")).to_have_count(1)
    page.evaluate("history.replaceState(null, '', '?series=live:gone')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator("#source")).to_contain_text("error")
    expect(page.locator("#events button")).to_have_count(0)
    expect(page.locator("#events-count")).to_have_text("")


def test_a_decision_made_twice_is_one(
    page: Page, finished: MemoryStore, notes: MemoryNotes
) -> None:
    drawn(page)
    page.fill("#frame-from", "100")
    page.fill("#frame-to", "199")
    page.keyboard.press("Enter")
    expect(page.locator("#exclude-range")).to_be_visible()
    page.locator("#exclude-range").dblclick()
    expect(page.locator("#said")).to_have_text("Excluded: frames 100 to 199.")
    assert len(notes.exclusions(KEY)) == 1
    page.keyboard.press("z")
    expect(page.locator("#said")).to_have_text("Undone.")
    assert notes.exclusions(KEY) == []
    # Taken back, it can be made again at once.
    page.keyboard.press("x")
    wait_until(lambda: len(notes.exclusions(KEY)) == 1, what="the decision")


def test_a_verdict_does_not_stand_under_another_pair(
    page: Page, finished: MemoryStore
) -> None:
    finished.open("live:01JTHIRD", state="finished", started_ms=2000)
    finished.append("live:01JTHIRD", np.arange(1000) % 7 + 10**6)
    drawn(page)
    panel(page, "compare")
    page.select_option("#compare-a", OTHER)
    page.select_option("#compare-b", KEY)
    page.click("#compare-go")
    expect(page.locator("#compare-verdict")).to_contain_text(re.compile("CV|stead"))
    expect(page.locator("#compare-table")).to_be_visible()
    page.select_option("#compare-b", "live:01JTHIRD")
    expect(page.locator("#compare-verdict")).to_have_text("")
    expect(page.locator("#compare-table")).to_be_hidden()


def test_an_image_that_does_not_come_is_asked_for_again(
    page: Page, finished: MemoryStore
) -> None:
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
        "3a7e9b550000000a49444154789c6360000000020001"
        "48afa4710000000049454e44ae426082"
    )
    finished.show(KEY, preview=png)
    tries = []

    def fail_once(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            route.fulfill(status=502)
        else:
            route.fulfill(body=png, content_type="image/png")

    facts = {"image_id": 17, "received_ms": None, "covers": [10, 10]}
    page.route("**/preview/facts?*", lambda route: route.fulfill(json=facts))
    page.route("**/preview?*", fail_once)
    drawn(page)
    page.locator("#modules-panel").scroll_into_view_if_needed()
    expect(page.locator("#preview-none")).to_have_text("the image does not come")
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#preview-none")).to_be_hidden()


def test_time_asleep_is_time(watched: Any, web: RunningWeb) -> None:
    """Some computers stop the clock of the page while they sleep."""
    page = watched.page
    page.goto(web.url)
    told = page.evaluate(
        """async () => {
          const { Sleep } = await import("/static/sleep.js");
          const { ServerClock } = await import("/static/server-clock.js");
          let [now, wall] = [1000, 5000];
          const sleep = () => new Sleep(() => now, () => wall);
          const one = sleep();
          const clock = new ServerClock(() => now, sleep());
          clock.hear(7000);
          const found = [one.missed(), clock.now()];
          now += 500; wall += 600;
          found.push(one.missed(), clock.now());
          now += 100; wall += 36_000_100;
          found.push(one.missed(), one.missed(), clock.now(), clock.now());
          clock.hear(8000);
          found.push(clock.now());
          return found;
        }"""
    )
    hours = 36_000_000
    assert told == [0, 7000, 0, 7500, hours, 0, 7600 + hours, 7600 + hours, 8000]
    watched.check()
