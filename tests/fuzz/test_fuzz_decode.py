"""Nothing a sender can send makes the decoder raise, or unfit for what follows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simplon_messages import (
    end1,
    end2,
    header1,
    image1,
    image2,
    pack2,
    start2,
)

from eigerwatch.errors import DecodeError
from eigerwatch.model import BadFrame, Frame, SeriesEnd, SeriesStart
from eigerwatch.simplon.decoder import Decoder

MAX_PIXELS = 10_000

MESSAGES: list[list[bytes]] = [
    header1(detail="all"),
    [*header1(), b'{"user": ["data", 1]}'],
    header1(detail="none"),
    image1(),
    [*image1(frame=1), b"plain text"],
    end1(),
    [*header1(detail="all"), *image1(frame=2), *end1()],
    pack2(start2(user_data={"a": [1, b"x"]})),
    pack2(image2(), self_described=True),
    pack2(end2()),
]

keys = st.sampled_from(
    "htype series frame header_detail encoding shape size type real_time start_time "
    "stop_time nimages ntrigger count_time x_pixels_in_detector y_pixels_in_detector "
    "bit_depth_image trigger_mode software_version".split()
)
words = st.sampled_from(
    "dheader-1.0 dimage-1.0 dimage_d-1.0 dconfig-1.0 dseries_end-1.0 dflatfield-1.0 "
    "dpixelmask-1.0 all basic none bs16-lz4< lz4< < uint8 uint16 uint32 ints".split()
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-1, 20)
    | st.floats()
    | st.text(max_size=5)
    | words,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=8,
)
json_parts = st.dictionaries(keys, json_values, max_size=8).map(
    lambda fields: json.dumps(fields).encode()
)
any_parts = (
    json_parts
    | st.binary(max_size=90)
    | st.sampled_from([part for parts in MESSAGES for part in parts])
)


@st.composite
def damaged(draw: st.DrawFn) -> list[bytes]:
    """Return a message with bits flipped, cut, or with parts moved about."""
    parts = [bytearray(p) for p in draw(st.sampled_from(MESSAGES))]
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from(parts))
        match draw(st.sampled_from(["flip", "cut", "insert", "swap"])):
            case "flip" if part:
                place = draw(st.integers(0, len(part) - 1))
                part[place] = draw(st.integers(0, 255))
            case "cut":
                del part[draw(st.integers(0, len(part))) :]
            case "insert":
                place = draw(st.integers(0, len(part)))
                part[place:place] = draw(st.binary(max_size=9))
            case "swap":
                parts[draw(st.integers(0, len(parts) - 1))] = part
    return [bytes(p) for p in parts]


def check(messages: list[Any]) -> None:
    for message in messages:
        if isinstance(message, DecodeError):
            assert str(message)
            assert len(str(message)) < 1000
            continue
        assert isinstance(message, SeriesStart | Frame | BadFrame | SeriesEnd)
        assert 0 <= message.series_id < 2**63
        if isinstance(message, Frame | BadFrame):
            assert 0 <= message.image_id < 2**63
        if isinstance(message, Frame):
            assert message.images
            for image in message.images:
                assert 0 < image.pixels <= MAX_PIXELS
            for time_ns in (message.start_ns, message.real_ns):
                assert time_ns is None or 0 <= time_ns < 2**63
        if isinstance(message, SeriesStart):
            json.dumps(
                [message.header, message.user_data], allow_nan=False, ensure_ascii=False
            ).encode()


def check_alive(decoder: Decoder) -> None:
    check(decoder.flush())
    for parts in (image1(5, 6), pack2(image2(5, 6))):
        out = decoder.feed(parts)
        assert [type(m) for m in out] == [Frame], out


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.lists(any_parts, max_size=17), max_size=5))
def test_any_sequence_of_parts(messages: list[list[bytes]]) -> None:
    decoder = Decoder(MAX_PIXELS)
    for parts in messages:
        check(decoder.feed(parts))
    check_alive(decoder)


@settings(max_examples=400)
@given(st.lists(damaged(), min_size=1, max_size=4))
def test_damaged_messages(messages: list[list[bytes]]) -> None:
    decoder = Decoder(MAX_PIXELS)
    for parts in messages:
        check(decoder.feed(parts))
    check_alive(decoder)


@given(st.lists(damaged(), min_size=1, max_size=3))
def test_no_flush_is_needed_after_faults(messages: list[list[bytes]]) -> None:
    decoder = Decoder(MAX_PIXELS)
    for parts in messages:
        decoder.feed(parts)
    decoder.feed(end1())
    decoder.feed(end1())
    assert [type(m) for m in decoder.feed(image1(5, 6))] == [Frame]
    assert [type(m) for m in decoder.feed(pack2(image2(5, 6)))] == [Frame]
