"""Images, encoders and an independent answer, for the tests of the kernel."""

from __future__ import annotations

import importlib.util
import os
import struct
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import lz4.block
import numpy as np

from eigerwatch import _kernel

NONE, LZ4_BLOCK, LZ4, BSLZ4, PLANES = range(5)
COUNTS = np.dtype(
    [
        ("total", "<u8"),
        ("kept", "<u4"),
        ("below", "<u4"),
        ("above", "<u4"),
        ("sentinel", "<u4"),
        ("masked", "<u4"),
        ("max_kept", "<u4"),
    ]
)
ROW = np.dtype([("total", "<u8"), ("kept", "<u4"), ("sentinel", "<u4")])
EDGE = np.dtype([("pixel", "<u4"), ("region", "<u2"), ("enters", "<u2")])


def load_kernel(variant: str = "") -> ModuleType:
    """Load one more instance of the compiled module, with a variant of its own.

    ``EIGERWATCH_TEST_KERNEL`` names another build of it, e.g. one with sanitizers.
    """
    path = os.environ.get("EIGERWATCH_TEST_KERNEL", _kernel.__file__)
    before = os.environ.get("EIGERWATCH_KERNEL_VARIANT", "")
    os.environ["EIGERWATCH_KERNEL_VARIANT"] = variant
    try:
        spec = importlib.util.spec_from_file_location("_kernel", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        os.environ["EIGERWATCH_KERNEL_VARIANT"] = before
    assert variant in ("", module.variant())
    return module


VARIANTS: tuple[str, ...] = load_kernel().variants()
"""What this build holds and this CPU can run."""


def image(
    dtype: str,
    shape: tuple[int, int] | int,
    mean: float,
    seed: int = 1,
    module: tuple[int, int] = (512, 1028),
    gap: tuple[int, int] = (38, 12),
) -> np.ndarray[Any, Any]:
    """Return an image of Poisson counts; 2-D ones have module gaps at the sentinel."""
    rng = np.random.default_rng(seed)
    sentinel = np.iinfo(dtype).max
    values = np.minimum(rng.poisson(mean, shape), sentinel).astype(dtype)
    if values.ndim == 2:
        for y in range(module[0], values.shape[0], module[0] + gap[0]):
            values[y : y + gap[0]] = sentinel
        for x in range(module[1], values.shape[1], module[1] + gap[1]):
            values[:, x : x + gap[1]] = sentinel
    return values


def shuffle(values: np.ndarray[Any, Any]) -> bytes:
    """Return the bit planes of 8 n pixels: the definition of bitshuffle."""
    bits = np.unpackbits(
        values.view(np.uint8).reshape(values.size, -1), axis=1, bitorder="little"
    )
    return np.packbits(bits.T, axis=1, bitorder="little").tobytes()


def frame_blocks(
    size: int, block_bytes: int, blocks: Sequence[bytes], tail: bytes = b""
) -> bytes:
    """Join compressed blocks as HDF5 filters and stream v2 do."""
    parts = [struct.pack(">QI", size, block_bytes)]
    for block in blocks:
        parts += [struct.pack(">I", len(block)), block]
    return b"".join([*parts, tail])


def encode(
    values: np.ndarray[Any, Any], encoding: int, block_bytes: int = 8192
) -> bytes:
    """Compress an image in any of the encodings."""
    flat = values.ravel()
    raw = flat.tobytes()
    if encoding == NONE:
        return raw
    if encoding == LZ4_BLOCK:
        return lz4.block.compress(raw, store_size=False)
    if encoding == LZ4:
        blocks = []
        for at in range(0, len(raw), block_bytes):
            part = raw[at : at + block_bytes]
            block = lz4.block.compress(part, store_size=False)
            blocks.append(block if len(block) < len(part) else part)
        return frame_blocks(len(raw), block_bytes, blocks)
    whole = flat.size // 8 * 8
    per_block = block_bytes // values.itemsize
    blocks = [
        shuffle(flat[at : min(at + per_block, whole)])
        for at in range(0, whole, per_block)
    ]
    tail = flat[whole:].tobytes()
    if encoding == PLANES:
        header = struct.pack(">QI", len(raw), block_bytes)
        return b"".join([header, *blocks, tail])
    packed = [lz4.block.compress(block, store_size=False) for block in blocks]
    return frame_blocks(len(raw), block_bytes, packed, tail)


def bitmap(bits: np.ndarray[Any, Any]) -> bytes:
    """Pack a boolean image as the kernel wants it."""
    return np.packbits(bits.ravel(), bitorder="little").tobytes()


def answer(
    values: np.ndarray[Any, Any],
    low: int,
    high: int,
    used: np.ndarray[Any, Any] | None = None,
    regions: Sequence[np.ndarray[Any, Any]] = (),
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the counts and the region rows, by Python integers and sets."""
    flat = values.ravel().astype(np.int64)
    sentinel = flat == np.iinfo(values.dtype).max
    is_used = np.ones(flat.size, bool) if used is None else used.ravel()
    kept = is_used & ~sentinel & (low <= flat) & (flat <= high)
    counts = np.zeros((), COUNTS)
    counts["total"] = flat[kept].sum()
    counts["kept"] = kept.sum()
    counts["below"] = (is_used & ~sentinel & (flat < low)).sum()
    counts["above"] = (is_used & ~sentinel & (flat > high)).sum()
    counts["sentinel"] = (is_used & sentinel).sum()
    counts["masked"] = (~is_used).sum()
    counts["max_kept"] = flat[kept].max(initial=0)
    rows = np.zeros(len(regions), ROW)
    for row, region in zip(rows, regions, strict=True):
        row["total"] = flat[kept & region.ravel()].sum()
        row["kept"] = (kept & region.ravel()).sum()
        row["sentinel"] = (is_used & sentinel & region.ravel()).sum()
    return counts, rows


def edges(regions: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """Return where boolean images begin and end, as the kernel wants it."""
    found = []
    for number, region in enumerate(regions):
        flat = region.ravel().tolist()
        for pixel, (before, now) in enumerate(
            zip([False, *flat], [*flat, False], strict=True)
        ):
            if before != now:
                found.append((pixel, number, int(now)))
    # Leaving comes before entering only where it was entered before.
    return np.array(sorted(found, key=lambda edge: edge[0]), EDGE).tobytes()


def run(
    module: ModuleType,
    payload: bytes,
    encoding: int,
    itemsize: int,
    pixels: int,
    low: int = 0,
    high: int = 2**32 - 1,
    used: np.ndarray[Any, Any] | None = None,
    regions: Sequence[np.ndarray[Any, Any]] = (),
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Reduce one image by the kernel or the reference.

    Raises
    ------
    RuntimeError
        The payload is refused; then the outputs must be untouched.
    """
    counts = bytearray(b"\xa5" * 32)
    rows = bytearray(b"\xa5" * 16 * len(regions))
    scratch = bytearray(module.scratch_bytes([payload], encoding, itemsize, pixels))
    selection = module.Selection(
        pixels,
        low,
        high,
        mask=None if used is None else bitmap(used),
        edges=edges(regions) if len(regions) else None,
        regions=len(regions),
    )
    faults = module.reduce(
        [payload],
        encoding,
        itemsize,
        selection,
        counts,
        rows or None,
        scratch or None,
    )
    if faults:
        ((index, text),) = faults
        assert index == 0
        assert counts == b"\xa5" * 32
        assert rows == b"\xa5" * len(rows)
        raise RuntimeError(text)
    return np.frombuffer(counts, COUNTS)[0], np.frombuffer(rows, ROW)
