"""Whatever stands in a text is shown as that text, on every page, and does nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from helpers import wait_until
from hostile import HOSTILE
from memory_store import MemoryNotes, MemoryStore
from page_panels import panel
from playwright.sync_api import Page, expect
from running_web import RunningWeb

from eigerwatch.model import REGION_ROW
from eigerwatch.store.labels import MOST_TAGS, LabelError, tag_of

KEY = "live:01JABC"
AWAY = " \N{MULTIPLICATION SIGN}"
"""Stands behind a tag that a press takes away."""
N = 3000
FIRST_MS = 1_700_000_000_000

expect.set_options(timeout=30_000)

FOREIGN = """() => [...document.querySelectorAll(
  "iframe, object, embed, base, meta[http-equiv], video, math, marquee, object, "
  + "script:not([src]), img:not([src='/favicon.ico']):not(#preview), [onerror], "
  + "[onload]"
)].map(element => element.outerHTML)"""

TEXTS = "selector => [...document.querySelectorAll(selector)].map(e => e.textContent)"


@pytest.fixture
def page(watched: Any) -> Iterator[Page]:
    """Return a page in which nothing foreign may ever appear."""
    dialogs: list[str] = []
    watched.page.on(
        "dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss())
    )
    yield watched.page
    watched.check()
    assert dialogs == []
    assert watched.page.evaluate("() => window.hacked") is None
    assert watched.page.evaluate(FOREIGN) == []


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.evaluate(TEXTS, selector)
    return found


def await_texts(page: Page, selector: str, expected: Sequence[str]) -> None:
    """Wait until elements show exactly these texts, in any order."""
    wait_until(
        lambda: len(texts(page, selector)) >= len(expected), what=f"texts in {selector}"
    )
    assert sorted(texts(page, selector)) == sorted(expected)


def fits(page: Page) -> None:
    for width in (1366, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def tags() -> list[str]:
    """Return what can be a tag at all, as it is stored."""
    found = []
    for text in HOSTILE:
        try:
            found.append(tag_of(text))
        except LabelError:
            continue
    assert len(found) > 60
    return found


@pytest.fixture
def run_texts(store: MemoryStore, notes: MemoryNotes, web: RunningWeb) -> list[str]:
    """Return the keys of a hundred runs with a text in every field."""
    made = []
    for number, text in enumerate(HOSTILE):
        key = f"live:{number:02d} {text}"
        header = json.dumps({text: [text], "user": {"sample": text}})
        store.open(
            key,
            detector=text,
            serial=text,
            origin=text,
            series_unique_id=text,
            meta={"header": header, "user_data": text, "header_detail": text},
            started_ms=FIRST_MS - number * 1000,
            state="collecting",
            last_write_ms=FIRST_MS * 2,
        )
        notes.add(key, text, text)
        notes.exclude(key, 1, 2, author=text, reason=text)
        made.append(key)
    for start in range(0, len(tags()), MOST_TAGS):
        key = f"sim:tagged{start}"
        store.open(key, started_ms=FIRST_MS - 10**6 - start, state="collecting")
        for tag in tags()[start : start + MOST_TAGS]:
            url = f"{web.url}api/v1/series/{key}/tags"
            httpx.put(url, params={"tag": tag}).raise_for_status()
    wait_until(
        lambda: (
            httpx.get(f"{web.url}api/v1/runs").json()["all"] == len(store.series(500))
        )
    )
    return made


def test_every_field_of_the_list_of_runs(
    page: Page, web: RunningWeb, run_texts: list[str]
) -> None:
    page.goto(f"{web.url}runs")
    shown: dict[str, list[str]] = {"key": [], "detector": [], "tag": []}
    for first in (1, 51, 101):
        expect(page.locator("#page")).to_contain_text(f"{first} to ")
        shown["key"] += texts(page, "#rows tr .run small:nth-of-type(1)")
        shown["detector"] += texts(page, "#rows tr .run small:nth-of-type(2)")
        shown["tag"] += texts(page, "#rows .tags button")
        fits(page)
        if first < 101:
            page.locator("#next").click()
    assert shown["key"][:100] == run_texts
    assert shown["detector"][:100] == list(HOSTILE)
    assert sorted(shown["tag"]) == sorted(tags())
    assert sorted(texts(page, "#tag option")[1:]) == sorted(set(tags()))
    # One override must not turn what stands beside it.
    for cell in ("#rows .run small", "#rows .tags button"):
        bidi = page.locator(cell).first.evaluate("e => getComputedStyle(e).unicodeBidi")
        assert bidi == "isolate"


def test_a_run_of_any_name_is_found_by_its_text(
    page: Page, web: RunningWeb, run_texts: list[str]
) -> None:
    page.goto(f"{web.url}runs")
    for text in HOSTILE[::9]:
        words = text[:400].split()
        if not words or "\n" in text or "\x00" in text:
            continue  # a line of input holds neither
        page.locator("#q").fill(text[:400])
        wait_until(
            lambda text=text: (
                text in texts(page, "#rows tr .run small:nth-of-type(2)")
                and len(texts(page, "#rows tr")) < 50
            ),
            what=f"the run {text!r}",
        )


def test_chosen_runs_and_their_tags(
    page: Page, web: RunningWeb, run_texts: list[str]
) -> None:
    page.goto(f"{web.url}runs?source=sim")
    boxes = page.get_by_role("checkbox")
    expect(boxes.first).to_be_visible()
    for box in boxes.all():
        box.check()
    await_texts(page, "#chosen-tags button", [tag + AWAY for tag in set(tags())])
    fits(page)
    gone = tags()[0]
    page.locator("#chosen-tags button").first.click()
    wait_until(lambda: gone + AWAY not in texts(page, "#chosen-tags button"))


def test_legend_and_hover_of_plots(
    page: Page, web: RunningWeb, store: MemoryStore, beam: Any
) -> None:
    """Plotly takes some tags for markup; keys stand in for all that could get there."""
    wanted = {f"live:{text}" for text in (*HOSTILE[:60:7], "%{y} <b>x</b>")}
    for number, key in enumerate(sorted(wanted)):
        store.open(key, started_ms=FIRST_MS + number * 3_600_000)
        store.append(key, beam.totals(100))
    page.goto(f"{web.url}runs")
    page.locator("#trend-panel").scroll_into_view_if_needed()
    expect(page.locator("#trend")).to_have_attribute("data-runs", str(len(wanted)))
    points = page.locator("#trend .point")
    points.first.scroll_into_view_if_needed()
    hover = page.locator("#trend .hoverlayer")
    missed = set(wanted)
    for point in points.all()[: len(wanted)]:
        box = point.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x - 2, y)
        page.mouse.move(x, y)

        def told(left: set[str] = missed) -> set[str]:
            said = hover.text_content() or ""
            return {key for key in left if key in said}

        missed -= wait_until(told, what="the name of a run that was not told yet")
        assert hover.locator("a").count() == 0
    assert missed == set()


@pytest.fixture
def shown(store: MemoryStore, notes: MemoryNotes, beam: Any) -> MemoryStore:
    """Return a store with one run of which every text is hostile."""
    regions = [
        {
            "name": text,
            "kind": "rectangle",
            "module": True,
            "pixels": 100,
            "y": [10 * k, 10 * k + 9],
            "x": [0, 9],
        }
        for k, text in enumerate(HOSTILE)
    ]
    settings = json.dumps([{"number": 0, "regions": regions}])
    store.open(
        KEY,
        channels=HOSTILE,
        state="finished",
        detector=HOSTILE[0],
        meta={"header": json.dumps({"a": HOSTILE[1]}), "settings": settings},
    )
    store.append(KEY, beam.totals(N))
    rows = np.zeros((N, len(HOSTILE)), REGION_ROW)
    rows["total"] = 60_000
    store.show(KEY, regions=rows)
    for number, text in enumerate(HOSTILE):
        notes.add(KEY, text, text)
        notes.exclude(KEY, 10 * number, 10 * number, author=text, reason=text)
        store.event(KEY, "alarm", text=text, frame=str(number), **{f"x{number}": text})
    return store


def test_every_field_of_the_main_page(
    page: Page, web: RunningWeb, shown: MemoryStore
) -> None:
    page.goto(web.url)
    expect(page.locator("#frames")).to_contain_text("3\u202f000")
    await_texts(page, "#channel option", HOSTILE)
    page.locator("#notes-panel").scroll_into_view_if_needed()
    await_texts(page, "#notes li p", HOSTILE)
    for text, said in zip(HOSTILE[::-1], texts(page, "#notes li small"), strict=True):
        assert said.endswith(f", {text}" if text else text)
    edits = texts(page, "#edits li p")
    for number, (text, said) in enumerate(zip(HOSTILE[::-1], edits, strict=True)):
        frame = 10 * (len(HOSTILE) - 1 - number)
        assert said == f"Excluded: frame {frame} ({text})"
    assert texts(page, "#edits li small") == list(HOSTILE[::-1])
    page.locator("#found-panel").scroll_into_view_if_needed()
    wait_until(lambda: len(texts(page, "#found .why")) >= 100)
    found = set(texts(page, "#found .why"))
    assert len(found & set(HOSTILE)) >= 90  # a hundred are shown, some are events
    page.locator("#modules-panel").scroll_into_view_if_needed()
    wait_until(lambda: len(texts(page, "#modules tr th")) == len(HOSTILE))
    # Names of modules are shown with spaces.
    meant = [text.replace("_", " ") for text in HOSTILE]
    assert texts(page, "#modules tr th") == meant
    fits(page)


def test_events_say_what_came(page: Page, web: RunningWeb, shown: MemoryStore) -> None:
    page.goto(web.url)
    wait_until(lambda: len(texts(page, "#events li")) >= 100)
    said = "\n".join(texts(page, "#events li"))
    missed = [text for text in HOSTILE if text not in said]
    assert missed == []


def test_names_of_detectors_and_series(
    page: Page, web: RunningWeb, store: MemoryStore, beam: Any
) -> None:
    for number, text in enumerate(HOSTILE[::4]):
        key = f"live:{number} {text}"
        store.open(
            key,
            detector=text,
            state="finished",
            origin=text,
            started_ms=FIRST_MS + number * 1000,
        )
        store.append(key, beam.totals(20))
    page.goto(web.url)
    for number, text in list(enumerate(HOSTILE[::4]))[::-1]:
        key = f"live:{number} {text}"
        page.locator("#series").focus()  # reads the list anew
        page.locator("#series").select_option(value=key)
        wait_until(
            lambda text=text: f"{text} · no. " in texts(page, "#identity")[0],
            what=f"the detector {text!r}",
        )
        title = page.locator("#identity").get_attribute("title")
        assert title is not None
        assert title.endswith(f" · {key}")
    fits(page)


def test_names_of_recordings(
    page: Page, web: RunningWeb, store: MemoryStore, recordings: Path
) -> None:
    made = []
    for text in HOSTILE:
        name = f"{text}_master.h5"
        if "/" in text or not text.isprintable() or len(name.encode()) > 255:
            continue  # no name of a file, or one that no list can show
        with contextlib.suppress(OSError, UnicodeEncodeError):
            (recordings / name).write_bytes(b"")
            made.append(name)
    assert len(made) > 50
    page.goto(web.url)
    panel(page, "replay")
    listed = "#replay-list option"
    wait_until(lambda: len(texts(page, listed)) >= len(made), what="recordings")
    # A list does not tell white space apart.
    said = "".join("".join(texts(page, listed)).split())
    assert [name for name in made if "".join(name.split()) not in said] == []
    for index in range(0, len(made), 11):
        page.locator("#replay-list").select_option(index=index)
        expect(page.locator("#replay-chosen")).to_contain_text("_master.h5")
    fits(page)


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[36]])
def test_compared_runs(
    page: Page, web: RunningWeb, store: MemoryStore, beam: Any, text: str
) -> None:
    keys = [f"live:{letter} {text}" for letter in "abc"]
    for number, key in enumerate(keys):
        store.open(key, state="finished", started_ms=FIRST_MS + number)
        noisy = 6e6 + 6000 * (1 + 9 * number) * np.sin(np.arange(600) ** 2)
        store.append(key, noisy.astype(np.uint64))
    query = httpx.QueryParams([("run", key) for key in keys] + [("compare", "1")])
    page.goto(f"{web.url}runs?{query}")
    expect(page.locator("#comparison-verdict p")).to_have_count(3 - 1)
    expect(page.locator("#comparison")).to_have_attribute("aria-busy", "false")
    for number, said in enumerate(texts(page, "#compared li span")):
        assert said.endswith(keys[number])
    for number, said in enumerate(texts(page, "#comparison-verdict p")):
        assert keys[number + 1] in said
    box = page.locator("#overlay .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#overlay .hoverlayer")).to_contain_text(text.strip()[:20])
    assert page.locator("#overlay .hoverlayer a").count() == 0


def test_names_of_regions_and_the_reference(
    page: Page, web: RunningWeb, shown: MemoryStore, beam: Any
) -> None:
    """Chosen ones, whose outlines stand in the picture."""
    regions = [
        {
            "name": text,
            "kind": "rectangle",
            "pixels": 100,
            "y": [10 * k, 10 * k + 9],
            "x": [0, 9],
        }
        for k, text in enumerate(HOSTILE)
    ]
    settings = json.dumps([{"number": 0, "regions": regions}])
    shown.update(KEY, meta={"settings": settings})
    other = f"live:{HOSTILE[0]}"
    shown.open(other, state="finished", started_ms=1000)
    shown.append(other, beam.totals(100))
    page.goto(web.url)
    await_texts(page, "#region option", ["whole image", *HOSTILE])
    for number in range(0, len(HOSTILE), 9):
        if len(HOSTILE[number]) > 256:
            continue  # longer than any request may be
        page.select_option("#region", index=number + 1)
        expect(page.locator("#region-shown")).to_contain_text(
            HOSTILE[number].strip()[:20]
        )
    page.select_option("#region", "")
    page.select_option("#reference", other)
    expect(page.locator("#reference-text")).to_contain_text("grey: ")
    page.locator("#modules-panel").scroll_into_view_if_needed()
    wait_until(lambda: len(texts(page, "#modules tr th")) == len(HOSTILE))
    fits(page)
