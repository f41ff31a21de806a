"""The kernel, every variant, against bitshuffle + numpy on the same images."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eigerwatch.bench.frames import Case, Payloads, load
from eigerwatch.bench.tasks import times_s
from eigerwatch.config import KERNEL_VARIANT_VARIABLE
from eigerwatch.decoding import BSLZ4
from eigerwatch.errors import EigerwatchError
from eigerwatch.model import FRAME_RECORD, cap_of
from eigerwatch.reduce import kernel_variants

_HEADER_BYTES = 12
_BLOCK_BYTES = 8192
_ROUNDS = 25
_LEAST_S = 0.3
"""Time that each kernel is run for at least."""
_BASELINE_ROUNDS = 5


def measure(master: Path) -> dict[str, Any]:
    """Time all kernels of this build, and bitshuffle + numpy, on one dataset.

    Returns
    -------
    dict
        ``payload_bytes``; ``variants``: name to least time per image [ms];
        ``bitshuffle_numpy_ms``: the same, or None where bitshuffle is not installed.
    """
    images = load(master)
    kernels = {name: _kernel_sums(name, images) for name in kernel_variants()}
    baseline = _numpy_sums(images)
    sums = {name: run() for name, run in kernels.items()}
    if baseline is not None:
        sums["numpy"] = baseline()
    if len(set(map(tuple, sums.values()))) > 1:
        raise EigerwatchError(f"kernels disagree about {master.name}: {sums}")
    baseline_s = [] if baseline is None else times_s([baseline], _BASELINE_ROUNDS)[0]
    rounds = _ROUNDS
    while True:
        times = times_s(kernels.values(), rounds)
        if sum(times[0]) >= _LEAST_S or rounds > 10_000:
            break
        rounds *= 4
    if baseline is not None:  # before and after
        baseline_s += times_s([baseline], _BASELINE_ROUNDS)[0]
    n = len(images.payloads)
    return {
        "payload_bytes": images.bytes_per_image,
        "variants": {
            name: 1e3 * min(taken) / n
            for name, taken in zip(kernels, times, strict=True)
        },
        "bitshuffle_numpy_ms": 1e3 * min(baseline_s) / n if baseline_s else None,
    }


def _load(variant: str) -> ModuleType:
    """Return one more instance of the compiled module, with a variant of its own."""
    from eigerwatch import _kernel

    os.environ[KERNEL_VARIANT_VARIABLE] = variant
    spec = importlib.util.spec_from_file_location("_kernel", _kernel.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.variant() == variant
    return module


def _kernel_sums(variant: str, images: Payloads) -> Callable[[], list[int]]:
    """Return what sums all images by the bare kernel, one after the other."""
    kernel = _load(variant)
    itemsize = images.dtype.itemsize
    selection = kernel.Selection(images.pixels, 0, cap_of(images.dtype))
    payloads = images.payloads
    records = np.zeros(len(payloads), FRAME_RECORD)
    rows = list(records.view(np.uint8).reshape(len(payloads), -1))
    scratch = bytearray(kernel.scratch_bytes(payloads, BSLZ4, itemsize, images.pixels))

    def run() -> list[int]:
        for payload, row in zip(payloads, rows, strict=True):
            kernel.reduce((payload,), BSLZ4, itemsize, selection, row, None, scratch)
        return [int(total) for total in records["total"]]

    return run


def _numpy_sums(images: Payloads) -> Callable[[], list[int]] | None:
    """Return what sums all images the obvious way, or None without bitshuffle."""
    try:
        import bitshuffle
    except ImportError:  # no wheels for Python 3.13
        return None
    dtype, high = images.dtype, cap_of(images.dtype)
    block = _BLOCK_BYTES // dtype.itemsize
    blocks = [np.frombuffer(p, np.uint8)[_HEADER_BYTES:] for p in images.payloads]

    def run() -> list[int]:
        totals = []
        for packed in blocks:
            pixels = bitshuffle.decompress_lz4(packed, (images.pixels,), dtype, block)
            kept = np.where(pixels <= high, pixels, 0)
            totals.append(int(kept.sum(dtype=np.uint64)))
        return totals

    return run


def rows(
    measured: dict[str, Any], case: Case, memcpy_bytes_per_s: float
) -> list[dict[str, Any]]:
    """Return what `measure` found as one result per variant."""
    baseline_ms = measured["bitshuffle_numpy_ms"]
    found = []
    for variant, ms in measured["variants"].items():
        share = measured["payload_bytes"] / (1e-3 * ms) / memcpy_bytes_per_s
        speedup = None if baseline_ms is None else round(baseline_ms / ms, 1)
        found.append(
            {
                **case.row(),
                "variant": variant,
                "ms": round(ms, 4),
                "speedup_vs_bitshuffle_numpy": speedup,
                "share_of_memcpy": round(share, 3),
            }
        )
    return found
