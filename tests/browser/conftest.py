from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM, NO_WEBGL, chromium
from memory_alarms import MemoryAlarms
from memory_desk import MemoryDesk
from memory_store import MemoryNotes, MemoryStore
from playwright.sync_api import Browser, Page, Request
from running_web import RunningWeb

from eigerwatch.sections import ReplaySettings, TargetSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM.exists():
                reason = f"no {CHROMIUM}: install Debian's chromium"
                item.add_marker(pytest.mark.skip(reason=reason))


class Beam:
    """Sums of a beam of 6.5 million counts, CV 0.13 %."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(3)

    def totals(self, n: int) -> np.ndarray:
        return self._random.normal(6.485e6, 8943, n).astype(np.uint64)


@pytest.fixture
def beam() -> Beam:
    return Beam()


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with a consumer."""
    store = MemoryStore()
    store.beat()
    return store


@pytest.fixture
def notes() -> MemoryNotes:
    return MemoryNotes()


@pytest.fixture
def targets() -> TargetSettings:
    """No limits; a test may parametrize this."""
    return TargetSettings()


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def kept() -> MemoryAlarms | None:
    """No history of alarms; a test module may give one."""
    return None


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Return the folder that replays may come from."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def web(
    store: MemoryStore,
    notes: MemoryNotes,
    targets: TargetSettings,
    desk: MemoryDesk,
    kept: MemoryAlarms | None,
    recordings: Path,
) -> Iterator[RunningWeb]:
    web = RunningWeb(
        store,
        notes=notes,
        targets=targets,
        commands=desk,
        alarms=kept,
        replay=ReplaySettings(roots=(recordings,)),
    )
    yield web
    web.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Watched:
    """A page and what went wrong in it."""

    def __init__(self, page: Page, own: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.own = [own]
        page.add_init_script(NO_WEBGL)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._requested)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((*self.own, "data:", "blob:")):
            self.outside.append(request.url)

    def check(self) -> None:
        assert self.errors == []
        assert self.outside == []
        assert self.page.evaluate("() => window.violations") == []


@pytest.fixture
def watched(browser: Browser, web: RunningWeb) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(20_000)
    watched = Watched(page, web.url)
    yield watched
    page.close()


@pytest.fixture
def page(watched: Watched, web: RunningWeb) -> Iterator[Page]:
    """Return the open page; afterwards nothing may have gone wrong in it."""
    watched.page.goto(web.url)
    yield watched.page
    watched.check()
