from __future__ import annotations

import zlib

import pytest
from store_data import MASK

from eigerwatch.store import maskcodec


def test_a_mask_comes_back() -> None:
    assert maskcodec.decode(maskcodec.encode(MASK)) == MASK


def test_a_mask_of_a_large_detector_is_small() -> None:
    row = bytes([255]) * 500 + bytes(19)
    mask = type(MASK)((4362, 8 * len(row)), row * 4362)
    assert len(maskcodec.encode(mask)) < 20_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"3 5",
        b"3 5\n",
        b"3 5\nnonsense",
        b"3\n" + zlib.compress(MASK.used),
        b"a b\n" + zlib.compress(MASK.used),
        b"-3 -5\n" + zlib.compress(MASK.used),
        b"0 5\n" + zlib.compress(b""),
        b"30000 50000\n" + zlib.compress(MASK.used),
        b"3 50\n" + zlib.compress(MASK.used),
    ],
)
def test_foreign_bytes_are_no_mask(data: bytes) -> None:
    assert maskcodec.decode(data) is None


def test_a_bomb_is_not_unpacked() -> None:
    """64 MB of zeros in 64 kB."""
    bomb = b"3 5\n" + zlib.compress(bytes(2**26), 9)
    found = maskcodec.decode(bomb)
    assert found is not None
    assert found.used == bytes(2)
