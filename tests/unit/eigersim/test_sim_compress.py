from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from unit.eigersim.sim_decode import unpack

from eigersim import compress

WAYS = [
    pytest.param(
        False,
        id="bitshuffle",
        marks=pytest.mark.skipif(
            find_spec("bitshuffle") is None, reason="no bitshuffle for this Python"
        ),
    ),
    pytest.param(True, id="hdf5"),
]


@pytest.mark.parametrize("through_hdf5", WAYS)
@pytest.mark.parametrize("kind", ["u1", "u2", "u4"])
@pytest.mark.parametrize("n", [8192, 8192 * 2 + 24, 8192 + 5, 7])
def test_both_ways_to_bslz4_decode_to_the_pixels(through_hdf5, kind, n):
    rng = np.random.default_rng(n)
    arrays = [rng.poisson(3, n).astype(kind) for _ in range(2)]
    packed = compress.pack_bslz4(arrays, through_hdf5=through_hdf5)
    for array, piece in zip(arrays, packed, strict=True):
        header = compress.FRAME_HEADER.pack(array.nbytes, compress.BLOCK_BYTES)
        decoded = unpack(header + piece, "bslz4", array.dtype, array.shape)
        assert np.array_equal(decoded, array)


@pytest.mark.parametrize("through_hdf5", WAYS)
def test_the_raw_tail_is_the_last_elements_as_they_are(through_hdf5):
    array = np.arange(4096 + 5, dtype=np.uint16)
    (piece,) = compress.pack_bslz4([array], through_hdf5=through_hdf5)
    assert piece.endswith(array[-5:].tobytes())


@pytest.mark.parametrize("through_hdf5", WAYS)
def test_several_threads_pack_at_once(through_hdf5):
    rng = np.random.default_rng(1)
    arrays = [rng.poisson(3, 4096 * 16).astype(np.uint16) for _ in range(32)]

    def pack(array):
        return compress.pack_bslz4([array], through_hdf5=through_hdf5)

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(pack, arrays)) == [pack(array) for array in arrays]


def test_nothing_packs_to_nothing():
    assert compress.pack_bslz4([]) == []


def test_incompressible_lz4_blocks_are_stored():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2**32, 4096, np.uint32)
    packed = compress.pack_lz4(noise)
    assert struct.unpack_from(">I", packed) == (noise.nbytes,)
    assert packed[4:] == noise.tobytes()


@pytest.mark.parametrize(
    "pack", [compress.whole_bslz4, compress.whole_bszstd, compress.whole_lz4]
)
def test_whole_images_carry_their_header(pack):
    image = np.random.default_rng(0).poisson(2, (61, 77)).astype(np.uint32)
    encoding = pack.__name__.removeprefix("whole_")
    decoded = unpack(pack(image), encoding, image.dtype, image.shape)
    assert np.array_equal(decoded, image)
