"""The kernel against bitshuffle + numpy: `pytest tests/bench --benchmark-enable`.

Correctness is asserted even when benchmarks are disabled, on one frame then.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_cases import BSLZ4, COUNTS, answer, encode, image

from eigerwatch import _kernel

bitshuffle = pytest.importorskip("bitshuffle")

SHAPES = {"4M": (2162, 2068), "16M": (4362, 4148)}
"""EIGER2, (y, x)."""
KERNEL = Path(__file__).resolve().parents[2] / "service" / "kernel"
LOW, HIGH = 0, 65533


@functools.lru_cache(maxsize=2)
def frame(size: str, dtype: str, mean: float) -> tuple[np.ndarray[Any, Any], bytes]:
    values = image(dtype, SHAPES[size], mean)
    return values, encode(values, BSLZ4)


def with_kernel(payload: bytes, values: np.ndarray[Any, Any]) -> Callable[[], int]:
    counts = bytearray(32)
    selection = _kernel.Selection(values.size, LOW, HIGH)
    scratch = bytearray(
        _kernel.scratch_bytes([payload], BSLZ4, values.itemsize, values.size)
    )

    def run() -> int:
        faults = _kernel.reduce(
            [payload], BSLZ4, values.itemsize, selection, counts, None, scratch
        )
        assert not faults
        return int(np.frombuffer(counts, COUNTS)[0]["total"])

    return run


def with_numpy(payload: bytes, values: np.ndarray[Any, Any]) -> Callable[[], int]:
    blocks = np.frombuffer(payload, np.uint8)[12:]

    def run() -> int:
        pixels = bitshuffle.decompress_lz4(
            blocks, (values.size,), values.dtype, 8192 // values.itemsize
        )
        kept = np.where(pixels <= HIGH, pixels, 0)
        return int(kept.sum(dtype=np.uint64))

    return run


def least_time_s(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mean", [0.0015, 0.36, 5.0])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("size", SHAPES)
def test_reduce(benchmark: Any, size: str, dtype: str, mean: float) -> None:
    if benchmark.disabled and (size, dtype, mean) != ("4M", "uint16", 0.36):
        pytest.skip("benchmarks are disabled")
    values, payload = frame(size, dtype, mean)
    kernel, plain = with_kernel(payload, values), with_numpy(payload, values)
    expected = int(answer(values, LOW, HIGH)[0]["total"])
    assert benchmark.pedantic(kernel, rounds=50, warmup_rounds=3) == expected
    assert plain() == expected
    if benchmark.disabled:
        return
    kernel_s, plain_s = least_time_s(kernel, 30), least_time_s(plain, 8)
    benchmark.extra_info |= {
        "variant": _kernel.variant(),
        "numpy_ms": round(1e3 * plain_s, 2),
        "ratio": round(plain_s / kernel_s, 1),
        "payload_MB": round(len(payload) / 1e6, 2),
    }
    print(
        f"\n{size} {dtype} {mean} counts/pixel: kernel {1e3 * kernel_s:.2f} ms, "
        f"bitshuffle + numpy {1e3 * plain_s:.1f} ms, ratio {plain_s / kernel_s:.1f}"
    )
    if _kernel.variant() in ("avx2", "avx512"):
        assert plain_s / kernel_s > 10


@pytest.mark.timeout(300)
def test_reducing_is_not_slower_than_liblz4_alone(
    benchmark: Any, tmp_path: Path
) -> None:
    """bench_decoder.c times both on the same blocks; it needs liblz4's headers."""
    if benchmark.disabled:
        pytest.skip("benchmarks are disabled")
    if not shutil.which("cmake") or not Path("/usr/include/lz4.h").exists():
        pytest.skip("needs cmake and the headers of liblz4")
    build = ["cmake", "-S", KERNEL, "-B", tmp_path, "-DKERNEL_BENCH=ON"]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True)
    values, payload = frame("4M", "uint16", 0.36)
    (tmp_path / "frame").write_bytes(payload)
    done = benchmark.pedantic(
        subprocess.run,
        args=([tmp_path / "bench_decoder", tmp_path / "frame", "2", str(values.size)],),
        kwargs={"check": True, "capture_output": True, "text": True},
        rounds=1,
    )
    print("\n" + done.stdout)
    best = done.stdout.splitlines()[0]
    if best.split()[0] in ("avx2", "avx512"):
        assert float(best.split()[-1]) >= 1.0
