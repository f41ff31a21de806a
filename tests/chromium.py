"""Debian's Chromium, started as a control room's has it: without WebGL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from virtual_screen import virtual_screen

CHROMIUM = Path("/usr/bin/chromium")

NO_WEBGL = """
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  if (kind.startsWith("webgl")) {
    contexts += 1;
    throw new Error("WebGL is used");
  }
  return original.call(this, kind, ...rest);
};
window.contexts = 0;
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
"""Script for every page: whoever asks for WebGL fails, and violations are kept."""


@contextmanager
def chromium(*, headed: bool | None = None) -> Iterator[Browser]:
    """Run Chromium, drawing in software.

    Parameters
    ----------
    headed
        Whether with a window, on a screen of its own; None: where EIGERWATCH_HEADED
        is set. Only such a browser has no WebGL at all.
    """
    if headed is None:
        headed = bool(os.environ.get("EIGERWATCH_HEADED"))
    with ExitStack() as stack:
        if headed:
            stack.enter_context(virtual_screen())
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=str(CHROMIUM),
            headless=not headed,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            # Playwright's own flag brings WebGL back, which no real browser has.
            ignore_default_args=["--enable-unsafe-swiftshader"],
        )
        stack.callback(browser.close)
        yield browser
