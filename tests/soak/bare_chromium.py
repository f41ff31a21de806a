"""Chromium with one page, seen through its debugging port and nothing else.

Playwright has the browser tell of every request, and for that the page's process keeps
what came with it, up to 100 MB: a page watched so grows by itself.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from chromium import CHROMIUM
from helpers import wait_until
from running_demo import resident_mb
from virtual_screen import virtual_screen
from websockets.sync.client import ClientConnection, connect

ANSWER_S = 60.0
FAULTS = """
window.faults = [];
addEventListener("error", ({ message }) => faults.push(message));
addEventListener("unhandledrejection", ({ reason }) => faults.push(String(reason)));
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  faults.push(`${violatedDirective} ${blockedURI}`));
"""


class BarePage:
    """The only page of a browser."""

    def __init__(self, socket: ClientConnection, session: str | None = None) -> None:
        self._socket = socket
        self._session = session
        self._id = 0

    def attach(self) -> BarePage:
        """Return the page, of the browser that this one is so far."""
        targets = self.send("Target.getTargets")["targetInfos"]
        (page,) = (one["targetId"] for one in targets if one["type"] == "page")
        found = self.send("Target.attachToTarget", targetId=page, flatten=True)
        return BarePage(self._socket, found["sessionId"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what comes besides is dropped."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(ANSWER_S))
            same = answer.get("sessionId") == self._session
            if same and answer.get("id") == self._id:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                found: dict[str, Any] = answer["result"]
                return found

    def open(self, url: str) -> None:
        """Open an address, keeping what goes wrong on it."""
        self.send("Page.addScriptToEvaluateOnNewDocument", source=FAULTS)
        self.send("Page.enable")
        self.send("Performance.enable")
        self.send("Page.navigate", url=url)
        drawn = "document.body?.dataset.seq"
        wait_until(lambda: self.evaluate(drawn), 60, "a tick")

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is on the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def settled(self) -> tuple[float, float, float]:
        """Return heap [MB], nodes and listeners, with all that is unused collected."""
        self.send("HeapProfiler.collectGarbage")
        metrics = self.send("Performance.getMetrics")["metrics"]
        found = {one["name"]: one["value"] for one in metrics}
        heap_mb = found["JSHeapUsedSize"] / 2**20
        return heap_mb, found["Nodes"], found["JSEventListeners"]


class BareBrowser:
    """A running browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._browser = BarePage(socket)
        self.page = self._browser.attach()
        self.version: str = self._browser.send("Browser.getVersion")["product"]

    def renderer_mb(self) -> float:
        """Return the memory of the page's process, the largest of its kind [MB]."""
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        renderers = (one["id"] for one in processes if one["type"] == "renderer")
        return max(resident_mb(pid) for pid in renderers)


@contextmanager
def bare_chromium(*, headed: bool) -> Iterator[BareBrowser]:
    """Run Chromium, drawing in software, in a window of 1366 x 768 if `headed`."""
    with ExitStack() as stack:
        if headed:
            stack.enter_context(virtual_screen())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        arguments = [
            *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
            *("--no-first-run", "--disable-background-networking"),
            *([] if headed else ["--headless"]),
            "--window-size=1366,768",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([CHROMIUM, *arguments], stdout=log, stderr=log)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        told = folder / "DevToolsActivePort"
        wait_until(
            lambda: told.exists() and told.read_text().count("\n"), what="Chromium"
        )
        port, path = told.read_text().split()
        url = f"ws://127.0.0.1:{port}{path}"
        socket = stack.enter_context(connect(url, max_size=None, ping_interval=None))
        yield BareBrowser(socket)
