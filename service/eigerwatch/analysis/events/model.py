"""Events and what can be asked of their detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eigerwatch.analysis.statistics import finite_or_none


class EventKind(StrEnum):
    """What can happen to a beam, or to the frames that watch it."""

    EMPTY = "empty"
    """A sum of nearly nothing."""
    DAMAGED = "damaged"
    """Modules or half-modules are missing from the frame."""
    TOPUP = "topup"
    """Charge is injected: a dip common to all modules, then a step up."""
    STEP = "step"
    """The level changes at once and stays."""
    SPIKE = "spike"
    """A few frames up or down, and no top-up."""
    DRIFT = "drift"
    """The slope of the level changes."""
    GAP = "gap"
    """Frames are missing."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; numbers of frames are image_id."""

    kind: EventKind
    first: int
    """First frame of the event: of a step or drift, the first after the change."""
    last: int
    """Last frame of the event, inclusive."""
    frames: int
    """How many of the frames first..last are concerned; of a gap, are missing."""
    size: float
    """Signed. Relative to the usual sum, 0.01 being 1 %; of damage: to the sums of the
    modules concerned, or NaN where they kept their counts; of a gap: missing frames."""
    unit: str
    """Of `size`: "relative", "relative/s" (drift), "relative/frame" (drift without
    a known frame time) or "frames" (gap)."""
    confidence: float
    """0 to 1: z^2 / (z^2 + t^2) for evidence of z standard errors and a threshold of
    t, so 0.5 for what is only just reported. Times the probability that the mean rose,
    for a top-up; halved where its dip or its step was not seen. 1 for gaps and for
    empty frames."""
    reason: str
    """One sentence for those at the beamline."""
    step: float | None = None
    """Relative change of the mean that stays after a top-up; None: not measured."""
    regions: tuple[int, ...] = ()
    """Rows of the damaged regions."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "kind": self.kind.value,
            "first": self.first,
            "last": self.last,
            "frames": self.frames,
            "size": finite_or_none(self.size),
            "unit": self.unit,
            "confidence": finite_or_none(self.confidence),
            "reason": self.reason,
            "step": None if self.step is None else finite_or_none(self.step),
            "regions": list(self.regions),
        }


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """Thresholds; multiples of a standard error are of the noise as it is found."""

    empty_fraction: float = 0.01
    """A sum up to this part of the usual one is empty."""
    damage_loss: float = 0.2
    """Part of its counts, or of its pixels, that a damaged region has lost."""
    damage_gain: float = 0.5
    """Part of its counts that a damaged region has gained."""
    damage_image: float = 0.004
    """Part of all pixels whose loss is damage (half a module of 32 is 0.016)."""
    damage_sigma: float = 6.5
    """Standard errors that a loss of counts must reach; half as much again a gain."""
    spike_sigma: float = 7.0
    """Standard errors of a single frame for a spike or dip."""
    topup_dip: tuple[float, float] = (0.03, 0.5)
    """Depth of a top-up's dip, relative."""
    topup_step: tuple[float, float] = (0.002, 0.02)
    """Rise of the mean after a top-up, relative."""
    step_sigma: float = 7.0
    """Standard errors of a difference of means for a step."""
    step_smallest: float = 0.001
    """Smallest step worth telling, relative."""
    drift_sigma: float = 8.0
    """Standard errors of a change of slope."""
    drift_smallest: float = 0.002
    """Smallest change of level that a change of slope must lead to, relative."""
    most_events: int = 1000
    """Of spikes, and of gaps: where there are more, neighbours are told together."""
    region_names: tuple[str, ...] = ()
    """What to call the regions; by default module 1, module 2, ..."""

    def region_name(self, row: int) -> str:
        """Return what a region is called in a sentence."""
        return region_name(self.region_names, row)


def region_name(names: Sequence[str], row: int) -> str:
    """Return what a region is called in words; names may be too few."""
    return names[row].replace("_", " ") if row < len(names) else f"module {row + 1}"


def confidence(z: float, threshold: float) -> float:
    """Return how sure an event of `z` standard errors is; 0.5 at the threshold."""
    if not z > 0:
        return 0.0
    return 1 / (1 + (threshold / z) ** 2)


def percent(relative: float) -> str:
    """Return a relative size as text, with two digits that count."""
    value = 100 * abs(relative)
    if value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.95 else f"{value:.2f} %"


def counted(n: int, noun: str = "frame") -> str:
    """Return "1 frame" or "7 frames"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
