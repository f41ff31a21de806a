from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lz4.block
import numpy as np
import pytest
import through_hdf5
from helpers import manifest, read_zcap
from simplon_messages import (
    end1,
    end2,
    header1,
    image1,
    image2,
    pack2,
    part,
    start2,
)

from eigerwatch.errors import DecodeError
from eigerwatch.model import Encoding, Frame, Image, SeriesEnd, SeriesStart
from eigerwatch.simplon.decoder import MAX_PARTS, Decoder

CAPTURES = [
    "eiger1_4m_v1_bslz4_u16.zcap",
    "eiger2_16m_v1_bslz4_u16.zcap",
    "eiger2_16m_v2_bslz4_u16.zcap",
    "eiger2_1m_v1_lz4_u32.zcap",
]


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(max_pixels=64_000_000)


def kinds(messages: list[Any]) -> list[str]:
    return [
        f"error:{m.kind}" if isinstance(m, DecodeError) else type(m).__name__
        for m in messages
    ]


def unpack(image: Image) -> np.ndarray[Any, Any]:
    """Decompress with the reference libraries."""
    assert isinstance(image.payload, memoryview)
    data = bytes(image.payload)
    if image.encoding is Encoding.LZ4_BLOCK:
        size = image.pixels * image.dtype.itemsize
        raw = lz4.block.decompress(data, uncompressed_size=size)
        return np.frombuffer(raw, image.dtype)
    assert image.encoding is Encoding.BSLZ4
    return through_hdf5.unpack(data, through_hdf5.BSLZ4, image.dtype, (image.pixels,))


def recorded(name: str, decoder: Decoder) -> Iterator[tuple[int, Any]]:
    for number, parts in enumerate(read_zcap(name)):
        for message in decoder.feed([memoryview(p) for p in parts]):
            yield number, message


@pytest.mark.realdata
@pytest.mark.parametrize("name", CAPTURES)
def test_recordings_decode_to_the_known_frames(name: str, decoder: Decoder) -> None:
    (entry,) = [e for e in manifest()["entries"] if e["file"] == name]
    expected = iter(entry["frames"])
    last_payload, values = None, None
    for number, message in recorded(name, decoder):
        if isinstance(message, DecodeError):
            # One header has four bytes in the place of the mask.
            assert (message.kind, number) == ("pixel mask", 0)
            continue
        if not isinstance(message, Frame):
            continue
        frame = next(expected)
        assert message.series_id == frame["series"]
        assert message.image_id == frame["frame"]
        assert number == frame["message"]
        (image,) = message.images
        assert image.channel == (frame["channel"] or "image")
        assert image.shape == tuple(frame["shape"])
        assert image.dtype == np.dtype(frame["dtype"])
        assert isinstance(image.payload, memoryview)
        if values is None or image.payload != last_payload:
            last_payload, values = image.payload, unpack(image)
        for limits, known in frame["ranges"].items():
            low, high = map(int, limits.split("-"))
            kept = values[(values >= low) & (values <= high)]
            assert int(kept.sum(dtype=np.uint64)) == known["sum"]
            assert kept.size == known["n_in"]
    assert next(expected, None) is None


@pytest.mark.realdata
def test_recorded_eiger1_sends_ticks_of_20_ns(decoder: Decoder) -> None:
    messages = [m for _, m in recorded(CAPTURES[0], decoder)]
    start, *frames, end = messages
    assert isinstance(start, SeriesStart)
    assert (start.shape, start.number_of_images) == ((2167, 2070), 10)
    assert (start.serial, start.dtype) == ("E-08-0115", None)
    assert start.header["auto_summation"] == 1
    assert start.user_data == {"acqID": "test_1"}
    assert [f.start_ns for f in frames] == [
        20 * ticks for ticks in (143051295370, 143051395491, 143051495491)
    ]
    assert [f.real_ns for f in frames[:2]] == [20 * 99251, 20 * 99130]
    assert end == SeriesEnd(6)


@pytest.mark.realdata
def test_recorded_eiger2_sends_ns(decoder: Decoder) -> None:
    messages = [m for _, m in recorded(CAPTURES[3], decoder)]
    starts = [m for m in messages if isinstance(m, SeriesStart)]
    frames = [m for m in messages if isinstance(m, Frame)]
    assert [s.series_id for s in starts] == [71, 72]
    assert starts[0].dtype == np.dtype("<u4")
    assert starts[0].countrate_cutoff == 1702012
    assert starts[0].header_detail == "all"
    assert frames[0].start_ns == 2896044831605460
    assert frames[0].real_ns == 999999900
    assert [m for m in messages if isinstance(m, SeriesEnd)] == [
        SeriesEnd(71),
        SeriesEnd(72),
    ]


@pytest.mark.realdata
def test_recorded_stream2_series(decoder: Decoder) -> None:
    start, _, frame, end = [m for _, m in recorded(CAPTURES[2], decoder)]
    unique_id = "01HBV3JPF9T4ZDPADX6EMK6XMZ"
    assert start.series_unique_id == frame.series_unique_id == unique_id
    assert end == SeriesEnd(15614, unique_id)
    # threshold_2 has an energy, but is not active.
    assert start.channels == ("threshold_1",)
    assert "threshold_2" in start.header["threshold_energy"]
    assert start.saturation_value == 21517
    assert start.header["arm_date"] == "2023-10-03T17:47:48.329000+02:00"
    assert (frame.start_ns, frame.real_ns) == (0, 4317460)


def test_both_versions_at_one_port(decoder: Decoder) -> None:
    out = []
    for parts in (
        header1(1)[:1],
        pack2(start2(7)),
        header1(1)[1:],
        image1(1, 0)[:2],
        pack2(image2(7, 0), self_described=True),
        image1(1, 0)[2:],
        pack2(end2(7)),
        end1(1),
    ):
        out += decoder.feed(parts)
    assert kinds(out) == [
        "SeriesStart",
        "SeriesStart",
        "Frame",
        "Frame",
        "SeriesEnd",
        "SeriesEnd",
    ]


@pytest.mark.parametrize("first", [b"\xa5", b"\xd9\xd9\xf7", b"{", b"\x00"])
def test_split_off_binary_part_is_told_by_its_length(
    decoder: Decoder, first: bytes
) -> None:
    blob = first + b"\x01" * (80 - len(first))
    parts = image1(blob=blob, encoding="<")
    out = [m for p in parts for m in decoder.feed([p])]
    assert kinds(out) == ["Frame"]


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"", b""],
        [b"hello"],
        [b"[1]"],
        [b"\x00" * 100],
        [b"\xd9\xd9"],
        [b"\xd9\xd9\xf8\xa0"],
        [b"\x9f\xff"],
        [b"\xff" * 50],
        [b"   "],
        [b"\xef\xbb\xbf{}"],
    ],
)
def test_neither_version(decoder: Decoder, parts: list[bytes]) -> None:
    assert kinds(decoder.feed(parts)) == ["error:format"]
    assert kinds(decoder.feed(image1())) == ["Frame"]
    assert kinds(decoder.feed(pack2(image2()))) == ["Frame"]


def test_white_space_before_json(decoder: Decoder) -> None:
    assert kinds(decoder.feed([b"\n " + end1()[0]])) == ["SeriesEnd"]


def test_indefinite_map_is_refused_by_name(decoder: Decoder) -> None:
    (error,) = decoder.feed([b"\xbf\x64type\x63end\xff"])
    assert isinstance(error, DecodeError)
    assert "indefinite" in str(error)


def test_number_of_parts_is_bounded(decoder: Decoder) -> None:
    assert kinds(decoder.feed([])) == ["error:parts"]
    assert kinds(decoder.feed(end1() * MAX_PARTS)) == ["SeriesEnd"] * MAX_PARTS
    assert kinds(decoder.feed(end1() * (MAX_PARTS + 1))) == ["error:parts"]
    longest = [*header1(detail="all"), b"a", *image1(), b"b", *end1()]
    assert len(longest) == MAX_PARTS - 1
    assert kinds(decoder.feed(longest)) == ["SeriesStart", "Frame", "SeriesEnd"]


def test_size_of_a_message_is_bounded() -> None:
    decoder = Decoder(max_pixels=100, max_message_mb=1)
    blob = bytes(2**20)
    assert kinds(decoder.feed(image1(blob=blob))) == ["error:size"]
    assert kinds(decoder.feed([b"\xa0" + blob])) == ["error:size"]
    assert kinds(decoder.feed(image1())) == ["Frame"]


def test_flush_gives_out_a_frame_without_its_times(decoder: Decoder) -> None:
    assert decoder.feed(image1()[:3]) == []
    assert kinds(decoder.flush()) == ["Frame"]
    assert decoder.flush() == []


def test_refused_messages_do_not_disturb_a_split_one(decoder: Decoder) -> None:
    parts = image1()
    assert decoder.feed(parts[:2]) == []
    assert kinds(decoder.feed([b"junk"])) == ["error:format"]
    assert kinds(decoder.feed(parts[2:])) == ["Frame"]


def test_json_that_is_no_message(decoder: Decoder) -> None:
    assert kinds(decoder.feed([part(a=1)])) == ["error:sequence"]
    assert kinds(decoder.feed([b"{"])) == ["error:json"]
    assert kinds(decoder.feed([part(htype=5)])) == ["error:sequence"]
    assert kinds(decoder.feed([part(htype="dmystery-1.0")])) == ["error:type"]
