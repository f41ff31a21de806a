"""How the beam's intensity runs through a series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class Scenario(StrEnum):
    """The stories the simulator can tell."""

    STEADY = "steady"
    DEMO = "demo"
    """Drift, mains line, a top-up shot in the middle, a module lost at the end."""


DRIFT = -0.01
"""Change of the intensity over the whole series, relative."""
MAINS_HZ = 50.0
MAINS_AMPLITUDE = 0.001
TOPUP_DIP = -0.10
TOPUP_STEP = 0.004
TOPUP_S = 0.006
"""How long the dip lasts, at least three frames."""
DAMAGED_PART = 0.02

_DIPPED_LEVELS = (0.890, 0.902)
_NORMAL_LEVELS = (0.990, 0.994, 0.998, 1.002)


@dataclass(frozen=True)
class Curve:
    """The intensity of every frame of a series."""

    intensity: npt.NDArray[np.float64]
    """Relative to the nominal mean, one value a frame."""
    damaged_from: int
    """First frame without the damaged module; the number of frames if none."""
    features: dict[str, Any]
    """First frames and sizes of what happens, ready for JSON."""

    @property
    def damaged(self) -> npt.NDArray[np.bool_]:
        """True for frames that lost a module."""
        return np.arange(self.intensity.size) >= self.damaged_from


def levels_of(scenario: Scenario) -> tuple[float, ...]:
    """Return the relative intensities that span the curve of `scenario`, ascending."""
    if scenario is Scenario.STEADY:
        return (1.0,)
    return (*_DIPPED_LEVELS, *_NORMAL_LEVELS)


def damaged_levels_of(scenario: Scenario) -> tuple[float, ...]:
    """Return those levels that frames with a lost module need."""
    return () if scenario is Scenario.STEADY else _NORMAL_LEVELS[:3]


def curve_of(scenario: Scenario, frames: int, frame_time_s: float) -> Curve:
    """Return the intensity curve of a series of `frames`."""
    if scenario is Scenario.STEADY:
        return Curve(np.ones(frames), frames, {})
    frame = np.arange(frames)
    drift = DRIFT * frame / frames
    mains = MAINS_AMPLITUDE * np.sin(2 * np.pi * MAINS_HZ * frame * frame_time_s)
    topup = frames // 2
    settled = min(frames, topup + max(3, round(TOPUP_S / frame_time_s)))
    shot = np.zeros(frames)
    shot[topup:settled] = TOPUP_DIP
    shot[settled:] = TOPUP_STEP
    damaged_from = frames - math.ceil(DAMAGED_PART * frames)
    features = {
        "drift": {"relative": DRIFT},
        "mains": {"hz": MAINS_HZ, "relative_amplitude": MAINS_AMPLITUDE},
        "topup": {
            "first": topup,
            "settled": settled,
            "dip": TOPUP_DIP,
            "step": TOPUP_STEP,
        },
        "damaged": {"first": damaged_from},
    }
    return Curve(1 + drift + mains + shot, damaged_from, features)
