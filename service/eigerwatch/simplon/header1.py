"""The header of a stream v1 series, and what it settles for the series' images."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from math import prod
from typing import Any

from eigerwatch.errors import DecodeError
from eigerwatch.model import DEFAULT_CHANNEL, Image, RejectReason, SeriesStart
from eigerwatch.simplon import fields
from eigerwatch.simplon.image import DTYPES, ImageError, check_shape

TICK_NS = 20
"""Time unit of the first EIGER generation (API 1.6) [ns]; later ones send ns."""
TEXT_SERIES = 2**32
"""Series ids from here on stand for text ids such as ``08/15``."""

_SELF_TIMED = ("ints", "exts")
"""Trigger modes in which the detector itself times the exposure."""
_KEPT = (
    "x_pixels_in_detector",
    "y_pixels_in_detector",
    "count_time",
    "trigger_mode",
    "software_version",
    "eiger_fw_version",
)
"""What of the configuration outlives the header."""


@dataclass(slots=True)
class Header:
    """The parts of a header that have come so far."""

    series_id: int
    part: dict[str, Any]
    config: dict[str, Any] | None = None
    pixel_mask: Image | None = None
    user_data: Any = None

    @property
    def detail(self) -> str | None:
        """What the sender says it sends: ``all``, ``basic`` or ``none``."""
        return fields.text(self.part.get("header_detail"))

    @property
    def complete(self) -> bool:
        """Whether nothing but tables and the appendix can still come."""
        return self.config is not None or self.detail == "none"

    def takes_config(self, value: dict[str, Any]) -> bool:
        """Tell whether `value` is the configuration rather than the appendix."""
        return self.config is None and (
            self.detail != "none"
            or "nimages" in value
            or "x_pixels_in_detector" in value
        )

    def series_start(self, max_pixels: int) -> SeriesStart:
        """Return what is known so far; fields that make no sense stay unknown."""
        config = self.config or {}
        try:
            shape = check_shape(
                config.get("y_pixels_in_detector"),
                config.get("x_pixels_in_detector"),
                max_pixels,
            )
        except ImageError:
            shape = None
        counts = [fields.whole(config.get(key)) for key in ("nimages", "ntrigger")]
        known = [n for n in counts if n is not None]
        bits = fields.whole(config.get("bit_depth_image"))
        shown = {k: v for k, v in self.part.items() if k != "htype"} | config
        return SeriesStart(
            self.series_id,
            channels=(DEFAULT_CHANNEL,),
            shape=shape,
            dtype=DTYPES.get(f"uint{bits}"),
            number_of_images=fields.whole(prod(known)) if known else None,
            frame_time_s=fields.seconds(config.get("frame_time")),
            count_time_s=fields.seconds(config.get("count_time")),
            detector=fields.text(config.get("description")),
            serial=fields.text(config.get("detector_number")),
            saturation_value=fields.whole(config.get("saturation_value")),
            countrate_cutoff=fields.whole(
                config.get("countrate_correction_count_cutoff")
            ),
            header_detail=self.detail,
            header=fields.plain(shown),
            user_data=self.user_data,
            stream="v1",
            mask_images=(
                {} if self.pixel_mask is None else {DEFAULT_CHANNEL: self.pixel_mask}
            ),
        )


@dataclass(slots=True)
class Series:
    """What the images of a series need from its header; empty if it was missed."""

    config: dict[str, Any] = field(default_factory=dict)
    unit_ns: int = 0
    """Unit of the images' times [ns], settled by the first image; 0: not yet."""

    def __post_init__(self) -> None:
        known = fields.plain({k: v for k, v in self.config.items() if k in _KEPT})
        self.config = known

    def shape(self, stated: object, max_pixels: int) -> tuple[int, int]:
        """Return (y, x) of an image from the shape its message states.

        Raises
        ------
        ImageError
            The statement is no image's shape, or too large a one.
        """
        if (
            not isinstance(stated, list)
            or len(stated) < 2
            or (len(stated) > 2 and stated[2:] != [1])
        ):
            raise ImageError(
                RejectReason.CONTRADICTION, f"shape {stated!r:.80} is no image's"
            )
        x, y = stated[:2]
        # The documents say [x, y]; a replayer in use sends [y, x].
        config = self.config
        if x == config.get("y_pixels_in_detector") and (
            y == config.get("x_pixels_in_detector")
        ):
            x, y = y, x
        return check_shape(y, x, max_pixels)

    def times(self, part: dict[str, Any]) -> tuple[int | None, int | None]:
        """Return start and exposure of an image [ns], None where not usable.

        The start counts from the origin of the detector's clock, which is not the
        series' first image.
        """
        start = fields.whole(part.get("start_time"))
        stop = fields.whole(part.get("stop_time"))
        real = fields.whole(part.get("real_time"))
        if start is not None and stop is not None and stop < start:
            start = None
        unit_ns = self.unit_ns
        if not unit_ns:
            unit_ns = self.unit_ns = self._settle_unit_ns(real)
        return (
            None if start is None else fields.whole(start * unit_ns),
            None if real is None else fields.whole(real * unit_ns),
        )

    def _settle_unit_ns(self, real_time: int | None) -> int:
        """Return the unit in which `real_time` fits `count_time`, else by firmware."""
        config = self.config
        exposure_s = fields.seconds(config.get("count_time"))
        if real_time and exposure_s and config.get("trigger_mode") in _SELF_TIMED:
            for unit_ns in (1, TICK_NS):
                if 0.5 < real_time * unit_ns / (exposure_s * 1e9) < 2:
                    return unit_ns
        version = fields.text(config.get("software_version")) or ""
        old = version.startswith("1.6.") and "eiger_fw_version" not in config
        return TICK_NS if old else 1


def series_number(value: object) -> int:
    """Return the series id; text ids of old emulators get a number of their own.

    Raises
    ------
    DecodeError
        Neither a number nor short text.
    """
    number = fields.whole(value)
    if number is not None:
        return number
    if isinstance(value, str) and 0 < len(value) <= 64:
        if value.isascii() and value.isdigit() and len(value) < 19:
            return int(value)
        return TEXT_SERIES + zlib.crc32(value.encode("utf-8", "replace"))
    raise DecodeError(f"{value!r:.80} is no series id", kind="value")
