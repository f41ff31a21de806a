"""What masks, regions, a second thread and previews cost, against the plain kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_cases import BSLZ4, bitmap, encode, image

from eigerwatch import _kernel
from eigerwatch.bench.tasks import times_s
from eigerwatch.model import FRAME_RECORD, REGION_ROW, Encoding, Image, PixelFilter
from eigerwatch.modules import modules_of_shape
from eigerwatch.preview import make_preview
from eigerwatch.regions import Rectangle, Region, region_set
from eigerwatch.rings import beam_geometry, rings

SHAPE_4M = (2162, 2068)
SHAPE_16M = (4362, 4148)
HIGH = 65532
LIMITS = {"modules": 1.5, "modules and rings": 2.5}
"""Most times the plain kernel's time, on a 16M."""


def chosen(shape: tuple[int, int], kind: str) -> tuple[_kernel.Selection, int]:
    pixels = shape[0] * shape[1]
    if kind == "plain":
        return _kernel.Selection(pixels, 0, HIGH), 0
    modules = modules_of_shape(shape)
    used = np.zeros(shape, bool)
    for module in modules:
        assert isinstance(module.shape, Rectangle)
        used[module.shape.y0 : module.shape.y1, module.shape.x0 : module.shape.x1] = 1
    used[np.random.default_rng(0).random(shape) < 1e-4] = False
    regions: list[Region] = list(modules)
    if kind == "modules and rings":
        header = {
            "beam_center_x": shape[1] / 2,
            "beam_center_y": shape[0] / 2,
            "detector_distance": 0.2,
            "x_pixel_size": 7.5e-5,
            "y_pixel_size": 7.5e-5,
            "photon_energy": 12400,
        }
        geometry = beam_geometry(header)
        assert geometry is not None
        regions += rings(16, geometry, shape)
    found = region_set(regions, shape)
    selection = _kernel.Selection(
        pixels, 0, HIGH, bitmap(used), found.edges or None, len(found)
    )
    return selection, len(found)


def kernel(
    payload: bytes, dtype: str, shape: tuple[int, int], kind: str
) -> Callable[[], None]:
    selection, n_regions = chosen(shape, kind)
    itemsize = np.dtype(dtype).itemsize
    size = _kernel.scratch_bytes([payload], BSLZ4, itemsize, shape[0] * shape[1])
    scratch = bytearray(size)
    record = bytearray(FRAME_RECORD.itemsize)
    rows = bytearray(REGION_ROW.itemsize * n_regions) or None

    def run() -> None:
        faults = _kernel.reduce(
            [payload], BSLZ4, itemsize, selection, record, rows, scratch
        )
        assert not faults

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mean", [0.0015, 0.36, 5.0])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("shape", [SHAPE_4M, SHAPE_16M], ids=["4M", "16M"])
def test_mask_and_regions(
    benchmark: Any, shape: tuple[int, int], dtype: str, mean: float
) -> None:
    if benchmark.disabled:
        pytest.skip("benchmarks are disabled")
    payload = encode(image(dtype, shape, mean), BSLZ4)
    kinds = ["plain", *LIMITS]
    runs = [kernel(payload, dtype, shape, kind) for kind in kinds]
    times = [min(taken) for taken in times_s(runs, 40)]
    benchmark.pedantic(runs[-1], rounds=10)
    ratios = {kind: taken / times[0] for kind, taken in zip(kinds, times, strict=True)}
    benchmark.extra_info |= ratios
    print(f"\n{shape} {dtype} {mean}: {1e3 * times[0]:.3f} ms plain", ratios)
    if shape == SHAPE_16M:
        for kind, limit in LIMITS.items():
            assert ratios[kind] < 1.5 * limit


@pytest.mark.timeout(300)
def test_a_second_thread(benchmark: Any) -> None:
    if benchmark.disabled:
        pytest.skip("benchmarks are disabled")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one CPU")
    payload = encode(image("uint16", SHAPE_4M, 0.36), BSLZ4)
    n = 500

    def frames() -> None:
        run = kernel(payload, "uint16", SHAPE_4M, "plain")
        for _ in range(n):
            run()

    def twice() -> None:
        threads = [threading.Thread(target=frames) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    one_s, two_s = (min(taken) for taken in times_s([frames, twice], 5))
    benchmark.pedantic(twice, rounds=3)
    speedup = 2 * one_s / two_s
    benchmark.extra_info["speedup"] = speedup
    print(f"\ntwo threads: {speedup:.2f} x one")
    assert speedup > 1.3  # 1 if the lock were held


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mean", [0.0015, 0.36, 5.0])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_preview_of_a_16m(benchmark: Any, dtype: str, mean: float) -> None:
    """One a second is to take less than 5 % of a core."""
    if benchmark.disabled:
        pytest.skip("benchmarks are disabled")
    payload = encode(image(dtype, SHAPE_16M, mean), BSLZ4)
    picture = Image("image", Encoding.BSLZ4, np.dtype(dtype), SHAPE_16M, payload)
    benchmark.pedantic(
        make_preview, args=(picture, PixelFilter(0, HIGH), {}), rounds=10
    )
    assert benchmark.stats["min"] < 3 * 0.05
