from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from eigerwatch.analysis.decimate import envelope
from eigerwatch.export.plot import write_html

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RNG = np.random.default_rng(23)
# A control-room PC has no GPU; headless Chromium would hide that.
NO_WEBGL = """
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  if (kind.startsWith("webgl")) throw new Error("no WebGL here");
  return original.call(this, kind, ...more);
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may neither complain nor ask for anything but its own file."""
    troubles: list[str] = []
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.add_init_script(NO_WEBGL)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith("file:") else troubles.append(request.url)
        ),
    )
    yield page
    page.close()
    assert troubles == []


def series(n: int) -> tuple[np.ndarray, np.ndarray]:
    values = RNG.poisson(6_485_052 * np.linspace(1, 1.01, n)).astype(np.uint64)
    stored = np.ones(n, bool)
    stored[n // 2 : n // 2 + n // 100] = False
    stored[n // 2 + 5] = True
    stored[RNG.choice(n, 10, replace=False)] = False
    values[~stored] = 2**64 - 1
    values[n // 3], stored[n // 3] = 5_836_547, True
    return values, stored


def opened(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_selector("#plot .modebar", state="attached")


def drawn(page: Page, trace: int) -> tuple[list[int], list[float | None]]:
    """Return frame numbers and counts of a trace."""
    x, counts = page.evaluate(
        """i => { const t = document.getElementById("plot").data[i];
        return [t.x, t.customdata.map(v => Number.isNaN(v) ? null : v)]; }""",
        trace,
    )
    return x, counts


@pytest.mark.parametrize("n", [3_000, 45_000, 300_001])
def test_page_draws_the_envelope_of_the_server(
    page: Page, tmp_path: Path, n: int
) -> None:
    values, stored = series(n)
    path = tmp_path / "x_master.h5.html"
    write_html(path, values, stored, title="x", settings={}, first_frame=38)
    opened(page, path)
    frames, counts = drawn(page, 0)
    expected = envelope(38, values, stored)
    assert frames == expected.frames.tolist()
    exact = [
        None if np.isnan(value) else int(values[frame - 38])
        for frame, value in zip(frames, expected.values, strict=True)
    ]
    assert counts == exact
    alone, _ = drawn(page, 2)
    assert alone == expected.frames[expected.alone].tolist()
    assert 38 + n // 3 in frames


def test_page_breaks_its_line_as_the_server_does_however_many_gaps_there_are(
    page: Page, tmp_path: Path
) -> None:
    values, stored = series(100_000)
    stored &= RNG.random(100_000) >= 0.05
    path = tmp_path / "x.html"
    write_html(path, values, stored, title="x", settings={}, first_frame=38)
    opened(page, path)
    frames, counts = drawn(page, 0)
    expected = envelope(38, values, stored)
    width = expected.bin_width
    assert frames == expected.frames.tolist()
    assert [count is None for count in counts] == np.isnan(expected.values).tolist()
    assert drawn(page, 2)[0] == expected.frames[expected.alone].tolist()
    assert page.inner_text("#drawn") == (
        f"smallest and largest of every {width} frames drawn; "
        f"gaps of fewer than {width} frames break the line once per {width}"
    )


def test_zoom_ends_at_the_stored_frames(page: Page, tmp_path: Path) -> None:
    values, stored = series(200_000)
    path = tmp_path / "x.html"
    write_html(path, values, stored, title="x", settings={})
    opened(page, path)
    whole = drawn(page, 0)
    page.evaluate(
        "() => void Plotly.relayout('plot', {'xaxis.range': [66600.5, 66700.5]})"
    )
    page.wait_for_function("() => document.getElementById('plot').data[0].x[0] > 60000")
    frames, counts = drawn(page, 0)
    inside = [frame for frame in frames if 66_601 <= frame <= 66_700]
    assert inside == list(range(66_601, 66_701))
    assert counts[frames.index(66_667)] == 5_836_547
    assert page.inner_text("#drawn") == "every stored frame drawn"
    page.click("#reset")
    page.wait_for_function("() => document.getElementById('plot').data[0].x[0] < 60000")
    assert drawn(page, 0) == whole


@pytest.mark.parametrize("n", [0, 1, 2])
def test_page_of_almost_nothing(page: Page, tmp_path: Path, n: int) -> None:
    path = tmp_path / "x.html"
    write_html(path, np.full(n, 7, np.uint64), np.ones(n, bool), title="x", settings={})
    opened(page, path)
    assert drawn(page, 0)[0] == list(range(1, n + 1))


def test_nothing_invites_to_upload(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    nasty = "</script><img src=x onerror=alert(1)>"
    write_html(path, *series(1000), title=nasty, settings={nasty: nasty}, first_frame=1)
    opened(page, path)
    titles = page.eval_on_selector_all(
        ".modebar-btn", "buttons => buttons.map(b => b.dataset.title)"
    )
    assert titles
    assert not [title for title in titles if "hare" in title or "loud" in title]
    assert page.inner_text("h1") == nasty
    assert page.locator("img").count() == 0
