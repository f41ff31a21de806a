from __future__ import annotations

import concurrent.futures
import itertools
import os
import struct
import subprocess
import sys
from types import ModuleType
from typing import Any

import cbor2
import h5py
import hdf5plugin
import lz4.block
import numpy as np
import pytest
from helpers import manifest, read_zcap
from kernel_cases import (
    BSLZ4,
    EDGE,
    LZ4,
    LZ4_BLOCK,
    NONE,
    PLANES,
    ROW,
    VARIANTS,
    answer,
    bitmap,
    edges,
    encode,
    frame_blocks,
    image,
    load_kernel,
    run,
    shuffle,
)

from eigerwatch import reference

DTYPES = ("uint8", "uint16", "uint32")
ENCODINGS = {
    "none": NONE,
    "lz4-block": LZ4_BLOCK,
    "lz4": LZ4,
    "bslz4": BSLZ4,
    "planes": PLANES,
}
SHAPE_500K = (514, 1030)  # 529,420 pixels, 4 of them in the raw tail


@pytest.fixture(scope="module", params=VARIANTS)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    return load_kernel(request.param)


@pytest.fixture(scope="module", params=[*VARIANTS, "reference"])
def either(request: pytest.FixtureRequest) -> ModuleType:
    """The kernel in a variant, or the reference: they take the same arguments."""
    if request.param == "reference":
        return reference
    return load_kernel(request.param)


def check(
    kernel: ModuleType,
    values: np.ndarray[Any, Any],
    encoding: int,
    low: int = 0,
    high: int = 2**32 - 1,
    block_bytes: int = 8192,
    **selection: Any,
) -> None:
    payload = encode(values, encoding, block_bytes)
    counts, rows = run(
        kernel,
        payload,
        encoding,
        values.itemsize,
        values.size,
        low,
        high,
        **selection,
    )
    expected, expected_rows = answer(values, low, high, **selection)
    assert counts == expected
    assert rows.tolist() == expected_rows.tolist()
    classes = ("kept", "below", "above", "sentinel", "masked")
    assert sum(int(counts[name]) for name in classes) == values.size


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_an_image_with_gaps_and_a_raw_tail(
    kernel: ModuleType, dtype: str, encoding: int
) -> None:
    check(kernel, image(dtype, SHAPE_500K, 0.36), encoding, high=4500)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pixels", [*range(1, 18), 63, 64, 65, 511, 1000, 4097, 32775])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_sums_every_tail(
    kernel: ModuleType, dtype: str, encoding: int, pixels: int
) -> None:
    check(kernel, image(dtype, pixels, 3.0), encoding, low=1, high=5)


@pytest.mark.parametrize("units", [1, 2, 3, 7, 8, 33, 64, 100, 1000, 16384, 32768])
@pytest.mark.parametrize("dtype", DTYPES)
def test_takes_every_legal_block_size(
    kernel: ModuleType, dtype: str, units: int
) -> None:
    block_bytes = 8 * np.dtype(dtype).itemsize * units
    values = image(dtype, 20_003, 0.36)
    values[5000:9000] = np.iinfo(dtype).max
    check(kernel, values, BSLZ4, high=4500, block_bytes=block_bytes)


def test_takes_the_largest_block(kernel: ModuleType) -> None:
    check(kernel, image("uint32", 300_001, 5.0), BSLZ4, block_bytes=2**20)


@pytest.mark.parametrize("block_bytes", [13, 1000, 8192, 2**22])
def test_takes_framed_lz4_blocks_of_any_size(
    kernel: ModuleType, block_bytes: int
) -> None:
    check(kernel, image("uint16", 30_001, 0.36), LZ4, block_bytes=block_bytes)


def test_takes_stored_blocks(kernel: ModuleType) -> None:
    """An incompressible block is copied, not decoded: its length is its size."""
    noise = np.random.default_rng(5).integers(0, 2**32, 9001, np.uint32)
    payload = encode(noise, LZ4)
    assert len(payload) > noise.nbytes
    check(kernel, noise, LZ4)
    check(kernel, noise, BSLZ4)


LIMITS = (0, 1, 2, 3, 15, 16, 100, 254, 255, 256, 4500, 65533, 65534, 65535, 2**32 - 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [0.36, 90.0])
def test_compares_with_every_pair_of_limits(
    kernel: ModuleType, dtype: str, mean: float
) -> None:
    values = image(dtype, 5003, mean)
    sentinel = np.iinfo(dtype).max
    values[::97] = sentinel
    values[1::101] = sentinel - 1
    values[2::103] = sentinel - 2
    values[3::107] = 200
    values[4::109] = min(4501, sentinel // 2)
    payload = encode(values, BSLZ4)
    limits = sorted({*LIMITS, sentinel - 2, sentinel - 1, sentinel})
    for low, high in itertools.combinations_with_replacement(limits, 2):
        counts, _ = run(kernel, payload, BSLZ4, values.itemsize, values.size, low, high)
        assert counts == answer(values, low, high)[0], (low, high)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_leaves_masked_pixels_out_and_sums_regions(
    either: ModuleType, dtype: str, encoding: int
) -> None:
    values = image(dtype, (203, 401), 0.36, module=(60, 90))
    values[20, 30:40] = 77
    values[21, 30:40] = np.iinfo(dtype).max - 3
    y, x = np.ogrid[:203, :401]
    disc = (y - 100) ** 2 + (x - 200) ** 2 < 50**2
    used = np.random.default_rng(3).random(values.shape) < 0.9
    used[90:95] = False
    regions = [
        disc,
        ~disc,
        np.zeros_like(disc),
        np.ones_like(disc),
        (y < 30) & (x < 50),
    ]
    for high in (4500, 10, 2**32 - 1):
        check(either, values, encoding, 0, high, regions=regions)
        check(either, values, encoding, 0, high, used=used, regions=regions)
    check(either, values, encoding, 1, 9, used=np.zeros_like(used), regions=regions)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block_bytes", [128, 1024, 8192, 65536])
def test_regions_may_begin_and_end_anywhere(
    either: ModuleType, dtype: str, block_bytes: int
) -> None:
    """Every place of an edge in words, columns, slices, blocks, tail and end."""
    rng = np.random.default_rng(8)
    values = image(dtype, 20_003, 0.36)
    values[7000:7040] = 200
    values[7100:7140] = np.iinfo(dtype).max
    places = {0, 1, 7, 8, 63, 64, 65, 511, 512, 4095, 4096, 4097, 8192, 16384, 20_003}
    places |= set(rng.integers(0, values.size, 60).tolist())
    regions = []
    for start, stop in itertools.pairwise(sorted(places)):
        region = np.zeros(values.size, bool)
        region[start:stop] = True
        regions.append(region)
    regions.append(rng.random(values.size) < 0.5)
    check(either, values, BSLZ4, 0, 4500, block_bytes=block_bytes, regions=regions)


def test_many_regions(either: ModuleType) -> None:
    values = image("uint16", 5000, 0.36)
    number = np.arange(values.size) % 1024
    payload = encode(values, BSLZ4)
    order = np.argsort(number, kind="stable")
    found = np.zeros(2 * values.size, EDGE)
    found["pixel"][0::2] = np.arange(values.size)
    found["pixel"][1::2] = np.arange(values.size) + 1
    found["region"] = np.repeat(number, 2)
    found["enters"][0::2] = 1
    selection = either.Selection(values.size, 0, 99, None, found.tobytes(), 1024)
    counts, rows = bytearray(32), bytearray(1024 * 16)
    scratch = bytearray(either.scratch_bytes([payload], BSLZ4, 2, values.size))
    assert not either.reduce([payload], BSLZ4, 2, selection, counts, rows, scratch)
    totals = np.add.reduceat(
        values[order].astype(np.uint64), np.searchsorted(number[order], range(1024))
    )
    table = np.frombuffer(rows, ROW)
    assert table["total"].tolist() == totals.tolist()
    assert table["kept"].tolist() == np.bincount(number).tolist()


def test_ignores_mask_bits_beyond_the_last_pixel(either: ModuleType) -> None:
    values = image("uint16", 4003, 1.0)
    payload = encode(values, BSLZ4)
    scratch = bytearray(either.scratch_bytes([payload], BSLZ4, 2, 4003))
    results = []
    for last in (0x07, 0xFF):  # 4003 = 500 * 8 + 3
        selection = either.Selection(4003, 0, 99, b"\xff" * 500 + bytes([last]))
        counts = bytearray(32)
        either.reduce([payload], BSLZ4, 2, selection, counts, None, scratch)
        results.append(bytes(counts))
    assert results[0] == results[1]


def test_a_bad_image_costs_only_itself(either: ModuleType) -> None:
    values = [image("uint16", 8192, 0.36, seed=n) for n in range(4)]
    payloads = [encode(v, BSLZ4) for v in values]
    payloads[2] = payloads[2][:-1]
    halves = [np.arange(8192) < 4096, np.arange(8192) >= 4096]
    selection = either.Selection(8192, 0, 4500, None, edges(halves), 2)
    records, rows = bytearray(b"\xa5" * 4 * 64), bytearray(b"\xa5" * 4 * 32)
    scratch = bytearray(either.scratch_bytes(payloads, BSLZ4, 2, 8192))
    faults = either.reduce(payloads, BSLZ4, 2, selection, records, rows, scratch)
    ((index, text),) = faults
    assert index == 2
    assert text.startswith("block 1 of 2 has a length of")
    for n in (0, 1, 3):
        counts, region_rows = answer(values[n], 0, 4500, regions=halves)
        assert records[64 * n : 64 * n + 32] == counts.tobytes()
        assert records[64 * n + 32 : 64 * n + 64] == b"\xa5" * 32
        assert rows[32 * n : 32 * n + 32] == region_rows.tobytes()
    assert records[128:192] == b"\xa5" * 64
    assert rows[64:96] == b"\xa5" * 32
    assert either.reduce([], BSLZ4, 2, selection, bytearray(), None, None) == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_decodes_the_image_itself(
    either: ModuleType, dtype: str, encoding: int
) -> None:
    values = image(dtype, 30_005, 5.0)
    payload = encode(values, encoding)
    out = bytearray(values.nbytes)
    scratch = bytearray(
        either.scratch_bytes([payload], encoding, values.itemsize, values.size)
    )
    either.decode(payload, encoding, values.itemsize, values.size, out, scratch)
    assert bytes(out) == values.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("factor", [1, 3, 8, 37, 256])
def test_bins_squares_of_pixels(
    either: ModuleType, dtype: str, encoding: int, factor: int
) -> None:
    shape = (203, 149)
    values = image(dtype, shape, 0.36, module=(60, 90))
    values[20, 30:40] = 77
    values[21, 30:40] = np.iinfo(dtype).max - 1
    used = np.random.default_rng(3).random(shape) < 0.9
    payload = encode(values, encoding, 1024)
    scratch = bytearray(
        either.scratch_bytes([payload], encoding, values.itemsize, values.size)
    )
    y, x = -(-shape[0] // factor), -(-shape[1] // factor)
    place = np.arange(203)[:, None] // factor * x + np.arange(149) // factor
    for low, mask in ((0, None), (1, used)):
        selection = either.Selection(
            values.size, low, 4500, None if mask is None else bitmap(mask)
        )
        sums, kept = bytearray(8 * y * x), bytearray(4 * y * x)
        bins = (149, factor, sums, kept, scratch)
        either.bin_pixels(payload, encoding, values.itemsize, selection, *bins)
        keep = (low <= values) & (values <= 4500) & (values < np.iinfo(dtype).max)
        keep &= True if mask is None else mask
        expected = np.bincount(place[keep], values[keep], minlength=y * x)
        assert np.frombuffer(sums, "<u8").tolist() == expected.tolist()
        expected = np.bincount(place[keep], minlength=y * x)
        assert np.frombuffer(kept, "<u4").tolist() == expected.tolist()


def test_bins_hold_the_largest_values(either: ModuleType) -> None:
    """No sum overflows; a value beyond 2^32 / factor counts as that."""
    values = np.full(64 * 64, 2**32 - 2, np.uint32)
    selection = either.Selection(values.size, 0, 2**32 - 1)
    sums, kept = bytearray(8), bytearray(4)
    arguments = (values.tobytes(), NONE, 4, selection, 64, 64, sums, kept, None)
    either.bin_pixels(*arguments)
    assert np.frombuffer(sums, "<u8")[0] == 64 * 64 * ((2**32 - 1) // 64)
    assert np.frombuffer(kept, "<u4")[0] == 64 * 64


def test_a_frame_of_sentinels_sums_to_zero(kernel: ModuleType) -> None:
    """Row 29: the fill of aborted series in old firmware."""
    check(kernel, np.full(50_000, 65535, np.uint16), BSLZ4, high=4500)


def test_the_sum_may_exceed_two_to_the_53(kernel: ModuleType) -> None:
    """Row 33."""
    values = np.full(4_200_000, 2**32 - 3, np.uint32)
    counts, _ = run(kernel, encode(values, BSLZ4, 2**20), BSLZ4, 4, values.size)
    assert int(counts["total"]) == values.size * (2**32 - 3) > 2**53


def test_8_bit_gaps_stay_out_whatever_the_limit(kernel: ModuleType) -> None:
    """Row 23: 255 would pass the usual 4500."""
    check(kernel, image("uint8", SHAPE_500K, 0.36), BSLZ4, high=4500)


@pytest.mark.parametrize("dtype", DTYPES)
def test_repeating_planes_are_compared_like_any_other(
    kernel: ModuleType, dtype: str
) -> None:
    """The decoder leaves planes out that repeat the one below; these blocks do."""
    sentinel = np.iinfo(dtype).max
    for fill, n_other in itertools.product(
        (0, 1, 5, 129, sentinel - 200, sentinel - 1, sentinel), (0, 1, 40)
    ):
        values = np.full(24_001, fill, dtype)
        values[1000 : 1000 + n_other] = sentinel - 100
        values[9000 : 9000 + 7 * n_other : 7] = sentinel
        values[17_000 : 17_000 + n_other] = 200
        for low, high in ((0, sentinel), (0, 199), (0, 200), (3, sentinel - 150)):
            check(kernel, values, BSLZ4, low, high)


def test_blocks_of_another_encoder(kernel: ModuleType, tmp_path: Any) -> None:
    values = image("uint16", (1, 529_420), 0.36)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, dtype, filters in (
            ("bs", "uint16", hdf5plugin.Bitshuffle(nelems=0, cname="lz4")),
            ("bs32", "uint32", hdf5plugin.Bitshuffle(nelems=512, cname="lz4")),
            ("lz4", "uint16", hdf5plugin.LZ4(nbytes=10_000)),
        ):
            data = values.astype(dtype)
            file.create_dataset(name, data=data, chunks=data.shape, **filters)
            _, payload = file[name].id.read_direct_chunk((0, 0))
            encoding = LZ4 if name == "lz4" else BSLZ4
            counts, _ = run(kernel, payload, encoding, data.itemsize, data.size, 0, 99)
            assert counts == answer(data, 0, 99)[0]


def test_threads_do_not_disturb_each_other(kernel: ModuleType) -> None:
    payloads = [
        (encode(values, BSLZ4), answer(values, 0, 4500)[0])
        for values in (image("uint16", 100_000, 0.36, seed=n) for n in range(8))
    ]

    def work(n: int) -> bool:
        payload, expected = payloads[n % 8]
        return bool(run(kernel, payload, BSLZ4, 2, 100_000, 0, 4500)[0] == expected)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(64)))


# Bad input


def corrupt(kernel: ModuleType, payload: bytes, match: str, pixels: int = 8192) -> None:
    with pytest.raises(RuntimeError, match=match):
        run(kernel, payload, BSLZ4, 2, pixels)


@pytest.fixture(scope="module")
def good() -> bytes:
    """Two blocks of 4096 pixels."""
    return encode(image("uint16", 8192, 0.36), BSLZ4)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (8192, "declares 8192 bytes, the image has 16384"),
        (32768, "declares 32768 bytes"),
        (2**34, "declares 17179869184 bytes"),
        (2**64 - 1, "declares 18446744073709551615 bytes"),
        (16383, "declares 16383"),
    ],
)
def test_refuses_a_wrong_size(
    kernel: ModuleType, good: bytes, size: int, message: str
) -> None:
    """Row 62: size half, double, huge."""
    corrupt(kernel, struct.pack(">Q", size) + good[8:], message)


@pytest.mark.parametrize("block", [0, 1, 8191, 8200, 2**20 + 16, 2**31, 2**32 - 1])
def test_refuses_an_illegal_block_size(
    kernel: ModuleType, good: bytes, block: int
) -> None:
    payload = good[:8] + struct.pack(">I", block) + good[12:]
    corrupt(kernel, payload, f"illegal block size of {block} bytes")


def test_refuses_another_legal_block_size(kernel: ModuleType, good: bytes) -> None:
    payload = good[:8] + struct.pack(">I", 4096) + good[12:]
    corrupt(kernel, payload, r"block 0 of 4, length \d+, does not decode to its 4096")


def test_refuses_every_truncation(kernel: ModuleType) -> None:
    payload = encode(image("uint16", 1003, 0.36), BSLZ4, 512)
    for size in range(len(payload)):
        with pytest.raises(RuntimeError):
            run(kernel, payload[:size], BSLZ4, 2, 1003)


def test_names_the_block_where_the_payload_ends(
    kernel: ModuleType, good: bytes
) -> None:
    (first,) = struct.unpack_from(">I", good, 12)
    second = 12 + 4 + first
    corrupt(kernel, good[:5], "payload of 5 bytes is shorter than its header of 12")
    corrupt(kernel, good[:14], "ends before the length of block 0 of 2")
    corrupt(
        kernel, good[:100], f"block 0 of 2 has a length of {first} bytes, .* 84 left"
    )
    corrupt(kernel, good[: second + 3], "ends before the length of block 1 of 2")
    corrupt(kernel, good[:-1], "block 1 of 2 has a length of")


def test_refuses_trailing_bytes_and_a_short_tail(kernel: ModuleType) -> None:
    payload = encode(image("uint16", 8195, 0.36), BSLZ4)
    corrupt(kernel, payload + b"\0", "1 trailing bytes after block 2", 8195)
    corrupt(kernel, payload[:-1], "inside the raw tail after block 2: 5 of 6", 8195)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1])
def test_refuses_a_lying_block_length(
    kernel: ModuleType, good: bytes, length: int
) -> None:
    corrupt(kernel, good[:12] + struct.pack(">I", length) + good[16:], "block 0 of 2")


@pytest.mark.parametrize("itemsize", [1, 4])
def test_refuses_a_wrong_element_size(
    kernel: ModuleType, good: bytes, itemsize: int
) -> None:
    with pytest.raises(RuntimeError, match="header declares 16384 bytes, the image"):
        run(kernel, good, BSLZ4, itemsize, 8192)


def test_refuses_a_block_that_is_too_short_or_too_long(kernel: ModuleType) -> None:
    """A short block would leave old contents of the buffer in the sum."""
    for size in (0, 1, 16, 8176, 8191, 8193, 8208, 100_000):
        block = lz4.block.compress(bytes(size), store_size=False)
        payload = frame_blocks(8192, 8192, [block])
        corrupt(kernel, payload, "block 0 of 1", 4096)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x00",
        b"\x10",
        b"\xf0",
        b"\xf0" + b"\xff" * 100,
        b"\x0f\x01\x00" + b"\xff" * 40,
        b"\x10A\x00\x00" + b"\x00" * 8,
        b"\x10A\x02\x00" + b"\x00" * 8,
        b"\x1fA\xff\xff" + b"\xff" * 40 + b"\x00\x50AAAAA",
        b"\x50AAAAA",
    ],
    ids=[
        "empty", "no-offset", "no-literals", "no-length", "endless-literals",
        "match-first", "offset-0", "offset-2-of-1", "far-offset", "literals-only",
    ],
)  # fmt: skip
def test_refuses_malformed_blocks(kernel: ModuleType, block: bytes) -> None:
    for period in (2, 64, 512):  # bytes of a plane
        payload = frame_blocks(16 * period, 16 * period, [block])
        corrupt(kernel, payload, "block 0 of 1", 8 * period)
    with pytest.raises(RuntimeError, match="block 0 of 1"):
        run(kernel, block, LZ4_BLOCK, 2, 1000)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_survives_flipped_bits(kernel: ModuleType, encoding: int) -> None:
    """Row 35: either an error or counts that add up to the image, never a crash."""
    rng = np.random.default_rng(11)
    values = image("uint16", 20_003, 0.36)
    payload = np.frombuffer(encode(values, encoding), np.uint8)
    for _ in range(300):
        mutant = payload.copy()
        where = rng.integers(0, mutant.size, rng.integers(1, 4))
        mutant[where] ^= (1 << rng.integers(0, 8, where.size)).astype(np.uint8)
        try:
            counts, _ = run(kernel, mutant.tobytes(), encoding, 2, values.size)
        except RuntimeError:
            continue
        classes = ("kept", "below", "above", "sentinel", "masked")
        assert sum(int(counts[name]) for name in classes) == values.size


def test_refuses_uncompressed_data_of_another_size(kernel: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="payload has 199 bytes, the image 200"):
        run(kernel, bytes(199), NONE, 2, 100)


@pytest.mark.parametrize("header", [b"", bytes(12)], ids=["none", "zeros"])
@pytest.mark.parametrize("pixels", [3, 8, 13, 4096, 30_003])
def test_takes_bslz4_without_a_header(
    kernel: ModuleType, header: bytes, pixels: int
) -> None:
    """Two simulators in use send such data; geometry must allow it."""
    values = image("uint16", pixels, 0.36)
    payload = header + encode(values, BSLZ4)[12:]
    counts, _ = run(kernel, payload, BSLZ4, 2, pixels)
    assert counts == answer(values, 0, 2**32 - 1)[0]
    for wrong in (payload + b"\0", payload[:-1]):
        with pytest.raises(RuntimeError):
            run(kernel, wrong, BSLZ4, 2, pixels)


def test_refuses_headerless_data_of_other_blocks(kernel: ModuleType) -> None:
    payload = encode(image("uint16", 30_000, 0.36), BSLZ4, 4096)[12:]
    corrupt(kernel, payload, "header declares .* bytes, the image has 60000", 30_000)


# Arguments


def edge(*triples: tuple[int, int, int]) -> bytes:
    return b"".join(struct.pack("<IHH", *triple) for triple in triples)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": 0}, "pixels must be 1 to"),
        ({"pixels": 2**40}, "pixels must be 1 to"),
        ({"low": 10}, "low <= high"),
        ({"low": -1}, "0 <= low"),
        ({"high": 2**32}, "high <= 4294967295"),
        ({"mask": b""}, "mask must have 1 bytes, not 0"),
        ({"mask": b"12"}, "mask must have 1 bytes, not 2"),
        ({"regions": 1025}, "regions must be 0 to 1024, not 1025"),
        ({"regions": -1}, "regions must be 0 to 1024, not -1"),
        ({"edges": b"1234567"}, "edges must have 8 bytes each, not 7 in all"),
        ({"edges": edge((0, 0, 1))}, "enter and leave"),
        ({"edges": edge((4, 0, 0))}, "enter and leave"),
        ({"edges": edge((0, 0, 1), (1, 0, 1), (2, 0, 0))}, "enter and leave"),
        ({"edges": edge((5, 0, 1), (4, 0, 0))}, "sorted by pixel"),
        ({"edges": edge((5, 0, 1), (9, 0, 0))}, "within the image"),
        ({"edges": edge((0, 2, 1), (8, 2, 0))}, "each of the regions"),
        ({"edges": edge((0, 0, 2), (8, 0, 0))}, "enter and leave"),
    ],
)
def test_refuses_a_wrong_selection(
    either: ModuleType, change: dict[str, Any], message: str
) -> None:
    good = {"pixels": 8, "low": 0, "high": 9, "mask": b"\xff", "regions": 2}
    good["edges"] = edge((0, 0, 1), (0, 1, 1), (8, 0, 0), (8, 1, 0))
    either.Selection(**good)
    with pytest.raises(ValueError, match=message):
        either.Selection(**(good | change))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("encoding", 5, "encoding must be 0 to 4"),
        ("encoding", -1, "encoding must be 0 to 4"),
        ("itemsize", 3, "itemsize must be 1, 2 or 4"),
        ("records", bytearray(63), "at least 32 bytes, not 63 in all"),
        ("records", bytearray(62), "at least 32 bytes, not 62 in all"),
        ("region_rows", None, "region_rows must have 64 bytes, not 0"),
        ("region_rows", bytearray(16), "region_rows must have 64 bytes, not 16"),
    ],
)
def test_refuses_wrong_arguments(
    either: ModuleType, name: str, value: object, message: str
) -> None:
    selection = either.Selection(8, 0, 9, regions=2)
    good: dict[str, Any] = {
        "payloads": [bytes(16), bytes(16)],
        "encoding": NONE,
        "itemsize": 2,
        "selection": selection,
        "records": bytearray(64),
        "region_rows": bytearray(64),
        "scratch": None,
    }
    assert either.reduce(*good.values()) == []
    with pytest.raises(ValueError, match=message):
        either.reduce(*(good | {name: value}).values())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("width", 3, "8 pixels are no rows of 3"),
        ("width", 0, "8 pixels are no rows of 0"),
        ("factor", 0, "factor must be 1 to 256, not 0"),
        ("factor", 257, "factor must be 1 to 256, not 257"),
        ("sums", bytearray(8), "sums must have 16 bytes, not 8"),
        ("kept", bytearray(16), "kept must have 8 bytes, not 16"),
    ],
)
def test_refuses_wrong_bins(
    either: ModuleType, name: str, value: object, message: str
) -> None:
    good: dict[str, Any] = {
        "payload": bytes(16),
        "encoding": NONE,
        "itemsize": 2,
        "selection": either.Selection(8, 0, 9),
        "width": 4,
        "factor": 2,
        "sums": bytearray(16),
        "kept": bytearray(8),
        "scratch": None,
    }
    either.bin_pixels(*good.values())
    with pytest.raises(ValueError, match=message):
        either.bin_pixels(*(good | {name: value}).values())


def test_refuses_a_small_scratch_buffer(kernel: ModuleType, good: bytes) -> None:
    needed = kernel.scratch_bytes([good], BSLZ4, 2, 8192)
    selection = kernel.Selection(8192, 0, 9)
    for scratch in (None, bytearray(needed - 1)):
        with pytest.raises(ValueError, match=f"this payload needs {needed}"):
            kernel.reduce([good], BSLZ4, 2, selection, bytearray(32), None, scratch)
        with pytest.raises(ValueError, match=f"this payload needs {needed}"):
            kernel.decode(good, BSLZ4, 2, 8192, bytearray(16384), scratch)


def test_refuses_payloads_that_are_no_buffers(kernel: ModuleType) -> None:
    selection = kernel.Selection(8, 0, 9)
    for payloads in (3, [3], [bytes(16), None]):
        with pytest.raises(TypeError):
            kernel.reduce(payloads, NONE, 2, selection, bytearray(64), None, None)


@pytest.mark.parametrize("name", ["sse9", "AVX2"])
def test_an_unknown_variant_cannot_be_imported(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import eigerwatch._kernel"],
        env=os.environ | {"EIGERWATCH_KERNEL_VARIANT": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"ImportError: EIGERWATCH_KERNEL_VARIANT={name}: the kernel" in done.stderr


def test_shuffle_of_the_tests_is_bitshuffle() -> None:
    bitshuffle = pytest.importorskip("bitshuffle")
    values = image("uint32", 4096, 300.0)
    assert shuffle(values) == bitshuffle.bitshuffle(values, 4096).tobytes()


# Real detectors


def recorded_frames(entry: dict[str, Any]) -> Any:
    """Yield payload, encoding and the expected results of each frame."""
    messages = list(read_zcap(entry["file"]))
    for frame in entry["frames"]:
        parts = messages[frame["message"]]
        if frame["channel"] is None:
            stated = frame["encoding"].split()[0]
            encoding = BSLZ4 if stated.startswith("bs") else LZ4_BLOCK
            yield parts[2], encoding, frame
            continue
        found: list[Any] = []

        def hook(tag: Any, *_: Any, found: list[Any] = found) -> Any:
            if tag.tag == 56500:
                found.append(tag.value)
            return tag.value

        cbor2.loads(parts[0], tag_hook=hook)
        ((algorithm, itemsize, payload),) = found
        assert (algorithm, itemsize) == ("bslz4", np.dtype(frame["dtype"]).itemsize)
        yield payload, BSLZ4, frame


@pytest.mark.realdata
def test_sums_recorded_frames_exactly(kernel: ModuleType) -> None:
    checked = 0
    for entry in manifest()["entries"]:
        for payload, encoding, frame in recorded_frames(entry):
            dtype = np.dtype(frame["dtype"])
            sentinel = int(np.iinfo(dtype).max)
            pixels = frame["shape"][0] * frame["shape"][1]
            for limits, expected in frame["ranges"].items():
                low, high = map(int, limits.split("-"))
                counts, _ = run(
                    kernel, payload, encoding, dtype.itemsize, pixels, low, high
                )
                # The manifest counts the sentinel like any value; we never do.
                n_sentinel = int(counts["sentinel"])
                assert n_sentinel == frame["n_eq_max_of_dtype"]
                inside = n_sentinel if high >= sentinel else 0
                assert int(counts["total"]) + inside * sentinel == expected["sum"]
                assert int(counts["kept"]) + inside == expected["n_in"]
                excluded = n_sentinel - inside + int(counts["below"] + counts["above"])
                assert excluded == expected["n_excluded"]
                checked += 1
    assert checked == 100
