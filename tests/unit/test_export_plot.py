from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from eigerwatch.analysis.statistics import describe
from eigerwatch.export.plot import plot_html, write_html

RNG = np.random.default_rng(5)
NASTY = """</script><script>alert(1)</script><img src=x onerror='alert("2")'>&amp;"""


class Page(HTMLParser):
    """What a browser makes of the page: its text and its scripts, tag by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.scripts: list[str] = []
        self._open: tuple[str, str | None] = ("", None)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs).get("id"))
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ("", None)

    def handle_data(self, data: str) -> None:
        tag, name = self._open
        if tag == "script":
            self.scripts[-1] += data
        self.texts[name or tag] = self.texts.get(name or tag, "") + data

    def values(self) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.texts.get("values", "")), "<f4")

    def setup(self) -> dict:
        return json.loads(self.texts["setup"])


def page_of(values: np.ndarray, stored: np.ndarray | None = None, **more) -> Page:
    stored = np.ones(len(values), bool) if stored is None else stored
    more = {"title": "x_master.h5", "settings": {"low": 0}} | more
    return Page(plot_html(values, stored, **more))


def test_every_stored_frame_is_inside_exactly() -> None:
    values = RNG.poisson(6_485_052, 20_000).astype(np.uint64)
    stored = RNG.random(20_000) > 0.01
    values[~stored] = 2**64 - 1
    page = page_of(values, stored, first_frame=101)
    found = page.values()
    np.testing.assert_array_equal(np.isnan(found), ~stored)
    sums = found[stored].astype(np.uint64) + np.uint64(page.setup()["offset"])
    np.testing.assert_array_equal(sums, values[stored])
    expected = describe(values[stored], np.flatnonzero(stored) + 101)
    assert page.setup()["first"] == 101
    assert page.setup()["scale"] == expected.mean
    assert page.setup()["slope"] == expected.slope
    assert page.setup()["centre"] == expected.centre


def test_foreign_text_stays_text() -> None:
    page = page_of(
        np.arange(10, dtype=np.uint64), title=NASTY, settings={NASTY: NASTY, "low": 0}
    )
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert len(page.scripts) == 4
    assert page.texts["title"] == page.texts["h1"] == NASTY
    assert NASTY in page.texts["th"]
    assert NASTY in page.texts["td"]


def test_only_our_two_scripts_may_run_and_nothing_is_fetched() -> None:
    page = page_of(np.arange(10, dtype=np.uint64))
    (policy,) = (
        attrs["content"]
        for tag, attrs in page.tags
        if tag == "meta" and "content" in attrs and attrs.get("http-equiv")
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    run = [page.scripts[0], page.scripts[3]]
    digests = [hashlib.sha256(script.encode()).digest() for script in run]
    assert allowed == [base64.b64encode(digest).decode() for digest in digests]
    for tag, attrs in page.tags:
        assert not {"src", "href"} & set(attrs), tag


def test_page_can_be_read_without_the_plot() -> None:
    values = RNG.poisson(6_485_052, 5000).astype(np.uint64)
    page = page_of(values, settings={"file": "x.h5", "frames used": 5000})
    names = [tag for tag, _ in page.tags]
    assert dict(page.tags)["html"]["lang"] == "en"
    assert names.count("table") == names.count("caption") == 2
    headers = [attrs.get("scope") for tag, attrs in page.tags if tag == "th"]
    assert None not in headers
    labels = [a["aria-label"] or "" for t, a in page.tags if a.get("id") == "plot"]
    assert "5\u202f000 frames" in labels[0]
    assert "5\u202f000" in page.texts["td"]


def test_drawn_as_svg() -> None:
    script = page_of(np.arange(10, dtype=np.uint64)).scripts[3]
    assert 'type: "scatter"' in script
    assert "scattergl" not in script


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (np.empty(0, np.uint64), np.empty(0, bool)),
        (np.full(3, 2**64 - 1, np.uint64), np.zeros(3, bool)),
        (np.zeros(4, np.uint64), np.ones(4, bool)),
        (np.array([9], np.uint64), np.ones(1, bool)),
        (np.array([1.5, np.nan, 2.5]), np.array([True, False, True])),
        (np.array([0, 2**64 - 2], np.uint64), np.ones(2, bool)),
    ],
    ids=["empty", "all missing", "no beam", "one frame", "floats", "full range"],
)
def test_sparse_series_make_a_page(values: np.ndarray, stored: np.ndarray) -> None:
    page = page_of(values, stored)
    assert len(page.values()) == len(values)
    setup = page.setup()
    for view in ("full", "bulk"):
        for low, high in setup[view].values():
            assert low < high
    assert "NaN" not in page.texts["setup"]


def test_bulk_leaves_out_the_top_up_shots() -> None:
    values = RNG.poisson(6_485_052, 20_000).astype(np.uint64)
    values[::1000] = 5_836_547
    page = page_of(values)
    assert page.setup()["bulk"]["raw"][0] > 0.99
    assert page.setup()["full"]["raw"][0] < 0.9
    assert "(20 outside)" in page.texts["outside"]


def test_size_stays_reasonable(tmp_path: Path) -> None:
    n = 1_000_000
    path = tmp_path / "x_master.h5.html"
    values = RNG.poisson(6_485_052, n).astype(np.uint64)
    write_html(path, values, np.ones(n, bool), title="x", settings={})
    assert path.stat().st_size < 15e6
    assert list(tmp_path.iterdir()) == [path]


def test_frames_of_which_none_counts_are_drawn_without_a_line() -> None:
    """As where the guard of a top-up is longer than the run."""
    page = plot_html(
        np.arange(5, 10, dtype=np.uint64),
        np.ones(5, np.bool_),
        title="x",
        settings={},
        description=describe([]),
    )
    assert '"line": {"x": [], "y": []}' in page
    assert "NaN" not in page.partition('id="setup"')[2].partition("</script>")[0]
