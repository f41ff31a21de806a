"""Compressed images to frame records: the Python face of the kernel."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from eigerwatch import bszstd, reference
from eigerwatch.chunks import ChunkFile
from eigerwatch.errors import KernelError
from eigerwatch.model import (
    FRAME_RECORD,
    REGION_ROW,
    Buffer,
    ChunkRun,
    Encoding,
    Image,
    Images,
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


def kernel_variants() -> tuple[str, ...]:
    """Return the variants that this CPU can run, best first; none without kernel."""
    return () if _kernel is None else _kernel.variants()


def kernel_problem() -> str:
    """Return why the compiled kernel is not in use; empty when it is."""
    return _KERNEL_PROBLEM


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one image of a batch has no counts."""

    reason: RejectReason
    detail: str

    @property
    def text(self) -> str:
        """As it is stored: ``<reason>: <detail>``."""
        return f"{self.reason.name.lower()}: {self.detail}"


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

    def reject(self, index: int, reason: RejectReason, detail: object) -> None:
        """Note that an image could not be reduced, and why."""
        self.errors[index] = Rejection(reason, str(detail))

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


class _Packing(NamedTuple):
    """How images are packed; those of a kind go to the kernel together."""

    encoding: Encoding
    itemsize: int
    pixels: int

    @property
    def code(self) -> int:
        """The kernel's number for the encoding."""
        return _ENCODING_CODE[self.encoding]

    def unpacked(self, payload: Buffer) -> Buffer:
        """Return a payload as the kernel takes it."""
        if self.encoding is Encoding.BSZSTD:
            return bszstd.planes_of(payload, self.itemsize, self.pixels)
        return payload

    def scratch(self, *payloads: Buffer) -> bytearray | None:
        """Return this thread's scratch buffer, large enough for any of `payloads`."""
        size = _backend.scratch_bytes(payloads, self.code, self.itemsize, self.pixels)
        if size == 0:
            return None
        buffer: bytearray | None = getattr(_worker, "scratch", None)
        if buffer is None or len(buffer) < size:
            buffer = _worker.scratch = bytearray(size)
        return buffer


def _packing_of(images: Image | ChunkRun) -> _Packing:
    return _Packing(images.encoding, images.dtype.itemsize, images.pixels)


def reduce_batch(images: Images, pixel_filter: PixelFilter) -> Reduced:
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
    if isinstance(images, ChunkRun):
        _reduce_recorded(images, pixel_filter, reduced)
    else:
        _reduce_in_memory(images, pixel_filter, reduced)
    return reduced


def _reduce_recorded(run: ChunkRun, pixel_filter: PixelFilter, into: Reduced) -> None:
    """Read and reduce images one by one, into a buffer that is used again."""
    packing = _packing_of(run)
    selection = _selection(pixel_filter, packing.pixels)
    records = into.records.view(np.uint8).reshape(len(run), -1)
    regions = into.regions.view(np.uint8)
    try:
        with ChunkFile(run) as file:
            for index in range(len(run)):
                try:
                    payload = packing.unpacked(file.read(index))
                except KernelError as exc:
                    into.reject(index, RejectReason.PAYLOAD, exc)
                except (OSError, EOFError) as exc:
                    into.reject(index, RejectReason.READ, exc)
                else:
                    faults = _backend.reduce(
                        (payload,),
                        packing.code,
                        packing.itemsize,
                        selection,
                        records[index],
                        regions[index] if pixel_filter.regions else None,
                        packing.scratch(payload),
                    )
                    for _, detail in faults:
                        into.reject(index, RejectReason.PAYLOAD, detail)
    except OSError as exc:  # it cannot even be opened
        for index in range(len(run)):
            into.reject(index, RejectReason.READ, exc)


def _reduce_in_memory(
    images: list[Image], pixel_filter: PixelFilter, into: Reduced
) -> None:
    """Reduce images together that are packed alike: nearly always all of them."""
    groups: dict[_Packing, tuple[list[int], list[Buffer]]] = {}
    for index, image in enumerate(images):
        packing = _packing_of(image)
        try:
            payload = packing.unpacked(image.payload)
        except KernelError as exc:
            into.reject(index, RejectReason.PAYLOAD, exc)
        else:
            indices, payloads = groups.setdefault(packing, ([], []))
            indices.append(index)
            payloads.append(payload)
    for packing, (indices, payloads) in groups.items():
        part = into
        if len(indices) < len(images):
            part = Reduced.empty(len(indices), pixel_filter)
        faults = _backend.reduce(
            payloads,
            packing.code,
            packing.itemsize,
            _selection(pixel_filter, packing.pixels),
            part.records.view(np.uint8),
            part.regions.view(np.uint8) if pixel_filter.regions else None,
            packing.scratch(*payloads),
        )
        if part is not into:
            into.records[indices], into.regions[indices] = part.records, part.regions
        for place, detail in faults:
            into.reject(indices[place], RejectReason.PAYLOAD, detail)


def decode_image(image: Image) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the image's pixels, (y, x) [counts].

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    """
    packing = _packing_of(image)
    payload = packing.unpacked(image.payload)
    out = np.empty(image.shape, image.dtype)
    scratch = packing.scratch(payload)
    try:
        _backend.decode(
            payload,
            packing.code,
            packing.itemsize,
            packing.pixels,
            out.view(np.uint8),
            scratch,
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
    """
    packing = _packing_of(image)
    payload = packing.unpacked(image.payload)
    y, x = image.shape
    shape = (-(-y // factor), -(-x // factor))
    sums, kept = np.empty(shape, "<u8"), np.empty(shape, "<u4")
    scratch = packing.scratch(payload)
    try:
        _backend.bin_pixels(
            payload,
            packing.code,
            packing.itemsize,
            _selection(pixel_filter, packing.pixels),
            x,
            factor,
            sums,
            kept,
            scratch,
        )
    except RuntimeError as exc:
        raise KernelError(str(exc)) from exc
    return sums, kept
