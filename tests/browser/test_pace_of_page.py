"""A browser that draws slowly asks for fewer ticks, and for all again later."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from memory_store import MemoryStore, growing
from playwright.sync_api import Page, WebSocket
from running_web import RunningWeb

KEY = "live:01JABC"

pytestmark = pytest.mark.timeout(180)

PLOTLY = """
window.drawMs ??= 1;
window.Plotly = {
  react: (element) => {
    element.on = () => {};
    return new Promise((done) => setTimeout(done, drawMs));
  },
};
"""
"""Takes as long for drawing as the test says, on any machine."""


def until_asked(page: Page, asked: list[float], hz: float) -> None:
    """Wait until the newest view that the page has asked for has this rate."""
    for _ in range(500):
        if asked and asked[-1] == hz:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the page does not ask for {hz} Hz, but for {asked}")


def test_the_rate_follows_the_time_of_drawing(page: Page) -> None:
    rates = page.evaluate(
        """async (times) => {
          const { Pace } = await import("/static/pace.js");
          const pace = new Pace();
          return times.map((ms) => { pace.drawn(ms); return pace.hz; });
        }""",
        [*[150] * 8, 150, *[90] * 30, *[60] * 12, *[150] * 4, *[60] * 9],
    )
    slow = [4] * 8 + [2] * 30
    assert rates[: len(slow)] == slow
    back = rates.index(4, 8)
    # One above the middle of the nine newest.
    assert back == 9 + 30 + 4
    assert rates[back:] == [4] * (len(rates) - back)


def test_slow_drawing_halves_the_rate_and_quick_drawing_restores_it(
    watched: Any, web: RunningWeb, store: MemoryStore, beam: Any
) -> None:
    store.open(KEY)
    store.append(KEY, beam.totals(1000))
    page = watched.page
    page.route(
        re.compile("/assets/plotly.*js"),
        lambda route: route.fulfill(body=PLOTLY, content_type="text/javascript"),
    )
    asked: list[float] = []

    def sent(content: str | bytes) -> None:
        message = json.loads(content)
        if message["t"] == "view":
            asked.append(message["hz"])

    def connected(socket: WebSocket) -> None:
        socket.on("framesent", sent)

    page.on("websocket", connected)
    with growing(store, KEY, beam.totals, 200):
        page.goto(web.url)
        until_asked(page, asked, 4)
        page.evaluate("() => { window.drawMs = 300; }")
        until_asked(page, asked, 2)
        page.evaluate("() => { window.drawMs = 1; }")
        until_asked(page, asked, 4)
    watched.check()
