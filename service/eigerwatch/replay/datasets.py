"""Where the images of one dataset lie: chunk tables, and reading without them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.replay.links import Found
from eigerwatch.replay.wire import (
    IMAGE_ROW,
    MAX_CHANNELS,
    MODE_BAD,
    MODE_BSLZ4,
    MODE_BSZSTD,
    MODE_LZ4,
    MODE_NONE,
    MODE_PIPELINE,
    Segment,
)

Rows = np.ndarray[Any, np.dtype[Any]]

_BITSHUFFLE = 32008
_LZ4 = 32004
_BITSHUFFLED = {(2,): MODE_BSLZ4, (3,): MODE_BSZSTD}
"""By the filter parameter that names what follows bitshuffle."""
_MAX_IMAGES = 1 << 25
_MAX_CHUNK_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 27
_TICK = 10_000


@dataclass(slots=True)
class Table:
    """The images of one dataset; ``image_id`` counts from its first one."""

    n: int
    """Images that the dataset's shape announces, written or not."""
    channels: int
    """0: the dataset has no channel axis."""
    segments: list[Segment]
    rows: Rows
    problems: list[str]


def check(found: Found, max_pixels: int) -> h5py.Dataset:
    """Return the dataset if its type, shape and storage can be processed.

    Raises
    ------
    ReplayError
        It cannot; the sentence names why.
    """
    dataset = found.node
    if not isinstance(dataset, h5py.Dataset):
        raise ReplayError(f"{found.name} is a group where images were expected")
    if dataset.id.get_create_plist().get_external_count():
        raise ReplayError(
            f"refused: {found.name} keeps its data in other files (external "
            "storage); copy the data into the HDF5 file"
        )
    dtype = dataset.dtype
    if dtype.kind != "u" or dtype.itemsize not in (1, 2, 4):
        raise ReplayError(
            f"{found.name} holds {dtype}; only uint8, uint16 and uint32 are counts"
        )
    if dataset.ndim not in (2, 3, 4):
        raise ReplayError(
            f"{found.name} has {dataset.ndim} dimensions; 2 (one image), 3 (images) "
            "or 4 (images, thresholds) are understood"
        )
    y, x = dataset.shape[-2:]
    if not 0 < y * x <= max_pixels:
        raise ReplayError(
            f"{found.name} has images of {y} x {x} pixels; the limit is {max_pixels} "
            "(stream.max_pixels)"
        )
    if dataset.ndim == 4 and not 0 < dataset.shape[1] <= MAX_CHANNELS:
        raise ReplayError(
            f"{found.name} has {dataset.shape[1]} thresholds; "
            f"1 to {MAX_CHANNELS} are understood"
        )
    return dataset


def tabulate(found: Found, max_pixels: int, tick: Callable[[], None]) -> Table:
    """List the images of a dataset that is not virtual.

    The cost is bounded by what the file really holds, not by what it announces.

    Parameters
    ----------
    found
        The dataset.
    max_pixels
        Largest image accepted.
    tick
        Called now and then while it takes long.
    """
    dataset = check(found, max_pixels)
    layout = dataset.id.get_create_plist().get_layout()
    n = dataset.shape[0] if dataset.ndim > 2 else 1
    channels = dataset.shape[1] if dataset.ndim == 4 else 0
    if layout == h5py.h5d.CHUNKED:
        rows, block = _chunked(found, dataset, tick)
    elif layout == h5py.h5d.CONTIGUOUS:
        rows, block = _contiguous(dataset), 1
    elif layout == h5py.h5d.COMPACT:
        rows, block = _sequence(dataset, n), 1
        rows["mode"] = MODE_PIPELINE
    else:
        raise ReplayError(f"{found.name} is a virtual dataset within another")
    shape = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    dtype = dataset.dtype.newbyteorder("=").name
    segments = [
        Segment(found.file.filename, found.path, shape, dtype, block, source)
        for source in (range(channels) if channels else (None,))
    ]
    rows["segment"] = rows["channel"]
    return Table(int(n), int(channels), segments, rows, [])


def read_images(found: Found, segment: Segment, first: int, count: int) -> bytes:
    """Read images through the filter pipeline: little-endian pixels, C order."""
    dataset = check(found, segment.shape[0] * segment.shape[1])
    register_filters()
    if dataset.ndim == 2:
        pixels = dataset[()]
    elif dataset.ndim == 3:
        pixels = dataset[first : first + count]
    else:
        pixels = dataset[first : first + count, segment.source_channel]
    return np.ascontiguousarray(pixels, dataset.dtype.newbyteorder("<")).tobytes()


def _frame_bytes(dataset: h5py.Dataset) -> int:
    return int(dataset.shape[-2] * dataset.shape[-1] * dataset.dtype.itemsize)


def _sequence(dataset: h5py.Dataset, n: int) -> Rows:
    """Return a row for each channel of the first `n` images."""
    channels = dataset.shape[1] if dataset.ndim == 4 else 1
    if n * channels > _MAX_IMAGES:
        raise ReplayError(f"{dataset.name} holds more than {_MAX_IMAGES} images")
    rows = np.zeros(n * channels, IMAGE_ROW)
    index = np.arange(len(rows))
    rows["image_id"], rows["channel"] = index // channels, index % channels
    rows["offset"] = rows["image_id"]
    return rows


def _contiguous(dataset: h5py.Dataset) -> Rows:
    offset = dataset.id.get_offset()
    if offset is None:
        return np.empty(0, IMAGE_ROW)
    size = _frame_bytes(dataset)
    file_size = Path(dataset.file.filename).stat().st_size
    channels = dataset.shape[1] if dataset.ndim == 4 else 1
    n = dataset.shape[0] if dataset.ndim > 2 else 1
    present = max(0, min(n, (file_size - offset) // (size * channels)))
    rows = _sequence(dataset, int(present))
    if _is_swapped(dataset):
        rows["mode"] = MODE_PIPELINE
        return rows
    rows["mode"], rows["size"] = MODE_NONE, size
    rows["offset"] = offset + np.arange(len(rows), dtype=np.uint64) * size
    return rows


def _is_swapped(dataset: h5py.Dataset) -> bool:
    return bool(dataset.dtype.newbyteorder("<") != dataset.dtype)


def _chunk_mode(found: Found, dataset: h5py.Dataset) -> int:
    """Return how to decode the chunks ourselves, or `MODE_PIPELINE`."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    one_image = (1,) * (dataset.ndim - 2) + tuple(dataset.shape[-2:])
    if tuple(dataset.chunks) == one_image and not _is_swapped(dataset):
        if not filters:
            return MODE_NONE
        if len(filters) == 1:
            code, _, values, _ = filters[0]
            if code == _LZ4:
                return MODE_LZ4
            mode = _BITSHUFFLED.get(tuple(values[4:5]))
            if code == _BITSHUFFLE and mode is not None:
                _check_element_size(found, dataset, values)
                return mode
    register_filters()
    for code, _, _, name in filters:
        if not h5py.h5z.filter_avail(code):
            raise ReplayError(
                f"{found.name} is compressed with filter {code} ({name!r:.60}), which "
                "is not available; convert it to bslz4"
            )
    return MODE_PIPELINE


def _check_element_size(
    found: Found, dataset: h5py.Dataset, values: tuple[int, ...]
) -> None:
    """Compare filter parameters (version, version, element size, ...) and dtype."""
    if values[2] not in (0, dataset.dtype.itemsize):
        raise ReplayError(
            f"{found.name} is bitshuffled for elements of {values[2]} bytes, "
            f"but holds {dataset.dtype}"
        )


def register_filters() -> None:
    """Make the field's compression filters known to HDF5; slow the first time."""
    import hdf5plugin  # noqa: F401


def _chunked(
    found: Found, dataset: h5py.Dataset, tick: Callable[[], None]
) -> tuple[Rows, int]:
    mode = _chunk_mode(found, dataset)
    if dataset.id.get_num_chunks() > _MAX_IMAGES:
        raise ReplayError(f"{found.name} has more than {_MAX_IMAGES} chunks")
    chunks: list[tuple[tuple[int, ...], int, int, int]] = []

    def note(info: Any) -> None:
        chunks.append(
            (info.chunk_offset, info.filter_mask, info.byte_offset, info.size)
        )
        if len(chunks) % _TICK == 0:
            tick()

    dataset.id.chunk_iter(note)
    if mode == MODE_PIPELINE:
        return _pipeline_rows(found, dataset, [chunk[0] for chunk in chunks])
    rows = np.zeros(len(chunks), IMAGE_ROW)
    if not chunks:
        return rows, 1
    places = np.array([chunk[0] for chunk in chunks], np.int64)
    rows["image_id"] = places[:, 0] if dataset.ndim > 2 else 0
    rows["channel"] = places[:, 1] if dataset.ndim == 4 else 0
    skipped = np.array([chunk[1] for chunk in chunks], np.int64) & 1 != 0
    rows["mode"] = np.where(skipped, MODE_NONE, mode)
    base = _base(dataset, chunks[0])
    rows["offset"] = np.array([chunk[2] for chunk in chunks], np.uint64) + base
    rows["size"] = [chunk[3] for chunk in chunks]
    # no honest encoder doubles its input: do not even read what is larger
    rows["mode"][rows["size"] > 2 * _frame_bytes(dataset) + 4096] = MODE_BAD
    return rows, 1


def _base(dataset: h5py.Dataset, chunk: tuple[tuple[int, ...], int, int, int]) -> int:
    """Return what to add to chunk offsets: HDF5 1.x leaves out the user block."""
    user_block = int(dataset.file.userblock_size)
    if not user_block:
        return 0
    place, _, offset, size = chunk
    if size > 2 * _frame_bytes(dataset) + 4096:
        return 0
    content = dataset.id.read_direct_chunk(place)[1]
    fd = os.open(dataset.file.filename, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return 0 if os.pread(fd, size, offset) == content else user_block
    finally:
        os.close(fd)


def _pipeline_rows(
    found: Found, dataset: h5py.Dataset, places: list[tuple[int, ...]]
) -> tuple[Rows, int]:
    """List images that several chunks make up, or that need HDF5 to decode."""
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if chunk_bytes > _MAX_CHUNK_BYTES:
        raise ReplayError(f"{found.name} has chunks of {chunk_bytes} bytes; too large")
    lead = dataset.ndim - 2
    depth = dataset.chunks[0] if lead else 1
    parts = math.prod(
        -(-dataset.shape[axis] // dataset.chunks[axis]) for axis in (-2, -1)
    )
    written = Counter(place[:lead] for place in places)
    n = dataset.shape[0] if lead else 1
    entries: list[tuple[int, int, int]] = []
    for corner, count in written.items():
        mode = MODE_PIPELINE if count == parts else MODE_BAD
        spans = [
            range(
                corner[axis],
                min(corner[axis] + dataset.chunks[axis], dataset.shape[axis]),
            )
            for axis in range(lead)
        ]
        images = spans[0] if lead else range(n)
        for channel in spans[1] if lead == 2 else (0,):
            entries.extend((image, channel, mode) for image in images)
        if len(entries) > _MAX_IMAGES:
            raise ReplayError(f"{found.name} holds more than {_MAX_IMAGES} images")
    rows = np.zeros(len(entries), IMAGE_ROW)
    if entries:
        values = np.array(entries, np.int64)
        rows["image_id"], rows["channel"] = values[:, 0], values[:, 1]
        rows["offset"], rows["mode"] = values[:, 0], values[:, 2]
    block = max(1, min(depth, _BLOCK_BYTES // _frame_bytes(dataset)))
    return rows, block
