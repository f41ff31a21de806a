"""One series as the ledger sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from eigerwatch.masks import digest, n_masked
from eigerwatch.model import (
    DEFAULT_CHANNEL,
    BadFrame,
    Image,
    PixelFilter,
    SeriesStart,
    SourceKind,
    SourceState,
)
from eigerwatch.selection import PixelSelection, Selector
from eigerwatch.series.ledger import ChannelLedger, SettleClock

OPEN_STATES = frozenset(
    {
        SourceState.ARMED,
        SourceState.COLLECTING,
        SourceState.SETTLING,
        SourceState.STALLED,
    }
)

MAX_CHANNELS = 8
"""Channels of one series; more are a malformed message."""

MAX_SETTINGS = 256
"""Settings versions of one series; more are the work of a broken sender."""

_FARTHEST_START_NS = 400 * 86_400 * 10**9
"""A frame that claims to start later than this into its series is mistaken [ns]."""

_LARGEST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SettingsVersion:
    """One version of what was counted, as stored with the series."""

    number: int
    from_image_id: int
    dtype: str
    shape: tuple[int, int]
    """(y, x) [pixels]."""
    low: int
    high: int
    high_from: str
    """As `PixelSelection.high_from`."""
    mask_from: tuple[str, ...]
    masked: int
    """Pixels that the masks leave out."""
    mask_digest: str
    """Tells masks apart; empty: there is none."""
    regions: tuple[Mapping[str, Any], ...]
    """As `RegionSet.described`, in the order of the region rows."""
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        selection: PixelSelection,
        dtype: np.dtype[Any],
        shape: tuple[int, int],
        *,
        number: int = 0,
        from_image_id: int = 0,
    ) -> Self:
        """Describe a selection as it is stored."""
        mask = selection.mask
        return cls(
            number=number,
            from_image_id=from_image_id,
            dtype=dtype.name,
            shape=shape,
            low=selection.low,
            high=selection.high,
            high_from=selection.high_from,
            mask_from=selection.mask_from,
            masked=0 if mask is None else n_masked(mask),
            mask_digest="" if mask is None else digest(mask),
            regions=selection.regions.described,
            notes=selection.notes,
        )

    def same_as(self, other: SettingsVersion) -> bool:
        """Tell whether both count the same pixels of the same images."""
        return self == replace(
            other,
            number=self.number,
            from_image_id=self.from_image_id,
            high_from=self.high_from,
            mask_from=self.mask_from,
            notes=self.notes,
        )


@dataclass(slots=True)
class Series:
    """Everything known of one series while it is in memory."""

    key: str
    source: SourceKind
    series_id: int
    series_unique_id: str | None
    selector: Selector
    clock: SettleClock
    opened_ms: int
    start: SeriesStart | None = None
    state: SourceState = SourceState.ARMED
    end_seen: bool = False
    end_deadline: float | None = None
    highest: int = -1
    channels: dict[str, ChannelLedger] = field(default_factory=dict)
    last_seen: float = 0.0
    """When the last message came, on the monotonic clock [s]."""
    time_origin_ns: int | None = None
    """Subtracted from v1's times, whose origin is arbitrary [ns]."""
    settings: list[SettingsVersion] = field(default_factory=list)
    refused: int = 0
    """Frames refused because their number is beyond the site's limit."""
    second_start: SeriesStart | None = None
    """A repeated START for the same number: the next frame tells what it was."""
    unplaced: list[BadFrame] = field(default_factory=list)
    """Bad frames that do not say their channels, while none is known."""
    leap: int | None = None
    """A frame number so far ahead that it needs confirmation by the next one."""
    region_slots: dict[str, int] = field(default_factory=dict)
    """By channel, the region rows per frame that an earlier process stored."""
    _filters: dict[tuple[str, str, tuple[int, int]], PixelFilter] = field(
        default_factory=dict
    )

    @property
    def is_open(self) -> bool:
        """Whether frames are still expected."""
        return self.state in OPEN_STATES

    @property
    def frame_time_s(self) -> float | None:
        """Start-to-start time of the frames [s], if the header tells."""
        return self.start.frame_time_s if self.start else None

    @property
    def announced(self) -> int | None:
        """Upper bound of the number of frames, if the header tells."""
        return self.start.number_of_images if self.start else None

    @property
    def complete(self) -> bool:
        """Whether every announced frame of every channel is stored or rejected."""
        return (
            self.announced is not None
            and self.highest + 1 >= self.announced
            and all(
                c.stored + c.rejected == self.highest + 1
                for c in self.channels.values()
            )
        )

    @property
    def busy(self) -> bool:
        """Whether frames are being reduced."""
        return any(c.accepted for c in self.channels.values())

    def ledger(self, channel: str) -> ChannelLedger:
        """Return a channel's ledger, made when first asked for."""
        try:
            return self.channels[channel]
        except KeyError:
            ledger = self.channels[channel] = ChannelLedger()
            return ledger

    def adopt(self, start: SeriesStart) -> None:
        """Take a header that came after the first frames; filters start anew."""
        self.start = start
        self._filters.clear()

    def takes(self, channel: str) -> bool:
        """Tell whether a channel is known or may be added."""
        return channel in self.channels or len(self.channels) < MAX_CHANNELS

    def channel_names(self) -> tuple[str, ...]:
        """Return the channels seen, else those announced, else v1's single one."""
        if self.channels:
            return tuple(self.channels)
        announced = self.start.channels if self.start else ()
        return announced or (DEFAULT_CHANNEL,)

    def pixel_filter(self, image: Image, image_id: int) -> PixelFilter | None:
        """Return the filter for an image, starting a settings version if needed.

        None when there have been too many.
        """
        kind = (image.channel, image.dtype.str, image.shape)
        known = self._filters.get(kind)
        if known is not None:
            return known
        if len(self.settings) >= MAX_SETTINGS:
            return None
        selection = self.selector.select(
            self.start, image.channel, image.dtype, image.shape
        )
        version = self._version(selection, image, image_id)
        made = selection.pixel_filter(version.number)
        # One object for equal filters: frames that share it are reduced together.
        made = next((f for f in self._filters.values() if f == made), made)
        self._filters[kind] = made
        return made

    def _version(
        self, selection: PixelSelection, image: Image, image_id: int
    ) -> SettingsVersion:
        """Return the settings version of a selection, a new one if it differs."""
        version = SettingsVersion.of(
            selection,
            image.dtype,
            image.shape,
            number=len(self.settings),
            from_image_id=image_id,
        )
        for known in self.settings:
            if known.same_as(version):
                return known
        self.settings.append(version)
        return version

    def start_time(self, image_id: int, start_ns: int | None) -> tuple[int, bool, bool]:
        """Return an exposure's start relative to the series' start.

        Returns
        -------
        start_ns : int
            Start [ns].
        computed : bool
            It is image_id x frame_time because the header tells nothing.
        implausible : bool
            The header's time is impossible, so it was computed.
        """
        nominal = min(round(image_id * (self.frame_time_s or 0.0) * 1e9), _LARGEST_NS)
        if start_ns is None:
            return nominal, True, False
        if self.time_origin_ns is None:
            is_v1 = self.series_unique_id is None
            self.time_origin_ns = start_ns - nominal if is_v1 else 0
        relative = start_ns - self.time_origin_ns
        if -(10**9) <= relative <= _FARTHEST_START_NS:
            return relative, False, False
        return nominal, True, True
