"""Stored series as runs to be analysed: their frames, and what happened in them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np

from eigerwatch.analysis.assessment import AssessmentOptions
from eigerwatch.analysis.conditions import Conditions
from eigerwatch.analysis.events.detect import Detector
from eigerwatch.analysis.events.model import DetectionOptions, Event, EventKind
from eigerwatch.analysis.exclusion import Edit, ExclusionRules, Exclusions
from eigerwatch.analysis.measured import Measured, measured_of
from eigerwatch.frames import SeriesFrames
from eigerwatch.report.model import Subject, settings_of
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.store.info import SeriesInfo, json_of
from eigerwatch.store.notes import Exclusion, Note

PIECE = 10_000
"""Frames whose regions are read at a time."""
EVERY_FRAMES = 75
"""Frames that must have come before steps and drift are looked for again."""


class RegionReader(Protocol):
    """The part of `eigerwatch.store.read.Reader` that is needed here."""

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Return (n, regions) of REGION_ROW of [start, stop), clipped."""
        ...


@dataclass(frozen=True, slots=True)
class RegionsMeant:
    """The regions of one settings version."""

    modules: tuple[int, ...]
    """Columns of the region rows that are detector modules."""
    described: tuple[dict[str, Any], ...]
    """All regions, as stored."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modules."""
        return tuple(str(self.described[k].get("name", "")) for k in self.modules)

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """(y0, y1, x0, x1) of the modules; empty where they are not told."""
        found = []
        for k in self.modules:
            try:
                (y0, y1), (x0, x1) = self.described[k]["y"], self.described[k]["x"]
                found.append((float(y0), float(y1), float(x0), float(x1)))
            except (KeyError, TypeError, ValueError):
                return ()
        return tuple(found)


def described_regions(info: SeriesInfo) -> dict[int, tuple[dict[str, Any], ...]]:
    """Return the regions of each settings version, as stored."""
    found = {}
    for one in json_of(info.meta.get("settings"), list) or []:
        if isinstance(one, dict) and isinstance(one.get("number"), int):
            regions = one.get("regions")
            regions = regions if isinstance(regions, list) else []
            found[one["number"]] = tuple(r for r in regions if isinstance(r, dict))
    return found


def regions_of(info: SeriesInfo, settings: int | None = None) -> RegionsMeant:
    """Return the regions of a settings version; None: of the newest one."""
    versions = described_regions(info)
    if settings is None:
        settings = max(versions, default=0)
    described = versions.get(settings, ())
    modules = tuple(k for k, r in enumerate(described) if r.get("module"))
    return RegionsMeant(modules, described)


class StoredRun:
    """One channel of a stored series, brought up to date as frames come; thread-safe.

    Frames counted with other settings than the newest ones have other sums: a series
    whose settings changed is judged from the change on.
    """

    def __init__(self, reader: RegionReader, frames: SeriesFrames) -> None:
        self.frames = frames
        self._reader = reader
        self._lock = threading.Lock()
        self._version = -1
        self._settings: int | None = None
        self._start = 0
        self._detector = Detector()
        self._fed = 0

    def events(self, info: SeriesInfo) -> list[Event]:
        """Return what happened so far, by the frames that are known now."""
        with self._lock:
            self._update(info)
            return self._detector.recent_events(EVERY_FRAMES)

    def measured(
        self,
        info: SeriesInfo,
        start: int = 0,
        stop: int | None = None,
        *,
        regions: bool = False,
    ) -> Measured:
        """Return the stored frames of [start, stop) that have the newest settings.

        Parameters
        ----------
        regions
            Whether to read the modules' sums too.
        """
        with self._lock:
            self._update(info)
            first = max(start, self._start)
            last = self.frames.n if stop is None else min(stop, self.frames.n)
            records = self.frames.records(first, max(first, last))
        meant = regions_of(info, self._settings)
        rows = None
        if regions and meant.modules:
            pieces = [
                self._rows(at, min(at + PIECE, last))
                for at in range(first, last, PIECE)
            ]
            rows = np.concatenate(pieces) if pieces else None
        return measured_of(
            records,
            rows,
            first=first,
            modules=meant.modules,
            frame_time_s=info.frame_time_s,
        )

    def _update(self, info: SeriesInfo) -> None:
        frames = self.frames
        version, changed = frames.changed_since(self._version)
        if version == self._version:
            return
        n = frames.n
        settings = frames.settings, frames.settings_start
        if n < self._fed or settings != (self._settings, self._start):
            self._begin(info, *settings)
        elif changed < self._fed:
            self._fed = max(self._start, self._detector.rewind(changed))
        meant = regions_of(info, self._settings)
        for at in range(self._fed, n, PIECE):
            stop = min(at + PIECE, n)
            rows = self._rows(at, stop) if meant.modules else None
            self._detector.feed(
                measured_of(
                    frames.records(at, stop),
                    rows,
                    first=at,
                    modules=meant.modules,
                    frame_time_s=info.frame_time_s,
                )
            )
            self._fed = stop
        self._version = version

    def _begin(self, info: SeriesInfo, settings: int | None, start: int) -> None:
        """Start anew with the first frame of the newest settings."""
        names = regions_of(info, settings).names
        self._detector = Detector(DetectionOptions(region_names=names))
        self._settings, self._start, self._fed = settings, start, start

    def _rows(self, start: int, stop: int) -> np.ndarray:
        found = self._reader.region_rows(
            self.frames.series, self.frames.channel, start, stop
        )
        meant = stop - start
        if len(found) == meant:
            return found
        # The last rows of all may hold no region.
        whole = np.zeros((meant, found.shape[1]), found.dtype)
        whole[: len(found)] = found
        return whole


def options_of(
    settings: AnalysisSettings,
    edits: Sequence[Exclusion] = (),
    kinds: Sequence[str] | None = None,
) -> AssessmentOptions:
    """Return how a run is assessed.

    Parameters
    ----------
    settings
        What holds for all runs.
    edits
        What people excluded of this one, or took back.
    kinds
        Kinds of events whose frames do not count; None: those of the settings.
    """
    rules = ExclusionRules(
        kinds=frozenset(map(EventKind, settings.exclude if kinds is None else kinds)),
        after_damage=settings.after_damage,
        guard_before_frames=settings.guard_before_frames,
        guard_after_s=settings.guard_after_s,
    )
    return AssessmentOptions(
        exclusions=Exclusions(
            rules,
            tuple(
                Edit(e.first, e.last, e.excluded, e.reason or "by hand") for e in edits
            ),
        ),
        mains_hz=settings.mains_hz,
        resamples=settings.resamples,
    )


def conditions_of(info: SeriesInfo, channel: str) -> Conditions:
    """Return what must be alike for two series to be compared."""
    header = json_of(info.meta.get("header"), dict) or {}
    return Conditions(
        frame_time_s=info.frame_time_s,
        count_time_s=info.count_time_s,
        low=info.filter_low,
        high=info.filter_high,
        shape=info.shape,
        dtype=info.dtype,
        channel=channel,
        threshold_energy_ev=threshold_energy_ev(header, channel),
        detector=info.detector,
        source=info.source,
        series=info.key,
    )


def threshold_energy_ev(header: Mapping[str, Any], channel: str) -> float | None:
    """Return a channel's threshold [eV]: one number (v1), or one by channel (v2)."""
    told = header.get("threshold_energy")
    if isinstance(told, Mapping):
        told = told.get(channel)
    return told if isinstance(told, int | float) and math.isfinite(told) else None


def seconds(value: float | None) -> str | None:
    """Return a time as it was set, without the digits that rounding made."""
    return None if value is None else f"{value:.9g}"


def subject_of(
    info: SeriesInfo,
    channel: str,
    notes: Sequence[Note],
    analysis: AnalysisSettings,
    targets: TargetSettings,
) -> Subject:
    """Return a stored series as the subject of a report."""
    meant = regions_of(info)
    facts = facts_of(info, channel)
    facts += [(f"note by {note.author or 'unknown'}", note.text) for note in notes]
    return Subject(
        title=info.key,
        facts=tuple(facts),
        settings=settings_of(analysis, targets),
        version=version("eigerwatch"),
        region_names=meant.names,
        region_boxes=meant.boxes,
    )


def facts_of(info: SeriesInfo, channel: str) -> list[tuple[str, str]]:
    """Return label and value of what is known about a series."""
    started = info.started_ms and datetime.fromtimestamp(info.started_ms / 1000, UTC)
    ledger = info.ledgers.get(channel)
    told: list[tuple[str, object]] = [
        ("series", info.key),
        ("source", info.source),
        ("detector's series number", info.series_id),
        ("channel", channel),
        ("detector", info.detector),
        ("serial number", info.serial),
        ("started", started.isoformat(timespec="seconds") if started else None),
        ("frame time [s]", seconds(info.frame_time_s)),
        ("count time [s]", seconds(info.count_time_s)),
        ("low [counts]", info.filter_low),
        ("high [counts]", info.filter_high),
        ("announced frames", info.number_of_images),
        ("stored frames", ledger.stored if ledger else None),
        ("missing frames", ledger.missing if ledger else None),
        ("rejected frames", ledger.rejected if ledger else None),
        ("origin", info.origin),
    ]
    return [(label, str(value)) for label, value in told if value is not None]
