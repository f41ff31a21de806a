"""The folded panels of the page, for tests that use them."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def panel(page: Page, name: str) -> Locator:
    """Unfold a panel, bring it into sight and return it."""
    page.locator(f"#{name}-panel > summary").click()
    found = page.locator(f"#{name}-panel")
    found.scroll_into_view_if_needed()
    return found
