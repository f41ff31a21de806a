"""The kernel's function in plain numpy: oracle of the tests, fallback of the service.

Slow and obvious; `decoding` gives it the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.decoding import MAX_PIXELS, Pixels, check_image, pixels_of
from eigerwatch.model import (
    COUNTS_BYTES,
    FRAME_RECORD,
    REGION_EDGE,
    REGION_ROW,
    Buffer,
    sentinel_of,
)

MAX_REGIONS = 1024
MAX_FACTOR = 256


@dataclass(frozen=True)
class Selection:
    """Which pixels of an image count, and which regions are summed.

    Parameters
    ----------
    pixels
        Number of pixels of the image.
    low, high
        Limits of the kept values [counts], both inclusive.
    mask
        Bit set = pixel is used, in pixel order, lowest bit first; None: all are.
    edges
        (n,) of `model.REGION_EDGE`, by pixel: where regions begin and end.
    regions
        Number of regions.

    Raises
    ------
    ValueError
        An argument is wrong.
    """

    pixels: int
    low: int
    high: int
    mask: Buffer | None = None
    edges: Buffer | None = None
    regions: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.pixels <= MAX_PIXELS:
            raise ValueError(f"pixels must be 1 to {MAX_PIXELS}, not {self.pixels}")
        if not 0 <= self.low <= self.high <= 2**32 - 1:
            raise ValueError(
                "low and high must be 0 <= low <= high <= 4294967295, "
                f"not {self.low} and {self.high}"
            )
        if not 0 <= self.regions <= MAX_REGIONS:
            raise ValueError(f"regions must be 0 to {MAX_REGIONS}, not {self.regions}")
        size = math.ceil(self.pixels / 8)
        if self.mask is not None and memoryview(self.mask).nbytes != size:
            given = memoryview(self.mask).nbytes
            raise ValueError(f"mask must have {size} bytes, not {given}")
        self.members()

    def used(self) -> npt.NDArray[np.bool_]:
        """Return (pixels,), false where masked."""
        if self.mask is None:
            return np.ones(self.pixels, dtype=bool)
        bits = np.unpackbits(
            np.frombuffer(self.mask, np.uint8), count=self.pixels, bitorder="little"
        )
        return bits.astype(bool)

    def members(self) -> npt.NDArray[np.bool_]:
        """Return (regions, pixels), true where a pixel belongs to a region."""
        data = memoryview(b"" if self.edges is None else self.edges)
        if data.nbytes % REGION_EDGE.itemsize:
            raise ValueError(
                f"edges must have {REGION_EDGE.itemsize} bytes each, "
                f"not {data.nbytes} in all"
            )
        edges = np.frombuffer(data, REGION_EDGE)
        members = np.zeros((self.regions, self.pixels), dtype=bool)
        inside: dict[int, int] = {}
        previous = 0
        for pixel, region, enters in edges.tolist():
            if (
                not previous <= pixel <= self.pixels
                or region >= self.regions
                or enters > 1
                or (region in inside) == bool(enters)
            ):
                raise ValueError(_BAD_EDGES)
            if enters:
                inside[region] = pixel
            else:
                members[region, inside.pop(region) : pixel] = True
            previous = pixel
        if inside:
            raise ValueError(_BAD_EDGES)
        return members


_BAD_EDGES = (
    "edges must be sorted by pixel, within the image, and enter and leave each of the "
    "regions in turn"
)


def reduce(
    payloads: Sequence[Buffer],
    encoding: int,
    itemsize: int,
    selection: Selection,
    records: Buffer,
    region_rows: Buffer | None,
    scratch: Buffer | None,
) -> list[tuple[int, str]]:
    """Classify, count and sum the pixels of compressed images.

    Parameters
    ----------
    payloads
        The images' bytes as they travel.
    encoding
        0 none, 1 one raw LZ4 block, 2 framed LZ4, 3 bitshuffle + LZ4,
        4 bitshuffle only.
    itemsize
        Bytes per pixel: 1, 2 or 4.
    selection
        What counts.
    records
        Per image a record that begins with the first 32 bytes of a
        `model.FRAME_RECORD`, which are filled; their sizes are equal.
    region_rows
        Receives one `model.REGION_ROW` per image and region.
    scratch
        Not used here; the kernel needs it.

    Returns
    -------
    list of (int, str)
        Index of each payload that is corrupt or does not fill the image, and what is
        wrong with it. Its record and rows are left alone.

    Raises
    ------
    ValueError
        An argument is wrong.
    """
    check_image(encoding, itemsize, selection.pixels)
    n = len(payloads)
    table = memoryview(records).cast("B")
    stride, rest = divmod(table.nbytes, n) if n else (COUNTS_BYTES, 0)
    if rest or stride < COUNTS_BYTES or table.readonly:
        raise ValueError(
            f"records must have the same size for each of {n} payloads, at least "
            f"{COUNTS_BYTES} bytes, not {table.nbytes} in all"
        )
    row_bytes = selection.regions * REGION_ROW.itemsize
    rows = memoryview(bytearray() if region_rows is None else region_rows).cast("B")
    if rows.nbytes != n * row_bytes or rows.readonly:
        raise ValueError(
            f"region_rows must have {n * row_bytes} bytes, not {rows.nbytes}"
        )
    used, members = selection.used(), selection.members()
    faults = []
    for i, payload in enumerate(payloads):
        try:
            values = pixels_of(payload, encoding, itemsize, selection.pixels)
        except RuntimeError as exc:
            faults.append((i, str(exc)))
            continue
        counts, sums = _count(values, selection, used, members)
        table[i * stride : i * stride + COUNTS_BYTES] = counts
        rows[i * row_bytes : (i + 1) * row_bytes] = sums
    return faults


def _count(
    values: Pixels,
    selection: Selection,
    used: npt.NDArray[np.bool_],
    members: npt.NDArray[np.bool_],
) -> tuple[bytes, bytes]:
    """Return the beginning of the record, and the region rows."""
    sentinel = used & (values == sentinel_of(values.dtype))
    valid = used & ~sentinel
    below = valid & (values < selection.low)
    above = valid & (values > selection.high)
    kept = valid & ~below & ~above

    row = np.zeros(len(members), dtype=REGION_ROW)
    for n, member in enumerate(members):
        row[n]["total"] = values[member & kept].sum(dtype=np.uint64)
        row[n]["kept"] = (member & kept).sum()
        row[n]["sentinel"] = (member & sentinel).sum()
    result = np.zeros(1, dtype=FRAME_RECORD)
    result["total"] = values[kept].sum(dtype=np.uint64)
    result["kept"] = kept.sum()
    result["below"] = below.sum()
    result["above"] = above.sum()
    result["sentinel"] = sentinel.sum()
    result["masked"] = (~used).sum()
    result["max_kept"] = values[kept].max(initial=0)
    return result.tobytes()[:COUNTS_BYTES], row.tobytes()


def decode(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    pixels: int,
    out: Buffer,
    scratch: Buffer | None,
) -> None:
    """Decompress one image into `out`, pixels x itemsize bytes.

    Raises
    ------
    ValueError
        An argument is wrong.
    RuntimeError
        The payload is corrupt or does not fill the image.
    """
    check_image(encoding, itemsize, pixels)
    target = memoryview(out).cast("B")
    if target.nbytes != pixels * itemsize:
        raise ValueError(
            f"out must have {pixels * itemsize} bytes, not {target.nbytes}"
        )
    target[:] = pixels_of(payload, encoding, itemsize, pixels).tobytes()


def bin_pixels(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    selection: Selection,
    width: int,
    factor: int,
    sums: Buffer,
    kept: Buffer,
    scratch: Buffer | None,
) -> None:
    """Sum and count the kept pixels of squares of `factor` x `factor` pixels.

    Parameters
    ----------
    width
        Pixels in a row of the image.
    factor
        Side of a square [pixels]; those at the image's end may be smaller.
    sums, kept
        Receive one uint64 [counts] and one uint32 per square, row by row. A value
        beyond 2^32 / factor counts as that.

    Raises
    ------
    ValueError
        An argument is wrong.
    RuntimeError
        The payload is corrupt or does not fill the image.
    """
    check_image(encoding, itemsize, selection.pixels)
    if width <= 0 or selection.pixels % width:
        raise ValueError(f"{selection.pixels} pixels are no rows of {width}")
    if not 0 < factor <= MAX_FACTOR:
        raise ValueError(f"factor must be 1 to {MAX_FACTOR}, not {factor}")
    rows = selection.pixels // width
    n = math.ceil(rows / factor) * math.ceil(width / factor)
    for name, buffer, size in (("sums", sums, 8), ("kept", kept, 4)):
        if memoryview(buffer).nbytes != n * size:
            raise ValueError(
                f"{name} must have {n * size} bytes, not {memoryview(buffer).nbytes}"
            )
    values = pixels_of(payload, encoding, itemsize, selection.pixels)
    keep = selection.used() & (values != sentinel_of(values.dtype))
    keep &= (selection.low <= values) & (values <= selection.high)
    most = (2**32 - 1) // factor
    image = np.where(keep, np.minimum(values.astype(np.uint64), most), 0)
    for target, source, dtype in ((sums, image, "<u8"), (kept, keep, "<u4")):
        square = source.astype(dtype).reshape(rows, width)
        for axis, length in ((0, rows), (1, width)):
            starts = np.arange(0, length, factor)
            square = np.add.reduceat(square, starts, axis, dtype=dtype)
        memoryview(target).cast("B")[:] = square.tobytes()


def scratch_bytes(
    payloads: Sequence[Buffer], encoding: int, itemsize: int, pixels: int
) -> int:
    """Return 0: this implementation brings its own memory."""
    check_image(encoding, itemsize, pixels)
    return 0
