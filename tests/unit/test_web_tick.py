from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from eigerwatch.web.tick import MAGIC, decode, encode
from eigerwatch.web.ticks import points_for


def blocks() -> dict[str, np.ndarray]:
    return {
        "frame": np.array([3, 2**32 - 1, 7], np.uint32),
        "raw": np.array([1.0, np.nan, 0.5], np.float32),
        "alone": np.array([0, 1, 0], np.uint8),
        "empty": np.zeros(0, np.uint32),
    }


def test_what_is_packed_comes_out() -> None:
    header, out = decode(encode({"seq": 5, "text": "µ <b>"}, blocks()))

    assert header["seq"] == 5
    assert header["text"] == "µ <b>"
    for name, array in blocks().items():
        np.testing.assert_array_equal(out[name], array)


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd", "abcde", "µ" * 7])
def test_blocks_are_aligned_for_typed_views(text: str) -> None:
    message = encode({"text": text}, blocks())
    magic, length = struct.unpack_from("<II", message)

    assert magic == MAGIC
    assert (8 + length) % 8 == 0
    assert len(message) % 8 == 0
    assert message[8 + length :][:4] == struct.pack("<I", 3)


def test_nan_never_gets_into_the_header() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"mean": float("nan")}, {})


def test_header_is_strict_json() -> None:
    message = encode({"a": None}, {})
    length = struct.unpack_from("<I", message, 4)[0]

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(message[8 : 8 + length], parse_constant=refuse)["a"] is None


@pytest.mark.parametrize("cut", [0, 4, 7, 20, 60])
def test_cut_off_messages_are_errors(cut: int) -> None:
    with pytest.raises(ValueError, match=r"tick|buffer|JSON|char|column"):
        decode(encode({"seq": 1}, blocks())[:cut])


@pytest.mark.parametrize(
    ("px", "points"), [(1, 500), (250, 500), (251, 700), (1280, 2800), (3840, 4000)]
)
def test_a_plot_gets_two_points_per_pixel_and_few_numbers_of_them(
    px: int, points: int
) -> None:
    assert points_for(px) == points
