"""Debian's Firefox, driven by WebDriver BiDi over its own debugging port."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until
from proxy import free_port
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

START_S = 60
ANSWER_S = 30
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "webgl.disabled": True,
}


def program() -> str:
    """Return Firefox, or skip the test and say why."""
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        pytest.skip("no Firefox on this machine: install Debian's firefox-esr")
    return found


class Firefox:
    """One tab of a running Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []
        self.call("session.new", capabilities={})
        tree = self.call("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]
        self.call("session.subscribe", events=["log.entryAdded"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events meanwhile are kept."""
        self._calls += 1
        said = {"id": self._calls, "method": method, "params": params}
        self._socket.send(json.dumps(said))
        while True:
            answer = json.loads(self._socket.recv(timeout=ANSWER_S))
            if answer["type"] == "event":
                self.events.append(answer)
            elif answer["id"] == self._calls:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result

    def before_pages(self, script: str) -> None:
        """Run a script in every page before its own ones."""
        self.call(
            "script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}"
        )

    def open(self, url: str) -> None:
        self.call(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    def size(self, width: int, height: int) -> None:
        self.call(
            "browsingContext.setViewport",
            context=self._context,
            viewport={"width": width, "height": height},
        )

    def evaluate(self, expression: str) -> Any:
        """Return what an expression gives, which JSON can say."""
        answer = self.call(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        text = answer["result"].get("value")
        return None if text is None else json.loads(text)

    def until(self, expression: str, what: str, timeout_s: float = 30) -> None:
        wait_until(lambda: self.evaluate(expression), timeout_s, what)

    def drag(self, x: int, y: int, to_x: int) -> None:
        """Press the mouse button at a place and let go of it at another."""
        at = {"type": "pointerMove", "y": y}
        self._act(
            "pointer",
            {**at, "x": x},
            {"type": "pointerDown", "button": 0},
            {**at, "x": (x + to_x) // 2, "duration": 100},
            {**at, "x": to_x, "duration": 100},
            {"type": "pointerUp", "button": 0},
        )

    def press(self, key: str) -> None:
        down = {"type": "keyDown", "value": key}
        self._act("key", down, {"type": "keyUp", "value": key})

    def _act(self, kind: str, *actions: dict[str, Any]) -> None:
        device = {"type": kind, "id": kind, "actions": list(actions)}
        self.call("input.performActions", context=self._context, actions=[device])

    def problems(self) -> list[str]:
        """Return the errors and warnings that the console has shown."""
        self.evaluate("1")  # what came before this is here
        entries = [event["params"] for event in self.events]
        return [
            str(entry["text"])
            for entry in entries
            if entry["level"] in ("error", "warn")
        ]


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """Run Firefox, without a window and with a fresh profile in a folder."""
    port = free_port()
    lines = (
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in PREFERENCES.items()
    )
    (folder / "user.js").write_text("\n".join(lines))
    process = subprocess.Popen(
        [
            *(program(), "--headless", "--no-remote", "--profile", str(folder)),
            *("--remote-debugging-port", str(port)),
        ],
        env={**os.environ, "HOME": str(folder), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with _connected(port) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _connected(port: int) -> ClientConnection:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return connect(
                f"ws://127.0.0.1:{port}/session", max_size=None, compression=None
            )
        except (OSError, WebSocketException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
