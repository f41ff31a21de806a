"""Debian's Chromium, started as a control room's has it: without WebGL."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, Playwright

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


def launched(playwright: Playwright, *, headed: bool | None = None) -> Browser:
    """Start Chromium, drawing in software.

    Parameters
    ----------
    headed
        Whether to show a window, on the display that DISPLAY names; None: where
        EIGERWATCH_HEADED is set.
    """
    if headed is None:
        headed = bool(os.environ.get("EIGERWATCH_HEADED"))
    return playwright.chromium.launch(
        executable_path=str(CHROMIUM),
        headless=not headed,
        args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        # Playwright's own flag brings WebGL back, which no real browser has.
        ignore_default_args=["--enable-unsafe-swiftshader"],
    )
