"""What travels along the data path: stream messages, images and frame records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag, StrEnum
from typing import Any

import numpy as np

Buffer = bytes | bytearray | memoryview
"""Contiguous bytes that are read, never written."""

DEFAULT_CHANNEL = "image"
"""Name of stream v1's single channel."""

MISSING_TOTAL = 2**64 - 1
"""Stands for a missing or rejected frame in an exported array of totals."""

FRAME_RECORD = np.dtype(
    [
        ("total", "<u8"),
        ("kept", "<u4"),
        ("below", "<u4"),
        ("above", "<u4"),
        ("sentinel", "<u4"),
        ("masked", "<u4"),
        ("max_kept", "<u4"),
        ("start_ns", "<i8"),
        ("real_ns", "<u8"),
        ("received_ns", "<i8"),
        ("flags", "<u2"),
        ("settings", "<u2"),
        ("reserved", "<u4"),
    ]
)
"""One frame of one channel, 64 bytes, the same from the kernel to the browser.

``total`` [counts] is the exact sum of the kept pixels; ``kept``, ``below``,
``above``, ``sentinel`` and ``masked`` are pixel counts that add up to the image;
``start_ns`` is the exposure's start relative to the series' start, ``real_ns`` the
exposure, ``received_ns`` the arrival in UTC epoch time, all [ns].
"""

COUNTS_BYTES = 32
"""The first bytes of a `FRAME_RECORD`, total to max_kept: what the kernel fills."""

REGION_ROW = np.dtype([("total", "<u8"), ("kept", "<u4"), ("sentinel", "<u4")])
"""One region of one frame, 16 bytes."""

REGION_EDGE = np.dtype([("pixel", "<u4"), ("region", "<u2"), ("enters", "<u2")])
"""Where a region is entered (1) or left (0), going through the pixels of an image row
by row."""


class FrameFlag(IntFlag):
    """Bits of `FRAME_RECORD` ``flags``; the top four bits hold a `RejectReason`."""

    STORED = 1
    """The record is valid. A row never written is all zero."""
    REJECTED = 2
    """The frame came but could not be reduced; its counts mean nothing."""
    LATE = 4
    """Came after its place had been declared missing, or out of order."""
    FROM_FILE = 8
    """Recorded earlier and read back from a file."""
    TIME_COMPUTED = 16
    """start_ns is image_id x frame_time, not a measurement."""
    MAY_WRAP = 32
    """8-bit frame: counters roll over silently above 255 counts."""
    BEYOND_ANNOUNCED = 64
    """image_id is not below the announced number of images."""
    CONFLICT = 128
    """The frame came again with other contents; the first one is kept."""
    TIME_IMPLAUSIBLE = 256
    """The header's times contradict each other; start_ns was computed."""
    EMPTY = 512
    """No pixel was kept."""


REASON_SHIFT = 12
"""Position of the `RejectReason` within ``flags``."""


class RejectReason(IntEnum):
    """Why a frame was rejected, as stored in the top four bits of ``flags``."""

    NONE = 0
    PAYLOAD = 1
    """The compressed data is corrupt or truncated."""
    CONTRADICTION = 2
    """Element type, size or shape statements of the message disagree."""
    ENCODING = 3
    """An encoding or byte order that is not supported."""
    SIZE = 4
    """Larger than the site allows."""
    MESSAGE = 5
    """The message about the image is malformed."""
    WORKER = 6
    """Reducing it failed repeatedly for no fault of the data."""
    READ = 7
    """The recorded chunk could not be read."""


class Encoding(StrEnum):
    """How an image's bytes are packed."""

    NONE = "none"
    LZ4_BLOCK = "lz4-block"
    """One raw LZ4 block without sizes: stream v1's ``lz4<``."""
    LZ4 = "lz4"
    """HDF5 framing: u64 size, u32 block size, then u32 length + block, big-endian."""
    BSLZ4 = "bslz4"
    """Bitshuffle, the same framing, LZ4 blocks, raw tail of n mod 8 elements."""
    BSZSTD = "bszstd"
    """The same with Zstandard."""


class SourceKind(StrEnum):
    """Where a series comes from; first half of its key."""

    LIVE = "live"
    SIM = "sim"
    REPLAY = "replay"
    FILE = "file"


class SourceState(StrEnum):
    """State of a source, or of one of its series."""

    NO_DATA = "no_data"
    ARMED = "armed"
    COLLECTING = "collecting"
    SETTLING = "settling"
    STALLED = "stalled"
    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"
    ERROR = "error"


class EventKind(StrEnum):
    """Kinds of the entries in a series' event list."""

    START = "start"
    END = "end"
    EMPTY = "empty"
    DAMAGED = "damaged"
    TOPUP = "topup"
    STEP = "step"
    SPIKE = "spike"
    DRIFT = "drift"
    GAP = "gap"
    NO_BEAM = "no_beam"
    ALARM = "alarm"
    SETTINGS = "settings"
    NOTE = "note"


@dataclass(slots=True)
class Image:
    """One channel's compressed image."""

    channel: str
    encoding: Encoding
    dtype: np.dtype[Any]
    """uint8, little-endian uint16 or uint32 [counts]."""
    shape: tuple[int, int]
    """(y, x) [pixels]."""
    payload: Buffer

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkRun:
    """Images of one channel that lie in one file, packed alike; picklable.

    Read by the worker that reduces them, so that reading runs in parallel.
    """

    path: str
    encoding: Encoding
    dtype: np.dtype[Any]
    """uint8, little-endian uint16 or uint32 [counts]."""
    shape: tuple[int, int]
    """(y, x) [pixels]."""
    offsets: np.ndarray[Any, np.dtype[np.uint64]]
    """Where each image's bytes begin in the file [bytes]."""
    sizes: np.ndarray[Any, np.dtype[np.uint64]]
    """How many they are."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, part: slice) -> ChunkRun:
        return replace(self, offsets=self.offsets[part], sizes=self.sizes[part])


Images = list[Image] | ChunkRun
"""What is reduced together: images in memory, or recorded ones."""


@dataclass(frozen=True, slots=True)
class PixelMask:
    """Which pixels of an image are used."""

    shape: tuple[int, int]
    """(y, x) [pixels]."""
    used: bytes = field(repr=False)
    """Bit set = pixel used, `numpy.packbits(..., bitorder="little")` over (y, x)."""


@dataclass(slots=True)
class SeriesStart:
    """A series was armed. Everything but `series_id` may be unknown."""

    series_id: int
    series_unique_id: str | None = None
    """Stream v2's ULID; None for v1."""
    channels: tuple[str, ...] = ()
    """Announced channels; the images' own maps decide which are active."""
    shape: tuple[int, int] | None = None
    """(y, x) [pixels]."""
    dtype: np.dtype[Any] | None = None
    number_of_images: int | None = None
    """nimages x ntrigger: an upper bound, never a reason to allocate."""
    frame_time_s: float | None = None
    count_time_s: float | None = None
    detector: str | None = None
    """Detector description."""
    serial: str | None = None
    """Detector serial number."""
    saturation_value: int | None = None
    countrate_cutoff: int | None = None
    """``countrate_correction_count_cutoff`` [counts]."""
    header_detail: str | None = None
    """``all``, ``basic`` or ``none``, as far as it can be told."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """All scalar header fields, safe for JSON: names and units of the stream."""
    user_data: Any = None
    """header_appendix (v1) or user_data (v2), safe for JSON."""
    stream: str = ""
    """``v1``, ``v2`` or ``file``."""
    mask_images: Mapping[str, Image] = field(default_factory=dict, repr=False)
    """By channel, the detector's pixel mask as it was sent: other than 0 = masked."""
    pixel_masks: Mapping[str, PixelMask] = field(default_factory=dict)
    """By channel, what has become of `mask_images`."""


@dataclass(slots=True)
class Frame:
    """All channels of one exposure."""

    series_id: int
    image_id: int
    images: tuple[Image, ...]
    start_ns: int | None = None
    """Exposure start relative to the series' clock origin [ns]; None: not told."""
    real_ns: int | None = None
    """Exposure [ns]; None: not told."""
    series_unique_id: str | None = None
    user_data: Any = None


@dataclass(slots=True)
class BadFrame:
    """A frame that is known by number but cannot be used."""

    series_id: int
    image_id: int
    reason: RejectReason
    detail: str
    """One sentence that names what is wrong."""
    channels: tuple[str, ...] = ()
    """The channels concerned; empty: all of the series."""
    series_unique_id: str | None = None


@dataclass(slots=True)
class SeriesEnd:
    """A series was disarmed, cancelled or aborted."""

    series_id: int
    series_unique_id: str | None = None


Message = SeriesStart | Frame | BadFrame | SeriesEnd
"""What a decoder or a file reader yields."""


@dataclass(frozen=True, slots=True)
class PixelFilter:
    """Which pixels count: low <= value <= high, sentinel and masked ones never."""

    low: int
    high: int
    settings: int = 0
    """Settings version within the series; goes into each record."""
    mask: bytes | None = None
    """Bit set = pixel used, `numpy.packbits(..., bitorder="little")` over (y, x)."""
    edges: bytes | None = None
    """(n,) of `REGION_EDGE`, by pixel: the regions that are summed."""
    regions: int = 0
    """Number of regions."""


def sentinel_of(dtype: np.dtype[Any]) -> int:
    """Return 2^n - 1, the value that marks pixels without data."""
    return int(np.iinfo(dtype).max)


def cap_of(dtype: np.dtype[Any]) -> int:
    """Return the largest `high` that keeps both bad-pixel codes out [counts].

    2^n - 3, since 2^n - 2 marks bad pixels in files derived from CBF; 254 for
    8 bit, where only 255 is taken.
    """
    return 254 if dtype.itemsize == 1 else sentinel_of(dtype) - 2


def automatic_high(
    dtype: np.dtype[Any],
    saturation_value: int | None = None,
    countrate_cutoff: int | None = None,
) -> int:
    """Return the `high` [counts] that the detector itself states, capped.

    The smaller of the stated limits that are present and positive.
    """
    stated = [
        v for v in (saturation_value, countrate_cutoff) if v is not None and v > 0
    ]
    return min([cap_of(dtype), *stated])
