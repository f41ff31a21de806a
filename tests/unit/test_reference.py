from __future__ import annotations

import struct

import numpy as np
import pytest
from kernel_cases import (
    BSLZ4,
    LZ4,
    LZ4_BLOCK,
    NONE,
    PLANES,
    answer,
    bitmap,
    encode,
    image,
    run,
)

from eigerwatch import decoding, reference

ENCODINGS = {
    "none": NONE,
    "lz4-block": LZ4_BLOCK,
    "lz4": LZ4,
    "bslz4": BSLZ4,
    "planes": PLANES,
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("with_bitshuffle", [True, False])
def test_sums_like_the_definition(
    monkeypatch: pytest.MonkeyPatch, dtype: str, encoding: int, with_bitshuffle: bool
) -> None:
    if not with_bitshuffle:
        monkeypatch.setattr(decoding, "bitshuffle", None)
    values = image(dtype, (103, 205), 2.0, module=(50, 100))
    rng = np.random.default_rng(2)
    used = rng.random(values.shape) < 0.8
    regions = [rng.random(values.shape) < 0.3 for _ in range(3)]
    payload = encode(values, encoding)
    for low, high in ((0, 2**32 - 1), (0, 2), (1, 4500), (3, 3)):
        counts, rows = run(
            reference,
            payload,
            encoding,
            values.itemsize,
            values.size,
            low,
            high,
            used,
            regions,
        )
        expected, expected_rows = answer(values, low, high, used, regions)
        assert counts == expected
        assert rows.tolist() == expected_rows.tolist()


@pytest.mark.parametrize("header", [b"", bytes(12)], ids=["none", "zeros"])
@pytest.mark.parametrize("pixels", [3, 8, 13, 9003])
def test_takes_bslz4_without_a_header(header: bytes, pixels: int) -> None:
    values = image("uint16", pixels, 0.36)
    payload = header + encode(values, BSLZ4)[12:]
    counts, _ = run(reference, payload, BSLZ4, 2, pixels)
    assert counts == answer(values, 0, 2**32 - 1)[0]


GOOD = encode(image("uint16", 8195, 0.36), BSLZ4)
(FIRST,) = struct.unpack_from(">I", GOOD, 12)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "payload of 0 bytes is shorter than its header"),
        (struct.pack(">Q", 8192) + GOOD[8:], "header declares 8192 bytes"),
        (struct.pack(">Q", 2**34) + GOOD[8:], "header declares 17179869184 bytes"),
        (GOOD[:8] + bytes(4) + GOOD[12:], "illegal block size of 0"),
        (GOOD[:8] + struct.pack(">I", 8200) + GOOD[12:], "illegal block size of 8200"),
        (GOOD[:8] + struct.pack(">I", 2**21) + GOOD[12:], "illegal block size of"),
        (GOOD[:14], "ends before the length of block 0 of 2"),
        (GOOD[:99], f"block 0 of 2 has a length of {FIRST} bytes"),
        (GOOD[:16] + b"\0" + GOOD[17:], "block 0 of 2, length"),
        (GOOD[:-1], "inside the raw tail after block 2: 5 of 6"),
        (GOOD + b"\0", "1 trailing bytes after block 2"),
    ],
)
def test_names_what_is_wrong(payload: bytes, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        run(reference, payload, BSLZ4, 2, 8195)


def test_mask_bits_beyond_the_image_are_ignored() -> None:
    used = np.ones(11, bool)
    assert bitmap(used)[-1] == 0x07
    counts, _ = run(reference, bytes(11), NONE, 1, 11, used=used)
    assert counts["kept"] == 11
