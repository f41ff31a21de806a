"""What the address of a page says now."""

from __future__ import annotations

from playwright.sync_api import Page


def address_of(page: Page) -> str:
    """Return the address as the page has it; `Page.url` hears of changes later."""
    found: str = page.evaluate("() => location.href")
    return found
