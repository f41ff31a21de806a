"""Route of stability over time: averaging, spectrum by time, position, top-ups."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from eigerwatch.analysis.allan import AllanDeviation, allan_deviation
from eigerwatch.analysis.assessment import Assessment, Frequencies
from eigerwatch.analysis.events.model import EventKind
from eigerwatch.analysis.events.topup import topup_schedule
from eigerwatch.analysis.exclusion import mask_of
from eigerwatch.analysis.position import Asymmetry, Position, beam_position
from eigerwatch.analysis.segments import boundaries
from eigerwatch.analysis.spectrogram import Spectrogram, spectrogram
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.timebase import time_base
from eigerwatch.frames import Scope
from eigerwatch.model import SourceKind, SourceState
from eigerwatch.runs import regions_of
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web.assessing import WHOLE, Answer, Assessor
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    SeriesKey,
    To,
    resolved,
    scope_of,
)
from eigerwatch.web.source import OPEN_STATES
from eigerwatch.web.watch import Watch

POSITION_FRAMES = 100_000
"""Newest frames whose modules are looked at: 50 MB of 32 of them."""
COLUMNS, ROWS = 160, 128
"""Most of each in a spectrogram: 20 000 levels, 120 kB."""
FEWEST_AVERAGES = 3
"""Averaging times among which one is called the best."""
KEPT = 6
"""Answers kept at hand."""
COLOURS_PERCENT = (2.0, 99.5)
"""Part of the levels between the ends of the colour scale: lines should not take it."""


class Stability(BaseModel):
    """What is said beyond the figures; null where it cannot be told."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    series: str
    channel: str
    newest: int
    """Highest frame number known when this was said."""
    allan: dict[str, Any]
    """Allan deviation [%] by averaging time, with that of photon counting."""
    spectrogram: dict[str, Any]
    """log10 of the density [1/Hz] by frequency (rows) and time (columns)."""
    position: dict[str, Any]
    """Whether the beam flickers or moves, in a sentence and in shares."""
    topup: dict[str, Any]
    """Period learned so far, and when the next one is due, UTC epoch [ms]."""
    segment: dict[str, Any] | None
    """The longest stable stretch, and the frames to exclude to use it alone."""


class _Looks:
    """Answers made once for everyone who asks, one at a time."""

    def __init__(self, assessor: Assessor) -> None:
        self._assessor = assessor
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Answer, dict[str, Any]]] = OrderedDict()

    def look(
        self, info: SeriesInfo, channel: str, scope: Scope, answer: Answer
    ) -> dict[str, Any]:
        key = (info.key, channel, scope)
        with self._lock:
            known = self._kept.get(key)
            if known is None or known[0] is not answer:
                known = (answer, self._make(info, channel, scope, answer))
            self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return known[1]

    def _make(
        self, info: SeriesInfo, channel: str, scope: Scope, answer: Answer
    ) -> dict[str, Any]:
        found = answer.assessment
        assert found.frequencies is not None
        signal = found.frequencies.signal
        picture = spectrogram(signal, found.frequencies.lines.sines, COLUMNS, ROWS)
        return {
            "allan": _allan(allan_deviation(signal), signal.unit == "Hz"),
            "spectrogram": _spectrogram(picture),
            "position": self._position(info, channel, scope, answer),
        }

    def _position(
        self, info: SeriesInfo, channel: str, scope: Scope, answer: Answer
    ) -> dict[str, Any]:
        stop = answer.newest + 1
        start = max(scope.start, stop - POSITION_FRAMES)
        newest = Scope("range", start=start, stop=stop)
        measured = self._assessor.measured(info, channel, newest, regions=True)
        boxes = np.array(regions_of(info).boxes)
        if measured.regions is None or not boxes.size:
            return _told(None, None, "This series has no sums of modules.")
        found = answer.assessment
        position = beam_position(
            measured.regions,
            np.stack([boxes[:, :2].mean(axis=1), boxes[:, 2:].mean(axis=1)], 1),
            time_base(measured),
            mask_of(measured.positions, found.excluded.intervals),
            np.searchsorted(measured.positions, boundaries(found.segments)).tolist(),
        )
        about = ""
        if start > scope.start:
            about = f"Of the newest {POSITION_FRAMES} frames."
        return _told(position, found.frequencies, about)


def create_router(watch: Watch, assessor: Assessor) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
    looks = _Looks(assessor)

    @router.get("/series/{series}/stability", tags=["analysis"])
    def stability(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        recent: Annotated[
            bool, Query(description="An answer some seconds old will do.")
        ] = False,
    ) -> Stability:
        """Return averaging, spectrogram, position, the next top-up, a stable stretch.

        A range chooses the frames of the first three; top-ups and the stretch are of
        the whole series.
        """
        info, channel = resolved(watch, series, channel)
        scope = scope_of(start, stop, None, None)
        judge = assessor.assess_live if recent else assessor.assess
        whole = judge(info, channel, WHOLE)
        answer = whole if scope == WHOLE else judge(info, channel, scope)
        return Stability(
            series=info.key,
            channel=channel,
            newest=answer.newest,
            topup=_topup(watch, info, channel, whole.assessment),
            segment=_segment(whole.assessment),
            **looks.look(info, channel, scope, answer),
        )

    return router


def _allan(found: AllanDeviation, timed: bool) -> dict[str, Any]:
    unit = "s" if timed else "frames"
    best = ""
    if found.deviation.size >= FEWEST_AVERAGES:
        k = int(np.argmin(found.deviation))
        best = (
            f"Averages over {found.tau_s[k]:.3g} {unit} agree best: "
            f"{100 * found.deviation[k]:.2g} %"
        )
        if math.isfinite(found.shot[k]):
            best += f", by counting alone {100 * found.shot[k]:.2g} %"
        best += "."
    return {
        "tau": found.tau_s.tolist(),
        "unit": unit,
        **{
            name: [finite_or_none(100 * value) for value in values.tolist()]
            for name, values in (
                ("deviation", found.deviation),
                ("low", found.low),
                ("high", found.high),
                ("shot", found.shot),
            )
        },
        "best": best,
        "text": found.text,
    }


def _spectrogram(found: Spectrogram) -> dict[str, Any]:
    positive = np.where(found.density > 0, found.density, math.nan)
    level = np.log10(positive)
    known = level[np.isfinite(level)]
    low = high = None
    if known.size:
        low, high = np.percentile(known, COLOURS_PERCENT).round(2).tolist()
    rows = [[finite_or_none(v) for v in row] for row in level.round(2).tolist()]
    return {
        "times": found.times_s.tolist(),
        "frequencies": found.frequencies_hz.tolist(),
        "level": rows,
        "low": low,
        "high": high,
        "unit": found.unit,
        "text": found.text,
    }


def _told(
    found: Position | None, frequencies: Frequencies | None, about: str
) -> dict[str, Any]:
    if found is None:
        return {"verdict": "unknown", "text": about, "parts": []}
    differential = 1 - found.common_share
    lines = [] if frequencies is None else frequencies.lines.lines
    strongest = max(lines, key=lambda line: line.amplitude, default=None)
    parts = [
        _part(
            "in common",
            found.common_rms,
            found.common_share,
            None if strongest is None else strongest.frequency_hz,
        ),
        _part("against each other", found.differential_rms, differential, None),
    ]
    parts += [
        _part(f"of it {one.axis}", one.excess_rms, math.nan, _peak_hz(one))
        for one in found.asymmetries
        if one.significant
    ]
    return {
        "verdict": found.verdict,
        "text": f"{found.text} {about}".strip(),
        "parts": parts if found.verdict != "unknown" else [],
        "unit": "Hz" if frequencies is None else frequencies.spectrum.unit,
    }


def _part(name: str, rms: float, share: float, peak_hz: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "rms_percent": finite_or_none(100 * rms),
        "share_percent": finite_or_none(100 * share),
        "peak_hz": peak_hz,
    }


def _peak_hz(asymmetry: Asymmetry) -> float | None:
    """Return where an asymmetry's density is largest; the mean (0 Hz) is none."""
    density = asymmetry.spectrum.density[1:]
    if not density.size:
        return None
    return float(asymmetry.spectrum.frequencies_hz[1 + int(np.argmax(density))])


def _topup(
    watch: Watch, info: SeriesInfo, channel: str, found: Assessment
) -> dict[str, Any]:
    firsts = [event.first for event in found.events if event.kind == EventKind.TOPUP]
    told: dict[str, Any] = {
        "n": len(firsts),
        "period_s": None,
        "spread_s": None,
        "due_ms": None,
        "due_spread_s": None,
        "text": "",
    }
    if not info.frame_time_s:
        return {**told, "text": "The frame time is not known."}
    schedule = topup_schedule([first * info.frame_time_s for first in firsts])
    told["period_s"] = finite_or_none(schedule.period_s)
    told["spread_s"] = finite_or_none(schedule.spread_s)
    if told["period_s"] is None:
        return {**told, "text": f"No period is known: {schedule.reason}."}
    spread = "" if told["spread_s"] is None else f" ± {schedule.spread_s:.2g} s"
    told["text"] = f"Every {schedule.period_s:.4g} s{spread}, from {schedule.reason}."
    live = info.source in (SourceKind.LIVE, SourceKind.SIM)
    if not live or SourceState(info.state) not in OPEN_STATES:
        return told
    # Frames tell when they came; a top-up's own is the clock of the next one.
    frames = watch.ticks.frames.get(info, channel)
    row = frames.records(firsts[-1], firsts[-1] + 1)
    if not row.size or not row["received_ns"][0]:
        return told
    seen_ms = int(row["received_ns"][0]) / 1e6
    due_ms = seen_ms + 1000 * (schedule.next_s - schedule.last_s)
    period_ms = 1000 * schedule.period_s
    unseen = max(0, math.ceil((time.time() * 1000 - due_ms) / period_ms))
    if unseen:
        told["text"] += f" {unseen} should have come since the last one seen."
    told["due_ms"] = due_ms + unseen * period_ms
    told["due_spread_s"] = finite_or_none(schedule.next_spread_s)
    return told


def _segment(found: Assessment) -> dict[str, Any] | None:
    best = found.proposed
    if best is None:
        return None
    used = found.measured.positions
    rest: list[dict[str, int | None]] = []
    if used.size and used[0] < best.first:
        rest.append({"first": 0, "last": best.first - 1})
    if used.size and used[-1] > best.last:
        rest.append({"first": best.last + 1, "last": None})
    return {**best.as_dict(), "rest": rest}
