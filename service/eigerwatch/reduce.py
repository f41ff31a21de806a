"""Compressed images to frame records: the Python face of the kernel."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from eigerwatch import bszstd, reference
from eigerwatch.errors import KernelError
from eigerwatch.model import (
    FRAME_RECORD,
    REGION_ROW,
    Buffer,
    Encoding,
    FileChunk,
    Image,
    PixelFilter,
    RejectReason,
)

try:
    from eigerwatch import _kernel
except ImportError as exc:
    _kernel = None  # type: ignore[assignment]
    _KERNEL_PROBLEM = str(exc)
else:
    _KERNEL_PROBLEM = ""

_backend: Any = reference if _kernel is None else _kernel

_ENCODING_CODE = {
    Encoding.NONE: 0,
    Encoding.LZ4_BLOCK: 1,
    Encoding.LZ4: 2,
    Encoding.BSLZ4: 3,
    Encoding.BSZSTD: 4,  # of which the planes are taken out before
}

_worker = threading.local()


def kernel_name() -> str:
    """Return the variant in use, e.g. ``avx512``, or ``reference`` without kernel."""
    return "reference" if _kernel is None else _kernel.variant()


def kernel_problem() -> str:
    """Return why the compiled kernel is not in use; empty when it is."""
    return _KERNEL_PROBLEM


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one image of a batch has no counts."""

    reason: RejectReason
    detail: str


@dataclass(slots=True)
class Reduced:
    """What became of a batch, in its order."""

    records: np.ndarray[Any, np.dtype[Any]]
    """(n,) of `FRAME_RECORD`; only the counts and ``settings`` are filled."""
    regions: np.ndarray[Any, np.dtype[Any]]
    """(n, regions) of `REGION_ROW`."""
    errors: dict[int, Rejection]
    """Index of an image to why its counts are void."""

    @classmethod
    def empty(cls, n: int, pixel_filter: PixelFilter) -> Reduced:
        """Return room for `n` images."""
        records = np.zeros(n, FRAME_RECORD)
        records["settings"] = pixel_filter.settings
        return cls(records, np.zeros((n, pixel_filter.regions), REGION_ROW), {})

    def only(self, *indices: int) -> Reduced:
        """Return some of the images, without errors."""
        chosen = list(indices)
        return Reduced(self.records[chosen], self.regions[chosen], {})


@lru_cache(maxsize=64)
def _selection(pixel_filter: PixelFilter, pixels: int) -> Any:
    """Return what the kernel needs of a filter, checked once for all its images."""
    return _backend.Selection(
        pixels,
        pixel_filter.low,
        pixel_filter.high,
        pixel_filter.mask,
        pixel_filter.edges,
        pixel_filter.regions,
    )


def _scratch(size: int) -> bytearray | None:
    """Return this thread's scratch buffer, grown to at least `size` bytes."""
    if size == 0:
        return None
    buffer: bytearray | None = getattr(_worker, "scratch", None)
    if buffer is None or len(buffer) < size:
        buffer = _worker.scratch = bytearray(size)
    return buffer


def _prepared(image: Image) -> tuple[int, Buffer]:
    """Return the kernel's code for an encoding, and the bytes it is in."""
    payload = image.payload
    if isinstance(payload, FileChunk):
        payload = payload.read()
    if image.encoding is Encoding.BSZSTD:
        payload = bszstd.planes_of(payload, image.dtype.itemsize, image.pixels)
    return _ENCODING_CODE[image.encoding], payload


def reduce_batch(images: Sequence[Image], pixel_filter: PixelFilter) -> Reduced:
    """Decompress images and count their pixels with low <= value <= high.

    A bad image costs only itself.

    Parameters
    ----------
    images
        Compressed (y, x) images.
    pixel_filter
        Limits, mask and regions, for all of them.
    """
    reduced = Reduced.empty(len(images), pixel_filter)
    groups: dict[tuple[int, int, int], tuple[list[int], list[Buffer]]] = {}
    for index, image in enumerate(images):
        try:
            code, payload = _prepared(image)
        except KernelError as exc:
            reduced.errors[index] = Rejection(RejectReason.PAYLOAD, str(exc))
        except (OSError, EOFError) as exc:
            reduced.errors[index] = Rejection(RejectReason.READ, str(exc))
        else:
            alike = (code, image.dtype.itemsize, image.pixels)
            indices, payloads = groups.setdefault(alike, ([], []))
            indices.append(index)
            payloads.append(payload)
    for alike, (indices, payloads) in groups.items():
        if len(indices) == len(images):
            faults = _reduce(alike, payloads, pixel_filter, reduced)
        else:
            part = Reduced.empty(len(indices), pixel_filter)
            faults = _reduce(alike, payloads, pixel_filter, part)
            reduced.records[indices] = part.records
            reduced.regions[indices] = part.regions
        for place, detail in faults:
            reduced.errors[indices[place]] = Rejection(RejectReason.PAYLOAD, detail)
    return reduced


def _reduce(
    alike: tuple[int, int, int],
    payloads: list[Buffer],
    pixel_filter: PixelFilter,
    into: Reduced,
) -> list[tuple[int, str]]:
    """Let the kernel reduce images that are packed alike; return what was refused."""
    code, itemsize, pixels = alike
    scratch = _scratch(_backend.scratch_bytes(payloads, code, itemsize, pixels))
    faults: list[tuple[int, str]] = _backend.reduce(
        payloads,
        code,
        itemsize,
        _selection(pixel_filter, pixels),
        into.records.view(np.uint8),
        into.regions.view(np.uint8) if pixel_filter.regions else None,
        scratch,
    )
    return faults


def decode_image(image: Image) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the image's pixels, (y, x) [counts].

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    OSError, EOFError
        The recorded chunk cannot be read.
    """
    code, payload = _prepared(image)
    itemsize = image.dtype.itemsize
    out = np.empty(image.shape, image.dtype)
    scratch = _scratch(_backend.scratch_bytes([payload], code, itemsize, image.pixels))
    try:
        _backend.decode(
            payload, code, itemsize, image.pixels, out.view(np.uint8), scratch
        )
    except RuntimeError as exc:
        raise KernelError(str(exc)) from exc
    return out


def bin_image(
    image: Image, pixel_filter: PixelFilter, factor: int
) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[Any]]]:
    """Sum the kept pixels of squares of `factor` x `factor` pixels.

    Returns
    -------
    sums : (y, x) of uint64
        Per square, fewer pixels where the image ends [counts].
    kept : (y, x) of uint32
        How many pixels that were.

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    OSError, EOFError
        The recorded chunk cannot be read.
    """
    code, payload = _prepared(image)
    itemsize, (y, x) = image.dtype.itemsize, image.shape
    shape = (-(-y // factor), -(-x // factor))
    sums, kept = np.empty(shape, "<u8"), np.empty(shape, "<u4")
    scratch = _scratch(_backend.scratch_bytes([payload], code, itemsize, image.pixels))
    try:
        _backend.bin_pixels(
            payload,
            code,
            itemsize,
            _selection(pixel_filter, image.pixels),
            x,
            factor,
            sums,
            kept,
            scratch,
        )
    except RuntimeError as exc:
        raise KernelError(str(exc)) from exc
    return sums, kept
