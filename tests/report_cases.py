"""Runs to report on, and readers of what was reported."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
from pypdf import PdfReader
from scenarios import Scenario, scenario

from eigerwatch.analysis.assessment import AssessmentOptions, assess
from eigerwatch.analysis.exclusion import Edit, Exclusions
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.targets import Check, Decision, Judged
from eigerwatch.report.model import Run, Subject, analysed

MADE = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script> & \"q\" $\\frac{1}{2}$ \x1b[31m 漢字"
NO_GO = Judged(
    Decision.NO_GO,
    "CV 0.3 %, limit 0.2 %",
    (
        Check("CV", 0.3, 0.2, False, "CV 0.3 %, limit 0.2 %"),
        Check("drift", 0.1, 2.0, True, "drift 0.1 %, limit 2 %"),
        Check("missing frames", float("nan"), 1.0, None, "not enough frames"),
    ),
)


def measured(drawn: Scenario) -> Measured:
    modules = drawn.regions.shape[1] > 0
    return Measured(
        drawn.positions,
        drawn.totals,
        drawn.times_s,
        drawn.frame_time_s,
        drawn.kept,
        drawn.sentinel,
        drawn.regions if modules else None,
        drawn.region_kept if modules else None,
        drawn.region_sentinel if modules else None,
    )


def counted(
    totals: Any, positions: Any = None, frame_time_s: float | None = 1e-3
) -> Measured:
    sums = np.asarray(totals, np.uint64)
    where = np.arange(sums.size) if positions is None else np.asarray(positions)
    return Measured(where.astype(np.int64), sums, frame_time_s=frame_time_s)


def subject(title: str = "after the new crystals", **more: Any) -> Subject:
    facts = (("series", "live:01"), ("notes", ""))
    settings = {"filter.low": 0, "analysis.mains_hz": 50}
    return Subject(
        **{
            "title": title,
            "facts": facts,
            "settings": settings,
            "version": "Eigerwatch 9.8.7",
            "made": MADE,
            **more,
        }
    )


def run(
    frames: Measured,
    judged: Judged | None = None,
    options: AssessmentOptions | None = None,
    *,
    frequencies: bool = True,
    **about: Any,
) -> Run:
    found = assess(frames, options, frequencies=frequencies)
    return analysed(subject(**about), found, judged, frames)


def typical_run(judged: Judged | None = NO_GO) -> Run:
    """Return a run with top-ups, damage, lines and modules."""
    drawn = scenario(5, topups=2, damage=True, lines=2, frames=12_000)
    boxes = tuple(
        (
            550.0 * (k // 4),
            550.0 * (k // 4) + 512,
            1040.0 * (k % 4),
            1040 * (k % 4) + 1028,
        )
        for k in range(32)
    )
    return run(measured(drawn), judged, region_boxes=boxes)


_poisson = np.random.default_rng(3).poisson
EDGE_CASES: dict[str, Measured] = {
    "no frame": counted([]),
    "one frame": counted([5]),
    "two frames": counted([5, 7]),
    "three frames": counted([5, 7, 6]),
    "constant": counted([7] * 300),
    "all zero": counted([0] * 300),
    "no times": counted(_poisson(1e5, 800), frame_time_s=None),
    "beyond 2^53": counted(2**63 + _poisson(1e5, 800).astype(np.uint64)),
    "far apart": counted(_poisson(1e5, 3), [0, 10**9, 10**12]),
    "every second missing": counted(_poisson(1e5, 800), np.arange(800) * 2),
    "hardly a photon": counted(_poisson(0.01, 800)),
}
ALL_EXCLUDED = AssessmentOptions(
    exclusions=Exclusions(edits=(Edit(0, None, True, "a test"),))
)


class Page(HTMLParser):
    """The text, tables and attributes of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._caption = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.rows.setdefault(self._caption, []).append([])
        elif tag in ("td", "th") and "svg" not in self._open:
            self.rows[self._caption][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside == "caption":
            self._caption += data
        elif inside in ("td", "th"):
            self.rows[self._caption][-1][-1] += data
        if inside not in ("script", "style"):
            self.texts.append(data)

    def table(self, caption: str) -> dict[str, list[str]]:
        """Return the rows of a table by the name of each."""
        return {row[0]: row[1:] for row in self.rows[caption]}


def pdf_text(content: bytes) -> tuple[int, str]:
    """Return the number of pages and all text of a PDF file."""
    pages = PdfReader(BytesIO(content)).pages
    return len(pages), "\n".join(page.extract_text() for page in pages)


def read_number(text: str) -> float:
    """Return the first number of a text as the report writes it."""
    plain = text.replace("\u202f", "").replace("\u2212", "-")
    return float(plain.split()[0])
