"""What an open page costs and when it shows what: for benchmarks and the soak."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from chromium import NO_WEBGL
from PIL import Image
from playwright.sync_api import Browser, CDPSession, WebSocket

from eigerwatch.web.tick import decode

OBSERVE = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) longTasks.push([task.startTime, task.duration]);
}).observe({ type: "longtask", buffered: true });
"""
"""Keeps the long tasks of a page."""

RATE = """
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  send.call(this, text.replace(/"hz":[0-9.]+/, '"hz":HZ'));
};
"""
"""Lets the page ask for another rate than it would."""

MARK = """
addEventListener("DOMContentLoaded", () => {
  const mark = document.createElement("div");
  mark.id = "mark";
  const style = mark.style;
  style.position = "fixed"; style.left = style.top = "0"; style.zIndex = "9999";
  style.width = style.height = "32px";
  document.body.append(mark);
  const levels = [0, 85, 170, 255];
  new MutationObserver(() => {
    const n = Number(document.body.dataset.seq);
    const at = (shift) => levels[(n >> shift) & 3];
    style.background = `rgb(${at(4)} ${at(2)} ${at(0)})`;
  }).observe(document.body, { attributes: true, attributeFilter: ["data-seq"] });
});
"""
"""A square at the page's corner whose colour tells which tick has been drawn.

`data-seq` is set in the animation frame after the plot was drawn, so plot and square
get onto the screen together.
"""
MARKS = 64

UPDATES = """(n) => new Promise((done) => {
  const times = [];
  new MutationObserver((_, observer) => {
    times.push(performance.now());
    if (times.length >= n) { observer.disconnect(); done(times); }
  }).observe(document.body, { attributes: true, attributeFilter: ["data-seq"] });
})"""
"""Resolves after n more ticks were drawn."""


@dataclass
class Seen:
    """Ticks that came and what the page answered."""

    ticks: list[tuple[float, bytes]] = field(default_factory=list)
    """Arrival (epoch, s) and content."""
    acks: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)

    def clear(self) -> None:
        for kept in (self.ticks, self.acks, self.views):
            kept.clear()


def header_of(tick: bytes) -> dict[str, Any]:
    """Return a tick's header."""
    (length,) = struct.unpack_from("<I", tick, 4)
    found: dict[str, Any] = json.loads(tick[8 : 8 + length])
    return found


class Busy(NamedTuple):
    """How much a page's main thread works."""

    share: float
    """Of the time; that in which others had the CPU, too."""
    cpu: float
    """Of the time, on a CPU."""
    long_a_minute: float
    """Tasks above 50 ms."""


class Probe:
    """One page and everything that can be asked about it.

    Parameters
    ----------
    hz
        Rate that the page asks for instead of its own.
    marked
        Whether ticks are marked on the screen, for `latencies_ms`.
    keep_ticks
        Whether to keep what came; a long run must not.
    """

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        hz: float | None = None,
        marked: bool = False,
        keep_ticks: bool = True,
    ) -> None:
        self.seen = Seen()
        self.errors: list[str] = []
        self.outside: list[str] = []
        self._url = url
        self._keep = keep_ticks
        self.context = browser.new_context(viewport={"width": 1366, "height": 768})
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        for script in (NO_WEBGL, OBSERVE, MARK if marked else ""):
            self.page.add_init_script(script)
        if hz is not None:
            self.page.add_init_script(RATE.replace("HZ", str(hz)))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._requested(request.url))
        if keep_ticks:
            self.page.on("websocket", self._connected)
        self.cdp = self.context.new_cdp_session(self.page)
        self.cdp.send("Performance.enable")
        self._thread = self.context.new_cdp_session(self.page)
        self._thread.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _requested(self, url: str) -> None:
        if not url.startswith((self._url, "data:", "blob:")):
            self.outside.append(url)

    def _connected(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._received)
        socket.on("framesent", self._sent)

    def _received(self, content: str | bytes) -> None:
        if isinstance(content, bytes):
            self.seen.ticks.append((time.time(), content))

    def _sent(self, content: str | bytes) -> None:
        message = json.loads(content)
        kept = self.seen.acks if message["t"] == "ack" else self.seen.views
        kept.append(message)

    def open(self, path: str = "") -> None:
        """Open the page and wait until a plot is drawn."""
        self.page.goto(f"{self._url}{path}", wait_until="commit")
        self.page.wait_for_function("() => document.body?.dataset.seq !== undefined")

    def close(self) -> None:
        self.context.close()

    def throttle(self, times: float) -> None:
        """Let the page's CPU be so many times slower."""
        self.cdp.send("Emulation.setCPUThrottlingRate", {"rate": times})

    def metrics(self) -> dict[str, float]:
        """Return the renderer's own counters."""
        return _metrics(self.cdp)

    def settled(self) -> dict[str, float]:
        """Return the counters after everything unused has been collected."""
        self.cdp.send("HeapProfiler.collectGarbage")
        found = self.metrics()
        return {
            "heap_mb": found["JSHeapUsedSize"] / 2**20,
            "nodes": found["Nodes"],
            "listeners": found["JSEventListeners"],
        }

    def busy(self, seconds: float) -> Busy:
        """Return how much the main thread works."""
        before, cpu_before = self.metrics(), _metrics(self._thread)
        began = self.page.evaluate("() => performance.now()")
        self.page.wait_for_timeout(1000 * seconds)
        after, cpu_after = self.metrics(), _metrics(self._thread)
        took = after["Timestamp"] - before["Timestamp"]
        long = self.page.evaluate(
            "(began) => longTasks.filter(([at]) => at >= began).length", began
        )
        name = "TaskDuration"
        return Busy(
            share=(after[name] - before[name]) / took,
            cpu=(cpu_after[name] - cpu_before[name]) / took,
            long_a_minute=60 * long / took,
        )

    def updates(self, n: int) -> list[float]:
        """Wait for n drawn ticks and return when each was drawn [ms]."""
        times: list[float] = self.page.evaluate(UPDATES, n)
        return times

    def latencies_ms(self, seconds: float) -> np.ndarray:
        """Return the times from the arrival of the newest frame to its pixels [ms].

        By the time stamps with which Chromium sends its screen. The page must be
        marked; detector, service and browser have one clock here.
        """
        shown: list[tuple[float, str]] = []

        def screen(event: dict[str, Any]) -> None:
            shown.append((event["metadata"]["timestamp"], event["data"]))
            self.cdp.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

        self.seen.clear()
        self.cdp.on("Page.screencastFrame", screen)
        self.cdp.send("Page.startScreencast", {"format": "jpeg", "quality": 40})
        self.page.wait_for_timeout(1000 * seconds)
        self.cdp.send("Page.stopScreencast")
        self.cdp.remove_listener("Page.screencastFrame", screen)
        newest = [
            (header["seq"], header["t_newest"])
            for header in (header_of(data) for _, data in self.seen.ticks)
        ]
        marks = [(at_s, _mark(image)) for at_s, image in shown]
        found = []
        for seq, newest_ms in newest:
            on_screen = [
                1000 * at_s - newest_ms
                for at_s, mark in marks
                if mark == seq % MARKS and 0 < 1000 * at_s - newest_ms < 5000
            ]
            if newest_ms and on_screen:
                found.append(min(on_screen))
        return np.array(found)

    def faults(self) -> dict[str, list[str]]:
        """Return what must not happen in a page."""
        return {
            "errors": self.errors,
            "outside": self.outside,
            "violations": self.page.evaluate("() => window.violations"),
            "webgl": self.page.evaluate("() => Array(window.contexts).fill('asked')"),
        }


def _metrics(session: CDPSession) -> dict[str, float]:
    answer = session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in answer["metrics"]}


def _mark(image: str) -> int:
    """Return the number that the square in a picture of the page says."""
    with Image.open(io.BytesIO(base64.b64decode(image))) as picture:
        red, green, blue = picture.convert("RGB").getpixel((12, 12))
    at = [round(value / 85) for value in (red, green, blue)]
    return at[0] * 16 + at[1] * 4 + at[2]


def churn(ticks: list[bytes]) -> list[float]:
    """Return, for successive ticks, the share of drawn frames that the next lacks.

    A doubling of the bins, another series and another range are no churn.
    """
    found = []
    for one, other in pairwise(ticks):
        (before, shown), (after, next_shown) = decode(one), decode(other)
        same = all(before[k] == after[k] for k in ("series", "bin", "from", "channel"))
        if same and before["n"]:
            gone = ~np.isin(shown["frame"], next_shown["frame"])
            found.append(float(gone.mean()))
    return found
