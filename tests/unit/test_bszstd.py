from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import zstandard
from kernel_cases import PLANES, answer, encode, image, load_kernel, run

from eigerwatch.bszstd import planes_of
from eigerwatch.errors import KernelError


def compress(values: np.ndarray[Any, Any], block_bytes: int = 8192) -> bytes:
    """Return what libbitshuffle's Zstandard filter writes."""
    planes = encode(values, PLANES, block_bytes)
    blocked = values.size // 8 * 8 * values.itemsize
    parts = [planes[:12]]
    for at in range(12, 12 + blocked, block_bytes):
        block = planes[at : min(at + block_bytes, 12 + blocked)]
        packed = zstandard.ZstdCompressor().compress(block)
        parts += [struct.pack(">I", len(packed)), packed]
    return b"".join([*parts, planes[12 + blocked :]])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("pixels", [3, 8, 13, 4096, 30_003])
@pytest.mark.parametrize("block_bytes", [1024, 8192])
def test_the_planes_are_those_of_the_image(
    dtype: str, pixels: int, block_bytes: int
) -> None:
    values = image(dtype, pixels, 0.36)
    payload = compress(values, block_bytes)
    planes = planes_of(memoryview(payload), values.itemsize, pixels)
    assert planes == encode(values, PLANES, block_bytes)
    counts, _ = run(load_kernel(), planes, PLANES, values.itemsize, pixels, 0, 99)
    assert counts == answer(values, 0, 99)[0]


GOOD = compress(image("uint16", 8195, 0.36))
(FIRST,) = struct.unpack_from(">I", GOOD, 12)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "payload of 0 bytes is shorter than its header of 12"),
        (struct.pack(">Q", 8192) + GOOD[8:], "header declares 8192 bytes"),
        (struct.pack(">Q", 2**34) + GOOD[8:], "header declares 17179869184 bytes"),
        (GOOD[:8] + bytes(4) + GOOD[12:], "illegal block size of 0"),
        (GOOD[:8] + struct.pack(">I", 8200) + GOOD[12:], "illegal block size of 8200"),
        (GOOD[:8] + struct.pack(">I", 2**21) + GOOD[12:], "illegal block size of"),
        (
            GOOD[:8] + struct.pack(">I", 4096) + GOOD[12:],
            "ends before the length of block 3 of 4",
        ),
        (GOOD[:14], "ends before the length of block 0 of 2"),
        (GOOD[:99], f"block 0 of 2 has a length of {FIRST} bytes, .* 83 left"),
        (GOOD[:16] + b"\0" + GOOD[17:], f"block 0 of 2, length {FIRST}, does not"),
        (
            GOOD[: 16 + FIRST + 4] + b"\0" + GOOD[16 + FIRST + 5 :],
            "block 1 of 2, length",
        ),
        (GOOD[:12] + bytes(4) + GOOD[16:], "block 0 of 2|has a length"),
    ],
)
def test_names_what_is_wrong(payload: bytes, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        planes_of(payload, 2, 8195)


def test_a_frame_that_holds_more_than_its_block_is_refused() -> None:
    """A bomb: 64 MB of zeros in 2 kB, announced as 8 kB."""
    bomb = zstandard.ZstdCompressor().compress(bytes(2**26))
    payload = struct.pack(">QII", 8192, 8192, len(bomb)) + bomb
    with pytest.raises(KernelError, match="block 0 of 1, length"):
        planes_of(payload, 2, 4096)
    short = zstandard.ZstdCompressor().compress(bytes(8191))
    payload = struct.pack(">QII", 8192, 8192, len(short)) + short
    with pytest.raises(KernelError, match="block 0 of 1, length"):
        planes_of(payload, 2, 4096)


def test_damage_is_refused_or_fills_the_image() -> None:
    rng = np.random.default_rng(4)
    for _ in range(500):
        mutant = np.frombuffer(GOOD, np.uint8).copy()
        where = rng.integers(0, mutant.size, rng.integers(1, 4))
        mutant[where] ^= (1 << rng.integers(0, 8, where.size)).astype(np.uint8)
        cut = int(rng.integers(0, 3)) * int(rng.integers(0, mutant.size))
        damaged = mutant.tobytes()[: max(0, mutant.size - cut)]
        try:
            planes = planes_of(damaged, 2, 8195)
            counts, _ = run(load_kernel(), planes, PLANES, 2, 8195)
        except (KernelError, RuntimeError):
            continue
        classes = ("kept", "below", "above", "sentinel", "masked")
        assert sum(int(counts[name]) for name in classes) == 8195
