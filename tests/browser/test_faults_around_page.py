"""What happens around a page: proxies, frozen and killed servers, sleep, odd series."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import wait_until
from memory_store import MemoryStore, growing
from playwright.sync_api import Browser, Page, Route, expect
from proxy import proxied
from redis_fixture import RunningServer, running_server
from running_demo import RunningDemo, running_demo
from running_web import RunningWeb
from store_data import append, open_series

from eigerwatch.store.events import StoredEvent
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer

KEY = "live:01JABC"
OTHER = "live:01JOTHER"
ANNOUNCED = 2**48
HOURS_OFF = 5
EVENTS = 1_000_000

expect.set_options(timeout=15_000)
pytestmark = pytest.mark.timeout(180)

RAW = """() => {
  const { data } = document.querySelector("#plot .raw .figure");
  return Array.from(data.find((t) => t.name === "raw").y, Number);
}"""

MISSING = """() => Array.from(
  document.querySelector("#plot .strip .figure").data
    .find((t) => t.name === "missing")?.x ?? [], Number,
)"""


def await_drawn(page: Page, n: int) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


def await_link(page: Page, state: str, timeout_s: float = 15) -> None:
    expect(page.locator("#link")).to_have_attribute(
        "data-state", state, timeout=1000 * timeout_s
    )


def drawn_seq(page: Page) -> int:
    return int(page.evaluate("() => document.body.dataset.seq"))


def await_more(page: Page, times: int = 2) -> None:
    """Wait until ticks have been drawn that were not yet."""
    for _ in range(times):
        page.wait_for_function(
            "(seq) => document.body.dataset.seq !== seq", arg=str(drawn_seq(page))
        )


@pytest.fixture
def filled(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(KEY)
    store.append(KEY, beam.totals(2000))
    return store


# ---- the way to the server ----


def test_behind_nginx_a_restart_leaves_no_hole(
    watched: Any, filled: MemoryStore, beam: Any, tmp_path: Path
) -> None:
    page = watched.page
    first = RunningWeb(filled)
    with proxied(tmp_path, first.port) as url:
        watched.own.append(url)
        page.goto(url)
        await_drawn(page, 2000)
        expect(page.locator("#link")).not_to_contain_text("polling")
        first.stop()
        await_link(page, "disconnected")
        with pytest.raises(urllib.error.HTTPError, match="502"):
            urllib.request.urlopen(f"{url}healthz", timeout=10)
        filled.append(KEY, beam.totals(500))
        # Retries meet 502 until the server is back.
        page.wait_for_timeout(4000)
        second = RunningWeb(filled, first.port)
        try:
            back_s = time.monotonic()
            await_drawn(page, 2500)
            await_link(page, "connected")
            assert time.monotonic() - back_s < 3 * 6
            expect(page.locator("#banner")).not_to_contain_text("No connection")
            assert not np.isnan(page.evaluate(RAW)).any()
            # A page that is opened by its whole address, by a bookmark.
            page.goto(f"{url}?series={KEY}&from=10&to=600")
            expect(page.locator("#range")).to_contain_text("frames 10 to 599")
            watched.check()
        finally:
            second.stop()


def test_a_plot_library_that_comes_late_keeps_nobody_waiting(
    watched: Any, web: RunningWeb, filled: MemoryStore
) -> None:
    page = watched.page
    asked: list[Route] = []
    page.route(re.compile("/assets/plotly.*js"), lambda route: asked.append(route))
    page.goto(web.url, wait_until="commit")
    await_link(page, "connected")
    expect(page.locator("#source")).to_contain_text(re.compile("collecting|stalled"))
    page.wait_for_function("() => globalThis.Plotly === undefined")
    expect(page.locator("#plot")).not_to_contain_text("could not be loaded")
    asked[0].continue_()
    await_drawn(page, 2000)
    watched.check()


def test_a_network_that_is_cut_and_mended(
    watched: Any, web: RunningWeb, filled: MemoryStore, beam: Any
) -> None:
    page = watched.page
    page.goto(web.url)
    await_drawn(page, 2000)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")

    def cut(off: bool) -> None:
        limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        network.send("Network.emulateNetworkConditions", {"offline": off, **limits})

    cut(True)
    expect(page.locator("#link")).to_have_attribute(
        "data-state", re.compile("stale|disconnected")
    )
    expect(page.locator("#banner")).to_contain_text(re.compile("No (message|conn)"))
    filled.append(KEY, beam.totals(300))
    cut(False)
    await_link(page, "connected", 60)
    await_drawn(page, 2300)
    assert not np.isnan(page.evaluate(RAW)).any()
    expect(page.locator("#banner")).not_to_contain_text(re.compile("No (mess|conn)"))


# ---- the server's process, and the browser's ----


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    with running_demo("--frame-rate", "100", "--detector", "500k") as demo:
        yield demo


@pytest.fixture
def shown(watched: Any, demo: RunningDemo) -> Iterator[Page]:
    """Return the page of a demo, drawing."""
    watched.own.append(demo.url)
    watched.page.goto(demo.url)
    await_link(watched.page, "connected")
    watched.page.wait_for_function("() => document.body.dataset.seq !== undefined")
    yield watched.page
    watched.check()


def test_a_frozen_server_is_stale_until_it_goes_on(
    shown: Page, demo: RunningDemo
) -> None:
    pid = demo.web_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        await_link(shown, "stale")
        assert time.monotonic() - began_s < 3 * 4
        expect(shown.locator("#banner")).to_contain_text("No message from the server")
        expect(shown.locator("#rate")).to_have_text("\N{EN DASH}")
    finally:
        os.kill(pid, signal.SIGCONT)
    await_link(shown, "connected")
    await_more(shown)


def test_a_killed_server_is_found_again(shown: Page, demo: RunningDemo) -> None:
    gone = demo.web_pid
    os.kill(gone, signal.SIGKILL)
    await_link(shown, "disconnected")
    await_link(shown, "connected", 30)
    await_more(shown)
    assert demo.web_pid != gone


def renderers(browser: Browser) -> set[int]:
    session = browser.new_browser_cdp_session()
    try:
        told = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return {int(one["id"]) for one in told if one["type"] == "renderer"}
    finally:
        session.detach()


def test_a_laptop_that_slept_shows_what_is_new(
    browser: Browser, web: RunningWeb, filled: MemoryStore, beam: Any
) -> None:
    others = renderers(browser)
    context = browser.new_context()
    page = context.new_page()
    page.goto(web.url)
    await_drawn(page, 2000)
    (own, *more) = renderers(browser) - others
    for pid in (own, *more):
        os.kill(pid, signal.SIGSTOP)
    try:
        # Longer than the page waits before it calls values old (3 s).
        for _ in range(12):
            filled.append(KEY, beam.totals(50))
            threading.Event().wait(0.5)
    finally:
        for pid in (own, *more):
            os.kill(pid, signal.SIGCONT)
    await_link(page, "connected")
    await_drawn(page, 2600)
    assert not np.isnan(page.evaluate(RAW)).any()
    expect(page.locator("#banner")).not_to_contain_text("No message")
    context.close()


def test_a_frozen_tab_goes_on_when_it_is_looked_at(
    page: Page, filled: MemoryStore, beam: Any
) -> None:
    await_drawn(page, 2000)
    life = page.context.new_cdp_session(page)
    life.send("Page.setWebLifecycleState", {"state": "frozen"})
    for _ in range(12):
        filled.append(KEY, beam.totals(50))
        threading.Event().wait(0.3)
    life.send("Page.setWebLifecycleState", {"state": "active"})
    await_drawn(page, 2600)
    assert not np.isnan(page.evaluate(RAW)).any()
    await_link(page, "connected")


# ---- series that are not what one expects ----


def test_a_series_that_vanishes_while_it_is_followed(
    page: Page, filled: MemoryStore, beam: Any
) -> None:
    await_drawn(page, 2000)
    filled.forget(KEY)
    expect(page.locator("#source")).to_contain_text("no data")
    expect(page.locator("#plot")).to_contain_text("no frames yet")
    expect(page.locator("#cv")).to_have_text("\N{EN DASH}")
    filled.open(OTHER)
    filled.append(OTHER, beam.totals(30))
    await_drawn(page, 30)


def test_a_chosen_series_that_vanishes_is_named(
    watched: Any, web: RunningWeb, filled: MemoryStore, beam: Any
) -> None:
    filled.open(OTHER, state="finished", started_ms=1000)
    filled.append(OTHER, beam.totals(300))
    page = watched.page
    page.goto(f"{web.url}?series={OTHER}")
    await_drawn(page, 300)
    filled.forget(OTHER)
    expect(page.locator("#banner")).to_contain_text(OTHER)
    expect(page.locator("#source")).to_contain_text("error")
    # Opened anew, it is no different.
    page.reload()
    expect(page.locator("#banner")).to_contain_text(OTHER)
    page.keyboard.press("f")
    await_drawn(page, 2000)
    expect(page.locator("#banner")).not_to_contain_text(OTHER)
    expect(page.locator("#source")).to_contain_text(re.compile("collecting|stalled"))
    watched.check()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as server:
        yield server


@pytest.mark.parametrize("lost", ["", "meta", "rows:0", "ok"])
def test_a_series_of_which_a_part_is_gone(
    watched: Any, server: RunningServer, lost: str
) -> None:
    """Whatever Redis has forgotten: by age, by hand or half of it."""
    writer = Writer(server.url, server.settings())
    writer.start()
    for key in (OTHER, KEY):
        open_series(writer, key, number_of_images=25_000)
        for first in range(0, 25_000, 5000):
            append(writer, np.arange(first, first + 5000), key)
        writer.update_series(key, {"state": "finished"})
    assert writer.stop(30)
    client = server.client()
    webs = [RunningWeb(Reader(client))]
    page = watched.page
    watched.own.append("http://127.0.0.1:")
    try:
        page.goto(f"{webs[0].url}?series={KEY}")
        await_drawn(page, 25_000)
        doomed = [
            name
            for name in client.keys("*")
            if KEY.encode() in name and name.endswith(lost.encode())
        ]
        assert doomed
        client.delete(*doomed)
        # To one who knows the series, and to one who has never read it.
        webs.append(RunningWeb(Reader(client)))
        for web in webs:
            page.goto(f"{web.url}?series={OTHER}")
            await_drawn(page, 25_000)
            page.goto(f"{web.url}?series={KEY}")
            await_link(page, "connected")
            if lost in ("", "meta"):
                expect(page.locator("#banner")).to_contain_text(KEY)
            elif lost == "ok":
                await_drawn(page, 0)
                expect(page.locator("#plot")).to_contain_text("no frames yet")
            else:
                await_drawn(page, 25_000)
        if lost == "rows:0":  # the first 10 000 frames
            assert page.evaluate(MISSING) == [4999.5]
        watched.check()
    finally:
        for web in webs:
            web.stop()


def test_a_series_that_announces_2_to_the_48_frames(
    page: Page, store: MemoryStore, beam: Any
) -> None:
    store.open(KEY, number_of_images=ANNOUNCED)
    store.append(KEY, beam.totals(1000))
    await_drawn(page, 1000)
    expect(page.locator("#frames")).to_contain_text("1\u202f000 / 281\u202f474")
    _, end = page.evaluate(
        "() => document.querySelector('#plot .raw .figure')"
        ".layout.xaxis.range.map(Number)"
    )
    assert 1000 <= end < 2000
    expect(page.locator("#cv")).to_contain_text(re.compile(r"\d"))


class ManyEvents(MemoryStore):
    """A store with more events of one series than anybody can read."""

    def __init__(self) -> None:
        super().__init__()
        self.many = 0

    def events(self, key: str, after: str = "-", limit: int = 1000) -> list[Any]:
        first = 0 if after == "-" else int(after.partition("-")[2]) + 1
        return [self._event(key, n) for n in range(first, self.many)[:limit]]

    def _event(self, key: str, n: int) -> Any:
        fields = {"frame": str(n % 2000), "text": f"event {n}"}
        ms = 1_700_000_000_000
        return StoredEvent(f"{key}/{n}", f"{ms}-{n}", ms, "note", fields)


def test_a_million_events(watched: Any, beam: Any) -> None:
    store = ManyEvents()
    store.beat()
    store.open(KEY, state="finished")
    store.append(KEY, beam.totals(2000))
    store.many = EVENTS
    web = RunningWeb(store)
    watched.own.append(web.url)
    page = watched.page
    try:
        page.goto(web.url)
        await_drawn(page, 2000)
        count = page.locator("#events-count")
        expect(count).to_have_text(re.compile(r"\(\d\d\u202f000\)"))  # and more
        assert page.locator("#events button").count() == 200
        # The page answers its user meanwhile.
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        page.locator("#events button").first.click()
        expect(page.locator("#range")).to_contain_text("every frame")
        watched.check()
    finally:
        web.stop()


def test_a_browser_whose_clock_is_off_by_hours(
    watched: Any, web: RunningWeb, filled: MemoryStore
) -> None:
    page = watched.page
    page.add_init_script(
        f"""const now = Date.now;
        Date.now = () => now() + {HOURS_OFF} * 3600e3;"""
    )
    page.goto(web.url)
    await_drawn(page, 2000)
    expect(page.locator("#newest")).to_contain_text(re.compile(r"[\d.]+ s ago"))
    wait_until(
        lambda: page.locator("#banner").inner_text().startswith("Stalled"), 20, "stall"
    )
    expect(page.locator("#banner")).to_contain_text(re.compile(r"\d s ago"))
    watched.check()


def test_the_servers_clock_is_that_of_its_fastest_message(
    watched: Any, web: RunningWeb
) -> None:
    page = watched.page
    page.goto(web.url)
    # Pairs of this computer's clock and the server's, in a message that comes then.
    messages = [
        (0, 900),  # 0.9 s ahead
        (1000, 1900),
        (2000, 2400),  # half a second on its way
        (3000, -1100),  # five seconds
        (4000, 4950),  # faster than any before
        (70_000, 69_000),  # after a minute of silence: set back meanwhile
    ]
    told = page.evaluate(
        """async (messages) => {
          const { ServerClock } = await import("/static/server-clock.js");
          let now = 0;
          const clock = new ServerClock(() => now);
          return messages.map(([at, server]) => {
            now = at;
            clock.hear(server);
            return clock.now() - at;
          });
        }""",
        messages,
    )
    assert told == [900, 900, 900, 900, 950, -1000]
    watched.check()


HIDEABLE = """
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden });
  const frame = window.requestAnimationFrame;
  window.requestAnimationFrame = (done) => (hidden ? 0 : frame(done));
  window.hide = (wanted) => {
    hidden = wanted;
    document.dispatchEvent(new Event("visibilitychange"));
  };
"""


@pytest.mark.parametrize("polling", [False, True])
def test_a_page_behind_others_goes_on(
    watched: Any, web: RunningWeb, filled: MemoryStore, beam: Any, polling: bool
) -> None:
    page = watched.page
    page.add_init_script(HIDEABLE)
    if polling:
        page.route_web_socket(re.compile("/api/v1/live"), lambda socket: socket.close())
    page.goto(web.url)
    await_drawn(page, 2000)
    page.evaluate("() => hide(true)")
    for n in range(2010, 2060, 10):  # more than may stay unconfirmed
        filled.append(KEY, beam.totals(10))
        expect(page.locator("#frames")).to_contain_text(f"2\u202f0{n - 2000}")
    expect(page.locator("#link")).to_contain_text("connected")
    page.evaluate("() => hide(false)")
    await_drawn(page, 2050)
    filled.append(KEY, beam.totals(10))
    await_drawn(page, 2060)
    watched.check()


@pytest.mark.parametrize(
    ("wall", "polling"), [(False, False), (True, False), (True, True)]
)
def test_a_service_that_was_updated(
    watched: Any,
    web: RunningWeb,
    filled: MemoryStore,
    beam: Any,
    wall: bool,
    polling: bool,
) -> None:
    page = watched.page

    def newer(message: str) -> str:
        return message.replace("/static/", "/static/newer")

    def pass_on(socket: Any, message: str | bytes) -> None:
        socket.send(message if isinstance(message, bytes) else newer(message))

    def updated(socket: Any) -> None:
        if polling:
            socket.close()
        else:
            server = socket.connect_to_server()
            server.on_message(lambda message: pass_on(socket, message))

    def status(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=newer(answer.text()))

    loads = []
    page.on("load", lambda _: loads.append(1))
    page.route_web_socket(re.compile("/api/v1/live"), updated)
    page.route("**/api/v1/status", status)
    with growing(filled, KEY, beam.totals):
        page.goto(web.url + ("?wall=1" if wall else ""))
        expect(page.locator("#warnings")).to_contain_text("updated: reload this page")
        page.wait_for_timeout(1500)
        assert len(loads) == 1  # not while frames come
    filled.update(KEY, state="finished")
    expect(page.locator("#source")).to_contain_text("finished")
    if wall:
        while len(loads) < 2:  # the test's own limit of time holds
            page.wait_for_timeout(50)
        expect(page.locator("#source")).to_contain_text("finished")
    page.wait_for_timeout(2500)
    assert len(loads) == (2 if wall else 1)  # not again and again
    watched.check()
