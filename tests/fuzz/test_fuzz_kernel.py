"""The kernel against the reference, on any image and on damaged payloads."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import (
    BSLZ4,
    LZ4,
    LZ4_BLOCK,
    NONE,
    PLANES,
    VARIANTS,
    encode,
    load_kernel,
    run,
)

from eigerwatch import reference

LIMITS = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))


@pytest.fixture(scope="module", params=VARIANTS)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    return load_kernel(request.param)


@st.composite
def images(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """An image with flat runs, noise and bad-pixel codes."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "uint32"])))
    top = int(np.iinfo(dtype).max)
    value = st.one_of(
        st.integers(0, 6), st.integers(0, top), st.sampled_from([top, top - 1, top - 2])
    )
    values = np.full(draw(st.integers(1, 9000)), draw(value), dtype)
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, values.size - 1))
        stop = draw(st.integers(start, values.size))
        if draw(st.booleans()):
            values[start : stop : draw(st.integers(1, 40))] = draw(value)
        else:
            rng = np.random.default_rng(draw(st.integers(0, 99)))
            noise = rng.poisson(
                draw(st.sampled_from([0.01, 0.4, 5.0, 90.0])), stop - start
            )
            values[start:stop] = np.minimum(noise, top)
    return values


def outcome(module: ModuleType, *arguments: Any) -> Any:
    try:
        counts, rows = run(module, *arguments)
    except RuntimeError:
        return "refused"
    return counts.tolist(), rows.tolist()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(data=st.data())
def test_agrees_with_the_reference(kernel: ModuleType, data: st.DataObject) -> None:
    values = data.draw(images())
    encoding = data.draw(st.sampled_from([NONE, LZ4_BLOCK, LZ4, PLANES, *[BSLZ4] * 4]))
    unit = 8 * values.itemsize
    block = unit * data.draw(st.one_of(st.integers(1, 9), st.integers(1, 1024)))
    low, high = sorted((data.draw(LIMITS), data.draw(LIMITS)))
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    used = None if seed % 3 == 0 else rng.random(values.size) < 0.9
    regions = [rng.random(values.size) < 0.3 for _ in range(seed % 4)]
    payload = encode(values, encoding, block)
    arguments = (encoding, values.itemsize, values.size, low, high, used, regions)
    result = outcome(kernel, payload, *arguments)
    assert result != "refused"
    assert result == outcome(reference, payload, *arguments)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(data=st.data())
def test_agrees_with_the_reference_on_damage(
    kernel: ModuleType, data: st.DataObject
) -> None:
    """What one accepts or refuses, so does the other, with the same counts.

    But for one thing: a match offset of 0, which the format forbids and the kernel
    refuses, means zeros to liblz4.
    """
    values = data.draw(images())
    encoding = data.draw(st.sampled_from([LZ4_BLOCK, LZ4, PLANES, BSLZ4, BSLZ4]))
    payload = bytearray(encode(values, encoding))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(0), st.integers(0, len(payload) - 1)))
    damaged = bytes(payload[: len(payload) - cut])
    arguments = (encoding, values.itemsize, values.size, 0, 4500)
    result = outcome(kernel, damaged, *arguments)
    expected = outcome(reference, damaged, *arguments)
    if result == "refused" and expected != "refused":
        assert any(0 in offsets(block) for block in blocks(damaged, encoding))
    else:
        assert result == expected


def blocks(payload: bytes, encoding: int) -> list[bytes]:
    """Cut a payload that the reference accepted into its blocks."""
    if encoding == LZ4_BLOCK:
        return [payload]
    found = []
    at = 12 if payload[:4] == bytes(4) else 0
    while at + 4 <= len(payload):
        length = int.from_bytes(payload[at : at + 4], "big")
        found.append(payload[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def offsets(block: bytes) -> list[int]:
    """Walk the sequences of an LZ4 block and return the offsets of its matches."""
    found = []
    at = 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        byte = 255 if nibble == 15 else 0
        while byte == 255 and at < len(block):
            byte = block[at]
            total += byte
            at += 1
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)  # moves on, too
        at += literals
        if at + 2 > len(block):
            break
        found.append(int.from_bytes(block[at : at + 2], "little"))
        at += 2
        length(token & 15)
    return found


def test_offsets_are_found_after_long_literals() -> None:
    first = bytes([0xF0, 5]) + bytes(20) + b"\x07\x00"
    second = bytes([0x1F]) + b"\xff" + b"\x00\x00" + b"\xff\x01"
    last = bytes([0xF0, 255, 3]) + bytes(15 + 255 + 3)
    assert offsets(first + second + last) == [7, 0]
