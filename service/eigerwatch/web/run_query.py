"""Which runs a list shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eigerwatch.web.run_schemas import Run

VERDICTS = ("photon_limited", "mixed", "beam_limited", "no_beam")

SORTS: dict[str, Callable[[Run], Any]] = {
    "started": lambda run: run.started_ms,
    "series": lambda run: run.series,
    "source": lambda run: run.source,
    "detector": lambda run: run.detector,
    "stored": lambda run: run.stored,
    "missing": lambda run: run.missing,
    "rejected": lambda run: run.rejected,
    "duration": lambda run: run.duration_s,
    "mean": lambda run: run.mean,
    "cv": lambda run: run.cv_percent,
    "cv_beam": lambda run: run.cv_beam_percent,
    "verdict": lambda run: (
        VERDICTS.index(run.verdict) if run.verdict in VERDICTS else None
    ),
    "events": lambda run: sum(run.events.values()) if run.judged == "done" else None,
    "notes": lambda run: run.notes,
}
"""What runs can be ordered by; None comes last either way."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a run must have to be shown; None: anything."""

    keys: frozenset[str] | None = None
    words: tuple[str, ...] = ()
    source: str | None = None
    tag: str | None = None
    from_ms: float | None = None
    to_ms: float | None = None
    """Excluded."""

    def passes(
        self,
        key: str,
        run_words: Sequence[str],
        source: str,
        tags: Sequence[str],
        ms: int | None,
    ) -> bool:
        """Return whether a run is shown, by key, words, source, tags and beginning."""
        if self.keys is not None and key not in self.keys:
            return False
        if self.source is not None and source != self.source:
            return False
        if self.tag is not None and self.tag not in tags:
            return False
        if self.from_ms is not None and (ms is None or ms < self.from_ms):
            return False
        if self.to_ms is not None and (ms is None or ms >= self.to_ms):
            return False
        return all(any(word in text for text in run_words) for word in self.words)


def in_order(runs: list[Run], sort: str, descending: bool) -> list[Run]:
    """Return runs in order; equal ones the newest first."""
    of = SORTS[sort]
    runs = sorted(runs, key=lambda run: (-(run.started_ms or 0), run.series))
    known = [run for run in runs if of(run) is not None]
    unknown = [run for run in runs if of(run) is None]
    return sorted(known, key=of, reverse=descending) + unknown
