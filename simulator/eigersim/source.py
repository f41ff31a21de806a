"""Where series come from: made up by the simulator, or recorded earlier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from eigersim.acquisition import Acquisition, Exposure, synthetic_acquisition
from eigersim.detector import Detector
from eigersim.errors import SimulatorError
from eigersim.images import Encoding, ImagePool
from eigersim.scenario import (
    Curve,
    Scenario,
    curve_of,
    damaged_levels_of,
    levels_of,
)


@dataclass
class Series:
    """One series ready to be sent."""

    acquisition: Acquisition
    exposures: Iterator[Exposure]
    totals: dict[str, npt.NDArray[np.uint64]] = field(default_factory=dict)
    """Exact sum of every frame by channel [counts], noted as `exposures` yields them.

    Empty when not known.
    """
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is known, ready for JSON."""


class Source(Protocol):
    """Yields series for ever."""

    def series(self, series_id: int) -> Series:
        """Return the next series under the number `series_id`."""


_THRESHOLDS = ("threshold_1", "threshold_2", "threshold_3", "threshold_4")
_NEXT_THRESHOLD = 0.6
"""Counts above one threshold relative to the threshold below."""


def check_channels(channels: tuple[str, ...]) -> None:
    """Refuse channels that cannot be made up.

    Raises
    ------
    SimulatorError
        A name is unknown or occurs twice.
    """
    if not channels or len(set(channels)) < len(channels):
        raise SimulatorError("--channels needs one or more different names")
    for channel in channels:
        if channel not in _THRESHOLDS:
            raise SimulatorError(
                f"--channels: {channel!r} cannot be simulated; "
                f"choose from {', '.join(_THRESHOLDS)}"
            )


class SyntheticSource:
    """Frames from prepared pieces, a new choice for every series."""

    def __init__(
        self,
        detector: Detector,
        dtype: np.dtype[Any],
        *,
        frames: int,
        frame_time: float,
        encoding: Encoding = Encoding.BSLZ4,
        channels: tuple[str, ...] = ("threshold_1",),
        mean_counts: float = 0.36,
        scenario: Scenario = Scenario.STEADY,
        seed: int = 0,
    ) -> None:
        check_channels(channels)
        self.detector = detector
        self.dtype = dtype
        self.frames = frames
        self.frame_time = frame_time
        self.encoding = encoding
        self.channels = channels
        self.mean_counts = mean_counts
        self.scenario = scenario
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.pools = {
            channel: ImagePool(
                detector,
                dtype,
                mean_counts * _NEXT_THRESHOLD ** _THRESHOLDS.index(channel),
                rng,
                encoding=encoding,
                levels=levels_of(scenario),
                damaged_levels=damaged_levels_of(scenario),
            )
            for channel in channels
        }

    def series(self, series_id: int) -> Series:
        """Return the series `series_id`, the same one for the same seed."""
        curve = curve_of(self.scenario, self.frames, self.frame_time)
        totals = {
            channel: np.zeros(self.frames, np.uint64) for channel in self.channels
        }
        acquisition = synthetic_acquisition(
            self.detector,
            self.dtype,
            self.channels,
            self.frames,
            self.frame_time,
            series_id,
            compression=_COMPRESSION[self.encoding],
            user_data={"eigersim": {"mode": "synthetic", "origin": self.facts()}},
        )
        return Series(
            acquisition,
            self._exposures(curve, totals, acquisition),
            totals,
            self.facts() | {"features": curve.features},
        )

    def facts(self) -> dict[str, Any]:
        """Return how the frames are made, ready for JSON."""
        return {
            "detector": self.detector.name,
            "scenario": self.scenario.value,
            "mean_counts": self.mean_counts,
            "seed": self.seed,
        }

    def _exposures(
        self,
        curve: Curve,
        totals: dict[str, npt.NDArray[np.uint64]],
        acquisition: Acquisition,
    ) -> Iterator[Exposure]:
        """Yield every frame and note its totals, planning some frames at a time."""
        rng = np.random.default_rng([self.seed, acquisition.series_id])
        real_ns = round(acquisition.count_time * 1e9)
        for start in range(0, self.frames, _PLANNED):
            part = slice(start, start + _PLANNED)
            plans = []
            for channel, pool in self.pools.items():
                choice, sums = pool.plan(
                    curve.intensity[part], curve.damaged[part], rng
                )
                totals[channel][part] = sums
                plans.append((channel, pool, choice))
            for i in range(start, min(start + _PLANNED, self.frames)):
                yield Exposure(
                    image_id=i,
                    start_ns=round(i * self.frame_time * 1e9),
                    real_ns=real_ns,
                    images={
                        channel: pool.image(choice[i - start])
                        for channel, pool, choice in plans
                    },
                )


_PLANNED = 1000
_COMPRESSION = {
    Encoding.BSLZ4: "bslz4",
    Encoding.BSZSTD: "bszstd",
    Encoding.LZ4: "lz4",
    Encoding.LZ4_BLOCK: "lz4",
    Encoding.NONE: "none",
}
