from __future__ import annotations

import json
import tracemalloc
from typing import Any

import cbor2
import kernel_cases
import numpy as np
import pytest
import zstandard
from simplon_messages import (
    ULID,
    array2,
    bslz4,
    end2,
    image2,
    lz4_framed,
    pack2,
    pixels,
    start2,
)

from eigerwatch.errors import DecodeError
from eigerwatch.model import (
    BadFrame,
    Encoding,
    Frame,
    RejectReason,
    SeriesEnd,
    SeriesStart,
)
from eigerwatch.reduce import decode_image
from eigerwatch.simplon.stream2 import Decoder

TAG = cbor2.CBORTag


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(max_pixels=1_000_000)


def decode(decoder: Decoder, message: dict[str, Any]) -> Any:
    out = decoder.feed(pack2(message))
    assert len(out) == 1, out
    return out[0]


# Start and end


@pytest.mark.parametrize("self_described", [False, True])
def test_start(decoder: Decoder, self_described: bool) -> None:
    message = start2(
        image_dtype="uint16",
        threshold_energy={"threshold_1": 6750.1, "threshold_2": 18900.4},
        goniometer={"omega": {"increment": 0.1, "start": 0.0}},
        arm_date=TAG(0, "2023-10-03T17:47:48.329000123+02:00"),
    )
    (start,) = decoder.feed(pack2(message, self_described=self_described))
    assert start == SeriesStart(
        7,
        series_unique_id=ULID,
        channels=("threshold_1",),
        shape=(5, 8),
        dtype=np.dtype("<u2"),
        number_of_images=10,
        frame_time_s=0.002,
        count_time_s=0.00199,
        detector="Dectris EIGER2 Si 500K",
        serial="E-01-0001",
        saturation_value=50000,
        header_detail="basic",
        header={k: v for k, v in message.items() if k != "type"}
        | {"arm_date": "2023-10-03T17:47:48.329000123+02:00"},
        stream="v2",
    )


def test_start_without_any_field_but_the_series(decoder: Decoder) -> None:
    start = decode(decoder, {"type": "start", "series_id": 3})
    assert start == SeriesStart(
        3, header_detail="none", header={"series_id": 3}, stream="v2"
    )


def test_start_leaves_arrays_out(decoder: Decoder) -> None:
    mask = {"threshold_1": array2(np.zeros((5, 8), "u4"), None)}
    start = decode(
        decoder,
        start2(
            pixel_mask=mask,
            flatfield=mask,
            countrate_correction_lookup_table=TAG(70, bytes(4000)),
            newcomer=TAG(85, bytes(400)),
        ),
    )
    assert start.header_detail == "all"
    assert start.header["newcomer"] == "<400 bytes>"
    assert not {"pixel_mask", "flatfield"} & start.header.keys()
    assert "countrate_correction_lookup_table" not in start.header


@pytest.mark.parametrize("compression", [None, "bslz4", "lz4"])
def test_pixel_masks_come_by_channel(decoder: Decoder, compression: str | None) -> None:
    masks = {
        f"threshold_{n}": np.arange(40, dtype="<u4").reshape(5, 8) % (n + 1)
        for n in (1, 2)
    }
    arrays = {channel: array2(mask, compression) for channel, mask in masks.items()}
    start = decode(decoder, start2(pixel_mask=arrays))
    assert list(start.mask_images) == list(masks)
    for channel, image in start.mask_images.items():
        assert (image.channel, image.dtype, image.shape) == (channel, "<u4", (5, 8))
        assert np.array_equal(decode_image(image), masks[channel])


@pytest.mark.parametrize(
    "masks",
    [
        {},
        [1, 2],
        {"threshold_1": 5},
        {"threshold 1": array2(np.zeros((5, 8), "u4"), None)},
        {"threshold_1": array2(np.zeros((5, 8), "u4"), None, tag=85)},
        {"threshold_1": array2(np.zeros((5, 8), "u4"), None, dimensions=[5, 9])},
        {f"t{n}": array2(np.zeros((5, 8), "u4"), None) for n in range(9)},
    ],
)
def test_a_pixel_mask_that_cannot_be_used_costs_only_itself(
    decoder: Decoder, masks: Any
) -> None:
    start, error = decoder.feed(pack2(start2(pixel_mask=masks)))
    assert isinstance(start, SeriesStart)
    assert start.mask_images == {}
    assert isinstance(error, DecodeError)
    assert error.kind == "pixel mask"


def test_bszstd_is_taken(decoder: Decoder) -> None:
    image = pixels("uint16", (16, 32))
    planes = kernel_cases.encode(image, kernel_cases.PLANES)
    block = zstandard.ZstdCompressor().compress(planes[12:])
    data = planes[:12] + len(block).to_bytes(4, "big") + block
    array = array2(image, "bszstd", data=data, element=2)
    frame = decode(decoder, image2(data={"threshold_1": array}))
    assert isinstance(frame, Frame)
    (taken,) = frame.images
    assert taken.encoding is Encoding.BSZSTD
    assert np.array_equal(decode_image(taken), image)
    wrong = array2(image, "bszstd", data=data, element=4)
    bad = decode(decoder, image2(data={"threshold_1": wrong}))
    assert isinstance(bad, BadFrame)
    assert bad.reason is RejectReason.CONTRADICTION


@pytest.mark.parametrize(
    ("user_data", "safe"),
    [
        ([1, "\U0001f499"], [1, "\U0001f499"]),
        (b"\x00\x01", "<2 bytes>"),
        (float("nan"), None),
        ({"a": {"b": [1.5, None, True]}}, {"a": {"b": [1.5, None, True]}}),
        ({1: 2}, {"1": 2}),
        (2**64 - 1, 2**64 - 1),
        (-(2**64), "<integer of 65 bits>"),
        (TAG(35, "(a+)+$"), "(a+)+$"),
        ([[[[[[[[1]]]]]]]], [[[[[["\u2026"]]]]]]),
        ("x" * 9000, "x" * 4096 + "\u2026"),
        ([0] * 257, [*[0] * 256, "\u2026"]),
    ],
)
def test_user_data_of_any_type(decoder: Decoder, user_data: Any, safe: Any) -> None:
    start = decode(decoder, start2(user_data=user_data))
    frame = decode(decoder, image2(user_data=user_data))
    assert start.user_data == frame.user_data == safe
    json.dumps(start.user_data, allow_nan=False)


def nested(width: int, depth: int) -> Any:
    return [nested(width, depth - 1) for _ in range(width)] if depth else {"": 1}


@pytest.mark.parametrize(
    "hostile",
    [
        nested(5, 5),
        nested(100, 2),
        [{str(n): "\u20ac" * 4096} for n in range(200)],
        {str(n) + "\u20ac" * 300: n for n in range(9000)},
        [[1.7976931348623157e308] * 250] * 100,
        [[[]] * 256] * 100,
    ],
    ids=["deep", "wide", "long", "keys", "numbers", "empty"],
)
def test_header_and_user_data_are_bounded_as_a_whole(
    decoder: Decoder, hostile: Any
) -> None:
    start = decode(decoder, start2(newcomer=hostile, user_data=hostile))
    for kept in (start.header, start.user_data):
        text = json.dumps(kept)
        assert 10_000 < len(text) <= 65_536
        assert r"\u2026" in text
    # What stands beside the huge branch is still there.
    assert start.header["series_id"] == 7
    assert start.header["channels"] == ["threshold_1"]


def test_many_large_headers_take_little_memory(decoder: Decoder) -> None:
    parts = pack2(start2(newcomer=[[{"": []}] * 200] * 70, user_data=nested(8, 4)))
    tracemalloc.start()
    try:
        kept = [decoder.feed(parts) for _ in range(10)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 10 * 1_500_000
    assert len(kept) == 10


@pytest.mark.parametrize(
    ("value", "believed"),
    [
        (86_400, 86_400.0),
        (86_400.1, None),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        (-1.0, None),
        (0.0, None),
        (5e-324, None),
        (1e-9, 1e-9),
    ],
)
def test_frame_times_nobody_can_mean_stay_unknown(
    decoder: Decoder, value: float, believed: float | None
) -> None:
    start = decode(decoder, start2(frame_time=value, count_time=value))
    assert (start.frame_time_s, start.count_time_s) == (believed, believed)


def test_fields_of_wrong_type_stay_unknown(decoder: Decoder) -> None:
    odd = {k: [b"odd"] for k in start2() if k not in ("type", "series_id")}
    start = decode(decoder, start2(image_dtype=["uint16"]) | odd)
    assert start.channels == ()
    assert start.shape is None
    assert start.dtype is None
    assert start.series_unique_id is None
    assert start.number_of_images is None
    assert start.detector is None


def test_announced_channels_are_capped_and_unique(decoder: Decoder) -> None:
    names = [f"threshold_{i // 2}" for i in range(100)]
    start = decode(decoder, start2(channels=["a:b", 5, *names]))
    assert start.channels == tuple(f"threshold_{i}" for i in range(8))


def test_end(decoder: Decoder) -> None:
    assert decode(decoder, end2()) == SeriesEnd(7, ULID)


# Images


@pytest.mark.parametrize("self_described", [False, True])
@pytest.mark.parametrize("compression", ["bslz4", "lz4", None])
@pytest.mark.parametrize(
    ("dtype", "tag"), [("uint8", 64), ("uint8", 68), ("uint16", 69), ("uint32", 70)]
)
def test_image(
    decoder: Decoder,
    dtype: str,
    tag: int,
    compression: str | None,
    self_described: bool,
) -> None:
    image = pixels(dtype)
    channels = {
        "threshold_1": array2(image, compression, tag=tag),
        "difference": array2(image, compression, tag=tag),
    }
    message = pack2(image2(7, 3, data=channels), self_described=self_described)
    (frame,) = decoder.feed(message)
    assert isinstance(frame, Frame)
    assert (frame.series_id, frame.series_unique_id, frame.image_id) == (7, ULID, 3)
    assert (frame.start_ns, frame.real_ns) == (6_000_000, 1_990_000)
    assert [i.channel for i in frame.images] == ["threshold_1", "difference"]
    expected = {"bslz4": bslz4, "lz4": lz4_framed, None: np.ndarray.tobytes}
    for decoded in frame.images:
        assert decoded.encoding == Encoding(compression or "none")
        assert decoded.dtype == np.dtype(dtype).newbyteorder("<")
        assert decoded.shape == (5, 8)
        assert decoded.payload.obj is message[0]
        assert bytes(decoded.payload) == expected[compression](image)


def test_channels_are_those_of_the_data(decoder: Decoder) -> None:
    decode(decoder, start2(channels=["threshold_1", "threshold_2"]))
    frame = decode(decoder, image2(data={"difference": array2(pixels())}))
    assert [i.channel for i in frame.images] == ["difference"]


@pytest.mark.parametrize(
    ("array", "reason", "named"),
    [
        (array2(pixels(), tag=65), RejectReason.ENCODING, "big-endian"),
        (array2(pixels("uint32"), tag=66), RejectReason.ENCODING, "big-endian"),
        (array2(pixels(), tag=77), RejectReason.ENCODING, "tag 77"),
        (array2(pixels(), tag=71), RejectReason.ENCODING, "tag 71"),
        (array2(pixels(), "trpx", element=2), RejectReason.ENCODING, "trpx"),
        (array2(pixels(), "none", element=0), RejectReason.ENCODING, "none"),
        (array2(pixels(), element=4), RejectReason.CONTRADICTION, "elements of 4"),
        (array2(pixels(), tag=70), RejectReason.CONTRADICTION, "uint32"),
        (array2(pixels(), dimensions=[5, 9]), RejectReason.CONTRADICTION, "has 90"),
        (
            array2(pixels(), "lz4", dimensions=[5, 9]),
            RejectReason.CONTRADICTION,
            "has 90",
        ),
        (
            array2(pixels(), None, dimensions=[5, 9]),
            RejectReason.CONTRADICTION,
            "has 90",
        ),
        (array2(pixels(), "lz4", data=b""), RejectReason.CONTRADICTION, "has 80"),
        (array2(pixels(), "bslz4", data=b""), RejectReason.CONTRADICTION, "has 80"),
        (array2(pixels(), None, data=b""), RejectReason.CONTRADICTION, "has 80"),
        (array2(pixels(), dimensions=[40]), RejectReason.CONTRADICTION, "dimensions"),
        (
            array2(pixels(), dimensions=[1, 5, 8]),
            RejectReason.CONTRADICTION,
            "dimensions",
        ),
        (array2(pixels(), dimensions=40), RejectReason.CONTRADICTION, "dimensions"),
        (array2(pixels(), dimensions=[0, 8]), RejectReason.CONTRADICTION, "shape"),
        (array2(pixels(), dimensions=[-5, 8]), RejectReason.CONTRADICTION, "shape"),
        (array2(pixels(), dimensions=["5", 8]), RejectReason.CONTRADICTION, "shape"),
        (array2(pixels(), dimensions=[1, 70_000]), RejectReason.SIZE, "allowed"),
        (array2(pixels(), dimensions=[2**40, 2**40]), RejectReason.SIZE, "allowed"),
        (array2(pixels(), dimensions=[1001, 1000]), RejectReason.SIZE, "allowed"),
        (bslz4(pixels()), RejectReason.MESSAGE, "multi-dimensional"),
        (TAG(40, [[5, 8]]), RejectReason.MESSAGE, "multi-dimensional"),
        (TAG(1040, [[5, 8], b""]), RejectReason.MESSAGE, "multi-dimensional"),
        (TAG(40, [[5, 8], bytes(80)]), RejectReason.MESSAGE, "typed array"),
        (TAG(40, [[5, 8], TAG(69, [1, 2])]), RejectReason.MESSAGE, "no bytes"),
        (
            TAG(40, [[5, 8], TAG(69, TAG(56500, ["bslz4", 2]))]),
            RejectReason.MESSAGE,
            "no bytes",
        ),
        (
            TAG(40, [[5, 8], TAG(69, TAG(56500, [["bslz4"], 2, b"x"]))]),
            RejectReason.ENCODING,
            "not supported",
        ),
        (None, RejectReason.MESSAGE, "multi-dimensional"),
    ],
)
def test_unusable_channel_is_rejected_and_the_others_kept(
    decoder: Decoder, array: Any, reason: RejectReason, named: str
) -> None:
    bad = decode(decoder, image2(7, 5, data={"threshold_1": array}))
    assert isinstance(bad, BadFrame)
    assert (bad.series_id, bad.series_unique_id, bad.image_id) == (7, ULID, 5)
    assert (bad.channels, bad.reason) == (("threshold_1",), reason)
    assert named in bad.detail
    data = {"threshold_1": array2(pixels()), "threshold_2": array}
    frame, bad = decoder.feed(pack2(image2(7, 5, data=data)))
    assert [i.channel for i in frame.images] == ["threshold_1"]
    assert (bad.channels, bad.reason) == (("threshold_2",), reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, RejectReason.MESSAGE),
        ([], RejectReason.MESSAGE),
        (None, RejectReason.MESSAGE),
        ({"a:b": array2(pixels())}, RejectReason.MESSAGE),
        ({"..": array2(pixels())}, RejectReason.MESSAGE),
        ({"": array2(pixels())}, RejectReason.MESSAGE),
        ({"x" * 65: array2(pixels())}, RejectReason.MESSAGE),
        ({5: array2(pixels())}, RejectReason.MESSAGE),
        ({f"t{i}": array2(pixels()) for i in range(9)}, RejectReason.SIZE),
    ],
)
def test_unusable_data_rejects_the_frame(
    decoder: Decoder, data: Any, reason: RejectReason
) -> None:
    bad = decode(decoder, image2(data=data))
    assert (bad.image_id, bad.channels, bad.reason) == (0, (), reason)


def test_eight_channels_are_accepted(decoder: Decoder) -> None:
    data = {f"threshold_{i}": array2(pixels()) for i in range(8)}
    assert len(decode(decoder, image2(data=data)).images) == 8


@pytest.mark.parametrize(
    ("rational", "expected"),
    [
        ([0, 50_000_000], 0),
        ([1, 50_000_000], 20),
        ([1, 3], 333_333_333),
        ([2, 3], 666_666_667),
        ([9_007_199_254_740_993, 10**9], 9_007_199_254_740_993),
        ([5, 0], None),
        ([5, -1], None),
        ([-5, 1], None),
        ([2**64 - 1, 1], None),
        ([1.0, 2], None),
        ([True, 1], None),
        ([1], None),
        (1.5, None),
        (None, None),
    ],
)
def test_times_are_rationals(
    decoder: Decoder, rational: Any, expected: int | None
) -> None:
    frame = decode(decoder, image2(start_time=rational, real_time=rational))
    assert (frame.start_ns, frame.real_ns) == (expected, expected)


def test_unknown_keys_and_tags_are_stepped_over(decoder: Decoder) -> None:
    extra = {
        "later": TAG(4711, [TAG(28, [TAG(29, 0)]), TAG(35, "(a+)+$"), TAG(36, "x")]),
        "big": TAG(2, b"\xff" * 5000),
    }
    assert isinstance(decode(decoder, image2(**extra)), Frame)
    assert isinstance(decode(decoder, start2(**extra)), SeriesStart)


# Faults


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "monitor", "series_id": 1}, "type"),
        ({"type": ["image"], "series_id": 1}, "type"),
        ({"type": b"start", "series_id": 1}, "type"),
        ({"type": [b"start"], "series_id": 1}, "type"),
        ({"series_id": 1}, "type"),
        ({}, "type"),
        ({"type": "start"}, "value"),
        ({"type": "end", "series_id": "7"}, "value"),
        ({"type": "end", "series_id": True}, "value"),
        ({"type": "image", "series_id": 7}, "value"),
        (image2(image=-1), "value"),
        (image2(series=2**63), "value"),
        (image2(series_id=None), "value"),
        ({"type": "start", "series_number": 1, "image_size": [1, 2]}, "preview"),
        (
            {"type": "image", "series_number": 1, "image_number": 2, "channels": []},
            "preview",
        ),
        ([1, 2], "cbor"),
        (5, "cbor"),
    ],
)
def test_messages_that_cannot_be_used(
    decoder: Decoder, message: Any, kind: str
) -> None:
    error = decode(decoder, message)
    assert isinstance(error, DecodeError)
    assert error.kind == kind
    assert error.__traceback__ is None
    assert "memory at" not in str(error)  # an address is no fact


def test_preview_layout_is_refused_by_name(decoder: Decoder) -> None:
    error = decode(decoder, {"type": "image", "series_number": 1, "image_number": 2})
    assert "2022.1" in str(error)


def test_two_parts_are_no_message(decoder: Decoder) -> None:
    (error,) = decoder.feed([*pack2(end2()), b""])
    assert (type(error), error.kind) == (DecodeError, "parts")


def test_image_cut_off_is_rejected_by_number(decoder: Decoder) -> None:
    (data,) = pack2(image2(7, 5))
    (bad,) = decoder.feed([data[:-10]])
    assert (bad.image_id, bad.reason) == (5, RejectReason.MESSAGE)
    (bad,) = decoder.feed([data + b"\0"])
    assert (bad.image_id, bad.reason) == (5, RejectReason.MESSAGE)


def test_image_with_a_number_given_twice_is_nobodys(decoder: Decoder) -> None:
    (data,) = pack2({"type": "image", "series_id": 7, "image_id": 5})
    twice = b"\xa4" + data[1:] + b"\x68image_id\x06"
    (error,) = decoder.feed([twice])
    assert (type(error), error.kind) == (DecodeError, "cbor")


def test_errors_do_not_keep_the_message_alive(decoder: Decoder) -> None:
    data = bytearray(pack2(image2())[0])
    data[30:30] = b"\xff\xff"
    out = decoder.feed([data])
    assert out
    data.clear()  # raises BufferError while a view of it exists
