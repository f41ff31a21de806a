"""What is said about a series and its exposures, whatever the stream's version."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from eigersim.detector import Detector, saturation_of
from eigersim.images import ImageData

TICKS_HZ = 50_000_000
"""Time base of stream v2."""


class HeaderDetail(StrEnum):
    """What the start message carries."""

    ALL = "all"
    BASIC = "basic"
    """Everything but the arrays."""
    NONE = "none"


@dataclass(frozen=True)
class Acquisition:
    """One series as it is announced. Names and units are SIMPLON's.

    What is None is not announced: a recording does not tell everything.
    """

    series_id: int
    series_unique_id: str
    detector_description: str
    detector_serial_number: str
    shape: tuple[int, int]
    """(y, x) [pixels]."""
    dtype: np.dtype[Any]
    channels: tuple[str, ...]
    nimages: int
    frame_time: float
    """Start to start [s]."""
    count_time: float
    """Exposure [s]."""
    saturation_value: int | None
    countrate_cutoff: int | None
    compression: str = "bslz4"
    ntrigger: int = 1
    trigger_mode: str = "ints"
    bit_depth_readout: int = 16
    photon_energy: float | None = 12_400.0
    """[eV]."""
    incident_wavelength: float | None = None
    """[angstrom]; None: follows from `photon_energy`."""
    threshold_energy: dict[str, float] = field(default_factory=dict)
    """By channel [eV]."""
    beam_center: tuple[float | None, float | None] = (0.0, 0.0)
    """(x, y) [pixels]."""
    detector_distance: float | None = 0.2
    """[m]."""
    pixel_size: tuple[float | None, float | None] = (7.5e-5, 7.5e-5)
    """(x, y) [m]."""
    sensor_material: str = "Si"
    sensor_thickness: float = 4.5e-4
    """[m]."""
    pixel_masks: Mapping[str, npt.NDArray[np.uint32]] = field(default_factory=dict)
    """By channel, (y, x), bits as DECTRIS defines them."""
    arm_date: datetime = field(default_factory=lambda: datetime.now(UTC).astimezone())
    clock_origin_ns: int = field(default_factory=time.monotonic_ns)
    """Stream v1's clock at the start of the series [ns]."""
    user_data: Any = None

    @property
    def number_of_images(self) -> int:
        """Images announced."""
        return self.nimages * self.ntrigger

    @property
    def wavelength(self) -> float | None:
        """[angstrom]."""
        if self.incident_wavelength is not None or self.photon_energy is None:
            return self.incident_wavelength
        return 12_398.4198 / self.photon_energy

    def countrate_table(self) -> npt.NDArray[np.float32]:
        """Return (2, n): measured counts and the counts they stand for."""
        cutoff = self.countrate_cutoff or saturation_of(self.dtype)
        measured = np.linspace(0.0, cutoff, 101, dtype=np.float32)
        return np.stack([measured, measured * (1 + measured / measured.max() / 10)])


@dataclass(frozen=True, slots=True)
class Exposure:
    """All channels of one frame."""

    image_id: int
    start_ns: int
    """Relative to the start of the series [ns]."""
    real_ns: int
    """[ns]."""
    images: dict[str, ImageData]
    """By channel."""


def synthetic_acquisition(
    detector: Detector,
    dtype: np.dtype[Any],
    channels: tuple[str, ...],
    frames: int,
    frame_time: float,
    series_id: int,
    **more: Any,
) -> Acquisition:
    """Return what the virtual detector says about a series of its own."""
    y, x = detector.shape
    saturation = saturation_of(dtype)
    return Acquisition(
        series_id=series_id,
        series_unique_id=new_unique_id(),
        detector_description=detector.description,
        detector_serial_number=detector.serial,
        shape=detector.shape,
        dtype=dtype,
        channels=channels,
        nimages=frames,
        frame_time=frame_time,
        count_time=frame_time - 1e-7,
        saturation_value=saturation,
        countrate_cutoff=saturation,
        bit_depth_readout=8 if dtype.itemsize == 1 else 16,
        threshold_energy={
            channel: 6_200.0 + 3_100.0 * i for i, channel in enumerate(channels)
        },
        beam_center=(x / 2, y / 2),
        pixel_masks=dict.fromkeys(channels, detector.pixel_mask()),
        **more,
    )


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_unique_id() -> str:
    """Return a ULID: 48 bits of time in ms, then 80 random bits."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
